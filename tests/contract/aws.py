"""The AWS backend, on a data plane of our own and moto's control plane."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from keys.hsm import Hsm
from tests.hsm_aws.rig import rig


def missing() -> str | None:
    """Nothing: the simulator runs everywhere."""
    return None


@asynccontextmanager
async def opened() -> AsyncIterator[Hsm]:
    """The backend, open, over the keys of `keys.KEYS`."""
    # moto and the simulator start threads and wait for them: not in the loop's own.
    built = rig()
    running = await asyncio.to_thread(built.__enter__)
    try:
        hsm = running.backend()
        await hsm.open()
        try:
            yield hsm
        finally:
            await hsm.close()
    finally:
        await asyncio.to_thread(built.__exit__, None, None, None)
