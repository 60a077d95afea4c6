"""
The stories that customers tell, one function each; and those of a link.

`tell` gives a story by its name. What may go wrong in each is in `habits.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from switch.operate.simulate.cards import Card
from switch.operate.simulate.desk import STAND_IN_CODE
from switch.operate.simulate.habits import Case, amount_of, decide, holds, insist, reverse
from switch.operate.simulate.steps import Ask, Cut, Deafness, Pause, Story

_CASH, _REFUND, _INQUIRY = "010000", "200000", "310000"
_HOTEL, _ATM = "7011", "6011"
_CHEAP, _DEAR = 100, 15_000  # minor units: what a purchase costs
_NOTES, _MOST_NOTES, _NOTE = 2, 20, 1_000
#: More than any load card has.
_TOO_MUCH = 999_999_999
#: Echoes in a row without an answer, after which a link is opened anew.
ECHOES_MISSED_MOST = 3
_PIN_SECONDS = 2.0  # to enter another PIN


def _price(case: Case) -> int:
    return case.chance.randrange(_CHEAP, _DEAR)


def _purchase(case: Case, ask: Ask) -> Story:
    """A purchase that may be taken back, whole by the terminal or in part."""
    code = yield from decide(case, ask)
    carrier = case.carrier
    if code is None or carrier is None or not holds(ask):
        return
    if case.happens("give_up"):
        yield case.think()
        yield from reverse(case, carrier, "0400")
    elif case.happens("give_back"):
        yield case.think()
        yield from reverse(case, carrier, "0420", amount_of(ask) // 2)


def _chip_pin(case: Case, card: Card) -> Story:
    yield from _purchase(case, case.desk.request(card, "chip", _price(case), pin=True))


def _contactless(case: Case, card: Card) -> Story:
    yield from _purchase(case, case.desk.request(card, "contactless", _price(case)))


def _ecommerce(case: Case, card: Card) -> Story:
    yield from _purchase(case, case.desk.request(card, "ecommerce", _price(case)))


def _stripe(case: Case, card: Card) -> Story:
    yield from _purchase(case, case.desk.request(card, "stripe", _price(case)))


def _atm_cash(case: Case, card: Card) -> Story:
    minor = case.chance.randint(_NOTES, _MOST_NOTES) * _NOTE
    yield from _purchase(
        case,
        case.desk.request(card, "chip", minor, mti="0200", code=_CASH, mcc=_ATM, pin=True),
    )


def _preauthorization(case: Case, card: Card) -> Story:
    """A hotel: so much is held, perhaps more, and some of it is taken at the end."""
    first = case.desk.request(card, "chip", _price(case), mcc=_HOTEL, pin=True)
    code = yield from decide(case, first)
    if code is None:
        return
    total = amount_of(first)
    yield case.think()
    if case.takes_increments and code != STAND_IN_CODE and case.chance.random() < 1 / 2:
        more = case.desk.increment(first, _price(case))
        answer = yield more
        if answer is None:
            case.counts.timed_out += 1
            yield from reverse(case, more)
        elif answer.is_unavailable:
            case.counts.unavailable += 1
        else:
            case.hold_to(more, answer, "approved")
            total += amount_of(more)
        yield case.think()
    came_to = case.chance.randint(1, total)
    case.counts.completed += 1
    case.book(first, came_to)
    yield from insist(case, case.desk.completion(first, came_to, code))


def _refund(case: Case, card: Card) -> Story:
    yield from decide(
        case, case.desk.request(card, "stripe", _price(case), mti="0200", code=_REFUND)
    )


def _inquiry(case: Case, card: Card) -> Story:
    yield from decide(case, case.desk.request(card, "chip", 0, code=_INQUIRY, mcc=_ATM, pin=True))


def _verification(case: Case, card: Card) -> Story:
    yield from decide(case, case.desk.request(card, "ecommerce", 0))


def _insufficient_funds(case: Case, card: Card) -> Story:
    ask = case.desk.request(card, "chip", _TOO_MUCH, pin=True)
    yield from decide(case, ask, "insufficient_funds")


def _wrong_pin(case: Case, card: Card) -> Story:
    """A wrong PIN, then the right one, which gives all tries back."""
    wrong = case.desk.request(card, "chip", _price(case), pin=False)
    yield from decide(case, wrong, "pin_mismatch")
    yield Pause(_PIN_SECONDS)
    yield from decide(case, case.desk.request(card, "chip", _price(case), pin=True))


Told = Callable[[Case, Card], Story]
#: The stories of a card that the switch knows.
_OF_CARDS: Mapping[str, Told] = {
    "chip_pin": _chip_pin,
    "contactless": _contactless,
    "ecommerce": _ecommerce,
    "stripe": _stripe,
    "atm_cash": _atm_cash,
    "preauthorization": _preauthorization,
    "refund": _refund,
    "inquiry": _inquiry,
    "verification": _verification,
    "wrong_pin": _wrong_pin,
    "insufficient_funds": _insufficient_funds,
}


#: Every story there is.
NAMES = frozenset({*_OF_CARDS, "unknown_card", "stopped_card"})


def tell(name: str, case: Case) -> Story:
    """A story by its name, with a card that is given back at its end."""
    if name == "unknown_card":
        card, reason = case.dealer.unknown(case.chance), "no_card_record"
        yield from decide(case, case.desk.request(card, "stripe", _price(case)), reason)
    elif name == "stopped_card":
        card, reason = case.dealer.stopped(case.chance)
        yield from decide(case, case.desk.request(card, "stripe", _price(case)), reason)
    else:
        number, card = case.dealer.deal(case.chance)
        try:
            yield from _OF_CARDS[name](case, card)
        finally:
            case.dealer.give_back(number)
        if name == "wrong_pin" and (case.last is None or not case.last.is_approval):
            case.dealer.retire(number)  # nobody knows how many tries are left


def session(case: Case) -> Story:
    """One connection of a link: signed on, then echoes, until some in a row are not answered."""
    signed_on = yield case.desk.network("sign_on")
    missed = 0 if signed_on is not None and signed_on.is_approval else ECHOES_MISSED_MOST
    while missed < ECHOES_MISSED_MOST:
        yield Pause(0.0 if missed else case.mix.times.echo_every or float("inf"))
        answer = yield case.desk.network("echo")
        missed = missed + 1 if answer is None else 0


def sign_off(case: Case) -> Story:
    """The end of a link."""
    yield case.desk.network("sign_off")


def cuts(case: Case) -> Story:
    """Links that are cut, now one and then another."""
    times = case.mix.times
    while times.cut_every:
        yield Pause(case.chance.expovariate(1 / times.cut_every))
        yield Cut(times.cut_for)


def deafness(case: Case) -> Story:
    """Links that read nothing for a while."""
    times = case.mix.times
    while times.deaf_every:
        yield Pause(case.chance.expovariate(1 / times.deaf_every))
        yield Deafness(times.deaf_for)
