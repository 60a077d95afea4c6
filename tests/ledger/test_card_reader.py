"""Cards are read beside the traffic: with rests, over outages, out of the collector's sight."""

from __future__ import annotations

import asyncio
import gc

import pytest

from switch.ledger import card_reader
from switch.ledger.card_reader import RETRY_SECONDS, CardReader
from switch.ledger.errors import CallRefused, LedgerUnavailable
from switch.ledger.kept_cards import KeptCards
from tests.ledger.support import card_row
from tests.ledger.virtual import run

ONE, TWO, THREE = b"1" * 32, b"2" * 32, b"3" * 32

#: How long a statement takes here, in seconds.
STATEMENT = 3.0
Answer = list[tuple[object, ...]] | Exception


def asked(kept: KeptCards, *answers: Answer) -> list[tuple[float, bytes]]:
    """When a reader asked for what follows which token, until it was done."""
    told: list[tuple[float, bytes]] = []
    left = list(answers)

    async def chore(name: str, token: bytes, _: int) -> list[object]:
        assert name == "cards_from"
        told.append((asyncio.get_running_loop().time(), token))
        answer = left.pop(0)
        await asyncio.sleep(STATEMENT)
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    async def main() -> None:
        reader = CardReader(kept, chore)
        reader.start()
        while not reader.is_done:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.5)

    run(main())
    return told


def test_it_rests_for_as_long_as_it_works() -> None:
    """Between two statements there is as much time for others as the first took."""
    kept = KeptCards(9)
    assert [(0.0, b""), (6.0, TWO), (12.0, THREE)] == asked(
        kept, [card_row(TWO), card_row(ONE)], [card_row(THREE)], []
    )
    assert 3 == len(kept)


def test_an_outage_does_not_end_it() -> None:
    """While the database is away it is asked again, from where reading had come to."""
    kept = KeptCards(9)
    told = asked(
        kept, [card_row(ONE)], LedgerUnavailable(), LedgerUnavailable(), [card_row(TWO)], []
    )
    pause = STATEMENT + RETRY_SECONDS
    assert [(0, b""), (6, ONE), (6 + pause, ONE), (6 + 2 * pause, ONE)] == told[:-1]
    assert TWO == told[-1][1]
    assert 2 == len(kept)


def test_what_is_refused_is_not_asked_again() -> None:
    """A statement that the database refuses is not made for ever."""
    assert [(0.0, b"")] == asked(KeptCards(9), CallRefused())


def test_no_room_no_reading() -> None:
    """Where there is no more room it ends, and what was there stays."""
    kept = KeptCards(1)
    assert [(0.0, b"")] == asked(kept, [card_row(ONE), card_row(TWO)])
    assert kept.get(ONE) is not None


def test_what_was_forgotten_is_freed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory of cards that were forgotten goes first, some at a time."""
    monkeypatch.setattr(card_reader, "LET_GO_AT_ONCE", 1)
    kept = KeptCards(9)
    asked(kept, [card_row(ONE), card_row(TWO)], [])
    kept.forget()
    assert [(0.0, b"")] == asked(kept, [])
    assert not kept.let_go(1)


def test_the_collector_does_not_see_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every so many cards the youngest garbage is taken away and the rest frozen."""
    told: list[str] = []
    monkeypatch.setattr(card_reader, "FREEZE_EVERY", 2)
    monkeypatch.setattr(gc, "collect", lambda youngest: told.append(f"take {youngest}"))
    monkeypatch.setattr(gc, "freeze", lambda: told.append("freeze"))
    kept = KeptCards(9)
    asked(kept, [card_row(ONE)], [card_row(TWO)], [card_row(THREE)], [])
    assert ["take 0", "freeze"] == told
