"""One switch for whatever talks to it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process import Switch, running
from tests.traffic import add_load_cards

#: Load cards that the switch has: no test needs another's.
CARDS = 4
#: Links beside `demo`, by name, and their dialects: packed digits, and raw bitmaps.
LINKS = {"packed": "iso87-binary", "raw": "postilion"}


@pytest.fixture(scope="package")
def switch(quick_root: Path) -> Iterator[Switch]:
    """A running switch with a link of each kind."""
    given: dict[str, object] = {}
    for number, (name, dialect) in enumerate(LINKS.items(), start=1):
        link = {"name": name, "dialect": dialect, "listen": "127.0.0.1:0"}
        given |= {f"links__{number}__{key}": value for key, value in link.items()}
    with (
        tempfile.TemporaryDirectory(dir=quick_root) as folder,
        running(Path(folder), **given) as started,
    ):
        add_load_cards(started.database_url, CARDS)
        yield started
