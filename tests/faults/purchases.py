"""The messages that follow a purchase: increments, advices, completions, reversals, repeats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from switch.wire import mti
from switch.wire.message import Message
from tests.traffic import CardInHand, change, purchase

#: A purchase: its messages in order. The last one is what a test is about.
Life = Callable[[CardInHand], Sequence[Message]]


def sale(card: CardInHand, amount_minor: int, **changed: str | None) -> Message:
    """A financial request (0200): decided and posted at once."""
    return purchase(card, amount_minor, mti="0200", **changed)


def increment(first: Message, amount_minor: int) -> Message:
    """An 0100 that adds to an earlier one."""
    return _later(first, "0100", amount_minor, de_48="62011", de_90=original_of(first))


def advice(first: Message, amount_minor: int, **changed: str | None) -> Message:
    """A stand-in's approval (0120) of an 0100, with a STAN of its own."""
    own: dict[str, str | None] = {"de_38": "STIP01", "de_39": "00"}
    return _later(first, "0120", amount_minor, **own | changed)


def completion(first: Message, amount_minor: int, *, of: str = "0101") -> Message:
    """What a purchase came to (0220): the NN-th completion of MM."""
    return _later(first, "0220", amount_minor, de_48=f"6404{of}", de_90=original_of(first))


def reversal(original: Message, *, keep_minor: int | None = None, mti: str = "0420") -> Message:
    """Takes a message back, wholly or down to what is to remain."""
    kept = None if keep_minor is None else f"{keep_minor:012d}{0:012d}C{0:08d}C{0:08d}"
    amount_minor = int(original.fields[4])
    return _later(
        original, mti, amount_minor, de_38=None, de_39=None, de_48=None,
        de_90=original_of(original), de_95=kept,
    )  # fmt: skip


def repeat(message: Message) -> Message:
    """The same message, sent again."""
    return change(message, mti=mti.repeat(message.mti))


def original_of(message: Message) -> str:
    """DE90 of a message that is about this one."""
    fields = message.fields
    return f"{message.mti}{fields[11]}{fields[7]}{fields[32]:0>11}{0:011d}"


def _later(first: Message, mti: str, amount_minor: int, **changed: str | None) -> Message:
    """A message of the same purchase: its STAN is new."""
    own: dict[str, str | None] = {"de_4": f"{amount_minor:012d}", "de_11": _stan()}
    return change(first, mti=mti, **own | changed)


def _stan() -> str:
    return purchase(CardInHand("0")).fields[11]


def _then(first: Callable[[CardInHand], Message], *later: Callable[[Message], Message]) -> Life:
    """A first message and those that are about it."""

    def life(card: CardInHand) -> list[Message]:
        message = first(card)
        return [message, *(make(message) for make in later)]

    return life


def _alone(first: Callable[[CardInHand], Message], later: Callable[[Message], Message]) -> Life:
    """What is about a first message that never came."""
    return lambda card: [later(first(card))]


def _asked(card: CardInHand) -> Message:
    return purchase(card, 500)


def _sold(card: CardInHand) -> Message:
    return sale(card, 500)


def _increment_reversed(card: CardInHand) -> Sequence[Message]:
    first = purchase(card, 500)
    more = increment(first, 200)
    return [first, more, reversal(more)]


LIVES: Mapping[str, Life] = {
    "authorization": _then(_asked),
    "financial request": _then(_sold),
    "refund": _then(lambda card: sale(card, 500, de_3="200000")),
    "increment": _then(_asked, lambda first: increment(first, 200)),
    "advice": _then(_asked, lambda first: advice(first, 300)),
    "advice alone": _alone(_asked, lambda first: advice(first, 300)),
    "decline elsewhere": _then(_asked, lambda first: advice(first, 500, de_39="05")),
    "completion": _then(_asked, lambda first: completion(first, 450)),
    "first of two completions": _then(_asked, lambda first: completion(first, 200, of="0102")),
    "completion alone": _alone(_asked, lambda first: completion(first, 450)),
    "what an 0200 came to": _then(_sold, lambda first: completion(first, 450)),
    "reversal": _then(_asked, reversal),
    "partial reversal": _then(_asked, lambda first: reversal(first, keep_minor=100)),
    "reversal alone": _alone(_asked, reversal),
    "reversal of an 0200": _then(_sold, reversal),
    "reversal of an increment": _increment_reversed,
}
