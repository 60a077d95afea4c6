"""The page that shows the matrix says what is proved."""

from __future__ import annotations

import re

from tests.contract import matrix
from tests.traffic import ROOT

CELLS = re.compile(r"^\| `([a-z0-9-]+)` \| (\S+) \| (\S+) \| (\S+) \| (\S+) \|$", re.MULTILINE)


def test_the_matrix_of_the_page() -> None:
    """docs/hsm.md has every row, with what each backend must do and what is unproved."""
    shown = {row: cells for row, *cells in CELLS.findall((ROOT / "docs/hsm.md").read_text())}
    assert shown == {
        row: [_cell(backend, row) for backend in matrix.BACKENDS] for row in matrix.ROWS
    }


def _cell(backend: str, row: str) -> str:
    if (backend, row) in matrix.UNPROVED:
        return "unproved"
    return "ok" if matrix.must_work(backend, row) else "—"
