"""Keys that come and go in the software HSM, each for its uses alone."""

from __future__ import annotations

import pytest

from keys.hsm import HsmRejected, HsmUnavailable, KeyRef
from keys.software import tdes
from keys.software.key import TDES
from keys.software.questions.keyring import KeyRing, Use
from tests.keys.support import make_key, ref

PIN_KEY = make_key("P0", "5B37C8D9E0A4F2168C73DA29B5E60E4A")
NEXT_PIN_KEY = make_key("P0", "1F2E3D4C5B6A798897A8B9CADBECFD0E")
CARD_KEY = make_key("C0", "A1C4E6B9D38F527A5E7C2FB0946D803E")
PINS = Use("PIN blocks", frozenset({"P0"}), TDES, "B")
HALVES = Use("halves", frozenset({"C0"}), TDES, "V")


def test_a_key_that_came_later_has_all_its_uses() -> None:
    """A learned key is found where its header allows, and refused where it does not."""
    ring = KeyRing({"zpk": PIN_KEY})
    pins, halves = ring.prepare(PINS, tdes.encryptor), ring.prepare(HALVES, tdes.double_length)
    ring.learn("zpk_next", NEXT_PIN_KEY)

    assert pins.find(ref("zpk_next", NEXT_PIN_KEY))(bytes(8)).hex().upper()[:6] == NEXT_PIN_KEY.kcv
    pins.find(ref("zpk", PIN_KEY))
    with pytest.raises(HsmRejected, match="not to be used for halves"):
        halves.find(ref("zpk_next", NEXT_PIN_KEY))


def test_a_key_takes_the_place_of_one_of_its_name() -> None:
    """After a key was learned in place of another, only its own check value is taken."""
    ring = KeyRing({"zpk": PIN_KEY})
    pins = ring.prepare(PINS, tdes.encryptor)
    ring.learn("zpk", NEXT_PIN_KEY)

    assert pins.find(ref("zpk", NEXT_PIN_KEY))(bytes(8)).hex().upper()[:6] == NEXT_PIN_KEY.kcv
    with pytest.raises(HsmRejected, match="check value"):
        pins.find(ref("zpk", PIN_KEY))


def test_a_key_of_another_use_does_not_keep_the_old_one_going() -> None:
    """Where the new key of a name may not be used so, the old one is not used either."""
    ring = KeyRing({"key": PIN_KEY})
    pins = ring.prepare(PINS, tdes.encryptor)
    ring.learn("key", CARD_KEY)
    with pytest.raises(HsmRejected, match="not to be used for PIN blocks"):
        pins.find(ref("key", CARD_KEY))


def test_a_key_that_cannot_be_prepared_changes_nothing() -> None:
    """A key that its formula is not defined for is refused, and the old one goes on."""
    ring = KeyRing({"cvk": CARD_KEY})
    halves = ring.prepare(HALVES, tdes.double_length)
    with pytest.raises(HsmRejected, match="'cvk': a double-length"):
        ring.learn("cvk", make_key("C0", bytes(range(24)).hex()))
    assert (CARD_KEY.material[:8], CARD_KEY.material[8:]) == halves.find(ref("cvk", CARD_KEY))


def test_a_forgotten_key_is_gone() -> None:
    """A key that was let go is found no more, and forgetting it again is no fault."""
    ring = KeyRing({"zpk": PIN_KEY})
    pins = ring.prepare(PINS, tdes.encryptor)
    for _ in range(2):
        ring.forget("zpk")
    with pytest.raises(HsmRejected, match="none of this name"):
        pins.find(ref("zpk", PIN_KEY))


def test_a_closed_ring_learns_nothing() -> None:
    """After it is closed a ring has no keys, takes none, and is unavailable."""
    ring = KeyRing({"zpk": PIN_KEY})
    pins = ring.prepare(PINS, tdes.encryptor)
    ring.close()
    for ask in (
        lambda: ring.find(KeyRef("zpk", PIN_KEY.kcv)),
        lambda: pins.find(KeyRef("zpk", PIN_KEY.kcv)),
        lambda: ring.learn("zpk", PIN_KEY),
    ):
        with pytest.raises(HsmUnavailable):
            ask()
