"""Asking every backend everything, and the matrix of what was proved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from keys.hsm import Capability, Hsm
from tests.contract import matrix
from tests.contract.asking import wrong_with
from tests.contract.outages import OUTAGES

OK, CANNOT, UNPROVED, FAIL, SKIPPED = "ok", "—", "unproved", "FAIL", "SKIPPED"

#: Column widths: the row's name, and a backend's.
ROW_WIDTH, WIDTH = 18, 12


class Findings:
    """The cells of one run, and in words what is wrong with some of them."""

    def __init__(self) -> None:
        self.cells: dict[tuple[str, str], str] = {}
        self.remarks: list[str] = []
        self.asked: Counter[str] = Counter()

    def fail(self, backend: str, row: str, wrong: str) -> None:
        """Note what is wrong with a cell."""
        self.cells[backend, row] = FAIL
        self.remarks.append(f"FAIL     {backend}, {row}: {wrong}")

    def skip(self, backend: str, reason: str) -> None:
        """Note why a backend could not be tried."""
        for row in matrix.ROWS:
            if matrix.must_work(backend, row):
                self.cells[backend, row] = SKIPPED
        self.remarks.append(f"SKIPPED  {backend}: {reason}")

    @property
    def hold(self) -> bool:
        """Whether every cell that should work does."""
        return not {FAIL, SKIPPED} & set(self.cells.values())


def blank(backend: str) -> dict[tuple[str, str], str]:
    """Give a backend's cells as they should be."""
    cells = {}
    for row in matrix.ROWS:
        if matrix.must_work(backend, row):
            cells[backend, row] = OK
        else:
            cells[backend, row] = UNPROVED if (backend, row) in matrix.UNPROVED else CANNOT
    return cells


async def try_backend(backend: str, found: Findings) -> None:
    """Ask one backend everything that it must be able to answer."""
    found.cells |= blank(backend)
    module = matrix.module_of(backend)
    if isinstance(module, str):
        found.skip(backend, module)
        return
    try:
        async with module.opened() as hsm:
            compare_capabilities(backend, hsm, found)
            for case in matrix.cases_of(backend):
                found.asked[backend] += 1
                if wrong := await wrong_with(case, hsm):
                    found.fail(backend, case.row, f"{case.fact}: {wrong}")
        for row, outage in OUTAGES.items():
            found.asked[backend] += 1
            if wrong := await outage(module.opened):
                found.fail(backend, row, wrong)
    except Exception as error:  # noqa: BLE001 - one broken backend must not hide the others
        for row in matrix.ROWS:
            if matrix.must_work(backend, row):
                found.cells[backend, row] = FAIL
        found.remarks.append(f"FAIL     {backend}: does not open: {type(error).__name__}: {error}")


def compare_capabilities(backend: str, hsm: Hsm, found: Findings) -> None:
    """A backend can do what is written down, no less and no more."""
    for row in Capability:
        if row in matrix.EXPECTED[backend] - hsm.capabilities:
            found.fail(backend, row, "it says that it cannot")
        if row in hsm.capabilities - matrix.EXPECTED[backend]:
            found.fail(backend, row, "it says that it can, and nobody asked it to")


def table(found: Findings, backends: Sequence[str]) -> str:
    """Write the matrix."""
    lines = ["".ljust(ROW_WIDTH) + "".join(name.ljust(WIDTH) for name in backends)]
    for row in matrix.ROWS:
        cells = (found.cells[name, row] for name in backends)
        lines.append(f"{row:{ROW_WIDTH}}" + "".join(f"{cell:{WIDTH}}" for cell in cells))
    asked = (str(found.asked[name]) for name in backends)
    lines.append(f"{'questions':{ROW_WIDTH}}" + "".join(f"{count:{WIDTH}}" for count in asked))
    return "\n".join(line.rstrip() for line in lines)


async def prove(backends: Sequence[str]) -> int:
    """Try the backends, print the matrix; give the exit code, 1 where a cell is not proved."""
    found = Findings()
    for backend in backends:
        await try_backend(backend, found)
    print(table(found, backends))
    print(f"\n{OK} proved   {CANNOT} cannot, by design")
    for (backend, row), reason in matrix.UNPROVED.items():
        if backend in backends:
            print(f"{UNPROVED} {backend}, {row}: {reason}")
    for remark in found.remarks:
        print(remark)
    return 0 if found.hold else 1
