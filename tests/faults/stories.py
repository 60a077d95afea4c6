"""Purchases of which messages race each other, and what each comes to in whatever order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from tests.faults.crowd import NOTHING, Came, Purchase
from tests.faults.purchases import advice, completion, increment, repeat, reversal, sale
from tests.traffic import purchase

Story = Callable[[Purchase, int], Awaitable[None]]
REFUND = "200000"


async def asked_twice(one: Purchase, minor: int) -> None:
    """An 0100 and its repeat."""
    asked = purchase(one.card, minor)
    codes = await one.race(asked, repeat(asked))
    one.came = Came(minor, 0) if "00" in codes else NOTHING


async def sold_twice(one: Purchase, minor: int) -> None:
    """An 0200 and its repeat."""
    sold = sale(one.card, minor)
    codes = await one.race(sold, repeat(sold))
    one.came = Came(0, minor) if "00" in codes else NOTHING


async def reversed_at_once(one: Purchase, minor: int) -> None:
    """An 0100 and its reversal, which is repeated; then a repeat that comes too late."""
    asked = purchase(one.card, minor)
    back = reversal(asked)
    await one.race(asked, back, repeat(back))
    await one.ask(repeat(asked))


async def sale_reversed_at_once(one: Purchase, minor: int) -> None:
    """An 0200 and its reversal."""
    sold = sale(one.card, minor)
    back = reversal(sold, mti="0400")
    await one.race(sold, back, repeat(back))
    await one.ask(repeat(sold))


async def partly_reversed(one: Purchase, minor: int) -> None:
    """An 0100, then a reversal of which a part remains, and its repeat."""
    asked = purchase(one.card, minor)
    if await one.ask(asked) != "00":
        return
    back = reversal(asked, keep_minor=minor // 2)
    await one.race(back, repeat(back))
    one.came = Came(minor // 2, 0)


async def incremented(one: Purchase, minor: int) -> None:
    """An 0100 and an increment, which is taken back."""
    first = purchase(one.card, minor)
    if await one.ask(first) != "00":
        return
    one.came = Came(minor, 0)
    more = increment(first, minor)
    if await one.ask(more) == "00":
        back = reversal(more)
        await one.race(back, repeat(back))


async def refunded(one: Purchase, minor: int) -> None:
    """A refund and its repeat."""
    refund = sale(one.card, minor, de_3=REFUND)
    codes = await one.race(refund, repeat(refund))
    one.came = Came(0, -minor) if "00" in codes else NOTHING


async def refund_reversed_at_once(one: Purchase, minor: int) -> None:
    """A refund and its reversal."""
    refund = sale(one.card, minor, de_3=REFUND)
    await one.race(refund, reversal(refund))


async def completed(one: Purchase, minor: int) -> None:
    """An 0100, then its completion for more, and the repeat of that."""
    asked = purchase(one.card, minor)
    await one.ask(asked)
    done = completion(asked, minor + 1)
    await one.race(done, repeat(done), repeat(asked))
    one.came = Came(0, minor + 1)


async def completed_at_once(one: Purchase, minor: int) -> None:
    """An 0100 and its completion."""
    asked = purchase(one.card, minor)
    done = completion(asked, minor + 1)
    await one.race(asked, done, repeat(done))
    one.came = Came(0, minor + 1)


async def completed_in_parts(one: Purchase, minor: int) -> None:
    """An 0100, then its two completions."""
    asked = purchase(one.card, 2 * minor)
    await one.ask(asked)
    parts = completion(asked, minor, of="0102"), completion(asked, minor + 1, of="0202")
    await one.race(*parts, *map(repeat, parts))
    one.came = Came(0, 2 * minor + 1)


async def completion_reversed_at_once(one: Purchase, minor: int) -> None:
    """A completion without an 0100, and its reversal."""
    done = completion(purchase(one.card, minor), minor)
    back = reversal(done)
    await one.race(done, back, repeat(back))


async def sold_and_told(one: Purchase, minor: int) -> None:
    """An 0200 and the advice of what it came to."""
    sold = sale(one.card, minor)
    told = completion(sold, minor + 1)
    await one.race(sold, told, repeat(told))
    one.came = Came(0, minor + 1)


async def advised_at_once(one: Purchase, minor: int) -> None:
    """An 0100 and the advice of a stand-in, which has a STAN of its own."""
    asked = purchase(one.card, minor)
    stood_in = advice(asked, minor)
    await one.race(asked, stood_in, repeat(stood_in))
    one.came = Came(minor, 0)


async def advised_and_reversed(one: Purchase, minor: int) -> None:
    """An 0100, the advice of it under the same STAN, and the reversal of both."""
    asked = purchase(one.card, minor)
    stood_in = advice(asked, minor, de_11=asked.fields[11])
    await one.race(asked, stood_in, reversal(asked))


#: What we decide, and what gives back: no account is overdrawn by any of it. A refund may be: one
#: that was answered too late is taken back, also where its money was spent meanwhile.
DECIDED: Sequence[Story] = (
    asked_twice, sold_twice, reversed_at_once, sale_reversed_at_once, partly_reversed,
    incremented,
)  # fmt: skip
EVERY: Sequence[Story] = (
    *DECIDED, refunded, refund_reversed_at_once, completed, completed_at_once, completed_in_parts,
    completion_reversed_at_once, sold_and_told, advised_at_once, advised_and_reversed,
)  # fmt: skip
