"""The life of a purchase, each call about one account: the same story, and nobody else's rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings

from tests.flows.support import House, open_house
from tests.ledger.distributing import guarded
from tests.ledger.support import Books, ledger_on
from tests.life.driver import arrange, replay
from tests.life.steps import Step, sequences
from tests.life.test_life import SEQUENCES

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def guarded_house(
    shared_database: str, books: Books, quick_root: Path
) -> AsyncIterator[House]:
    """An issuer whose ledger may see and write, in a call, rows of that call's account alone."""
    await arrange(books)
    url = await guarded(books.connection, shared_database)
    async with ledger_on(
        url, quick_root / "by-account" / "journal", one_account_per_call=True
    ) as ledger:
        yield await open_house(ledger, books, [])


@pytest.mark.parametrize("name", SEQUENCES)
async def test_what_once_went_wrong(guarded_house: House, name: str) -> None:
    """Each story ends as the model says, as it does where calls take many accounts."""
    await replay(guarded_house, SEQUENCES[name])


@settings(
    deadline=None,
    derandomize=True,
    max_examples=15,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=sequences(3))
async def test_any_story(guarded_house: House, steps: Sequence[Step]) -> None:
    """So does any other."""
    await replay(guarded_house, steps)
