"""Plans are made for what comes often, are bounded, and change nothing but the time it takes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs.spec import Spec, known, load
from switch.wire.message import (
    Message,
    MessageError,
    decode,
    decode_at_length,
    encode,
    encode_at_length,
)
from switch.wire.plan import OFTEN, PLANS_MAX, Plans, plans
from tests.wire.strategies import golden_formats, messages, spec_of

ASCII = load("iso87-ascii")
ECHO = Message("0800", {7: "1122080007", 11: "000001", 70: "301"})


@pytest.mark.parametrize("wire_format", golden_formats())
def test_the_short_way_is_taken(wire_format: str) -> None:
    """What was read and written often enough by pyiso8583 has a plan, in every dialect."""
    spec = load(spec_of(wire_format))
    for message, raw in golden_formats()[wire_format]:
        _teach(message, spec)
        assert (message.mti, message.fields) == plans(spec).decode(raw)
        assert raw == plans(spec).encode(message.mti, message.fields)
        assert message == decode(raw, spec)
        assert raw == encode(message, spec)


@pytest.mark.parametrize("spec", [pytest.param(load(name), id=name) for name in known()])
@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_the_same_refusal(spec: Spec, data: st.DataObject) -> None:
    """With a plan, a message spoilt anywhere, its MTI and bitmaps too, is what it is without one:
    the same message, or refused with the same problem, field and place, and as much of it read."""
    message = data.draw(messages(spec))
    _teach(message, spec)
    raw = encode_at_length(message, spec)
    assert plans(spec).decode(raw) is not None
    for _ in range(10):
        spoilt = bytearray(raw)
        at = data.draw(st.integers(0, len(raw) - 1) | st.integers(0, 36))
        if at >= len(raw) or data.draw(st.booleans()):
            del spoilt[at:]
        else:
            spoilt[at] ^= 1 << data.draw(st.integers(0, 7))
        expected = _outcome(decode_at_length, bytes(spoilt), spec)
        assert expected == _outcome(decode, bytes(spoilt), spec)


@pytest.mark.parametrize("spec", [pytest.param(load(name), id=name) for name in known()])
def test_the_same_refusal_of_values(spec: Spec) -> None:
    """With a plan too, what cannot be written is refused by problem and field, without a value."""
    fields = {2: "4761739000000012", 11: spec.fields[11].length * "1"}
    _teach(Message(f"{spec.version}100", fields), spec)
    assert plans(spec).encode(f"{spec.version}100", fields) is not None
    for number, value, problem in ((11, "1", "length"), (2, "47x", "format"), (2, "٤", "format")):
        with pytest.raises(MessageError) as refused:
            encode(Message(f"{spec.version}100", {**fields, number: value}), spec)
        assert f"{problem}: {spec.fields[number].name}" == str(refused.value)
        assert refused.value.__context__ is None


def test_what_comes_seldom_has_no_plan() -> None:
    """A plan costs more than it saves where a bitmap hardly ever comes again."""
    short, raw = Plans(ASCII), encode_at_length(ECHO, ASCII)
    for _ in range(OFTEN - 1):
        short.was_decoded(raw, ECHO.mti, ECHO.fields)
        short.was_encoded(ECHO.fields)
    assert short.decode(raw) is None
    assert short.encode(ECHO.mti, ECHO.fields) is None
    short.was_decoded(raw, ECHO.mti, ECHO.fields)
    short.was_encoded(ECHO.fields)
    assert short.decode(raw) == (ECHO.mti, ECHO.fields)
    assert raw == short.encode(ECHO.mti, ECHO.fields)


def test_plans_are_bounded() -> None:
    """A peer that sends every bitmap there is does not fill the memory with plans; what it pushed
    out comes back with the messages that need it."""
    short, raw = Plans(ASCII), encode_at_length(ECHO, ASCII)
    for _ in range(OFTEN):
        short.was_decoded(raw, ECHO.mti, ECHO.fields)
    for bits in range(PLANS_MAX):
        assert short.decode(raw) is not None
        for _ in range(OFTEN):
            short.was_decoded(b"0100%016X" % bits, "0100", {3: ""})
            short.was_encoded({3 + bits % 60: "", 66 + bits // 60: ""})
    assert short.decode(raw) is None
    for _ in range(OFTEN):
        short.was_decoded(raw, ECHO.mti, ECHO.fields)
    assert short.decode(raw) == (ECHO.mti, ECHO.fields)
    assert PLANS_MAX == len(short._readers) == len(short._writers)


def test_what_came_once_is_forgotten() -> None:
    """Of bitmaps that never become plans no more is kept than of those that do."""
    short = Plans(ASCII)
    for bits in range(3 * PLANS_MAX):
        short.was_decoded(b"0100" + b"%016X" % bits, "0100", {})
    assert not short._readers
    assert PLANS_MAX >= len(short._readers._met)


def _teach(message: Message, spec: Spec) -> None:
    """Read and write a message as often as it takes to have a plan."""
    raw = encode_at_length(message, spec)
    for _ in range(OFTEN):
        decode(raw, spec)
        encode(message, spec)


def _outcome(read: Callable[[bytes, Spec], Message], data: bytes, spec: Spec) -> object:
    """What comes of these bytes: a message, or all that a refusal says."""
    try:
        return read(data, spec)
    except MessageError as error:
        return error.problem, error.field, error.offset, error.readable, error.__context__
