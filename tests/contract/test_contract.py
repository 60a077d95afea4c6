"""Every backend answers the same questions alike, each those that it can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import ModuleType

import pytest
import pytest_asyncio

from keys.hsm import Capability, Hsm
from tests.contract import matrix
from tests.contract.asking import Case, wrong_with
from tests.contract.cases import CASES
from tests.contract.outages import OUTAGES


@dataclass(frozen=True, slots=True)
class Opened:
    """One backend, open for all cases."""

    name: str
    module: ModuleType
    hsm: Hsm


def module_of(backend: str) -> ModuleType:
    """Give a backend under test; skip, saying why, where it cannot be run here."""
    module = matrix.module_of(backend)
    if isinstance(module, str):
        pytest.skip(f"NOT TESTED: backend {backend}: {module}")
    return module


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[Opened]:
    """Each backend in turn."""
    module = module_of(request.param)
    async with module.opened() as hsm:
        yield Opened(request.param, module, hsm)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("backend", matrix.BACKENDS, indirect=True)
async def test_its_capabilities_are_those_written_down(backend: Opened) -> None:
    """A backend says that it can do what the matrix says, no less and no more."""
    assert matrix.EXPECTED[backend.name] == backend.hsm.capabilities
    assert backend.name == backend.hsm.name


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("backend", "case"),
    [(name, case) for name in matrix.BACKENDS for case in matrix.cases_of(name)],
    indirect=["backend"],
    ids=str,
)
async def test_each_question_has_its_answer(backend: Opened, case: Case) -> None:
    """A right question matches, a wrong one does not, and what cannot be asked is refused."""
    assert await wrong_with(case, backend.hsm) is None


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
