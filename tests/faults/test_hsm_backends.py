"""Every backend, dead, slow, throttled, half open and lying: 91 in time, and nobody's PIN try."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from keys.breaker import Breaker
from keys.guard import GuardedHsm
from keys.hsm import Hsm
from tests.contract.keys import KEYS
from tests.faults.served import demo_ledger, pin_tries, served
from tests.faults.slow import Connection
from tests.hsm_aws.conftest import FEW
from tests.hsm_aws.control import entries
from tests.hsm_aws.operations import Refused
from tests.hsm_aws.rig import Rig, rig
from tests.hsm_payshield import support as payshield
from tests.hsm_payshield.peer import Fault, Peer
from tests.hsm_pkcs11 import softhsm
from tests.traffic import PLAIN, CardInHand, change, chip, code, demo_card, ecommerce, stripe

WRONG_PIN = "9999"
#: A card whose PIN is verified as that of the plain one is.
OTHER = demo_card("second card of the plain debit account")

#: Seconds that an HSM has for a message here, and by how much a slow one is slower.
BUDGET, SLOW = 0.3, 30.0

#: Commands of a payShield that verify.
VERIFYING = ("CY", "EC", "EA", "KQ", "KW")

Deed = Callable[["Broken"], object]


@dataclass
class Broken:
    """A backend in order, and what may be done to what it asks."""

    hsm: Hsm
    aws: Rig | None = None
    peer: Peer | None = None

    def aws_lies(self, how: str) -> None:
        """The data plane answers what is no answer."""
        assert self.aws is not None
        self.aws.data.lie = how

    def aws_refuses(self, name: str, status: int) -> None:
        """The data plane refuses everything."""
        assert self.aws is not None
        self.aws.data.refusal = Refused(name, status, message="not now")

    def peer_misbehaves(self, fault: Fault) -> None:
        """The payShield does to every verifying command what it should not."""
        assert self.peer is not None
        self.peer.faults |= dict.fromkeys(VERIFYING, fault)

    def peer_fails(self, error: str) -> None:
        """The payShield answers every verifying command with an error code."""
        assert self.peer is not None
        self.peer.errors |= dict.fromkeys(VERIFYING, error)

    async def dies(self) -> None:
        """Nobody listens any more."""
        if self.aws is not None:
            await asyncio.to_thread(self.aws.data.stop)
        if self.peer is not None:
            await self.peer.stop()

    def is_slow(self) -> None:
        """Answers come, too late."""
        if self.aws is not None:
            self.aws.data.delay = SLOW
        if self.peer is not None:
            self.peer.delay = SLOW

    def is_silent(self) -> None:
        """Connections stay, answers do not come."""
        if self.aws is not None:
            self.aws.data.silent = True
        if self.peer is not None:
            self.peer_misbehaves(Fault.SILENT)


#: backend, what befalls it
FAULTS = [
    pytest.param("aws", Broken.dies, id="aws dead"),
    pytest.param("aws", Broken.is_slow, id="aws slow"),
    pytest.param("aws", Broken.is_silent, id="aws half open"),
    pytest.param("aws", lambda b: b.aws_refuses("ThrottlingException", 429), id="aws throttled"),
    pytest.param("aws", lambda b: b.aws_refuses("InternalServerException", 500), id="aws failing"),
    pytest.param("aws", lambda b: b.aws_lies("garbage"), id="aws garbage"),
    pytest.param("aws", lambda b: b.aws_lies("truncated"), id="aws cut off"),
    pytest.param("aws", lambda b: b.aws_lies("other-key"), id="aws another key"),
    pytest.param("payshield", Broken.dies, id="payshield dead"),
    pytest.param("payshield", Broken.is_slow, id="payshield slow"),
    pytest.param("payshield", Broken.is_silent, id="payshield half open"),
    pytest.param("payshield", lambda b: b.peer_fails("41"), id="payshield internal error"),
    *(
        pytest.param(
            "payshield", lambda b, f=fault: b.peer_misbehaves(f), id=f"payshield {fault.name}"
        )
        for fault in Fault
        if fault is not Fault.SILENT
    ),
]


@pytest.fixture(scope="module")
def planes() -> Iterator[Rig]:
    """AWS, as the tests left it."""
    with rig() as running:
        yield running


@contextlib.asynccontextmanager
async def opened(backend: str, aws: Rig, *, budget: float = BUDGET) -> AsyncIterator[Broken]:
    """A backend with the contract's keys, which are the demo's too."""
    async with contextlib.AsyncExitStack() as stack:
        if backend == "aws":
            held = entries(aws.held)
            keys = {name: held[name] for name in FEW}
            stack.push_async_callback(asyncio.to_thread, aws.data.mend)
            broken = Broken(aws.backend(keys=keys, budget=budget, connections=6), aws=aws)
        else:
            peer = Peer()
            await stack.enter_async_context(payshield.started(peer))
            broken = Broken(payshield.hsm_over(peer, budget=budget, connections=4), peer=peer)
        # Nothing is slow yet, whatever the machine is: it may take its time to open.
        await broken.hsm.open()
        stack.push_async_callback(broken.hsm.close)
        yield broken


def guarded(hsm: Hsm, told: list[str]) -> GuardedHsm:
    """The backend with its limits, as the switch has it."""
    return GuardedHsm(
        hsm,
        patience=BUDGET,
        ping_every=0.05,
        in_flight_max=16,
        breaker=Breaker(failures_max=5),
        on_event=lambda _, **fields: told.append(str(fields.get("state"))),
        on_question=lambda *_: None,
    )


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Connection]:
    """A connection to a database with the demo's cards."""
    async with demo_ledger(database_url) as connection:
        yield connection


@pytest.mark.parametrize(("backend", "befalls"), FAULTS)
async def test_an_outage_is_never_a_mismatch(
    backend: str,
    befalls: Deed,
    planes: Rig,
    ledger: Connection,
    database_url: str,
    tmp_path: Path,
) -> None:
    """Right PIN or wrong, the answer is 91 within the deadline, no try is counted, nothing held."""
    async with opened(backend, planes) as broken:
        async with served(broken.hsm, database_url, tmp_path, hsm_budget=BUDGET) as client:
            done = befalls(broken)
            if asyncio.iscoroutine(done):
                await done
            answers = [
                client.ask(chip(PLAIN)),
                client.ask(chip(PLAIN, pin=WRONG_PIN)),
                client.ask(ecommerce(PLAIN)),
            ]
            assert ["91", "91", "91"] == [code(each) for each in await asyncio.gather(*answers)]
        assert 0 == await pin_tries(ledger, PLAIN.pan)
        assert 0 == await ledger.fetchval("SELECT count(*) FROM authorizations")


@pytest.mark.parametrize("backend", ["aws", "payshield"])
@pytest.mark.parametrize("share", [0.6, 1.5], ids=["in time", "too late"])
async def test_a_slow_one_tells_nothing_of_a_pin(
    backend: str,
    share: float,
    planes: Rig,
    ledger: Connection,
    database_url: str,
    tmp_path: Path,
) -> None:
    """However slow it is, a wrong PIN is answered where a right one is, and then counts its try."""
    patient = 2.0  # so that a busy machine is not the slow one
    async with opened(backend, planes, budget=patient) as broken:
        async with served(
            broken.hsm, database_url, tmp_path, hsm_budget=patient, answer_within_ms=6000
        ) as client:
            if broken.aws is not None:
                broken.aws.data.delay = share * patient
            if broken.peer is not None:
                broken.peer.delay = share * patient
            asked = stripe(PLAIN, pin=PLAIN.pin), stripe(OTHER, pin=WRONG_PIN)
            answers = await asyncio.gather(*map(client.ask, asked))
        in_time = share < 1
        assert (["00", "55"] if in_time else ["91", "91"]) == list(map(code, answers))
        assert int(in_time) == await pin_tries(ledger, OTHER.pan)


@pytest.mark.parametrize("backend", ["aws", "payshield"])
async def test_one_that_comes_back_is_used_again(
    backend: str, planes: Rig, ledger: Connection, database_url: str, tmp_path: Path
) -> None:
    """A backend that died opens its breaker; back again it decides, and counts wrong PINs."""
    told: list[str] = []
    async with opened(backend, planes) as broken:
        hsm = guarded(broken.hsm, told)
        async with served(hsm, database_url, tmp_path, hsm_budget=BUDGET) as client:
            await broken.dies()
            while not hsm.is_down:
                assert "91" == code(await client.ask(chip(PLAIN, pin=WRONG_PIN)))
            assert 0 == await pin_tries(ledger, PLAIN.pan)
            if broken.aws is not None:
                await asyncio.to_thread(broken.aws.data.start)
            if broken.peer is not None:
                await broken.peer.start()
            async with asyncio.timeout(30):
                while "91" == code(  # noqa: ASYNC110 - it is a poll
                    answer := await client.ask(chip(PLAIN, pin=WRONG_PIN))
                ):
                    await asyncio.sleep(0.05)
            assert "55" == code(answer)
            assert 1 == await pin_tries(ledger, PLAIN.pan)
            assert "open" == told[0]
            assert "closed" == told[-1]


@pytest.mark.skipif(softhsm.missing() is not None, reason=softhsm.missing() or "")
async def test_a_token_that_is_gone_is_an_outage(
    ledger: Connection, database_url: str, tmp_path: Path
) -> None:
    """A PKCS#11 backend that answers no more: a wrong card code is 91, not 82."""
    hsm = softhsm.hsm()
    await hsm.open()
    async with served(hsm, database_url, tmp_path, hsm_budget=BUDGET) as client:
        wrong = CardInHand(pan=PLAIN.pan, expiry=PLAIN.expiry, cvv2="000")
        assert PLAIN.cvv2 != wrong.cvv2
        assert "00" == code(await client.ask(ecommerce(PLAIN)))
        assert "82" == code(await client.ask(ecommerce(wrong)))
        await hsm.close()
        asked = change(ecommerce(wrong))
        assert "91" == code(await client.ask(asked))
    assert 2 == await ledger.fetchval("SELECT count(*) FROM authorizations")


def test_the_demos_keys_are_the_contracts() -> None:
    """The programs of the demo find their keys in every backend under test."""
    from tests.traffic import KEYS as DEMO

    for name in ("cvk", "pvk", "pvk_ibm", "imk_ac", "zpk", "zpk_aes", "zak"):
        assert DEMO[name].kcv == KEYS[name].kcv
