"""Headers before a message: what is taken off, what goes before the answer."""

from __future__ import annotations

import pytest

from switch.wire.header import Envelope, Fixed, Header, HeaderError, Opened, Rejected, Tpdu, Visa

MESSAGE = b"0800" + bytes(8)
#: length 22, format 1, text 2, total 34, destination 123456, source 654321, then what is echoed
CAME = bytes.fromhex("16 01 02 0022 123456 654321 a1 b2b3 c4c5c6 d7 e8e9ea fb")
#: A reject header and the header of the message that came back, as public code shows one:
#: jPOS, pull request 530.
REJECT = bytes.fromhex(
    "1A810101312416160000000100004100000001000000800001341601020117000000241616011000400000000100B900"
)


def opened(header: Header, payload: bytes) -> Opened:
    """A message taken out."""
    event = header.open(payload)
    assert isinstance(event, Opened)
    return event


@pytest.mark.parametrize(
    ("header", "came", "answered"),
    [
        (Fixed(), b"", b""),
        (Fixed(b"ISO026000050"), b"ISO026000070", b"ISO026000070"),
        (Fixed(b"ISO026000050", is_echoed=False), b"ISO026000070", b"ISO026000050"),
        (Tpdu(), bytes.fromhex("6000031234"), bytes.fromhex("6012340003")),
        (Tpdu(), bytes.fromhex("6800031234"), bytes.fromhex("6812340003")),
    ],
)
def test_an_answer_has_the_header_of_its_request(
    header: Header, came: bytes, answered: bytes
) -> None:
    """A fixed header is echoed or ours, a TPDU goes back to its source."""
    event = opened(header, came + MESSAGE)
    assert event == Opened(MESSAGE, Envelope(came))
    assert answered + b"0810" == header.seal(b"0810", event.envelope)


def test_a_visa_header_comes_back_swapped() -> None:
    """Stations change places, the length is the answer's, all else is what came."""
    event = opened(Visa(), CAME + MESSAGE)
    assert event == Opened(MESSAGE, Envelope(CAME))
    answered = bytes.fromhex("16 01 02 001a 654321 123456 a1 b2b3 c4c5c6 d7 e8e9ea fb")
    assert answered + b"0810" == Visa().seal(b"0810", event.envelope)


def test_answers_may_leave_in_any_order() -> None:
    """Each answer has the header of its own request, whichever is sealed first."""
    header = Tpdu()
    first, second = (opened(header, bytes([0x60, 0, 1, 0, n]) + MESSAGE) for n in (1, 2))
    assert bytes.fromhex("6000020001") == header.seal(b"", second.envelope)
    assert bytes.fromhex("6000010001") == header.seal(b"", first.envelope)


@pytest.mark.parametrize(
    ("header", "ours"),
    [
        (Fixed(), ""),
        (Fixed(b"ISO026000050"), "49534f303236303030303530"),
        (Tpdu(), "6000000000"),
        (Tpdu(bytes.fromhex("6000120034")), "6000120034"),
        (Visa("123456", "654321"), "160102 0022 654321 123456" + "00" * 11),
    ],
)
def test_a_request_of_ours_has_the_configured_header(header: Header, ours: str) -> None:
    """Nothing came, so the settings say what stands there."""
    sealed = header.seal(MESSAGE, None)
    assert bytes.fromhex(ours) + MESSAGE == sealed
    assert MESSAGE == opened(header, sealed).message


@pytest.mark.parametrize(
    ("header", "payload", "problem", "offset"),
    [
        (Fixed(b"1234"), b"123", "short", 3),
        (Tpdu(), b"\x60\0\0\0", "short", 4),
        (Visa(), b"", "short", 0),
        (Visa(), CAME[:-1], "short", 21),
        (Visa(), REJECT[:25], "short", 25),
        (Visa(), b"\x15" + CAME[1:] + MESSAGE, "header_length", 0),
        (Visa(), b"\x17" + CAME[1:] + MESSAGE, "header_length", 0),
        (Visa(), b"\x00" + CAME[1:] + MESSAGE, "header_length", 0),
        (Visa(), CAME[:1] + b"\x81" + CAME[2:] + MESSAGE, "chained", 1),
        (Visa(), CAME[:2] + b"\x03" + CAME[3:] + MESSAGE, "text_format", 2),
    ],
)
def test_what_is_no_header(header: Header, payload: bytes, problem: str, offset: int) -> None:
    """A header that is cut short or is another kind's is refused with its place."""
    with pytest.raises(HeaderError) as refused:
        header.open(payload)
    assert (problem, offset) == (refused.value.problem, refused.value.offset)
    assert f"{problem} at byte {offset}" == str(refused.value)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (REJECT, "0134"),
        (REJECT + MESSAGE, "0134"),
        (REJECT[:26], "0134"),
        (REJECT[:22] + b"\0\0" + REJECT[24:], ""),
        (REJECT[:24] + b"\x0f\x34" + REJECT[26:], ""),
        (b"\xff" + bytes(300), ""),
    ],
)
def test_a_rejected_message_comes_back(payload: bytes, code: str) -> None:
    """A header of 26 bytes or more brings a message of ours back, with a code where it has one."""
    assert Rejected(code) == Visa().open(payload)


def test_nothing_shows_what_came() -> None:
    """No text of a header, an envelope or an error holds bytes of the frame."""
    came = b"4761739000000012"
    event = opened(Fixed(b"12345678"), came)
    assert not any(part in repr(event) for part in ("4761", "0012"))
    with pytest.raises(HeaderError) as refused:
        Fixed(bytes(17)).open(came)
    assert "4761" not in str(refused.value)


@pytest.mark.parametrize("ours", [b"", b"\x60", bytes(6)])
def test_a_tpdu_is_five_bytes(ours: bytes) -> None:
    """Another length is refused."""
    with pytest.raises(ValueError, match="a TPDU is 5 bytes"):
        Tpdu(ours)


@pytest.mark.parametrize("station", ["", "12345", "1234567", "12345a", "²²²²²²"])
def test_a_station_is_six_digits(station: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match="a station is six digits"):
        Visa(source=station)
    with pytest.raises(ValueError, match="a station is six digits"):
        Visa(destination=station)
