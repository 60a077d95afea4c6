"""
The short way through a message: for dialects that are text throughout.

A dialect is turned into a plan for each bitmap once. pyiso8583 stays the codec of
record: where a plan meets anything that it does not expect it says nothing, and the
long way finds the error, or reads the message after all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from specs.field import Field
from specs.spec import Spec

#: Plans that are kept: peers use a handful of bitmaps, and one may send every one there is.
PLANS_MAX = 256

#: Message authentication codes; their half in hex text.
MAC_FIELDS = frozenset({64, 128})
_MAC_HALF = 8

_MTI_DIGITS, _BITMAP_DIGITS = 4, 16
_TEXT = frozenset({"ascii", "latin-1", "hex"})


@dataclass(frozen=True, slots=True)
class _Step:
    """One field of a plan."""

    number: int
    length_digits: int  #: 0: fixed
    size: int  #: in characters: exactly, or at most
    fits: Callable[[str], re.Match[str] | None]
    clean: Callable[[str], str] | None


def without_blanks(mac: str) -> str:
    """The hex text of a message authentication code of which half is given: zeros for blanks."""
    half, rest = mac[:_MAC_HALF], mac[_MAC_HALF:]
    return (half + "0" * len(rest) if rest == " " * len(rest) else mac).upper()


class Plans:
    """The plans of one dialect, made as bitmaps come."""

    def __init__(self, spec: Spec) -> None:
        self.are_possible = (
            spec.codec["t"]["data_enc"] == spec.codec["p"]["data_enc"] == "ascii"
            and not spec.has_third_bitmap
            and all(_is_text(field, spec) for field in spec.fields.values())
        )
        self._steps = {
            number: _Step(
                number,
                spec.codec[str(number)]["len_type"],
                spec.codec[str(number)]["max_len"],
                field.pattern.fullmatch,
                _clean(field),
            )
            for number, field in spec.fields.items()
        }
        self._by_bitmap: dict[str, tuple[_Step, ...]] = {}
        self._by_numbers: dict[tuple[int, ...], tuple[str, tuple[_Step, ...]]] = {}

    def decode(self, data: bytes) -> dict[int, str] | None:
        """The fields of a message whose MTI and bitmaps are known to be well-formed."""
        text = data.decode("latin-1")
        at = _MTI_DIGITS + _BITMAP_DIGITS * (2 if text[_MTI_DIGITS] > "7" else 1)
        bitmap = text[_MTI_DIGITS:at]
        fields: dict[int, str] = {}
        for step in self._by_bitmap.get(bitmap) or self._plan(bitmap):
            length = step.size
            if step.length_digits:
                digits = text[at : at + step.length_digits]
                at += step.length_digits
                if not digits.isdecimal() or (length := int(digits)) > step.size:
                    return None
            value = text[at : at + length]
            at += length
            if step.clean is not None:
                value = step.clean(value)
            if step.fits(value) is None:
                return None
            fields[step.number] = value
        return fields if at == len(text) else None

    def encode(self, mti: str, fields: Mapping[int, str]) -> bytes | None:
        """The bytes of a message whose MTI is known to be well-formed."""
        numbers = tuple(fields)
        known = self._by_numbers.get(numbers) or self._head(numbers)
        if known is None:
            return None
        bitmap, steps = known
        parts = [mti, bitmap]
        for step, value in zip(steps, fields.values(), strict=True):
            length = len(value)
            if step.fits(value) is None or length > step.size:
                return None
            if step.length_digits:
                parts.append(str(length).zfill(step.length_digits))
            elif length != step.size:
                return None
            parts.append(value)
        return "".join(parts).encode("latin-1")

    def _plan(self, bitmap: str) -> tuple[_Step, ...]:
        bits, width = int(bitmap, 16), 4 * len(bitmap)
        plan = tuple(
            self._steps[number] for number in range(2, width + 1) if bits >> (width - number) & 1
        )
        if len(self._by_bitmap) < PLANS_MAX:
            self._by_bitmap[bitmap] = plan
        return plan

    def _head(self, numbers: tuple[int, ...]) -> tuple[str, tuple[_Step, ...]] | None:
        if not numbers or list(numbers) != sorted(numbers):
            return None
        if any(number not in self._steps or number in (1, 65) for number in numbers):
            return None
        width = 64 if numbers[-1] <= 64 else 128
        bits = sum(1 << (width - number) for number in numbers)
        if width == 128:
            bits |= 1 << 127
        head = f"{bits:0{width // 4}X}", tuple(self._steps[number] for number in numbers)
        if len(self._by_numbers) < PLANS_MAX:
            self._by_numbers[numbers] = head
        return head


@cache
def plans(spec: Spec) -> Plans:
    """The plans of a dialect."""
    return Plans(spec)


def _is_text(field: Field, spec: Spec) -> bool:
    """It stands on the wire as it does in a message, and so does its length."""
    if field.kind == "ans" and field.encoding != "latin-1":
        return False
    return field.encoding in _TEXT and spec.codec[str(field.number)]["len_enc"] == "ascii"


def _clean(field: Field) -> Callable[[str], str] | None:
    if field.encoding == "hex":
        return without_blanks if field.number in MAC_FIELDS else str.upper
    if field.kind == "z":
        return lambda value: value.replace("D", "=")
    return None
