"""Where fields stand among a message's bytes, in every dialect."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs.spec import Spec, known, load
from switch.wire.error import MessageError
from switch.wire.message import Message, encode
from switch.wire.places import Places, to_wire
from tests.wire.strategies import messages, values

SPECS = [load(name) for name in known()]
each_dialect = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)


@each_dialect
@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_every_value_stands_where_it_is_said(spec: Spec, data: st.DataObject) -> None:
    """The bytes at a field's place are those of its value, and the places fill the message."""
    message = data.draw(messages(spec))
    payload = encode(message, spec)
    places = Places(spec).of(payload)
    assert sorted(message.fields) == list(places)
    for number, place in places.items():
        wire = to_wire(message.fields[number], number, spec)
        if wire is not None and not message.fields[number].count("="):
            assert wire == payload[place]
    if places:
        assert len(payload) == list(places.values())[-1].stop


@each_dialect
@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_few_fields_stand_where_they_do_among_all(spec: Spec, data: st.DataObject) -> None:
    """Asked for a few numbers, it says the same of them and stops after the last."""
    payload = encode(data.draw(messages(spec)), spec)
    wanted = data.draw(st.sets(st.integers(2, 128), max_size=5))
    every = Places(spec).of(payload)
    assert {n: p for n, p in every.items() if n in wanted} == Places(spec, wanted).of(payload)


@each_dialect
@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.binary(max_size=80))
def test_any_bytes_are_places_or_an_error(spec: Spec, data: bytes) -> None:
    """Bytes that are no message are refused as such, and nothing else is raised."""
    try:
        places = Places(spec).of(data)
    except MessageError:
        return
    assert all(place.stop <= len(data) for place in places.values())


@each_dialect
def test_a_message_that_is_cut_is_refused(spec: Spec) -> None:
    """A message that ends before its last field is not whole."""
    payload = encode(Message(f"{spec.version}800", {7: "1122080007"}), spec)
    with pytest.raises(MessageError):
        Places(spec).of(payload[:-1])


@each_dialect
@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_what_came_before_changes_nothing(spec: Spec, data: st.DataObject) -> None:
    """Messages with the same fields and other lengths are each read by their own."""
    message = data.draw(messages(spec))
    others = {
        number: data.draw(values(spec.fields[number]), label=str(number))
        for number in message.fields
    }
    places = Places(spec)
    for each in (message, Message(message.mti, others), message):
        payload = encode(each, spec)
        assert Places(spec).of(payload) == places.of(payload)
