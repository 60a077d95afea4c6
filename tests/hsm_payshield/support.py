"""The backend under test: its keys under the peer's LMK, and itself, opened."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping

from keys.keyfile import KeyEntry
from keys.payshield import PayShieldHsm
from tests.contract.keys import KEYS
from tests.hsm_payshield.lmk import wrap_as, wrap_block
from tests.hsm_payshield.peer import Peer

#: Key types of the variant LMK by TR-31 usage, from the key type table of the manuals.
KEY_TYPES = {
    "C0": "402",
    "V1": "002",
    "V2": "002",
    "P0": "001",
    "E0": "109",
    "K0": "000",
    "M1": "008",
    "M3": "008",
    "M6": "008",
}

#: Seconds; long enough for a loaded machine, short enough to wait for in a test of silence.
BUDGET = 2.0
SHORT_BUDGET = 0.2


def entry(name: str, place: str, *, usage: str = "", kcv: str = "") -> KeyEntry:
    """An entry of the key file whose key has a place in the HSM."""
    key = KEYS[name]
    return KeyEntry(
        name, kcv or key.kcv, usage or key.usage, key.algorithm, "00", {"payshield": place}
    )


def variant_entries() -> dict[str, KeyEntry]:
    """The contract's keys under the test variant LMK: those that one can have."""
    return {
        name: entry(name, wrap_as(key.material, KEY_TYPES[key.usage]))
        for name, key in KEYS.items()
        if key.algorithm == "T" and key.usage in KEY_TYPES
    }


def block_entries() -> dict[str, KeyEntry]:
    """The contract's keys, all of them, as Thales key blocks."""
    return {
        name: entry(
            name,
            wrap_block(
                key.material,
                usage=key.usage,
                algorithm=key.algorithm,
                mode_of_use=key.mode_of_use,
            ),
        )
        for name, key in KEYS.items()
    }


def hsm_over(
    *peers: Peer,
    entries: Mapping[str, KeyEntry] | None = None,
    connections: int = 2,
    header: str = "0000",
    budget: float = BUDGET,
    tls: ssl.SSLContext | None = None,
) -> PayShieldHsm:
    """The backend over these peers, not yet opened."""
    has_key_blocks, lmk_id = peers[0].has_key_blocks, peers[0].lmk_id
    if entries is None:
        entries = block_entries() if has_key_blocks else variant_entries()
    return PayShieldHsm(
        entries,
        addresses=[peer.address for peer in peers],
        connections=connections,
        header=header,
        lmk_id=lmk_id or None,
        has_key_blocks=has_key_blocks,
        tls=tls,
        budget=budget,
    )


@contextlib.asynccontextmanager
async def started(*peers: Peer) -> AsyncIterator[None]:
    """Run peers."""
    async with contextlib.AsyncExitStack() as stack:
        for peer in peers:
            stack.push_async_callback((await peer.start()).stop)
        yield


@contextlib.asynccontextmanager
async def opened(
    *peers: Peer, connections: int = 2, header: str = "0000", budget: float = BUDGET
) -> AsyncIterator[PayShieldHsm]:
    """Run peers and give the backend over them, opened."""
    async with started(*peers):
        hsm = hsm_over(*peers, connections=connections, header=header, budget=budget)
        await hsm.open()
        try:
            yield hsm
        finally:
            await hsm.close()
