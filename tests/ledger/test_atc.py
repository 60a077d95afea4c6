"""A right cryptogram is good once: the window of a chip's counter, inside the ledger."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from switch.ledger.calls import AuthorizationCall
from switch.rules.decision import Approved, Declined
from switch.rules.reason import Reason
from tests.ledger.support import Books, ask, authorize, ledger_on
from tests.life.chip import Chip

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

REPLAYED, OUTSIDE = "cryptogram_replayed", "atc_out_of_window"
SEEN_MOST = 64


def show(account_id: int, atc: int | None, **how: Any) -> AuthorizationCall:
    """A purchase with a right cryptogram of this counter, under a key of its own."""
    return ask(account_id, 100, atc=atc, **{"sequence_number": "01", **how})


async def reasons(books: Books, *calls: AuthorizationCall) -> list[str]:
    """What each is answered, one by one."""
    return [await books.reason(call) for call in calls]


async def counter(books: Books, account_id: int) -> tuple[int, set[int]] | None:
    """The highest of the account's own card, and all that are marked as seen."""
    row = await books.connection.fetchrow(
        "SELECT highest, seen FROM chip_counters WHERE (account_id, card_id) = ($1, $1)", account_id
    )
    if row is None:
        return None
    bits = row["seen"] % 2**SEEN_MOST
    return row["highest"], {row["highest"] - n for n in range(SEEN_MOST) if bits >> n & 1}


@pytest.mark.parametrize(
    ("shown", "behind", "ahead", "answered"),
    [
        # It rises, by however much; what came is not good again, also at the ends of the counter.
        ([1, 2, 3], 16, None, [None, None, None]),
        ([5, 5], 16, None, [None, REPLAYED]),
        ([0, 0, 65_535, 65_535], 16, None, [None, REPLAYED, None, REPLAYED]),
        # Messages overtake each other: each counter of the window is good once.
        ([10, 8, 9, 8, 10], 16, None, [None, None, None, REPLAYED, REPLAYED]),
        ([30, 14, 13, 14], 16, None, [None, None, OUTSIDE, REPLAYED]),
        ([10, 9], 0, None, [None, OUTSIDE]),
        # As far back as the 64 bits go, and through the sign bit.
        ([100, 37, 36, 37], 63, None, [None, None, OUTSIDE, REPLAYED]),
        ([37, 100, 37, 38], 63, None, [None, None, REPLAYED, None]),
        ([36, 100, 37, 100], 63, None, [None, None, None, REPLAYED]),
        # A greatest step, and what is refused moves nothing.
        ([1, 11, 22, 21, 22], 16, 10, [None, None, OUTSIDE, None, None]),
        ([9, 65_535, 10], 16, 10, [None, OUTSIDE, None]),
    ],
)
async def test_window(
    books: Books, shown: list[int], behind: int, ahead: int | None, answered: list[str | None]
) -> None:
    """A counter is good where it stands in the window and was not seen."""
    account_id = await books.account()
    how = {"atc_behind": behind, "atc_ahead": ahead}
    calls = [show(account_id, atc, **how) for atc in shown]
    assert [answer or "approved" for answer in answered] == await reasons(books, *calls)
    assert 100 * answered.count(None) == await books.held(account_id)


async def test_chips_are_apart(books: Books) -> None:
    """A counter is a chip's: another card and another PAN sequence number have their own."""
    account_id = await books.account()
    await books.card(account_id, 7)
    first, second, third = (
        show(account_id, 5),
        show(account_id, 5, sequence_number="02"),
        show(account_id, 5, card_id=7),
    )
    assert ["approved"] * 3 == await reasons(books, first, second, third)
    assert REPLAYED == await books.reason(show(account_id, 5, card_id=7))


async def test_without_a_right_cryptogram(books: Books) -> None:
    """A message whose cryptogram was not right, or that has none, leaves no counter."""
    account_id = await books.account()
    wrong = show(account_id, None, sequence_number=None, refusal_before_pin="cryptogram_mismatch")
    await reasons(books, wrong, show(account_id, None, sequence_number=None))
    assert None is await counter(books, account_id)


async def test_repeat(books: Books) -> None:
    """A repeat is answered as its original, though its counter was seen."""
    account_id = await books.account()
    call = show(account_id, 5)
    (original,) = await books.decide(call)
    await books.reason(show(account_id, 6))
    ((outcome, *repeat),) = await books.decide(call)
    assert ("repeated", list(original[1:])) == (outcome, repeat)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"refusal_before_pin": "card_expired"}, "card_expired"),
        ({"refusal_before_pin": "card_code_mismatch"}, "card_code_mismatch"),
        ({"pin_verdict": "mismatch"}, "pin_mismatch"),
        ({"refusal_after_pin": "currency_not_supported"}, "currency_not_supported"),
        ({"amount_minor": 999_999}, "insufficient_funds"),
    ],
)
async def test_declined_for_another_reason(books: Books, how: dict[str, Any], reason: str) -> None:
    """A right cryptogram is used up by a decline too: a new message with it is refused."""
    account_id = await books.account()
    assert reason == await books.reason(show(account_id, 5)._replace(**how))
    assert (5, {5}) == await counter(books, account_id)
    assert REPLAYED == await books.reason(show(account_id, 5))


async def test_unavailable(books: Books) -> None:
    """Where an outage left the decision open the cryptogram is not used up."""
    account_id = await books.account()
    assert "unavailable" == await books.reason(show(account_id, 5, hsm_fault=True))
    assert None is await counter(books, account_id)
    assert "approved" == await books.reason(show(account_id, 5))
    # A replay needs no PIN verdict to be refused.
    assert REPLAYED == await books.reason(show(account_id, 5, hsm_fault=True))


async def test_late(books: Books) -> None:
    """What comes too late to be decided uses nothing up."""
    account_id = await books.account()
    past = time.time() - 60
    assert "late" == await books.reason(show(account_id, 5, decide_by=past))
    assert None is await counter(books, account_id)


@pytest.mark.parametrize("verdict", ["match", "mismatch"])
async def test_no_pin_try(books: Books, verdict: str) -> None:
    """A replay counts no PIN try and clears none."""
    account_id = await books.account(pin_tries=1)
    assert ["approved", REPLAYED] == await reasons(
        books, show(account_id, 5), show(account_id, 5, pin_verdict=verdict)
    )
    assert 1 == await books.pin_tries(account_id)


async def test_first_refusals_come_first(books: Books) -> None:
    """Rows 4 to 7 and the card codes refuse a replay with their own reason."""
    account_id = await books.account()
    await books.reason(show(account_id, 5))
    for reason in ("card_expired", "card_code_mismatch"):
        assert reason == await books.reason(show(account_id, 5, refusal_before_pin=reason))
    await books.connection.execute(
        "UPDATE cards SET status = 'stolen' WHERE account_id = $1", account_id
    )
    assert "stolen" == await books.reason(show(account_id, 5))


async def test_unwound(books: Books) -> None:
    """An approval that was taken back has used its cryptogram up all the same."""
    account_id = await books.account()
    call = show(account_id, 5)
    await books.decide(call)
    assert "unwound" == await books.unwind(call)
    assert ["reversed", REPLAYED] == await reasons(books, call, show(account_id, 5))
    assert 0 == await books.held(account_id)


async def test_copies_in_one_batch(books: Books) -> None:
    """Of many copies of one cryptogram in a batch the first is approved."""
    account_id = await books.account()
    answers = await books.decide(*(show(account_id, 5) for _ in range(5)))
    assert [None, *[REPLAYED] * 4] == [answer.reason for answer in answers]
    assert 100 == await books.held(account_id)


async def test_copies_at_once(books: Books, shared_database: str, tmp_path: Path) -> None:
    """Of many copies under different STANs, over several switches at once, one is approved."""
    async with AsyncExitStack() as stack:
        several = [
            await stack.enter_async_context(ledger_on(shared_database, tmp_path / f"journal-{i}"))
            for i in range(3)
        ]
        for _ in range(5):
            account_id = await books.account()
            answers = await asyncio.gather(
                *(authorize(ledger, show(account_id, 5)) for ledger in several for _ in range(4))
            )
            assert {"approved": 1, Reason.CRYPTOGRAM_REPLAYED: 11} == Counter(map(told, answers))
            assert 100 == await books.held(account_id)


async def test_crowd(books: Books, shared_database: str, tmp_path: Path) -> None:
    """Three copies each of many counters, in any order over two switches: no counter is good
    twice, and none of the window is refused as seen that was not."""
    account_id = await books.account()
    shown = [atc for _ in range(3) for atc in range(1, 31)]
    async with AsyncExitStack() as stack:
        several = [
            await stack.enter_async_context(ledger_on(shared_database, tmp_path / f"journal-{i}"))
            for i in range(2)
        ]
        answers = await asyncio.gather(
            *(
                authorize(several[i % 2], show(account_id, atc, atc_behind=63))
                for i, atc in enumerate(shown)
            )
        )
    approved = [
        atc for atc, answer in zip(shown, answers, strict=True) if isinstance(answer, Approved)
    ]
    assert list(range(1, 31)) == sorted(approved)
    assert (30, set(range(1, 31))) == await counter(books, account_id)
    assert 3_000 == await books.held(account_id)


def told(answer: Approved | Declined) -> str:
    return "approved" if isinstance(answer, Approved) else answer.reason


async def test_reissue_under_a_used_number(books: Books) -> None:
    """A new plastic counts from the beginning, though its sequence number had a counter."""
    account_id = await books.account()
    await books.reason(show(account_id, 500))
    for expiry, number in (("9911", "02"), ("9910", "01")):
        await books.connection.fetchrow(
            "SELECT * FROM operator_reissue_card_v1('me', 'renewal', $1, $1, $2, $3, '201', true)",
            account_id,
            expiry,
            number,
        )
        # One under another number leaves this one's counter as it is.
        wanted = OUTSIDE if number == "02" else "approved"
        assert wanted == await books.reason(show(account_id, 1))


#: Mostly near the highest, where the window ends and the bits do.
ATCS = st.lists(
    st.one_of(
        st.integers(0, 90), st.integers(0, 90), st.integers(0, 200), st.integers(65_500, 65_535)
    ),
    min_size=1,
    max_size=60,
)


def cut(shown: Sequence[int], sizes: Sequence[int]) -> Iterator[Sequence[int]]:
    """Batches of these sizes, and the rest in one."""
    place = 0
    for size in (*sizes, len(shown)):
        yield shown[place : place + size]
        place += size


@settings(
    deadline=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    shown=ATCS,
    behind=st.sampled_from([0, 1, 5, 16, 62, 63]),
    ahead=st.sampled_from([None, None, 1, 30, 70]),
    sizes=st.lists(st.integers(1, 9), max_size=8),
)
async def test_any(
    books: Books, shown: list[int], behind: int, ahead: int | None, sizes: list[int]
) -> None:
    """Whatever counters come, one by one or in batches: the ledger says what the model says."""
    chip = Chip(behind, ahead)
    wanted = [chip.present(atc) or "approved" for atc in shown]
    how = {"atc_behind": behind, "atc_ahead": ahead}
    singly, batched = await books.account(), await books.account()
    assert wanted == await reasons(books, *(show(singly, atc, **how) for atc in shown))
    answers = [
        answer.reason or "approved"
        for batch in cut(shown, sizes)
        for answer in await books.decide(*(show(batched, atc, **how) for atc in batch))
    ]
    assert wanted == answers
    highest = max(chip.seen)
    left = highest, {atc for atc in chip.seen if highest - atc < SEEN_MOST}
    assert left == await counter(books, singly) == await counter(books, batched)
