"""Cards that the simulator holds, against what tests make of the same keys by themselves."""

from __future__ import annotations

import pytest

from keys.hsm import HsmRejected
from keys.padding import pad_method_2
from keys.software import issuing
from specs.tlv import decode_ber
from switch.demo.cards_in_hand import UNKNOWN_FROM, CardsInHand
from switch.demo.program import luhn_digit, read_program
from tests.traffic import CVN_18, ICVV_SERVICE_CODE, KEYS, SIGNED, load_card

TAGS = {
    "9F10": "06011203A00000", "9F37": "1A2B5B3C", "95": "0000000000", "9A": "261122", "9C": "00",
    "9F02": "000000002500", "5F2A": "0978", "82": "3C00", "9F1A": "0276", "9F03": "000000000000",
}  # fmt: skip


@pytest.mark.parametrize("number", [0, 1, 999, 123_456])
def test_a_card_is_the_one_that_is_loaded(number: int) -> None:
    """PAN, track, codes and PIN are those of the load card of that number."""
    ours, theirs = CardsInHand(1).card(number), load_card(number)
    assert (theirs.pan, theirs.expiry) == (ours.pan, ours.expiry)
    assert theirs.track_2() == ours.track_2(is_chip=False)
    assert theirs.track_2(service_code=ICVV_SERVICE_CODE) == ours.track_2(is_chip=True)
    assert theirs.pin_block() == ours.pin_block(is_right=True)
    assert theirs.pin_block("9999") == ours.pin_block(is_right=False)
    cvv2 = issuing.card_code(KEYS["cvk"], pan=theirs.pan, expiry="1230", service_code="000")
    assert cvv2 == ours.cvv2()


def test_a_chip_counts() -> None:
    """Each cryptogram is over the next counter of its card, and right under the demo's key."""
    hand = CardsInHand(0xFFFF)
    card, other = hand.card(3), hand.card(4)
    made = [decode_ber(each.chip_data(TAGS)) for each in (card, other, card)]
    assert ["FFFF", "FFFF", "0000"] == [tags["9F36"] for tags in made]
    for holder, tags in zip((card, other, card), made, strict=True):
        signed = bytes.fromhex("".join(tags[tag] for tag in SIGNED))
        arqc = issuing.arqc(
            KEYS["imk_ac"], CVN_18, pan=holder.pan, pan_sequence_number="01",
            atc=bytes.fromhex(tags["9F36"]), data=pad_method_2(signed),
        )  # fmt: skip
        assert arqc.hex().upper() == tags["9F26"]


def test_cards_that_do_not_pay() -> None:
    """Unknown ones have right digits and no card behind them; stopped ones are the demo's."""
    hand = CardsInHand(1)
    unknown = hand.unknown(0)
    assert load_card(UNKNOWN_FROM).pan == unknown.pan
    assert unknown.pan[-1] == luhn_digit(unknown.pan[:-1])
    by_pan = {card.pan: card.status for card in read_program().cards}
    stopped = hand.stopped()
    assert {"lost", "stolen", "blocked", "inactive"} == {reason for _, reason in stopped}
    assert all(by_pan[card.pan] == reason for card, reason in stopped)


def test_no_other_keys() -> None:
    """The keys are the published ones, whatever settings say: nothing can hand it others."""
    assert KEYS.keys() == CardsInHand(1).keys.keys()
    with pytest.raises(TypeError):
        CardsInHand(1, keys={})  # type: ignore[call-arg]
    with pytest.raises(HsmRejected):
        CardsInHand(1).card(0)._code("x", "000")
