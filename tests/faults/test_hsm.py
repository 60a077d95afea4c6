"""An HSM that sleeps, is gone, or is configured wrong: an outage is never a mismatch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from keys.hsm import Hsm, HsmRejected, HsmUnavailable
from keys.software.backend import SoftwareHsm
from tests.client import Client
from tests.faults.served import demo_ledger, pin_tries, served
from tests.faults.slow import Connection
from tests.traffic import KEYS, PLAIN, change, chip, code, demo_card, purchase, tags

WRONG_PIN = "9999"
EVERYTHING = frozenset({"verify_pin", "verify_arqc", "verify_card_code"})


async def _sleep() -> None:
    await asyncio.sleep(3600)


async def _be_slow() -> None:
    await asyncio.sleep(2)


async def _be_gone() -> None:
    raise HsmUnavailable


async def _reject() -> None:
    raise HsmRejected("key: not there")


@dataclass
class FaultyHsm:
    """A software HSM of which some questions go wrong from their nth time on."""

    is_inline: ClassVar = False

    hsm: SoftwareHsm
    fault: Callable[[], Awaitable[None]] = _sleep
    failing: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)
    right_first: int = 0  #: questions of a failing name that are answered all the same

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        question = getattr(self.hsm, name)

        async def ask(*values: Any, **named: Any) -> Any:
            self.asked.append(name)
            if name in self.failing and self.asked.count(name) > self.right_first:
                await self.fault()
            return await question(*values, **named)

        return ask


@pytest.fixture
def hsm() -> FaultyHsm:
    """The HSM, which works until a test breaks it."""
    return FaultyHsm(SoftwareHsm(KEYS))


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Connection]:
    """A connection to a database with the demo's cards."""
    async with demo_ledger(database_url) as connection:
        yield connection


@pytest.fixture
async def client(
    hsm: FaultyHsm, ledger: Connection, database_url: str, tmp_path: Path
) -> AsyncIterator[Client]:
    """A client of a link around that HSM."""
    async with served(cast("Hsm", hsm), database_url, tmp_path) as client:
        yield client


@pytest.mark.parametrize("fault", [_sleep, _be_slow, _be_gone], ids=["asleep", "slow", "gone"])
async def test_without_an_hsm_the_answer_is_91_and_a_repeat_is_decided(
    hsm: FaultyHsm, client: Client, ledger: Connection, fault: Callable[[], Awaitable[None]]
) -> None:
    """An HSM that gives no answer in its budget: 91, nothing recorded, a repeat decided afresh."""
    hsm.fault, hsm.failing = fault, EVERYTHING
    asked = chip(PLAIN, 2500)
    assert "91" == code(await client.ask(asked))
    assert 0 == await ledger.fetchval("SELECT count(*) FROM authorizations")
    assert 0 == await ledger.fetchval("SELECT sum(held_minor) FROM accounts")
    hsm.failing = frozenset()
    assert "00" == code(await client.ask(change(asked, mti="0101")))


@pytest.mark.parametrize("failing", sorted(EVERYTHING))
@pytest.mark.parametrize("pin", [PLAIN.pin, WRONG_PIN], ids=["right PIN", "wrong PIN"])
async def test_an_outage_costs_nobody_a_pin_try(
    hsm: FaultyHsm, client: Client, ledger: Connection, failing: str, pin: str
) -> None:
    """Whichever verdict is missing, the answer is 91 and no try is counted, right PIN or wrong."""
    hsm.fault, hsm.failing = _be_gone, frozenset({failing})
    assert "91" == code(await client.ask(chip(PLAIN, pin=pin)))
    assert 0 == await pin_tries(ledger, PLAIN.pan)


async def test_what_needs_no_hsm_is_decided_without_it(hsm: FaultyHsm, client: Client) -> None:
    """A typed-in purchase and a refusal that stands before any verdict need no HSM."""
    hsm.failing = EVERYTHING
    assert "00" == code(await client.ask(purchase(PLAIN)))
    assert "41" == code(await client.ask(chip(demo_card("reported lost"))))
    assert "14" == code(await client.ask(purchase(PLAIN, de_2="4761739999999990")))


async def test_a_key_that_is_configured_wrong_is_a_fault(
    hsm: FaultyHsm, client: Client, ledger: Connection
) -> None:
    """An HSM that rejects the question itself: 96, nothing recorded, no try counted."""
    hsm.fault, hsm.failing = _reject, EVERYTHING
    assert "96" == code(await client.ask(chip(PLAIN, pin=WRONG_PIN)))
    assert 0 == await ledger.fetchval("SELECT count(*) FROM authorizations")
    assert 0 == await pin_tries(ledger, PLAIN.pan)


@pytest.mark.parametrize("fault", [_sleep, _be_gone], ids=["asleep", "gone"])
async def test_a_decline_goes_out_without_its_cryptogram_where_the_hsm_fails(
    hsm: FaultyHsm, client: Client, ledger: Connection, fault: Callable[[], Awaitable[None]]
) -> None:
    """When the second call, for the declining ARPC, fails, tag 91 is left out."""
    assert "00000000" == tags(await client.ask(chip(PLAIN, pin=WRONG_PIN)))["91"][-8:]
    hsm.asked.clear()
    hsm.fault, hsm.failing, hsm.right_first = fault, frozenset({"verify_arqc"}), 1
    answer = await client.ask(chip(PLAIN, pin=WRONG_PIN))
    assert ["verify_arqc", "verify_arqc"] == [name for name in hsm.asked if name == "verify_arqc"]
    assert "55" == code(answer)
    assert 55 not in answer.fields
    assert 2 == await pin_tries(ledger, PLAIN.pan)
