"""The code of a stripe's data that came over the air (entry mode 91), by its program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keys.hsm import CardCode, Cvc3, DynamicCvv
from switch.rules.card import Plastic
from switch.wire.track import Track

#: Setting → least and most digits, by kind. CVV: the one of a stripe, which does not change.
_DIGITS: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "cvv": {},
    "dcvv": {"code": (3, 3), "atc": (4, 4)},
    "cvc3": {"code": (3, 5), "atc": (1, 5), "un": (1, 8)},
}
_ATC_MOST = 65_535
_UN_DIGITS = 8


@dataclass(frozen=True, slots=True)
class TrackCode:
    """Which code it is, and where it and what it was made of stand in the discretionary data.

    A place is its first digit, from 0, and how many there are.
    """

    kind: str = "cvv"
    code: tuple[int, int] = (0, 0)
    atc: tuple[int, int] = (0, 0)
    un: tuple[int, int] = (0, 0)  #: the reader's number, CVC3 only
    zeros: tuple[int, ...] = ()  #: further digits that the card has as zeros, CVC3 only

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> TrackCode:
        """Read `track_code` of a program's settings; raise `ValueError` naming what is wrong."""
        kind = given.get("contactless_stripe", "cvv") if isinstance(given, Mapping) else None
        if kind not in list(_DIGITS):
            raise ValueError("track_code.contactless_stripe")
        wanted = _DIGITS[kind]
        allowed = {"contactless_stripe", *wanted} | ({"zeros"} if kind == "cvc3" else set())
        if not given.keys() <= allowed:
            raise ValueError("track_code")
        zeros = given.get("zeros", [])
        if not isinstance(zeros, list) or not all(_is_place(at) for at in zeros):
            raise ValueError("track_code.zeros")
        places = {name: _place(given.get(name), name, *most) for name, most in wanted.items()}
        return cls(kind, **places, zeros=tuple(zeros))

    def read(self, track: Track, plastic: Plastic) -> tuple[CardCode, str] | None:
        """What the code of a track was made of, and the code; none where it has not that form.

        Of an ATC the track tells the last digits: it is taken for the whole.
        """
        data = track.discretionary
        code, atc = _at(data, self.code), _at(data, self.atc)
        if code is None or atc is None:
            return None
        if self.kind == "dcvv":
            made_of = DynamicCvv(plastic.sequence_number, plastic.expiry, plastic.service_code, atc)
            return made_of, code
        un = _at(data, self.un)
        if un is None or int(atc) > _ATC_MOST or not all(at < len(data) for at in self.zeros):
            return None
        return (
            Cvc3(
                pan_sequence_number=plastic.sequence_number,
                atc=int(atc).to_bytes(2),
                unpredictable_number=bytes.fromhex(un.zfill(_UN_DIGITS)),
                track_data=self._static(track),
            ),
            code,
        )

    def _static(self, track: Track) -> bytes:
        """Track 2 as it stands in the card, packed: zeros where the reader put something in."""
        digits = list(track.discretionary)
        for start, count in (self.code, self.atc, self.un):
            digits[start : start + count] = "0" * count
        for at in self.zeros:
            digits[at] = "0"
        text = f"{track.pan}D{track.expiry}{track.service_code}{''.join(digits)}"
        return bytes.fromhex(text + "F" * (len(text) % 2))


def _at(data: str, place: tuple[int, int]) -> str | None:
    start, count = place
    digits = data[start : start + count]
    return digits if len(digits) == count and digits.isascii() and digits.isdigit() else None


def _place(value: Any, name: str, least: int, most: int) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2 or not all(_is_place(one) for one in value):
        raise ValueError(f"track_code.{name}")
    start, count = value
    if not least <= count <= most:
        raise ValueError(f"track_code.{name}")
    return start, count


def _is_place(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 30
