"""The PKCS#11 backend under the contract: over SoftHSM2, where it is installed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from keys.hsm import Hsm
from tests.hsm_pkcs11 import softhsm


def missing() -> str | None:
    """Why it cannot be run here, or nothing."""
    return softhsm.missing()


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Hsm]:
    """The backend, opened, holding the contract's keys."""
    backend = softhsm.hsm()
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()
