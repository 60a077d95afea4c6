"""The payShield backend under a variant LMK, against the test peer."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from keys.hsm import Hsm
from tests.hsm_payshield import support
from tests.hsm_payshield.peer import Peer


def missing() -> str | None:
    """Nothing is: the peer is part of the tests."""
    return None


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Hsm]:
    """The backend, opened, on a peer of its own."""
    async with support.opened(Peer()) as hsm:
        yield hsm
