"""The development keys and a software HSM that holds them."""

from __future__ import annotations

import pytest

from keys.keyfile import Kbpk, Key, load, read_kbpk
from keys.software.backend import SoftwareHsm
from tests.keys.support import DEVELOPMENT


@pytest.fixture(scope="session")
def kbpk() -> Kbpk:
    """The published development key block protection key."""
    return read_kbpk(DEVELOPMENT / "kbpk.dev")


@pytest.fixture(scope="session")
def keys(kbpk: Kbpk) -> dict[str, Key]:
    """The published development keys."""
    return load(DEVELOPMENT / "keys.toml", kbpk)


@pytest.fixture
def hsm(keys: dict[str, Key]) -> SoftwareHsm:
    """A software HSM of the development keys."""
    return SoftwareHsm(keys)
