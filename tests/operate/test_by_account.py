"""The demo's day where each call to the database is about one account."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.process import running
from tests.traffic import GOLDEN
from tests.typed import typed


@pytest.mark.long
def test_the_whole_day_is_answered_right(quick_root: Path) -> None:
    """Each of the 75 messages is answered as expected, and the books are right."""
    by_account = {"database__one_account_per_call": "true", "database__cards_kept": 0}
    with (
        tempfile.TemporaryDirectory(dir=quick_root) as folder,
        running(Path(folder), **by_account) as switch,
    ):
        here = {"database__url": switch.database_url}
        played = typed(
            "replay", str(GOLDEN / "scenario.jsonl"), "--to", f"127.0.0.1:{switch.port()}"
        )
        audited = typed("audit", settings=here)
    assert played.stdout.endswith("75 right, 0 different, 0 sent and not compared\n"), played.stdout
    assert 0 == audited.exit_code, audited.stdout
