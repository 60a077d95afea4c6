"""A question may be cancelled at any moment: no answer is ever taken for another's."""

from __future__ import annotations

import asyncio
import random

import psec
import pytest

from keys.hsm import CardVerificationValue, HsmUnavailable, Verdict
from keys.payshield import PayShieldHsm
from tests.contract.keys import KEYS, REFS
from tests.hsm_payshield import support
from tests.hsm_payshield.peer import Fault, Peer
from tests.hsm_payshield.test_outage import asked_until_answered

EXPIRY, SERVICE_CODE = "2709", "101"
OF = CardVerificationValue(EXPIRY, SERVICE_CODE)


def question(number: int) -> tuple[str, str, Verdict]:
    """A PAN, a card code, and whether it is right: each number another, half of them right."""
    pan = f"45400012{number:08d}"
    right = psec.cvv.generate_cvv(KEYS["cvk"].material, pan, EXPIRY, SERVICE_CODE)
    if number % 2:
        return pan, f"{(int(right) + 1) % 1000:03d}", Verdict.MISMATCH
    return pan, right, Verdict.MATCH


async def ask(hsm: PayShieldHsm, number: int) -> tuple[Verdict, Verdict]:
    """The expected verdict and the given one."""
    pan, code, expected = question(number)
    return expected, await hsm.verify_card_code(REFS["cvk"], OF, pan=pan, code=code)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("header", ["0000", "X"])
async def test_cancelled_questions_mix_no_answers_up(seed: int, header: str) -> None:
    """Of many questions at once half are cancelled at random; each other has its own verdict."""
    chance = random.Random(seed)
    peer = Peer(header_size=len(header), delay=0.001)
    async with support.opened(peer, connections=4, header=header, budget=30.0) as hsm:
        asked = [asyncio.create_task(ask(hsm, number)) for number in range(200)]
        cancelled = set(chance.sample(range(200), 100))
        for number in chance.sample(sorted(cancelled), 100):
            await asyncio.sleep(chance.choice([0, 0, 0.001]))
            asked[number].cancel()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for number, got in enumerate(answers):
            if isinstance(got, asyncio.CancelledError):
                assert number in cancelled
            else:
                assert not isinstance(got, BaseException)
                expected, given = got
                assert expected is given
        # No connection was lost for good: every place is filled again.
        expected, given = await ask(hsm, 1000)
        assert expected is given


async def test_in_flight_question_cancelled_takes_its_connection_along() -> None:
    """The late answer of a cancelled question meets a closed connection."""
    peer = Peer()
    async with support.opened(peer, connections=1) as hsm:
        peer.delay = 0.2
        asked = asyncio.create_task(ask(hsm, 0))
        await peer.until_asked("CY")
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        peer.delay = 0.0
        expected, given = await ask(hsm, 1)
        assert expected is given
        assert 2 == peer.asked["NC"]


async def test_question_cancelled_while_it_waits_leaves_no_trace() -> None:
    """One that waits for a free connection takes none along, and the next in line is served."""
    peer = Peer()
    async with support.opened(peer, connections=1) as hsm:
        peer.delay = 0.1
        first, second, third = (asyncio.create_task(ask(hsm, n)) for n in range(3))
        await peer.until_asked("CY")
        second.cancel()
        for expected, given in await asyncio.gather(first, third):
            assert expected is given
        assert 1 == peer.asked["NC"]
        assert 2 == peer.asked["CY"]


async def test_one_request_is_in_flight_on_each_connection() -> None:
    """As many questions are under way as there are connections, and the others wait."""
    peer = Peer(delay=0.3)
    async with support.opened(peer, connections=3) as hsm:
        asked = [asyncio.create_task(ask(hsm, number)) for number in range(9)]
        await peer.until_asked("CY", 3)
        await asyncio.sleep(0.05)
        assert 3 == peer.asked["CY"]
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def test_closing_while_questions_are_under_way() -> None:
    """Closing ends every question as unavailable, and leaves nothing behind."""
    peer = Peer()
    async with support.opened(peer, connections=2) as hsm:
        peer.faults["CY"] = Fault.SILENT
        asked = [asyncio.create_task(ask(hsm, number)) for number in range(2)]
        await peer.until_asked("CY", 2)
        await hsm.close()
        for got in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(got, HsmUnavailable)


async def test_opening_can_be_cancelled() -> None:
    """Opening that is cancelled leaves no connection, and can be begun again."""
    peer = Peer(faults={"NC": Fault.SILENT})
    async with support.started(peer):
        hsm = support.hsm_over(peer)
        opening = asyncio.create_task(hsm.open())
        await peer.until_asked("NC")
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        peer.faults.clear()
        await hsm.open()
        assert Verdict.MISMATCH is await asked_until_answered(hsm)
        await hsm.close()


async def test_unasked_bytes_close_the_connection() -> None:
    """What comes when nothing was asked costs the connection, and no question its answer."""
    peer = Peer()
    async with support.opened(peer, connections=1) as hsm:
        peer.blurt(b"\x00\x080000CZ00")
        await peer.until_asked("NC", 2)
        expected, given = await ask(hsm, 1)
        assert expected is given
