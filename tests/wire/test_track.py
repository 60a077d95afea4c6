"""Track 2 and track 1: read where they have the standard's form, refused without a word of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switch.wire.track import Track, TrackError, parse_track_1, parse_track_2

PAN = "4761739000000012"
TRACK = Track(PAN, "3012", "201", "10385625")


@pytest.mark.parametrize(
    ("text", "track"),
    [
        (f"{PAN}=301220110385625",          TRACK),
        (f"{PAN}D301220110385625",          TRACK),
        (f"{PAN}D301220110385625F",         TRACK),
        (f"{PAN}=3012201",                  Track(PAN, "3012", "201", "")),
        ("47617390=3012201",                Track("47617390", "3012", "201", "")),
        ("4761739000000000019=30122011",    Track("4761739000000000019", "3012", "201", "1")),
    ],
)  # fmt: skip
def test_track_2(text: str, track: Track) -> None:
    """PAN, expiry, service code and the issuer's own data, with either separator."""
    assert track == parse_track_2(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        PAN,                                   # no separator
        f"{PAN}301220110385625",               # the same, with all the rest
        f"{PAN}==301220110385625",             # an expiry of its own separator: not told
        f"{PAN}=301",                          # cut short
        f"{PAN}=301220",                       # service code cut short
        f"{PAN}=3012=201",                     # two separators
        f"={PAN}3012201",
        "4761739=3012201",                     # 7 digits are no PAN
        f"{PAN}0000=3012201",                  # nor are 20
        f"{PAN}=3012201A",
        f";{PAN}=301220110385625?",            # sentinels stay on the stripe
        f"{PAN}=3012201\n",
        f"{PAN}=٣٠١٢٢٠١",                      # digits of another script
    ],
)  # fmt: skip
def test_no_track_2(text: str) -> None:
    """Without separator, expiry or service code it is no track; the error says nothing of it."""
    with pytest.raises(TrackError) as raised:
        parse_track_2(text)
    assert PAN not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "track"),
    [
        (f"B{PAN}^DOE/JANE^301220110385625",  TRACK),
        (f"B{PAN}^DOE/JANE^301220110385625?", TRACK),
        (f"B{PAN}^A ^3012201",                Track(PAN, "3012", "201", "")),
    ],
)  # fmt: skip
def test_track_1(text: str, track: Track) -> None:
    """Format code B: PAN, a name that is not kept, then the same as track 2."""
    assert track == parse_track_1(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        PAN,
        f"A{PAN}^DOE/JANE^3012201",
        f"B{PAN}^3012201",
        f"B{PAN}^DOE^301",
        f"%B{PAN}^DOE/JANE^3012201",
    ],
)
def test_no_track_1(text: str) -> None:
    """Another format code, or a field missing: no track."""
    with pytest.raises(TrackError):
        parse_track_1(text)


@settings(deadline=None, derandomize=True)
@given(st.text(st.sampled_from("0123456789=DF^B/? "), max_size=80))
def test_any_text(text: str) -> None:
    """Any text is a track or a `TrackError`."""
    for parse in (parse_track_2, parse_track_1):
        try:
            track = parse(text)
        except TrackError:
            continue
        assert 8 <= len(track.pan) <= 19
        assert (4, 3) == (len(track.expiry), len(track.service_code))


def test_repr() -> None:
    """A track shows nothing of itself."""
    assert "Track()" == repr(TRACK)
