"""Track 2 and track 1 of a magnetic stripe (ISO/IEC 7813), and the same from a chip."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TRACK_2 = re.compile(r"([0-9]{8,19})[=D]([0-9]{4})([0-9]{3})([0-9]*)F?")
_TRACK_1 = re.compile(r"B([0-9]{8,19})\^[^^]{2,26}\^([0-9]{4})([0-9]{3})([^?]*)\??")


class TrackError(ValueError):
    """A track does not have the standard's form. Says nothing of its content."""


@dataclass(slots=True)  # frozen in all but name, as all that is made for each message
class Track:
    """What a track says. Its values never show in a repr."""

    pan: str = field(repr=False)
    expiry: str = field(repr=False)  #: YYMM
    service_code: str = field(repr=False)
    discretionary: str = field(repr=False)
    is_track_2: bool = field(default=True, repr=False, compare=False)


def parse_track_2(text: str) -> Track:
    """Read track 2 data (DE35), with `=` or `D` between PAN and expiry."""
    return _parse(_TRACK_2, text, is_track_2=True)


def parse_track_1(text: str) -> Track:
    """Read track 1 data (DE45), format code B."""
    return _parse(_TRACK_1, text, is_track_2=False)


def _parse(form: re.Pattern[str], text: str, *, is_track_2: bool) -> Track:
    match = form.fullmatch(text)
    if match is None:
        raise TrackError("a track without its separators, expiry or service code")
    pan, expiry, service_code, discretionary = match.groups()
    return Track(pan, expiry, service_code, discretionary, is_track_2)
