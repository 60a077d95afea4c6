"""The payShield backend under a key block LMK with an identifier, against the test peer."""

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
    async with support.opened(Peer(has_key_blocks=True, lmk_id="01")) as hsm:
        yield hsm
