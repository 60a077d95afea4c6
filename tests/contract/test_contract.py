"""Every backend answers the same questions alike, each those that it can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from types import ModuleType

import pytest
import pytest_asyncio

from keys.hsm import Capability, Hsm
from tests.contract import matrix
from tests.contract.asking import Case, wrong_with
from tests.contract.cases import CASES
from tests.contract.outages import OUTAGES


class Stand:
    """Backends, each opened when it is first asked, and open until the last case."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._opened: dict[str, Hsm] = {}

    async def hsm(self, backend: str) -> Hsm:
        """Give a backend; skip where it cannot be run here."""
        if backend not in self._opened:
            opened = module_of(backend).opened()
            self._opened[backend] = await self._stack.enter_async_context(opened)
        return self._opened[backend]


def module_of(backend: str) -> ModuleType:
    """Give a backend under test; skip, saying why, where it cannot be run here."""
    module = matrix.module_of(backend)
    if isinstance(module, str):
        pytest.skip(f"NOT TESTED: backend {backend}: {module}")
    return module


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand() -> AsyncIterator[Stand]:
    """All backends."""
    async with AsyncExitStack() as stack:
        yield Stand(stack)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("backend", matrix.BACKENDS)
async def test_its_capabilities_are_those_written_down(backend: str, stand: Stand) -> None:
    """A backend says that it can do what the matrix says, no less and no more."""
    hsm = await stand.hsm(backend)
    assert matrix.EXPECTED[backend] == hsm.capabilities
    assert backend == hsm.name


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("backend", "case"),
    [(name, case) for name in matrix.BACKENDS for case in matrix.cases_of(name)],
    ids=str,
)
async def test_each_question_has_its_answer(backend: str, case: Case, stand: Stand) -> None:
    """A right question matches, a wrong one does not, and what cannot be asked is refused."""
    assert await wrong_with(case, await stand.hsm(backend)) is None


@pytest.mark.parametrize("row", OUTAGES)
@pytest.mark.parametrize("name", matrix.BACKENDS)
async def test_outages_are_survived(name: str, row: str) -> None:
    """Closed it is unavailable; cancelled, or asked much at once, it mixes nothing up."""
    assert await OUTAGES[row](module_of(name).opened) is None


def test_every_cell_has_its_questions() -> None:
    """No capability that a backend must have goes without a question that matches or is made."""
    asked = {case.row for case in CASES}
    proved = {row for name in matrix.BACKENDS for row in matrix.EXPECTED[name]}
    unproved = {row for _, row in matrix.UNPROVED}
    assert proved - unproved == asked & set(Capability)
    assert all(
        any(case.row == row for case in matrix.cases_of(name))
        for name in matrix.BACKENDS
        for row in Capability
        if matrix.must_work(name, row)
    )
