"""Questions at once: each gets its own answer, and callers may go away at any moment."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable

import psec
import pytest

from keys.hsm import CardVerificationValue, HsmUnavailable, MacAlgorithm, Verdict
from keys.pkcs11.pool import SessionPool
from keys.pkcs11.token import Token, TokenSession
from tests.contract.keys import KEYS, REFS
from tests.hsm_pkcs11 import softhsm

SESSIONS = 4


class Hold:
    """A question that ends when it is let go, as one that a slow token answers."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, session: TokenSession) -> str:
        self.began.set()
        assert self.let_go.wait(30)
        return "held"

    async def until_it_began(self) -> None:
        """Return when a thread has taken it."""
        await asyncio.to_thread(self.began.wait, 30)
        assert self.began.is_set()


@pytest.fixture
async def pool() -> AsyncIterator[SessionPool]:
    """One thread with one session."""
    home = softhsm.home()
    pool = SessionPool(Token(home.module, softhsm.FULL, softhsm.PIN, {}), 1)
    await pool.open()
    yield pool
    await pool.close()


def numbered(number: int, executed: list[int]) -> Callable[[TokenSession], int]:
    """A question that tells that it was executed."""

    def question(session: TokenSession) -> int:
        executed.append(number)
        return number

    return question


async def test_each_question_gets_its_own_answer() -> None:
    """Of 300 questions asked at once over four sessions, each gets the verdict that is known."""
    chance = random.Random(4)
    of = CardVerificationValue("3012", "201")
    asked = []
    backend = softhsm.hsm(sessions=SESSIONS)
    await backend.open()
    for number in range(300):
        if number % 3 == 2:
            data = chance.randbytes(40)
            key = KEYS["zak"].material
            mac = psec.mac.generate_retail_mac(key[:8], key[8:], data, 1)
            right = chance.random() < 0.5
            given = mac if right else bytes([mac[0] ^ 1]) + mac[1:]
            question = backend.verify_mac(
                REFS["zak"], data, given, algorithm=MacAlgorithm.ISO9797_3
            )
        else:
            pan = "".join(chance.choices("0123456789", k=16))
            code = psec.cvv.generate_cvv(KEYS["cvk"].material, pan, "3012", "201")
            right = chance.random() < 0.5
            given_code = code if right else f"{(int(code) + 1) % 1000:03}"
            question = backend.verify_card_code(REFS["cvk"], of, pan=pan, code=given_code)
        asked.append((question, Verdict.MATCH if right else Verdict.MISMATCH))
    answers = await asyncio.gather(*(question for question, _ in asked))
    await backend.close()
    assert [verdict for _, verdict in asked] == answers
    assert {Verdict.MATCH, Verdict.MISMATCH} == set(answers)


async def test_as_many_threads_as_sessions() -> None:
    """No more questions are executed at once than there are sessions."""
    home = softhsm.home()
    pool = SessionPool(Token(home.module, softhsm.FULL, softhsm.PIN, {}), SESSIONS)
    await pool.open()
    holds = [Hold() for _ in range(SESSIONS)]
    held = [asyncio.create_task(pool.ask(hold)) for hold in holds]
    for hold in holds:
        await hold.until_it_began()
    executed: list[int] = []
    one_more = asyncio.create_task(pool.ask(numbered(1, executed)))
    await asyncio.sleep(0.05)
    assert [] == executed
    holds[2].let_go.set()
    assert 1 == await one_more
    for hold in holds:
        hold.let_go.set()
    assert ["held"] * SESSIONS == await asyncio.gather(*held)
    await pool.close()


async def test_a_question_whose_caller_is_gone_is_not_executed(pool: SessionPool) -> None:
    """Cancelled before a thread took it, a question never reaches the token."""
    hold, executed = Hold(), list[int]()
    first = asyncio.create_task(pool.ask(hold))
    await hold.until_it_began()
    gone = asyncio.create_task(pool.ask(numbered(1, executed)))
    stays = asyncio.create_task(pool.ask(numbered(2, executed)))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    hold.let_go.set()
    assert "held" == await first
    assert 2 == await stays
    assert [2] == executed


async def test_a_cancelled_question_keeps_its_slot_until_it_ends(pool: SessionPool) -> None:
    """A thread cannot be interrupted: the next question waits, and gets its own answer."""
    hold, executed = Hold(), list[int]()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await pool.ask(hold)
    await hold.until_it_began()
    next_one = asyncio.create_task(pool.ask(numbered(7, executed)))
    await asyncio.sleep(0.05)
    assert [] == executed
    hold.let_go.set()
    assert 7 == await next_one


async def test_cancelled_at_any_moment_it_keeps_working() -> None:
    """After hundreds of questions cancelled at random, every answer is still its question's."""
    chance = random.Random(5)
    backend = softhsm.hsm(sessions=SESSIONS)
    await backend.open()
    data = [bytes([n]) for n in range(200)]
    key = KEYS["zak"].material
    tasks = [
        asyncio.create_task(backend.mac(REFS["zak"], d, algorithm=MacAlgorithm.ISO9797_3))
        for d in data
    ]
    for number in range(len(data)):
        await asyncio.sleep(0)
        if chance.random() < 0.5:
            tasks[number].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    for sent, answer in zip(data, answers, strict=True):
        if not isinstance(answer, asyncio.CancelledError):
            assert psec.mac.generate_retail_mac(key[:8], key[8:], sent, 1) == answer
    assert any(isinstance(answer, bytes) for answer in answers)
    await backend.ping()
    await backend.close()


async def test_closing_answers_what_waits(pool: SessionPool) -> None:
    """A question that waits for a thread when the pool closes is an outage, not silence."""
    hold, executed = Hold(), list[int]()
    first = asyncio.create_task(pool.ask(hold))
    await hold.until_it_began()
    waits = asyncio.create_task(pool.ask(numbered(1, executed)))
    await asyncio.sleep(0)
    closing = asyncio.create_task(pool.close())
    with pytest.raises(HsmUnavailable):
        await waits
    hold.let_go.set()
    assert "held" == await first
    await closing
    assert [] == executed
    with pytest.raises(HsmUnavailable):
        await pool.ask(numbered(2, executed))


async def test_a_question_that_raises_is_its_askers(pool: SessionPool) -> None:
    """An error of the question itself reaches its caller and costs no session."""

    def wrong(session: TokenSession) -> None:
        raise ValueError("whole blocks are needed")

    with pytest.raises(ValueError, match="whole blocks"):
        await pool.ask(wrong)
    assert 3 == await pool.ask(lambda session: 3)


async def test_no_thread_stays(pool: SessionPool) -> None:
    """Closing ends every thread."""
    assert [t for t in threading.enumerate() if t.name == "pkcs11"]
    await pool.close()
    assert [] == [t for t in threading.enumerate() if t.name == "pkcs11"]


async def test_a_cancelled_opening_leaves_nothing() -> None:
    """Cancelled while it opens, a backend has no thread and can be opened again."""
    backend = softhsm.hsm(sessions=SESSIONS)
    for steps in range(4):
        opening = asyncio.create_task(backend.open())
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert [] == [t for t in threading.enumerate() if t.name == "pkcs11"]
    await backend.open()
    await backend.ping()
    await backend.close()
