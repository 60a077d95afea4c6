"""What the switch looks at before it serves."""

from __future__ import annotations

import asyncpg
import pytest

from keys.keyfile import load, read_kbpk
from keys.software.key import Key
from keys.vault import LocalDataKeys, Vault
from switch import prepare
from switch.demo import loader
from switch.ledger.queries import QUERIES
from tests.traffic import ROOT

KEYS = load(ROOT / "keys/dev/keys.toml", read_kbpk(ROOT / "keys/dev/kbpk.dev"))


def other(key: Key) -> Key:
    """A key of the same kind with other material."""
    return Key(
        usage=key.usage,
        algorithm=key.algorithm,
        mode_of_use=key.mode_of_use,
        version=key.version,
        material=bytes(reversed(key.material)),
    )


async def test_a_vault_of_other_keys_is_refused(database: str) -> None:
    """Under another token key no card would be found, so the switch does not start."""
    token, data = KEYS["pan_token"], KEYS["pan_data"]
    ours = Vault(LocalDataKeys(token, data))
    connection = await asyncpg.connect(database)
    await connection.execute(QUERIES["make_partitions"], 1)
    await prepare.check_vault(database, Vault(LocalDataKeys(other(token), data)))  # no card yet
    await loader.reset(connection, ours)
    await connection.close()
    await prepare.check_vault(database, ours)
    for wrong in (LocalDataKeys(other(token), data), LocalDataKeys(token, other(data))):
        with pytest.raises(prepare.StartError, match="vault"):
            await prepare.check_vault(database, Vault(wrong))
