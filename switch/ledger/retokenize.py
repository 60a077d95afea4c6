"""
Brings cards under the newest keys of the vault: their PAN's token, and their PAN sealed.

It works beside running switches that have the old keys and the new ones. A batch of cards is
one short transaction; what is done stays done, so that a run that was stopped anywhere is begun
again and goes on. What a card's messages are known by does not change: docs/vault.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import asyncpg
import orjson

from keys.vault import Vault, VaultError
from switch.ledger.operators import Actor, OperatorRefusal, refusing
from switch.ledger.queries import RETOKENIZE

#: Cards of one transaction: a decision that counts a PIN try of one waits as long as it takes.
BATCH = 500
#: How long cards that somebody else works on are waited for, and between two attempts, in seconds.
PATIENCE, PAUSE = 30.0, 0.1
#: Before the first card.
_START = (-(2**63), -(2**63))


class _Change(NamedTuple):
    """What becomes of one card: parameters of retokenize_v1, in its order."""

    account_id: int
    card_id: int
    was_token: bytes
    token: bytes
    was_ciphertext: bytes
    ciphertext: bytes


async def retokenize(
    connection: asyncpg.Connection, actor: Actor, vault: Vault, *,
    progress: Callable[[int, int], None], batch: int = BATCH,
) -> int:  # fmt: skip
    """Bring all cards under the vault's newest keys; gives how many were not.

    `progress` is told how many are done, and of how many. Begin and end are recorded; where
    nothing is to be done, nothing is. Raises `OperatorRefusal`: what was done until then stays.
    """
    with refusing():
        if not await connection.fetchval(RETOKENIZE["take_turn"]):
            raise OperatorRefusal("another process retokenizes this database: wait for its end")
        worker = _Worker(connection, vault, batch)
        of_all = await worker.left()
        if of_all == 0:
            return 0
        about = {"token_version": vault.token_version, "data_version": vault.data_version}
        await _record(connection, actor, "retokenize_begun", about | {"left": of_all})
        done = await _until_none_is_left(worker, of_all, progress)
        await _record(connection, actor, "retokenize", about | {"cards": done})
        return done


async def _until_none_is_left(
    worker: _Worker, of_all: int, progress: Callable[[int, int], None]
) -> int:
    """Go over all cards until none is left: some are busy, and switches add others meanwhile."""
    done, give_up = 0, time.monotonic() + PATIENCE
    while left := await worker.left():
        before = done
        async for count in worker.one_round():
            done += count
            progress(done, max(of_all, done))
        if done > before:
            give_up = time.monotonic() + PATIENCE
        elif time.monotonic() > give_up:
            raise OperatorRefusal(
                f"cards that have been in use for {PATIENCE:.0f} s: {left}: run it again, it goes "
                "on where it was"
            )
        else:
            await asyncio.sleep(PAUSE)
    return done


class _Worker:
    """Goes over the cards that are not under the newest keys, a batch at a time."""

    def __init__(self, connection: asyncpg.Connection, vault: Vault, batch: int) -> None:
        self._connection, self._vault, self._batch = connection, vault, batch
        self._versions = (vault.token_version, bytes([vault.data_version]))

    async def left(self) -> int:
        """How many there are."""
        count: int = await self._connection.fetchval(RETOKENIZE["left"], *self._versions)
        return count

    async def one_round(self) -> Any:
        """Change all that are there and not busy; gives how many, batch by batch."""
        after = _START
        while rows := await self._connection.fetch(
            RETOKENIZE["page"], *self._versions, *after, self._batch
        ):
            after = (rows[-1]["account_id"], rows[-1]["card_id"])
            yield await self._change([self._changed(*row) for row in rows])

    def _changed(self, account_id: int, card_id: int, token: bytes, sealed: bytes) -> _Change:
        try:
            pan = self._vault.open(sealed, context=token)
        except VaultError as error:
            raise OperatorRefusal(f"card {card_id}: {error}") from None
        new = self._vault.pan_token(pan)
        return _Change(account_id, card_id, token, new, sealed, self._vault.seal(pan, context=new))

    async def _change(self, changes: Sequence[_Change]) -> int:
        columns = [list(column) for column in zip(*changes, strict=True)]
        rows = await self._connection.fetch(
            RETOKENIZE["retokenize"], *columns, self._vault.token_version
        )
        twice = [row["card_id"] for row in rows if row["outcome"] == "twice"]
        if twice:
            raise OperatorRefusal(
                f"card {twice[0]}: another card has its PAN already, under the new token key: "
                "docs/vault.md says what to do"
            )
        return len(rows)


async def _record(
    connection: asyncpg.Connection, actor: Actor, action: str, about: dict[str, Any]
) -> None:
    await connection.execute(RETOKENIZE["record"], *actor, action, orjson.dumps(about).decode())
