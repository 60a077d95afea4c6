"""
Where fields stand among the bytes of a message: for who compares or replaces a few of them.

Nothing is read but the bitmaps and the lengths. Whether the bytes are a message, and what
stands in them, is asked of `switch.wire.message`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from specs.spec import Spec
from switch.wire.error import MessageError

__all__ = ["Places", "to_wire"]

_BITMAP_BITS = 64

#: Bitmaps that are remembered: peers use a handful.
_KNOWN_MAX = 256


@dataclass(frozen=True, slots=True)
class _Step:
    """One field on the way through a message."""

    number: int
    length_size: int  #: bytes of the length before it; 0: none
    length: Callable[[bytes], int]
    size: int  #: of a fixed one, in bytes
    is_packed: bool  #: the length counts half bytes


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where everything stands in messages with the same bitmaps and the same lengths."""

    lengths: tuple[tuple[slice, bytes], ...]
    places: Mapping[int, slice]
    end: int

    def fits(self, payload: bytes) -> bool:
        """Whether a message with the same bitmaps has the same lengths."""
        return all([payload[place] == raw for place, raw in self.lengths])  # noqa: C419 - faster


class Places:
    """The places of some fields in the messages of one dialect, or of all its fields."""

    def __init__(self, spec: Spec, numbers: Iterable[int] | None = None) -> None:
        self._wanted = frozenset(spec.fields if numbers is None else numbers)
        self._steps = {number: _step(number, spec) for number in spec.fields}
        self._mti_size = spec.codec["t"]["max_len"]
        self._size = spec.codec["p"]["max_len"]
        self._is_binary = spec.codec["p"]["data_enc"] == "b"
        self._has_third = spec.has_third_bitmap
        self._known: dict[bytes, tuple[_Step, ...]] = {}
        self._last: dict[bytes, _Layout] = {}

    def of(self, payload: bytes) -> Mapping[int, slice]:
        """Where the values of the fields stand, without their lengths, by DE number.

        Raises `MessageError` where the bytes end before the last of them.
        """
        try:
            bitmaps = self._bitmaps(payload)
            # Most messages of a link are as long in every field as the one before them.
            last = self._last.get(bitmaps)
            if last is None or not last.fits(payload):
                last = self._layout(payload, bitmaps)
        except (ValueError, KeyError, IndexError):
            raise MessageError("format", "bitmap") from None
        if last.end > len(payload):
            raise MessageError("length", "bitmap")
        return last.places

    def _layout(self, payload: bytes, bitmaps: bytes) -> _Layout:
        """Walk through the lengths of a message."""
        at = self._mti_size + len(bitmaps)
        places: dict[int, slice] = {}
        lengths = []
        for step in self._known.get(bitmaps) or self._way(bitmaps):
            size = step.size
            if step.length_size:
                start = at + step.length_size
                raw = payload[at:start]
                lengths.append((slice(at, start), raw))
                size = step.length(raw)
                if step.is_packed:
                    size = (size + 1) // 2
                at = start
            if step.number in self._wanted:
                places[step.number] = slice(at, at + size)
            at += size
        layout = _Layout(tuple(lengths), places, at)
        if len(self._last) < _KNOWN_MAX or bitmaps in self._last:
            self._last[bitmaps] = layout
        return layout

    def _bitmaps(self, payload: bytes) -> bytes:
        """All bitmaps, as they stand: each says in its first bit whether another follows."""
        first, size = self._mti_size, self._size
        end = first + size
        if not self._says_more(payload[first]):
            return payload[first:end]
        end += size
        if self._has_third and self._says_more(payload[first + size]):
            end += size
        return payload[first:end]

    def _says_more(self, byte: int) -> bool:
        return byte > 0x7F if self._is_binary else byte > ord("7")

    def _way(self, bitmaps: bytes) -> tuple[_Step, ...]:
        """Every field up to the last one that is wanted."""
        raw = bitmaps if self._is_binary else bytes.fromhex(bitmaps.decode("ascii"))
        bits, width = int.from_bytes(raw, "big"), 8 * len(raw)
        marks = range(1, width, _BITMAP_BITS)
        present = [n for n in range(1, width + 1) if bits >> (width - n) & 1 and n not in marks]
        last = max((place for place, n in enumerate(present) if n in self._wanted), default=-1)
        way = tuple(self._steps[number] for number in present[: last + 1])
        if len(self._known) < _KNOWN_MAX:
            self._known[bitmaps] = way
        return way


def to_wire(value: str, number: int, spec: Spec) -> bytes | None:
    """A value as it stands on the wire, without a length; none where that takes the codec.

    An odd count of packed digits is padded by the dialect's own rule, for one.
    """
    encoding = spec.fields[number].encoding
    if encoding == "binary":
        return bytes.fromhex(value)
    if encoding in ("bcd", "bcd-right"):
        return bytes.fromhex(value) if len(value) % 2 == 0 else None
    if encoding == "amount":
        return None
    return value.encode("ascii" if encoding == "hex" else encoding)


def _step(number: int, spec: Spec) -> _Step:
    codec: Mapping[str, Any] = spec.codec[str(number)]
    is_packed = codec.get("len_count") == "nibbles"
    size = codec["max_len"]
    return _Step(
        number,
        codec["len_type"],
        _length(codec["len_enc"]),
        (size + 1) // 2 if is_packed else size,
        is_packed,
    )


def _length(encoding: str) -> Callable[[bytes], int]:
    """How a length is read."""
    if encoding == "b":
        return lambda raw: int.from_bytes(raw, "big")
    if encoding == "bcd":
        return lambda raw: int(raw.hex())
    if encoding == "ascii":
        return int
    return lambda raw: int(raw.decode(encoding))
