"""
One data element: what it is called, what it may hold, how it stands on the wire.

The notation is the standard's: a kind of content, then a length. `n 6` is six
digits, `an ..25` up to 25 characters after a length of two digits, `ans ...999`
after one of three, and so on to six. `b` counts bytes; `x+n 8` is C or D before
eight digits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: What each kind may hold, as it stands in a message. One pass, no backtracking.
_CONTENT: Mapping[str, str] = {
    "n": r"[0-9]+",
    "a": r"[A-Za-z ]*",
    "an": r"[A-Za-z0-9 ]*",
    "ns": r"[ -@\[-`{-~]*",
    "ans": r"[ -~\xa0-\xff]*",
    "z": r"[0-9=]+",
    "b": r"(?:[0-9A-F]{2})*",
    "x+n": r"[CD][0-9]+",
}
_PATTERNS: Mapping[str, re.Pattern[str]] = {
    kind: re.compile(content) for kind, content in _CONTENT.items()
}
_NOTATION = re.compile(r"(n|a|an|ns|ans|z|b|x\+n) (\.{0,6})([1-9][0-9]{0,5})")

#: EBCDIC, by Python's names: code page 500 and 037 differ in seven signs, such as ! and |.
EBCDIC = frozenset({"cp500", "cp037"})

#: How a value stands on the wire, and the kinds that may stand so.
_TEXT_KINDS = frozenset({"n", "a", "an", "ns", "ans", "z", "x+n"})
_ENCODINGS: Mapping[str, frozenset[str]] = {
    "ascii": _TEXT_KINDS,
    "latin-1": _TEXT_KINDS,
    "cp500": _TEXT_KINDS,
    "cp037": _TEXT_KINDS,
    "hex": frozenset({"b"}),  # two characters a byte; a length counts characters
    "binary": frozenset({"b"}),
    "bcd": frozenset({"n", "z"}),  # two digits a byte, an odd one padded on the left
    "bcd-right": frozenset({"n", "z"}),  # … on the right
    "amount": frozenset({"x+n"}),  # C or D as one character, then digits two a byte
}
_PADS: Mapping[str, Mapping[str, str]] = {
    "bcd": {"len_count": "nibbles", "left_pad": "0"},
    "bcd-right": {"len_count": "nibbles", "right_pad": "0"},
}


class FieldError(ValueError):
    """A data element that does not make sense: its number and the reason."""


@dataclass(frozen=True, slots=True)
class Field:
    """One data element of a dialect."""

    number: int
    name: str
    notation: str
    encoding: str
    sensitivity: str  #: "", or what it hides: "pan", "secret", "code"
    kind: str = field(init=False)
    length: int = field(init=False)  #: the longest, in characters; of `b` in bytes
    length_digits: int = field(init=False)  #: of the length before it; 0: none, it is fixed
    pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Read the notation; raise `FieldError` when it, or the encoding, is nonsense."""
        parts = _NOTATION.fullmatch(self.notation)
        if parts is None or len(parts[2]) == 1:
            raise FieldError(f"DE {self.number}: notation {self.notation!r} is not known")
        kind, dots, digits = parts.groups()
        if self.encoding not in _ENCODINGS:
            known = ", ".join(_ENCODINGS)
            raise FieldError(f"DE {self.number}: encoding {self.encoding!r} is not one of {known}")
        if kind not in _ENCODINGS[self.encoding]:
            raise FieldError(f"DE {self.number}: {kind} does not stand in {self.encoding}")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise FieldError(f"DE {self.number}: name {self.name!r} is not snake_case")
        length = int(digits) + (kind == "x+n")
        if self.encoding == "amount" and (dots or not length % 2):
            raise FieldError(f"DE {self.number}: an amount is fixed and of an even count of digits")
        for name, value in (
            ("kind", kind),
            ("length", length),
            ("length_digits", len(dots)),
            ("pattern", _PATTERNS[kind]),
        ):
            object.__setattr__(self, name, value)

    @property
    def _wire_length(self) -> int:
        """The longest, in what its length on the wire counts."""
        if self.encoding == "hex":
            return 2 * self.length
        if self.encoding == "amount":
            return 1 + self.length // 2
        return self.length

    def codec(self, lengths: str) -> dict[str, Any]:
        """
        The same in pyiso8583's terms, with lengths in "ascii", "bcd", "b" (binary) or EBCDIC.

        Raises `FieldError` where the field may be longer than its length can say.
        """
        digits, is_packed = self.length_digits, lengths in ("bcd", "b")
        len_type = (digits + 1) // 2 if is_packed else digits
        most = 256**len_type if lengths == "b" else 10**digits
        if digits and self._wire_length >= most:
            raise FieldError(
                f"DE {self.number}: {self.notation!r} is longer than its length can say"
            )
        raw = self.encoding in ("binary", "bcd", "bcd-right", "amount")
        text = "ascii" if self.encoding == "hex" else self.encoding
        return {
            "data_enc": "b" if raw else text,
            "len_enc": lengths,
            "len_type": len_type,
            "max_len": self._wire_length,
            "desc": self.name,
            **_PADS.get(self.encoding, {}),
        }
