"""The message type indicator, digit by digit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from switch.wire import mti
from switch.wire.message import MessageError


@pytest.mark.parametrize(
    ("request_mti", "response_mti"),
    [
        ("0100", "0110"),
        ("0101", "0110"),
        ("0120", "0130"),
        ("0121", "0130"),
        ("0123", "0132"),
        ("0200", "0210"),
        ("0220", "0230"),
        ("0400", "0410"),
        ("0401", "0410"),
        ("0420", "0430"),
        ("0421", "0430"),
        ("0800", "0810"),
        ("1804", "1814"),
        ("1805", "1814"),
    ],
)
def test_response(request_mti: str, response_mti: str) -> None:
    """An answer has the function digit + 1, and is never a repeat."""
    assert response_mti == mti.response(request_mti)
    assert mti.is_request(request_mti)
    assert not mti.is_request(response_mti)


@pytest.mark.parametrize("answer", ["0110", "0130", "0430", "0810"])
def test_an_answer_has_no_answer(answer: str) -> None:
    """What is an answer is not answered."""
    with pytest.raises(MessageError, match="not_a_request: mti"):
        mti.response(answer)


@pytest.mark.parametrize(
    ("value", "is_repeat", "without_repeat"),
    [
        ("0100", False, "0100"),
        ("0101", True, "0100"),
        ("0421", True, "0420"),
        ("0103", True, "0102"),
        ("0802", False, "0802"),
    ],
)
def test_repeat(value: str, is_repeat: bool, without_repeat: str) -> None:
    """An odd origin digit is a repeat of the even one before it."""
    assert is_repeat == mti.is_repeat(value)
    assert without_repeat == mti.without_repeat(value)


@pytest.mark.parametrize("bad", ["", "100", "01000", "01A0", "01²0", "٠١٠٠", " 100"])
@pytest.mark.parametrize(
    "question",
    [
        mti.response,
        mti.is_request,
        mti.is_repeat,
        mti.without_repeat,
        mti.message_class,
        mti.in_words,
    ],
)
def test_malformed(question: Callable[[str], object], bad: str) -> None:
    """What is not four digits is refused by every question."""
    assert not mti.is_mti(bad)
    with pytest.raises(MessageError, match="format: mti"):
        question(bad)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("0100", "authorization request (ISO 8583:1987)"),
        ("0101", "authorization request, repeat (ISO 8583:1987)"),
        ("0130", "authorization advice response (ISO 8583:1987)"),
        ("0421", "reversal advice, repeat (ISO 8583:1987)"),
        ("0810", "network management response (ISO 8583:1987)"),
        ("1804", "network management request (ISO 8583:1993)"),
        ("0190", "authorization negative acknowledgement (ISO 8583:1987)"),
        ("9970", "unknown class of unknown function (ISO 8583:of unknown version)"),
    ],
)
def test_in_words(value: str, words: str) -> None:
    """An MTI can be said in words."""
    assert words == mti.in_words(value)
