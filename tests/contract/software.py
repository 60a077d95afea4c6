"""The software backend under the contract, with all that it may be asked for."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from keys.hsm import Hsm
from keys.keyfile import Kbpk
from keys.software.backend import SoftwareHsm
from tests.contract.keys import KEYS

KBPK = Kbpk(bytes(range(32)))


def missing() -> str | None:
    """Nothing is."""
    return None


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Hsm]:
    """The backend, open."""
    hsm = SoftwareHsm(KEYS, emv_2000=True, kbpk=KBPK)
    await hsm.open()
    try:
        yield hsm
    finally:
        await hsm.close()
