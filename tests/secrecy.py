"""
What no test may leave behind: a PAN, a track, a PIN block, a card code or a key in clear.

The whole suite is watched. Every database is searched before it is dropped, every log of a switch
when its process is over, and every text of an exception of ours when the run is: whatever the
tests were about, what they made the product write is looked through for the demo's secrets.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import asyncpg

from keys.hsm import HsmRejected, HsmUnavailable
from keys.keyfile import KeyFileError
from keys.software.keyblock import KeyBlockError
from keys.vault import VaultError
from switch.setting_errors import SettingsError
from switch.wire.error import FrameError, MessageError
from tests.contract.keys import KEYS as CONTRACT_KEYS
from tests.faults.secrets_in import Secrets, secrets_of

#: Exceptions of ours that are made where secrets are at hand.
OURS: tuple[type[Exception], ...] = (
    FrameError,
    HsmRejected,
    HsmUnavailable,
    KeyBlockError,
    KeyFileError,
    MessageError,
    SettingsError,
    VaultError,
)

#: Rows of a table that are looked at, from its end: more is what only load tests make.
ROWS_MOST = 2_000

_BYTEA = re.compile(rb"\\x((?:[0-9a-f]{2})+)")
_TABLES = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
 WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1
"""

#: Texts of exceptions, each once.
said: set[str] = set()


class SecretFound(AssertionError):
    """A secret stands where none may: the message tells where and of what kind, never the value."""


@functools.cache
def demo_secrets() -> Secrets:
    """The secrets of the demo, of its scenario, and all keys that tests use."""
    found = secrets_of([], load_cards=8)
    for key in CONTRACT_KEYS.values():
        text = key.material.hex()
        found.literals["key"] += [key.material, text.encode(), text.upper().encode()]
    return found


def watch_exceptions() -> None:
    """From now on remember what every exception of ours says."""
    for kind in OURS:
        kind.__init__ = _remembering(kind.__init__)  # type: ignore[method-assign]


def _remembering(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def remember(self: Exception, *values: Any, **named: Any) -> None:
        init(self, *values, **named)
        said.add(repr(self))

    return remember


def check_exceptions() -> None:
    """Raise `SecretFound` where an exception of the run said a secret."""
    _refuse("an exception", demo_secrets().found_in("\n".join(said).encode()))


def check_logs(folder: Path) -> None:
    """Raise `SecretFound` where a process of the product wrote one into a log in this folder."""
    for path in folder.glob("*.log"):
        _refuse(path.name, demo_secrets().found_in(path.read_bytes()))


async def check_database(url: str) -> None:
    """Raise `SecretFound` where a table of a database holds one."""
    connection = await asyncpg.connect(url)
    try:
        for (table,) in await connection.fetch(_TABLES):
            rows = await connection.fetch(
                f"SELECT t::text FROM {table} AS t ORDER BY ctid DESC LIMIT {ROWS_MOST}"
            )
            _refuse(f"table {table}", _kinds(row[0] for row in rows))
    finally:
        await connection.close()


def _kinds(rows: Iterable[str]) -> set[str]:
    text = "\n".join(rows).encode()
    raw = b"\n".join(bytes.fromhex(run.decode()) for run in _BYTEA.findall(text))
    return demo_secrets().found_in(text) | demo_secrets().found_in(raw)


def _refuse(where: str, kinds: set[str]) -> None:
    if kinds:
        raise SecretFound(f"{where} has a {' and a '.join(sorted(kinds))} in clear")
