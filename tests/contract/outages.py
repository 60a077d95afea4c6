"""What every backend must survive: being closed, being cancelled, being asked much at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import cycle, islice

from keys.hsm import Capability, Hsm, HsmUnavailable
from tests.contract.asking import MATCHES, PATIENCE, Case, wrong_with
from tests.contract.cases import CASES
from tests.contract.matrix import CANCELLED, CLOSED, COMMON_ROWS, SIDE_BY_SIDE

Opened = Callable[[], AbstractAsyncContextManager[Hsm]]

#: Seconds after which questions are cancelled: before they began, and on their way.
MOMENTS = (0.0, 0.0005, 0.002, 0.01)

#: How many questions are asked at once.
AT_ONCE = 24


def answered(capabilities: frozenset[Capability]) -> list[Case]:
    """Give for each capability one question that matches and one of another answer."""
    chosen: dict[tuple[str, bool], Case] = {}
    for case in CASES:
        if case.row not in COMMON_ROWS and case.is_for(capabilities):
            chosen.setdefault((case.row, case.answers is MATCHES), case)
    return list(chosen.values())


async def closed(opened: Opened) -> str | None:
    """After `close` every question is unavailable, which is never a mismatch."""
    async with opened() as hsm:
        cases = answered(hsm.capabilities)
        await hsm.close()
        for case in cases:
            if wrong := await not_unavailable(case.ask, hsm):
                return f"closed, {case}: {wrong}"
        return await not_unavailable(lambda asked: asked.ping(), hsm)


async def not_unavailable(ask: Callable[[Hsm], Awaitable[object]], hsm: Hsm) -> str | None:
    """Ask; say what came instead of `HsmUnavailable`, or nothing."""
    try:
        async with asyncio.timeout(PATIENCE):
            await ask(hsm)
    except HsmUnavailable:
        return None
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        return f"raised {type(error).__name__}"
    return "was answered"


async def cancelled(opened: Opened) -> str | None:
    """After questions were cancelled, each later one has its own answer."""
    async with opened() as hsm:
        cases = answered(hsm.capabilities)
        for moment in MOMENTS:
            tasks = [asyncio.ensure_future(case.ask(hsm)) for case in islice(cycle(cases), AT_ONCE)]
            await asyncio.sleep(moment)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if wrong := await first_wrong(cases, hsm):
                return f"cancelled after {moment * 1000:g} ms, {wrong}"
    return None


async def side_by_side(opened: Opened) -> str | None:
    """Questions that are asked at once get each its own answer."""
    async with opened() as hsm:
        cases = answered(hsm.capabilities)
        found = await asyncio.gather(*(wrong_with(case, hsm) for case in cases * 2))
        for case, wrong in zip(cases * 2, found, strict=True):
            if wrong:
                return f"{case}: {wrong}"
    return None


async def first_wrong(cases: Sequence[Case], hsm: Hsm) -> str | None:
    """Ask one after the other; say what is wrong with the first that is, or nothing."""
    for case in cases:
        if wrong := await wrong_with(case, hsm):
            return f"{case}: {wrong}"
    return None


#: By their row in the matrix.
OUTAGES = {CLOSED: closed, CANCELLED: cancelled, SIDE_BY_SIDE: side_by_side}
