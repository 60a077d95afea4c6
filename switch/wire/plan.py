"""
The short way through a message: what a dialect's messages are read and written by.

It is made for a bitmap that comes often, and once: `compiled.py`. pyiso8583 stays the codec of
record. It reads and writes whatever is new, and where the short way meets anything that it
does not expect it says nothing, and the long way finds the error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TypeVar

from specs.spec import Spec
from switch.wire.compiled import Read, Write, reader, writer

#: What is kept of each dialect: peers use a handful of bitmaps, and one may send every one.
PLANS_MAX = 256

#: Messages that went the long way before a plan is made for those like them: making one takes as
#: long as some twenty of them, and a peer whose bitmaps are never the same twice must not gain.
OFTEN = 8

_K = TypeVar("_K")
_V = TypeVar("_V")


class _Kept(dict[_K, _V]):
    """Plans by what they are for; where there are too many the oldest goes."""

    def __init__(self) -> None:
        super().__init__()
        self._met: dict[_K, int] = {}

    def met(self, key: _K, make: Callable[[], _V]) -> None:
        """Count a message that had no plan, and make it one where such messages come often."""
        if key in self:  # there is one, which does not fit this message
            return
        times = self._met.pop(key, 0) + 1
        if times >= OFTEN:
            if len(self) >= PLANS_MAX:
                del self[next(iter(self))]
            self[key] = make()
            return
        if len(self._met) >= PLANS_MAX:
            self._met.clear()
        self._met[key] = times


class Plans:
    """The plans of one dialect, made as messages come."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._mti_size: int = spec.codec["t"]["max_len"]
        self._bitmap_size: int = spec.codec["p"]["max_len"]
        self._further = b"\x7f" if spec.codec["p"]["data_enc"] == "b" else b"7"
        self._readers = _Kept[bytes, tuple[str, Read]]()
        self._writers = _Kept[tuple[int, ...], Write]()

    def decode(self, data: bytes) -> tuple[str, dict[int, str]] | None:
        """The MTI and the fields of a message; none where the long way must be taken."""
        plan = self._readers.get(data[: self._fields_at(data)])
        if plan is None:
            return None
        mti, read = plan
        fields = read(data)
        return None if fields is None else (mti, fields)

    def encode(self, mti: str, fields: Mapping[int, str]) -> bytes | None:
        """The bytes of a message whose MTI is known to be right; none as above."""
        write = self._writers.get(tuple(fields))
        return None if write is None else write(mti, fields)

    def was_decoded(self, data: bytes, mti: str, fields: Mapping[int, str]) -> None:
        """Learn from a whole message that came the long way, its fields in order."""
        start = self._fields_at(data)
        numbers = tuple(fields)
        self._readers.met(data[:start], lambda: (mti, reader(self._spec, numbers, start)))

    def was_encoded(self, fields: Mapping[int, str]) -> None:
        """The same of one that was written."""
        numbers = tuple(fields)
        self._writers.met(numbers, lambda: writer(self._spec, numbers))

    def _fields_at(self, data: bytes) -> int:
        """Where its MTI and its bitmaps end: each says whether there is a further one. A third that
        the dialect has not needs no question here: such a message has no plan."""
        at, size = self._mti_size, self._bitmap_size
        for following in (at + size, at + 2 * size):
            if data[at : at + 1] <= self._further:
                return following
            at = following
        return at + size


@cache
def plans(spec: Spec) -> Plans:
    """The plans of a dialect."""
    return Plans(spec)
