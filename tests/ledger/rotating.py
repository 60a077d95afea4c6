"""Vaults while their keys are exchanged, and cards under them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keys.vault import Vault
from switch.ledger.retokenize import retokenize
from tests.ledger.operating import ALICE
from tests.ledger.support import Books, number

PAN_FIRST = 4_761_739_000_000_000


class _Versions:
    """Keys of these versions, each of bytes of its number."""

    def __init__(self, token: tuple[int, ...], data: tuple[int, ...]) -> None:
        self._token, self._data = token, data

    def token_keys(self) -> Mapping[int, bytes]:
        return {version: bytes([version]) * 32 for version in self._token}

    def data_keys(self) -> Mapping[int, bytes]:
        return {version: bytes([version + 100]) * 32 for version in self._data}


def vault(*token: int, data: tuple[int, ...] = ()) -> Vault:
    """A vault of these versions of the token key, and of the data key where others are not told."""
    return Vault(_Versions(token, data or token))


OLD, BOTH, NEW = vault(1), vault(1, 2), vault(2)


async def issue(books: Books, keys: Vault = OLD, *, is_of_before: bool = False) -> tuple[int, str]:
    """A card whose PAN is really sealed; its account and its PAN.

    One of before the schema knew what messages are known by has only its token for that.
    """
    account_id = await books.account()
    pan = str(PAN_FIRST + account_id)
    token = keys.pan_token(pan)
    await books.connection.execute(
        "INSERT INTO pan_tokens (pan_token, token_version, account_id, card_id)"
        " VALUES ($1, $2, $3, $3)",
        token, keys.token_version, account_id,
    )  # fmt: skip
    if is_of_before:
        await books.connection.execute(
            "UPDATE pan_tokens SET key_token = NULL WHERE pan_token = $1", token
        )
    await books.connection.execute(
        "UPDATE cards SET pan_ciphertext = $2 WHERE account_id = $1",
        account_id, keys.seal(pan, context=token),
    )  # fmt: skip
    return account_id, pan


async def rotate(books: Books, keys: Vault = BOTH, **how: Any) -> int:
    """Bring the cards under the newest keys; how many."""
    how = {"progress": lambda *_: None} | how
    try:
        return await retokenize(books.connection, ALICE, keys, **how)
    finally:
        await books.connection.execute("SELECT pg_advisory_unlock_all()")


async def versions(books: Books) -> set[tuple[int, int]]:
    """Under which token keys and data keys the cards are."""
    rows = await books.connection.fetch(
        "SELECT DISTINCT token_version, get_byte(pan_ciphertext, 0)"
        "  FROM pan_tokens JOIN cards USING (account_id, card_id)"
    )
    return {tuple(row) for row in rows}


def stranger() -> str:
    """A PAN that no card has."""
    return str(PAN_FIRST + 500_000_000 + number())
