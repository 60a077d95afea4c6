"""What cannot be booked on a card's account is booked in suspense, and answered 00."""

from __future__ import annotations

from typing import Any

import pytest

from switch.wire.message import Message
from tests.flows.day import REFUND, Day, Money, broken_rules, suspense, suspense_row, unknown_card
from tests.flows.later import advice, completion, later, original, private, repeat, reversal

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Without a billing amount there is no amount for an account in EUR.
DOLLARS: dict[str, Any] = {"_49": "840", "_6": None, "_51": None}


class Suspense:
    """What a test moves in suspense, for other tests move there too."""

    def __init__(self, day: Day, currency: str, before: Money) -> None:
        self.day, self.currency, self.before = day, currency, before

    @classmethod
    async def watch(cls, day: Day, currency: str = "978") -> Suspense:
        """From now on."""
        return cls(day, currency, await suspense(day.house, currency))

    async def moved(self) -> tuple[int, int]:
        """Posted and held since then."""
        now = await suspense(self.day.house, self.currency)
        return now.posted - self.before.posted, now.held - self.before.held


@pytest.fixture
def stranger(day: Day) -> Day:
    """A card that is not ours, at the same house."""
    return unknown_card(day.house)


# ---- a card that is not ours --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mti", "changes", "moved", "effect"),
    [
        ("0120", {"_39": "00"},                 (0, 1_000),  "held"),
        ("0120", {"_39": "05"},                 (0, 0),      "recorded"),
        ("0220", {},                            (-1_000, 0), "posted"),
        ("0220", {"_3": REFUND},                (1_000, 0),  "posted"),
        ("0220", {"_39": "05"},                 (0, 0),      "recorded"),
        ("0400", {"_90": "0" * 42},             (0, 0),      "remembered"),
        ("0420", {"_90": "0" * 42},             (0, 0),      "remembered"),
    ],
)  # fmt: skip
async def test_unknown_card(
    stranger: Day, mti: str, changes: dict[str, Any], moved: tuple[int, int], effect: str
) -> None:
    """It happened, so it is booked: in suspense, once, and answered 00."""
    watch = await Suspense.watch(stranger)
    sent = later(mti, stranger.asks(1_000), **changes)
    told = await stranger.send(sent)
    assert ("00", effect) == (told.code, told.effect)
    assert moved == await watch.moved()
    again = await stranger.send(repeat(sent))
    assert ("00", True) == (again.code, again.is_repeat)
    assert moved == await watch.moved()


@pytest.mark.parametrize("mti", ["0100", "0200"])
async def test_request_of_an_unknown_card(stranger: Day, mti: str) -> None:
    """What we are asked to decide is declined, and nothing is booked anywhere."""
    watch = await Suspense.watch(stranger)
    assert ["14"] == await stranger.codes(stranger.asks(1_000, mti=mti))
    assert (0, 0) == await watch.moved()


async def test_why(stranger: Day) -> None:
    """The journal tells why it is in suspense, and of what program and currency."""
    sent = advice(stranger.asks(1_000))
    await stranger.send(sent)
    row = await suspense_row(stranger.house, "978", sent)
    assert "no_card_record" == row["would_have_declined"]
    (account,) = await stranger.house.books.connection.fetch(
        "SELECT * FROM accounts WHERE account_id = $1", row["account_id"]
    )
    assert ("suspense", "978", 1) == (account["kind"], account["currency"], account["program_id"])


@pytest.mark.parametrize("currency", ["978", "840", "392"])
async def test_in_the_currency_of_the_message(stranger: Day, currency: str) -> None:
    """Each currency has a suspense account of its own, and no amount is converted."""
    watches = {one: await Suspense.watch(stranger, one) for one in ("978", "840", "392")}
    await stranger.send(later("0220", stranger.asks(1_000, _49=currency)))
    for one, watch in watches.items():
        assert ((-1_000 if one == currency else 0), 0) == await watch.moved()


@pytest.mark.parametrize(("keep", "left"), [(None, 0), (300, 300)])
async def test_reversed(stranger: Day, keep: int | None, left: int) -> None:
    """What is in suspense is reversed there."""
    watch = await Suspense.watch(stranger)
    held, posted = advice(stranger.asks(1_000)), later("0220", stranger.asks(1_000))
    for sent in (held, posted):
        assert ["00"] == await stranger.codes(sent)
        assert "reversed" == (await stranger.send(reversal(sent, keep))).effect
    assert (-left, left) == await watch.moved()


async def test_completed_in_parts(stranger: Day) -> None:
    """Parts take their amounts off it."""
    watch = await Suspense.watch(stranger)
    sent = advice(stranger.asks(1_000))
    await stranger.codes(sent, completion(sent, 300, _48=private(sequence="0102")))
    assert (-300, 700) == await watch.moved()


async def test_reversed_first(stranger: Day) -> None:
    """An advice after its own reversal is recorded in suspense, and nothing moves."""
    watch = await Suspense.watch(stranger)
    sent = advice(stranger.asks(1_000))
    await stranger.send(reversal(sent))
    assert "reversed_before_original" == (await stranger.send(sent)).effect
    assert (0, 0) == await watch.moved()


async def test_two_unknown_cards(stranger: Day) -> None:
    """Cards in suspense are not mixed up: the same STAN, DE7 and RRN are another message."""
    watch = await Suspense.watch(stranger)
    other = unknown_card(stranger.house)
    sent = advice(stranger.asks(1_000))
    same: Message = advice(sent, _2=other.pan, _11=sent.fields[11])
    assert ["held", "held"] == [(await stranger.send(one)).effect for one in (sent, same)]
    assert (0, 2_000) == await watch.moved()
    await stranger.send(reversal(sent))
    assert (0, 1_000) == await watch.moved()


@pytest.mark.parametrize("clue", [{}, {"_37": "999999999999", "_48": private(scheme_id="TX1")}])
async def test_two_unknown_cards_with_one_clue(stranger: Day, clue: dict[str, str]) -> None:
    """A second card's advice with the first one's RRN or scheme id is another purchase."""
    watch = await Suspense.watch(stranger)
    other = unknown_card(stranger.house)
    sent = advice(stranger.asks(1_000), _48=private(scheme_id="TX1"))
    await stranger.codes(sent, advice(sent, 400, _2=other.pan, **clue))
    assert (0, 1_400) == await watch.moved()


async def test_two_unknown_cards_with_one_code(stranger: Day) -> None:
    """A second card's completion with the first one's code and RRN completes nothing of it."""
    watch = await Suspense.watch(stranger)
    other = unknown_card(stranger.house)
    sent = advice(stranger.asks(1_000))
    await stranger.codes(
        sent, later("0220", sent, 400, _2=other.pan, _38=sent.fields[38], _39=None)
    )  # fmt: skip
    assert (-400, 1_000) == await watch.moved()


async def test_reversal_without_original_of_another_unknown_card(stranger: Day) -> None:
    """A second card's reversal by RRN, terminal and amount gives nothing of the first back."""
    watch = await Suspense.watch(stranger)
    other = unknown_card(stranger.house)
    sent = advice(stranger.asks(1_000))
    await stranger.codes(sent, later("0420", sent, _2=other.pan, _90="0" * 42))
    assert (0, 1_000) == await watch.moved()


# ---- a closed account ---------------------------------------------------------------------------


async def test_closed_account(day: Day) -> None:
    """What finds no purchase on a closed account is in suspense; so is its reversal."""
    await day.close_account()
    watch = await Suspense.watch(day)
    held, posted = advice(day.asks(1_000)), later("0220", day.asks(400))
    assert ["held", "posted"] == [(await day.send(sent)).effect for sent in (held, posted)]
    assert ((-400, 1_000), (0, 0)) == (await watch.moved(), await day.money())
    assert "account_closed" == (await suspense_row(day.house, "978", held))["would_have_declined"]
    assert ["reversed"] * 2 == [(await day.send(reversal(sent))).effect for sent in (held, posted)]
    assert (0, 0) == await watch.moved()


async def test_closed_after_its_hold(day: Day) -> None:
    """What finds its purchase on a closed account is booked there."""
    asked = [await day.approved(1_000) for _ in range(3)]
    await day.close_account()
    watch = await Suspense.watch(day)
    first, second, third = asked
    await day.codes(completion(first, 700), reversal(second), advice(third, 500))
    assert ((0, 0), (-700, 500)) == (await watch.moved(), await day.money())


async def test_closed_and_declined(day: Day) -> None:
    """A decline that is told of a closed account moves nothing anywhere."""
    await day.close_account()
    watch = await Suspense.watch(day)
    assert "recorded" == (await day.send(advice(day.asks(1_000), response="05"))).effect
    assert (0, 0) == await watch.moved()


async def test_closed_and_reversed_first(day: Day) -> None:
    """A reversal and its late original both go to suspense, and nothing moves."""
    await day.close_account()
    watch = await Suspense.watch(day)
    sent = later("0220", day.asks(1_000))
    await day.send(reversal(sent))
    assert "reversed_before_original" == (await day.send(sent)).effect
    assert (0, 0) == await watch.moved()


async def test_closed_between(day: Day) -> None:
    """A reversal that came while the account was open counts also when it is closed then."""
    sent = later("0220", day.asks(1_000))
    await day.send(reversal(sent))
    await day.close_account()
    watch = await Suspense.watch(day)
    await day.send(sent)
    assert ((0, 0), (0, 0)) == (await watch.moved(), await day.money())


async def test_late_request_of_a_closed_account(day: Day) -> None:
    """An 0100 of a closed account is declined, whatever is in suspense."""
    await day.close_account()
    asked = day.asks(1_000)
    assert ["00", "46"] == await day.codes(advice(asked), asked)


# ---- a currency that cannot be billed -----------------------------------------------------------


async def test_foreign(day: Day) -> None:
    """Without billing amount and original it is in suspense, in its own currency."""
    watch = await Suspense.watch(day, "840")
    held, posted = advice(day.asks(1_000, **DOLLARS)), later("0220", day.asks(400, **DOLLARS))
    assert ["held", "posted"] == [(await day.send(sent)).effect for sent in (held, posted)]
    assert ((-400, 1_000), (0, 0)) == (await watch.moved(), await day.money())
    row = await suspense_row(day.house, "840", held)
    assert "currency_not_supported" == row["would_have_declined"]
    assert ["reversed"] * 2 == [(await day.send(reversal(sent))).effect for sent in (held, posted)]
    assert (0, 0) == await watch.moved()


async def test_foreign_in_parts(day: Day) -> None:
    """What is in suspense is completed and partly reversed there, in its own currency."""
    watch = await Suspense.watch(day, "840")
    sent = advice(day.asks(1_000, **DOLLARS))
    await day.codes(sent, reversal(sent, 600))
    assert (0, 600) == await watch.moved()
    await day.send(completion(sent, 500))
    assert (-500, 0) == await watch.moved()


async def test_foreign_with_its_original(day: Day) -> None:
    """With an original to convert by it is on the account."""
    watch = await Suspense.watch(day, "840")
    asked = await day.approved(1_000, _49="840", _6="000000000920", _51="978")
    await day.send(completion(asked, 500, _6=None, _51=None))
    assert ((0, 0), (-460, 0)) == (await watch.moved(), await day.money())


@pytest.mark.parametrize(("mti", "moved"), [("0120", (0, 500)), ("0220", (-500, 0))])
async def test_foreign_original_of_another_currency(
    day: Day, mti: str, moved: tuple[int, int]
) -> None:
    """An original in a third currency gives no rate: suspense, and the hold stays."""
    watch = await Suspense.watch(day, "392")
    asked = await day.approved(1_000, _49="840", _6="000000000920", _51="978")
    yen: dict[str, Any] = {
        "_49": "392",
        "_6": None,
        "_51": None,
        "_39": "00",
        "_90": original(asked),
    }
    assert ["00"] == await day.codes(later(mti, asked, 500, **yen))
    assert (moved, (0, 920)) == (await watch.moved(), await day.money())


async def test_foreign_billed_later(day: Day) -> None:
    """A reversal that tells the billing amount finds what is in suspense all the same."""
    watch = await Suspense.watch(day, "840")
    sent = later("0220", day.asks(1_000, **DOLLARS))
    await day.send(sent)
    await day.send(reversal(sent, _6="000000000920", _51="978"))
    assert ((0, 0), (0, 0)) == (await watch.moved(), await day.money())


async def test_unknown_reversal_of_a_foreign_one(day: Day) -> None:
    """A reversal without billing amount of a request that comes late: that is declined."""
    asked = day.asks(1_000, _49="840", _6="000000000920", _51="978")
    await day.send(reversal(asked, _6=None, _51=None, _90=original(asked)))
    assert ["05"] == await day.codes(asked)
    assert (0, 0) == await day.money()


async def test_books(day: Day) -> None:
    """After all that the books of every suspense account are right."""
    assert [] == await broken_rules(day.house, -1_000_000, 0)
