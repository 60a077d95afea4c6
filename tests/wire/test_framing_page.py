"""The bytes of docs/framing.md are the bytes on the wire."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from switch.wire.conversation import Format, Receiver
from switch.wire.frame import Framing
from switch.wire.header import Fixed, Header, Opened, Rejected, Tpdu, Visa

PAGE = (Path(__file__).parents[2] / "docs/framing.md").read_text()
LENGTHS = re.findall(r"^\| `(\S+)` \| `([0-9A-F ]+)` \| [^|]*\|$", PAGE, re.MULTILINE)
HEADERS = re.findall(
    r"^\| `(\w+)` \| `([0-9A-F ]+)` \| `([0-9A-F ]+)` \| [^|]*\|$", PAGE, re.MULTILINE
)
KINDS: dict[str, Header] = {"tpdu": Tpdu(), "fixed": Fixed(bytes(6))}
#: Every line of bytes that is not in a table.
LINES = [bytes.fromhex(line) for line in re.findall(r"^    ([0-9A-F ]+)(?: …)?$", PAGE, re.M)]


def test_the_page_is_complete() -> None:
    """Each framing and each kind of header has its example."""
    assert 9 == len({name for name, _ in LENGTHS})
    assert ["tpdu", "fixed"] == [name for name, *_ in HEADERS]
    assert 6 == len(LINES)


@pytest.mark.parametrize(("name", "example"), LENGTHS)
def test_lengths(name: str, example: str) -> None:
    """The message 0800 in each framing."""
    assert bytes.fromhex(example) == Framing.parse(name).frame(b"0800")


@pytest.mark.parametrize(("kind", "came", "goes"), HEADERS)
def test_headers(kind: str, came: str, goes: str) -> None:
    """What came, and what goes back."""
    event = KINDS[kind].open(bytes.fromhex(came) + b"0800")
    assert isinstance(event, Opened)
    assert bytes.fromhex(goes) + b"0810" == KINDS[kind].seal(b"0810", event.envelope)


@pytest.mark.parametrize(
    ("form", "asked", "answered"),
    [
        (Format(Framing.parse("2-byte"), Tpdu()), *LINES[:2]),
        (Format(Framing.parse("visa"), Visa()), *LINES[2:4]),
    ],
)
def test_whole_frames(form: Format, asked: bytes, answered: bytes) -> None:
    """A request and its answer."""
    (event,) = Receiver(form).receive(asked)
    assert isinstance(event, Opened)
    assert (b"0800", answered) == (event.message, form.answer(b"0810", event.envelope))


def test_visa_of_our_own() -> None:
    """The header of a request of ours, and the one that brings it back."""
    assert LINES[4] == Visa("123456", "654321").seal(b"0800", None)[:-4]
    assert Rejected("0134") == Visa().open(LINES[5])
