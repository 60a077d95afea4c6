"""What operators change of cards: status, plastics, limits, controls."""

from __future__ import annotations

import asyncio

import pytest

from switch.ledger.operator_views import find_card
from switch.ledger.operators import (
    CardPlace,
    Controls,
    OperatorRefusal,
    Operators,
    SealedPan,
    operators,
)
from switch.ledger.queries import QUERIES
from tests.ledger.operating import ALICE, PLASTIC, actions, own, sealed
from tests.ledger.support import Books, ask, number

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def desk(books: Books) -> Operators:
    """The operator's side of the same ledger."""
    return Operators(books.connection)


async def told(books: Books, account_id: int) -> list[tuple[str, str, str]]:
    """What networks are to be told of an account's cards, oldest first."""
    rows = await books.connection.fetch(
        "SELECT link, action, status FROM file_updates WHERE account_id = $1 ORDER BY update_id",
        account_id,
    )
    return [tuple(row) for row in rows]


async def test_a_new_card_can_be_found(books: Books, desk: Operators) -> None:
    """It is found by its newest token with its plastic, and by its number; no other has its PAN."""
    account_id = await books.account()
    pan = sealed()
    change = await desk.create_card(ALICE, account_id, pan, PLASTIC, "inactive")
    (row,) = await books.connection.fetch(QUERIES["find_cards"], list(pan.tokens))
    assert (pan.tokens[0], account_id, ["3012"], ["201"], ["00"], "inactive") == (
        row["pan_token"], row["account_id"], row["expiries"], row["service_codes"],
        row["sequence_numbers"], row["status"],
    )  # fmt: skip
    place = CardPlace(account_id, change.became["card_id"])
    assert place == await find_card(books.connection, place.card_id)
    assert place == await find_card(books.connection, pan.tokens)
    older = SealedPan((number().to_bytes(32), pan.tokens[0]), 2, b"sealed", "0012")
    for again in (pan, older):
        with pytest.raises(OperatorRefusal, match="PAN already"):
            await desk.create_card(ALICE, await books.account(), again, PLASTIC, "active")


async def test_two_at_once_add_one_card(books: Books, shared_database: str) -> None:
    """Of commands that add one PAN at one moment, one adds it, on whichever account."""
    pan, accounts = sealed(), [await books.account() for _ in range(4)]

    async def add(account_id: int) -> str:
        async with operators(shared_database) as desk:
            try:
                return (await desk.create_card(ALICE, account_id, pan, PLASTIC, "active")).outcome
            except OperatorRefusal as refused:
                return str(refused)

    outcomes = await asyncio.gather(*map(add, accounts))
    assert ["a card has this PAN already"] * 3 + ["done"] == sorted(outcomes)


@pytest.mark.parametrize("status", ["lost", "stolen", "blocked", "inactive"])
async def test_a_block_declines_until_it_is_lifted(
    books: Books, desk: Operators, status: str
) -> None:
    """A blocked card is declined for its status, and approved when it is active again."""
    account_id = await books.account()
    await desk.block_card(ALICE, own(account_id), status)
    assert status == await books.reason(ask(account_id))
    change = await desk.unblock_card(ALICE, own(account_id))
    assert ({"status": status}, "active") == (change.was, change.became["status"])
    assert "approved" == await books.reason(ask(account_id))


async def test_closed_is_final(books: Books, desk: Operators) -> None:
    """A closed card is neither unblocked, blocked otherwise, nor reissued."""
    account_id = await books.account()
    card = own(account_id)
    await desk.block_card(ALICE, card, "closed")
    for refused in (
        desk.unblock_card(ALICE, card),
        desk.block_card(ALICE, card, "lost"),
        desk.reissue_card(ALICE, card, "3312", "02", None, stops_old=False),
    ):
        with pytest.raises(OperatorRefusal, match="final"):
            await refused
    assert "closed" == await books.reason(ask(account_id))
    assert 1 == len(await actions(books, account_id))


async def test_networks_are_told_of_a_block_and_of_its_end(books: Books, desk: Operators) -> None:
    """A block is told to the links that were named, each once; its end to those that were told."""
    account_id = await books.account()
    card = own(account_id)
    await desk.block_card(ALICE, card, "lost", ["north", "south", "north"])
    await desk.block_card(ALICE, card, "stolen", ["south"])
    await books.connection.execute(
        "UPDATE file_updates SET state = 'refused' WHERE account_id = $1 AND link = 'north'",
        account_id,
    )
    blocks = [("north", "add", "lost"), ("south", "add", "lost"), ("south", "add", "stolen")]
    assert blocks == await told(books, account_id)
    assert ["south"] == (await desk.unblock_card(ALICE, card)).became["told"]
    assert [*blocks, ("south", "delete", "active")] == await told(books, account_id)
    await desk.block_card(ALICE, card, "blocked")
    assert [] == (await desk.unblock_card(ALICE, card)).became["told"]
    assert 4 == len(await told(books, account_id))


async def test_a_network_can_be_told_later(books: Books, desk: Operators) -> None:
    """A block that stands is told to a link that is named now; without one nothing happens."""
    account_id = await books.account(card_status="lost")
    assert "unchanged" == (await desk.block_card(ALICE, own(account_id), "lost")).outcome
    assert [] == await told(books, account_id)
    assert (await desk.block_card(ALICE, own(account_id), "lost", ["north"])).is_done
    assert [("north", "add", "lost")] == await told(books, account_id)


async def test_a_reissue_leaves_the_old_plastic(books: Books, desk: Operators) -> None:
    """The old plastic stays valid until its end, unless it is stopped; each is there once."""
    pan, account_id = sealed(), await books.account()
    change = await desk.create_card(ALICE, account_id, pan, PLASTIC, "active")
    card = CardPlace(account_id, change.became["card_id"])

    async def plastics() -> list[tuple[str, str, str]]:
        (row,) = await books.connection.fetch(QUERIES["find_cards"], [pan.tokens[0]])
        return list(
            zip(row["expiries"], row["sequence_numbers"], row["service_codes"], strict=True)
        )

    await desk.reissue_card(ALICE, card, "3312", "01", None, stops_old=False)
    assert [("3312", "01", "201"), ("3012", "00", "201")] == await plastics()
    with pytest.raises(OperatorRefusal, match="already"):
        await desk.reissue_card(ALICE, card, "3312", "01", "221", stops_old=True)
    assert 2 == len(await plastics())
    change = await desk.reissue_card(ALICE, card, "3312", "02", "221", stops_old=True)
    assert ["3012/00", "3312/01"] == change.became["stopped"]
    assert [("3312", "02", "221")] == await plastics()


async def test_pin_tries_begin_anew(books: Books, desk: Operators) -> None:
    """A card whose tries are used up takes its right PIN again."""
    account_id = await books.account(pin_tries=3)
    assert "pin_tries_exceeded" == await books.reason(ask(account_id, pin_verdict="match"))
    await desk.reset_pin_tries(ALICE, own(account_id))
    assert "approved" == await books.reason(ask(account_id, pin_verdict="match"))


async def test_a_limit_is_set_part_by_part(books: Books, desk: Operators) -> None:
    """What is not given stays: no limit is lost by setting another."""
    account_id = await books.account()
    card = own(account_id)
    await desk.set_limit(ALICE, card, "all", "day", 2_000, None)
    change = await desk.set_limit(ALICE, card, "all", "day", None, 1)
    assert (2_000, 1) == (change.became["amount_minor"], change.became["count"])
    assert "limit_amount" == await books.reason(ask(account_id, 2_001))
    assert "approved" == await books.reason(ask(account_id, 1_000))
    assert "limit_count" == await books.reason(ask(account_id, 1_000))


async def test_a_limit_that_is_set_again_begins_anew(books: Books, desk: Operators) -> None:
    """What was counted goes with the limit: an undone debit of before is not given back to it."""
    account_id = await books.account()
    card = own(account_id)
    await desk.set_limit(ALICE, card, "all", "day", 2_000, None)
    before = ask(account_id, 1_500)
    await books.decide(before)
    await desk.remove_limit(ALICE, card, "all", "day")
    assert {} == await books.usage(account_id)
    assert "approved" == await books.reason(ask(account_id, 5_000))
    await desk.set_limit(ALICE, card, "all", "day", 2_000, None)
    assert "approved" == await books.reason(ask(account_id, 1_200))
    assert "unwound" == await books.unwind(before)
    assert {("all", "day"): (1_200, 1)} == await books.usage(account_id)


async def test_controls_refuse_and_allow(books: Books, desk: Operators) -> None:
    """What is blocked is refused until it is allowed; every country is one setting."""
    account_id = await books.account()
    card = own(account_id)
    blocked = Controls(["chip"], [], ["5411"], [], True, ["250"])
    allowed = (
        Controls(allow_channels=["chip"]),
        Controls(allow_mccs=["5411"]),
        Controls(sets_countries=True),
    )
    await desk.set_controls(ALICE, card, blocked)
    for part in allowed:
        assert "not_permitted" == await books.reason(ask(account_id))
        await desk.set_controls(ALICE, card, part)
    assert "approved" == await books.reason(ask(account_id))
