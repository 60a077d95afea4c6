"""What a story asks, in every dialect, read back by the switch's own readers."""

from __future__ import annotations

import random

import pytest

from specs.spec import Spec, known
from specs.spec import load as load_spec
from switch.deadline import Deadline
from switch.operate.replay.moments import Moments
from switch.operate.simulate.desk import CURRENCY, STAND_IN_CODE, Desk
from switch.operate.simulate.steps import Ask
from switch.operate.simulate.terms import Terms
from switch.stopwatch import Stopwatch
from switch.wire.message import Message, decode, encode, require
from switch.wire.originals import LaterRequest
from switch.wire.requests import AuthorizationRequest
from switch.wire.values import Money
from switch.wire.versions import version_of
from tests.operate.simulate.telling import HAND

CARD = HAND.card(7)
#: 2026-11-18 10:13:20 UTC.
NOW = 1_795_000_400.0


def desk(spec: Spec) -> Desk:
    """A desk for messages of a dialect."""
    now = Moments(spec, clock=lambda: NOW).now
    return Desk(random.Random(1), now, rrn_from=5, time_out=10.0, repeat_after=20.0)


def read(ask: Ask, spec: Spec, stan: int = 77) -> AuthorizationRequest:
    """A message as the switch reads it from its bytes."""
    ask.message = Terms(spec).message(ask, stan)
    message = decode(encode(ask.message, spec), spec)
    require(message, spec)
    return AuthorizationRequest.parse(
        message, spec, link="", deadline=Deadline.start(0.0, 1000, 100), watch=Stopwatch()
    )


@pytest.mark.parametrize("dialect", known())
def test_a_request_says_what_the_terminal_did(dialect: str) -> None:
    """How the card was read, what was bought for how much, and what proves it."""
    spec = load_spec(dialect)
    here = desk(spec)
    chip = read(here.request(CARD, "chip", 2_500, pin=True), spec)
    assert ("chip", "purchase", Money(2_500, CURRENCY)) == (
        chip.channel, chip.kind, chip.transaction
    )  # fmt: skip
    assert chip.pin_block is not None
    assert {"9F26", "9F36", "9F10", "5F34"} <= chip.icc.keys()
    tap = read(here.request(CARD, "contactless", 1), spec)
    assert ("contactless", None) == (tap.channel, tap.pin_block)
    stripe = read(here.request(CARD, "stripe", 300, mti="0200", code="200000"), spec)
    assert ("stripe", True, "refund") == (stripe.channel, stripe.is_stripe, stripe.kind)
    net = read(here.request(CARD, "ecommerce", 0), spec)
    assert ("ecommerce", "verification", CARD.cvv2()) == (
        net.channel, net.kind, net.cvv2
    )  # fmt: skip
    cash = read(here.request(CARD, "chip", 9_000, mti="0200", code="010000", mcc="6011"), spec)
    assert ("cash", "6011", "276") == (cash.kind, cash.mcc, cash.country)
    assert 5 == len({each.rrn for each in (chip, tap, stripe, net, cash)})


@pytest.mark.parametrize("dialect", known())
def test_what_is_about_another_names_it(dialect: str) -> None:
    """By its MTI, STAN, moment and acquirer; what is kept of it, and how it was answered."""
    spec = load_spec(dialect)
    here = desk(spec)
    first = here.request(CARD, "chip", 2_500, pin=True)
    asked = read(first, spec, stan=4_711)
    approval = "00".zfill(spec.fields[39].length)
    stand_in = LaterRequest.parse(read(here.advice(first, approval, is_approved=True), spec))
    completion = LaterRequest.parse(read(here.completion(first, 2_000, "123456"), spec))
    partial = LaterRequest.parse(read(here.reversal(first, "0420", 1_000), spec))
    whole = LaterRequest.parse(read(here.reversal(first, "0400", None), spec))
    for later in (completion, partial, whole):
        original = later.original
        assert original is not None
        assert (asked.mti, asked.stan, asked.moment, "476173") == (
            original.mti, original.stan, original.moment, original.acquirer
        )  # fmt: skip
        assert later.about.rrn == asked.rrn
    assert (True, STAND_IN_CODE, None) == (
        stand_in.is_approved, stand_in.authorization_code, stand_in.original
    )  # fmt: skip
    assert (2_000, "123456", True) == (
        completion.about.transaction.minor, completion.authorization_code, completion.is_final
    )  # fmt: skip
    assert (1_000, None) == (partial.keep_minor, whole.keep_minor)
    assert 2_500 == partial.about.transaction.minor == whole.about.transaction.minor
    for later in (stand_in, completion, partial, whole):
        assert {35, 52, 55}.isdisjoint(later.about.message.fields)


@pytest.mark.parametrize("dialect", known())
def test_an_increment(dialect: str) -> None:
    """Is told by a subfield where the dialect has one for it."""
    spec = load_spec(dialect)
    here = desk(spec)
    first = here.request(CARD, "chip", 2_500)
    read(first, spec)
    assert Terms(spec).can_say("incremental") is (dialect not in ("visa-base1", "mastercard-cis"))
    if Terms(spec).can_say("incremental"):
        assert read(here.increment(first, 100), spec).is_increment


@pytest.mark.parametrize("dialect", known())
def test_network_management(dialect: str) -> None:
    """Sign-on, echo and sign-off, by the version's own codes."""
    spec = load_spec(dialect)
    version = version_of(spec)
    for what in ("sign_on", "echo", "sign_off"):
        message = Terms(spec).message(desk(spec).network(what), 9)
        assert message == decode(encode(message, spec), spec)
        assert what == version.network_codes.meaning(message.fields[version.network_code])


def test_a_message_shows_nothing_of_its_card() -> None:
    """Neither a step nor a message says a PAN where it is shown."""
    spec = load_spec("iso87-ascii")
    ask = desk(spec).request(CARD, "chip", 1, pin=True)
    ask.message = Terms(spec).message(ask, 1)
    assert isinstance(ask.message, Message)
    for shown in (repr(ask), repr(CARD), repr(HAND)):
        assert CARD.pan not in shown
        assert ask.fields[52] not in shown
