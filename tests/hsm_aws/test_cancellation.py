"""Who asked may go away at any moment: the pool keeps working, and sends nothing for nobody."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from keys.aws import AwsHsm
from keys.hsm import CardVerificationValue, HsmUnavailable, Verdict
from tests.contract.keys import REFS
from tests.hsm_aws import cards, formulas
from tests.hsm_aws.rig import Rig
from tests.hsm_aws.test_outages import ask_code, ask_pin


async def _until(condition: Any) -> None:
    while not condition():  # noqa: ASYNC110 - the simulator is another thread
        await asyncio.sleep(0.005)


async def test_cancelled_on_the_way(hsm: AwsHsm, mended: Rig) -> None:
    """A question that was sent is forgotten with who asked; the next has its own answer."""
    mended.data.delay = 0.3
    task = asyncio.create_task(ask_code(hsm))
    await _until(lambda: mended.data.asked)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    wrong = cards.changed(cards.CODES["cvv"][3])
    answers = await asyncio.gather(ask_code(hsm), ask_code(hsm, wrong))
    assert [Verdict.MATCH, Verdict.MISMATCH] == list(answers)


async def test_cancelled_in_the_queue(hsm: AwsHsm, mended: Rig) -> None:
    """A question whose asker has gone before a thread was free is never sent."""
    mended.data.delay = 0.3
    busy = [asyncio.create_task(ask_code(hsm)) for _ in range(2)]
    await _until(lambda: len(mended.data.asked) == 2)
    waiting = [asyncio.create_task(ask_pin(hsm)) for _ in range(5)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    gone = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in gone)
    assert [Verdict.MATCH] * 2 == await asyncio.gather(*busy)
    mended.data.delay = 0.0
    assert Verdict.MATCH is await ask_code(hsm)
    assert ["VerifyCardValidationData"] * 3 == mended.data.operations_asked()


async def test_out_of_budget_in_the_queue(mended: Rig) -> None:
    """A question whose budget ends while every thread is busy is an outage, and is never sent."""
    hsm = mended.backend(connections=1, budget=0.1)  # its thread waits for half a second
    await hsm.open()
    try:
        mended.data.asked.clear()
        mended.data.delay = 3.0
        asked = [asyncio.create_task(ask_code(hsm))]
        await _until(lambda: mended.data.asked)
        asked += [asyncio.create_task(ask_pin(hsm)) for _ in range(3)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [HsmUnavailable] * 4 == [type(answer) for answer in answers]
    finally:
        await hsm.close()
    assert ["VerifyCardValidationData"] == mended.data.operations_asked()


async def test_many_cancelled_at_random(hsm: AwsHsm, mended: Rig) -> None:
    """Of questions cancelled at any moment none gets another's answer, and all threads survive."""
    chance = random.Random(11)
    key = cards.material("cvk")
    pans = [f"4000{chance.randrange(10**12):012}" for _ in range(120)]
    of = CardVerificationValue("2912", "201")

    async def ask(number: int) -> bool:
        pan = pans[number]
        right = formulas.cvv(key, pan, "2912", "201")
        is_right = number % 2 == 0
        code = right if is_right else cards.changed(right)
        verdict = await hsm.verify_card_code(REFS["cvk"], of, pan=pan, code=code)
        return verdict is (Verdict.MATCH if is_right else Verdict.MISMATCH)

    mended.data.delay = 0.002  # two threads: all are answered after 0.12 s at the earliest
    tasks = [asyncio.create_task(ask(number)) for number in range(len(pans))]
    await asyncio.sleep(0)  # all have asked, and none can have been answered: the first is in time
    for task in chance.sample(tasks, 60):
        task.cancel()
        await asyncio.sleep(chance.random() / 200)
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(a is True or isinstance(a, asyncio.CancelledError) for a in answers)
    assert any(a is True for a in answers)
    assert any(isinstance(a, asyncio.CancelledError) for a in answers)
    assert [Verdict.MATCH] * 4 == await asyncio.gather(*(ask_code(hsm) for _ in range(4)))


async def test_nothing_is_left_to_be_told(hsm: AwsHsm, mended: Rig) -> None:
    """An outage that comes after its asker has gone bothers nobody: no task or future complains."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    mended.data.delay, mended.data.lie = 0.2, "garbage"
    tasks = [asyncio.create_task(ask_pin(hsm)) for _ in range(4)]
    await _until(lambda: mended.data.asked)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await hsm.close()
    assert [] == complaints


async def test_open_cancelled(mended: Rig) -> None:
    """An opening that is given up leaves no thread, and another can be made."""
    mended.data.silent = True
    hsm = mended.backend(budget=2.0)
    task = asyncio.create_task(hsm.open())
    await _until(lambda: mended.data.asked or mended.data.connections)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    mended.data.silent = False
    await hsm.open()
    assert Verdict.MATCH is await ask_code(hsm)
    await hsm.close()
