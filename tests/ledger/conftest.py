"""A folder with an embedded Postgres in it, for the tests that are not about its first start."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ledger.embedded_process import User, servers


@pytest.fixture(scope="session")
def fresh_cluster(quick_root: Path) -> Path:
    """A folder in which a server ran once and was stopped."""
    folder = quick_root / "cluster"
    user = User(folder)
    user.url()
    user.leave()
    return folder


@pytest.fixture
def folder(fresh_cluster: Path, quick_path: Path) -> Iterator[Path]:
    """A copy of it, for a test that is not about the first start."""
    folder = quick_path / "postgres"
    shutil.copytree(fresh_cluster, folder, symlinks=True)
    yield folder
    assert [] == servers(folder), "the test left a server behind"
