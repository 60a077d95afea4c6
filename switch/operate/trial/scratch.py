"""
The scratch database of a trial: the ledger's schema, a clock of its own, nothing else.

In its schema `public` stands a function `clock_timestamp` before that of Postgres, so that the
ledger's functions take the moment that is played for now.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from switch.ledger.embedded import EmbeddedPostgres
from switch.ledger.embedded_files import Folder, find_binaries, try_lock
from switch.ledger.embedded_server import Server
from switch.ledger.lane import SESSION
from switch.ledger.migrate import described, migrate
from switch.ledger.primary import connect
from switch.ledger.queries import TRIAL, TRIAL_SCRIPTS
from switch.operate.trial.error import TrialError

_PATH = "public, pg_catalog"
#: What the folder of a server of our own is called, and in it the file that is locked as long as
#: the folder is used, and where the server is.
_FOLDER, _HELD, _SERVER = "switch-trial-", "held", "postgres"
#: Nothing here is worth a wait for the disk.
_SESSION = SESSION | {
    "search_path": _PATH,
    "synchronous_commit": "off",
    "statement_timeout": "0",
    "application_name": "switch rules try",
}


@contextlib.asynccontextmanager
async def scratch_database(url: str | None) -> AsyncIterator[asyncpg.Connection]:
    """A connection to an empty ledger that plays: in a database that is empty, and stays as it is
    afterwards; without one, on a server of our own that goes at the end.

    Raises `TrialError` where the database is not empty or cannot be used.
    """
    async with contextlib.AsyncExitStack() as stack:
        if url is None:
            await remove_left_behind()
            folder = stack.enter_context(_folder())
            server = await stack.enter_async_context(EmbeddedPostgres(folder / _SERVER))
            url = server.url
        yield await stack.enter_async_context(_opened(url))


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder that is held by a lock, which ends with this process."""
    with tempfile.TemporaryDirectory(prefix=_FOLDER) as name:
        folder = Path(name)
        file = os.open(folder / "new", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            (folder / "new").rename(folder / _HELD)  # seen by others, it is locked
            yield folder
        finally:
            os.close(file)


async def remove_left_behind() -> None:
    """Stop the servers and remove the folders of this user's trials that were killed."""
    for folder in _left_behind():
        await Server(Folder(folder / _SERVER), find_binaries()).shut_down()
        shutil.rmtree(folder, ignore_errors=True)


def _left_behind() -> Iterator[Path]:
    """The folders that nobody holds any more, each held meanwhile."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        try:
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            file = os.open(folder / _HELD, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            if try_lock(file, fcntl.LOCK_EX):
                yield folder
        finally:
            os.close(file)


@contextlib.asynccontextmanager
async def _opened(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await _connected(url)
    try:
        await _make(connection, url)
        yield connection
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError):
        raise TrialError("the connection to the scratch database was lost: run it again") from None
    except asyncpg.PostgresError as error:
        raise TrialError(f"the scratch database: {described(error)}") from None
    finally:
        await connection.close()


async def _make(connection: asyncpg.Connection, url: str) -> None:
    """The ledger's schema over a clock that is set, and the trial's own tables and functions."""
    if not await connection.fetchval(TRIAL["is_new"]):
        raise TrialError("--scratch: that database is not empty: name an empty one")
    try:
        await connection.execute(TRIAL["clock"])  # before the tables, whose defaults take it
    except asyncpg.InsufficientPrivilegeError:
        raise TrialError("--scratch: its role may not make tables: name the owner's URL") from None
    await migrate(with_path(url))
    for script in TRIAL_SCRIPTS:
        await connection.execute(script)


async def _connected(url: str) -> asyncpg.Connection:
    try:
        return await connect(url, server_settings=_SESSION)
    except (
        OSError,
        TimeoutError,
        ValueError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
    ) as error:
        # Of another kind of error the text may have the URL, password and all.
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise TrialError(f"--scratch: no connection to that database: {reason}") from None


def with_path(url: str) -> str:
    """The same URL for who connects by it alone."""
    parts = urlsplit(url)
    query = urlencode([*parse_qsl(parts.query), ("search_path", _PATH)])
    return urlunsplit(parts._replace(query=query))
