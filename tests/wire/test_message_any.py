"""Whatever the bytes are: a message, or a `MessageError`, in linear time."""

from __future__ import annotations

import time

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
from tests.wire.strategies import golden_formats, head, messages, spec_of

ASCII, BINARY = load("iso87-ascii"), load("iso87-binary")
SPECS = [pytest.param(load(name), id=name) for name in known()]
GOLDEN = [
    (load(spec_of(wire_format)), message, raw)
    for wire_format, pairs in golden_formats().items()
    for message, raw in pairs
]


@pytest.mark.parametrize("spec", SPECS)
@given(data=st.data())
def test_there_and_back(spec: Spec, data: st.DataObject) -> None:
    """What is written is read back as it was."""
    message = data.draw(messages(spec))
    assert message == decode(encode(message, spec), spec)


@pytest.mark.parametrize("spec", SPECS)
@given(data=st.binary(max_size=400))
def test_any_bytes(spec: Spec, data: bytes) -> None:
    """Any bytes are a message or a `MessageError`, and nothing else."""
    _read(data, spec)


@pytest.mark.parametrize("spec", SPECS)
@given(data=st.data())
def test_bytes_behind_a_bitmap(spec: Spec, data: st.DataObject) -> None:
    """Any fields behind a true MTI and a true bitmap are a message or a `MessageError`."""
    numbers = data.draw(st.sets(st.integers(1, max(spec.fields)), max_size=12))
    _read(head(spec, numbers) + data.draw(st.binary(max_size=200)), spec)


@given(data=st.data())
@settings(max_examples=500, deadline=None)
def test_mutations(data: st.DataObject) -> None:
    """A true message with bytes changed, cut out or put in is a message or a `MessageError`."""
    spec, _, whole = data.draw(st.sampled_from(GOLDEN))
    raw = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        cut = data.draw(st.integers(0, 3))
        raw[at : at + cut] = data.draw(st.binary(max_size=3))
    _read(bytes(raw), spec)


@pytest.mark.parametrize("wire_format", golden_formats())
def test_every_cut(wire_format: str) -> None:
    """A message cut short anywhere is a `MessageError` that says the field and where it begins."""
    spec = load(spec_of(wire_format))
    names = {"mti", "bitmap", *(field.name for field in spec.fields.values())}
    for message, raw in golden_formats()[wire_format][:7]:  # one of each class
        for size in range(len(raw)):
            with pytest.raises(MessageError) as refused:
                decode(raw[:size], spec)
            error = refused.value
            assert error.field in names
            assert error.problem in ("length", "bitmap")
            assert error.offset is not None
            assert 0 <= error.offset <= size
            read = error.readable.fields if error.readable is not None else {}
            assert read.items() <= message.fields.items()


def _read(data: bytes, spec: Spec) -> None:
    """What is read can be written, the short way as the long one; what cannot be read leaves
    what can be written."""
    try:
        message = decode(data, spec)
    except MessageError as error:
        if error.readable is not None:
            encode(error.readable, spec)
        return
    assert message == decode_at_length(data, spec)
    assert encode_at_length(message, spec) == encode(message, spec)
    assert message == decode(encode(message, spec), spec)


@pytest.mark.parametrize("spec", [ASCII, BINARY], ids=["ascii", "binary"])
def test_linear(spec: Spec) -> None:
    """Ten times the bytes cost no more than a few times ten: also where they are no message."""
    full = Message("0100", dict.fromkeys(range(105, 128), "x" * 999))
    data = encode(full, spec)

    def seconds(size: int) -> float:
        best = 1.0
        for _ in range(5):
            start = time.process_time()
            _read(data + b"\0" * size, spec)
            best = min(best, time.process_time() - start)
        return best

    assert seconds(1_000_000) < 40 * seconds(100_000) + 0.01
