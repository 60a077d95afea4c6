"""New messages of recorded ones."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs.spec import Spec, known, load
from specs.tlv import decode_ber, encode_ber
from switch.demo.remaking import DemoRemaker
from switch.operate.replay.fresh import Fresh, patched
from switch.operate.replay.scenario import Step
from switch.wire.mac import encode_with_room, put_mac, split_mac
from switch.wire.message import Message, decode, encode
from switch.wire.places import Places, to_wire
from tests.traffic import PLAIN, chip, echo, purchase, stripe
from tests.wire.strategies import messages, values

ASCII = load("iso87-ascii")
REMAKER = DemoRemaker()
#: A moment: 2027-03-04 05:06:07 UTC, day 63 of the year.
NOW = 1_804_136_767.0


def step(message: Message, spec: Spec = ASCII, payload: bytes | None = None) -> Step:
    """A recorded message."""
    return Step(1, "", message.mti, dict(message.fields), payload or encode(message, spec), None)


def fresh(*steps: Step, spec: Spec = ASCII) -> Fresh:
    """Counters begin at 500000 and 1000."""
    return Fresh(steps, spec, REMAKER, atc_from=1000, stan_from=500_000, clock=lambda: NOW)


def made(maker: Fresh, count: int, spec: Spec = ASCII) -> list[Message]:
    """The messages of one round."""
    return [decode(maker.make(place).payload, spec) for place in range(count)]


@pytest.mark.parametrize("spec", [load(name) for name in known()], ids=lambda spec: spec.name)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_patching_is_encoding_anew(spec: Spec, data: st.DataObject) -> None:
    """Values of the same length in their places give the bytes that the codec would write."""
    message = data.draw(messages(spec))
    payload = encode(message, spec)
    changes = {
        number: data.draw(values(spec.fields[number]), label=str(number))
        for number in data.draw(st.sets(st.sampled_from(sorted(message.fields) or [11])))
        if number in message.fields
    }
    bytes_of = patched(payload, changes, Places(spec).of(payload), spec)
    again = encode(Message(message.mti, {**message.fields, **changes}), spec)
    if bytes_of is not None and not any(
        spec.fields[number].kind == "z" or len(value) != len(message.fields[number])
        for number, value in changes.items()
    ):
        assert again == bytes_of
    elif bytes_of is None:
        assert any(
            to_wire(value, number, spec) is None or len(value) != len(message.fields[number])
            for number, value in changes.items()
        )


#: By version: what DE7, DE12 and DE13 of that moment are; none: as recorded.
MOMENTS = {
    "iso87-ascii":  {7: "0304050607", 12: "050607",         13: "0304"},
    "iso87-binary": {7: "0304050607", 12: "050607",         13: "0304"},
    "iso93-ascii":  {7: "0304050607", 12: "270304050607",   13: None},
    "iso93-binary": {7: "0304050607", 12: "270304050607",   13: None},
    "cmf-2003":     {7: "0304050607", 12: "20270304050607", 13: None},
}  # fmt: skip


@pytest.mark.parametrize(("name", "moments"), MOMENTS.items(), ids=MOMENTS)
def test_what_is_new_by_version(name: str, moments: dict[int, str | None]) -> None:
    """STAN, RRN and the moment, as each version writes them; nothing else."""
    spec = load(name)
    digits = {number: spec.fields[number].length for number in (11, 12, 13)}
    recorded = {
        4: "0" * spec.fields[4].length, 7: "1122120000", 11: "1" * digits[11],
        12: "2" * digits[12], 13: "0" * digits[13], 37: "632608000003",
    }  # fmt: skip
    asked = Message(f"{spec.version}100", recorded)
    (new,) = made(fresh(step(asked, spec), spec=spec), 1, spec)
    wanted = {number: value or recorded[number] for number, value in moments.items()}
    stan = "500000".rjust(digits[11], "0")
    assert recorded | wanted | {11: stan, 37: "706305500001"} == new.fields


def test_what_speaks_of_one_message_still_does() -> None:
    """A repeat has its original's identity, a reversal names it, a completion has its RRN."""
    first = purchase(PLAIN, de_7="1122120000", de_11="000007", de_37="632600000007")
    repeat = Message("0101", first.fields)
    original = "0100" + "000007" + "1122120000" + "00000476173" + "0" * 11
    reversal = Message("0400", {**first.fields, 7: "1122120100", 11: "000008", 90: original})
    other = purchase(PLAIN, de_7="1122120000", de_11="000009", de_37="632600000009")
    maker = fresh(*map(step, (reversal, first, repeat, other)))
    rounds = []
    for _ in range(2):
        maker.begin_round()
        reversal, first, repeat, other = made(maker, 4)
        assert first.fields == repeat.fields
        assert (
            f"0100{first.fields[11]}{first.fields[7]}0000047617300000000000"
            == (reversal.fields[90])
        )
        assert first.fields[37] == reversal.fields[37]
        rounds += [reversal, first, other]
    assert 6 == len({message.fields[11] for message in rounds})
    assert 4 == len({message.fields[37] for message in rounds})


def test_a_completion_brings_the_new_code() -> None:
    """DE38 is that of the new answer in the same round; none while there is no answer yet."""
    first = step(purchase(PLAIN, de_38=None))
    completion = purchase(PLAIN, mti="0220", de_38="111111")
    second = dataclasses.replace(step(completion), number=2, code_from=1)
    maker = fresh(first, second)
    codes = [made(maker, 2)[1].fields.get(38)]
    maker.learn(maker.round, 0, "222222")
    codes.append(made(maker, 2)[1].fields.get(38))
    maker.begin_round()
    maker.learn(maker.round - 1, 0, "333333")
    codes.append(made(maker, 2)[1].fields.get(38))
    assert [None, "222222", None] == codes


def test_what_says_zeros_of_its_original_is_left() -> None:
    """A reversal without an original has nothing to be named anew."""
    asked = purchase(PLAIN, mti="0400", de_90="0" * 42)
    (new,) = made(fresh(step(asked)), 1)
    assert "0" * 42 == new.fields[90]


def cryptogram(message: Message) -> tuple[int, bool]:
    """The counter, and whether the cryptogram is right."""
    tags = decode_ber(message.fields[55])
    right = REMAKER.arqc(PLAIN.pan, tags["5F34"], tags)
    return int(tags["9F36"], 16), right == tags["9F26"]


def _last(maker: Fresh) -> int | None:
    return maker.atc_last


def test_a_cards_counter_rises() -> None:
    """Each use of a card has the next counter, today's date and a right cryptogram."""
    first, second = chip(PLAIN), chip(PLAIN)
    maker = fresh(*map(step, (first, Message("0101", first.fields), second)))
    assert _last(maker) is None
    seen = [cryptogram(message) for message in made(maker, 3)]
    assert [(1000, True), (1000, True), (1001, True)] == seen
    maker.begin_round()
    (again,) = made(maker, 1)
    assert (1002, True) == cryptogram(again)
    assert 1002 == _last(maker)
    assert "270304" == decode_ber(again.fields[55])["9A"]
    assert again.fields[52] == first.fields[52]


def test_a_wrong_cryptogram_stays_wrong() -> None:
    """What was wrong when it was recorded is sent as it was, and counted."""
    right = chip(PLAIN)
    tags = decode_ber(right.fields[55]) | {"9F26": "0123456789ABCDEF"}
    wrong = Message(right.mti, {**right.fields, 55: encode_ber(tags)})
    maker = fresh(step(wrong))
    (new,) = made(maker, 1)
    assert new.fields[55] == wrong.fields[55]
    assert {"cryptograms": 1} == dict(maker.left)


@pytest.mark.parametrize("spec", [ASCII, load("iso87-binary"), load("mastercard-cis")],
                         ids=lambda spec: spec.name)  # fmt: skip
@pytest.mark.parametrize("message", [stripe(PLAIN), echo()], ids=["DE64", "DE128"])
def test_a_code_is_made_again(message: Message, spec: Spec) -> None:
    """The MAC of a new message is right; one that was wrong stays wrong and is counted."""
    room = encode_with_room(message, spec)
    authenticated = split_mac(room, spec)
    assert authenticated is not None
    right = put_mac(room, REMAKER.mac(authenticated.data), spec)
    wrong = put_mac(room, bytes(range(8)), spec)
    fields = decode(right, spec)
    maker = fresh(step(fields, spec, right), step(fields, spec, wrong), spec=spec)
    assert {"MACs": 1} == dict(maker.left)
    for place, is_right in ((0, True), (1, False)):
        payload = maker.make(place).payload
        given_back = split_mac(payload, spec)
        assert given_back is not None
        assert is_right == (REMAKER.mac(given_back.data) == given_back.mac)
        assert payload not in (right, wrong)


def test_what_needs_the_codec_is_encoded() -> None:
    """Where a value does not fit its place the message is written anew, and its places are its."""
    asked = chip(PLAIN)
    tags = decode_ber(asked.fields[55])
    # A zero byte between two objects means nothing, and goes.
    padded = Message(asked.mti, {**asked.fields, 55: encode_ber(tags) + "00"})
    out = fresh(step(padded)).make(0)
    new = decode(out.payload, ASCII)
    assert len(asked.fields[55]) == len(new.fields[55])
    assert new.fields[55].encode() == out.payload[out.places[55]]


def test_numbers_go_on_over_their_end() -> None:
    """After 999999 comes 000001: a STAN of zeros is none."""
    steps: Sequence[Step] = [step(purchase(PLAIN, de_37=None)) for _ in range(3)]
    maker = Fresh(steps, ASCII, REMAKER, atc_from=1, stan_from=999_998, clock=time.time)
    stans = [message.fields[11] for message in made(maker, 3)]
    assert ["999998", "999999", "000001"] == stans
