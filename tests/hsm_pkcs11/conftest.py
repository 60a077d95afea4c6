"""SoftHSM2 for these tests, or a loud reason why not."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from keys.pkcs11 import Pkcs11Hsm
from tests.hsm_pkcs11 import softhsm


@pytest.fixture(autouse=True)
def softhsm_is_there() -> None:
    """Skip where SoftHSM2 is absent; where CI is set, fail."""
    reason = softhsm.missing()
    if reason is None:
        softhsm.home()
    elif os.environ.get("CI"):
        pytest.fail(f"CI must have SoftHSM2: {reason}")
    else:
        pytest.skip(f"PKCS#11 IS NOT TESTED HERE: {reason}")


@pytest.fixture(scope="session", autouse=True)
def tokens_are_removed() -> Iterator[None]:
    """Remove the tokens with the run: a worker of it may end without any farewell."""
    yield
    if softhsm.made_home.cache_info().currsize:
        softhsm.leave(softhsm.made_home().folder)


@pytest.fixture
async def hsm() -> AsyncIterator[Pkcs11Hsm]:
    """The backend, opened, holding the contract's keys."""
    backend = softhsm.hsm()
    await backend.open()
    yield backend
    await backend.close()
