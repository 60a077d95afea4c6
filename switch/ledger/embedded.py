"""
The embedded Postgres: a real server, for a machine where nobody runs one.

Several processes may use one folder at once, a running switch and `switch
migrate` beside it. Each holds `users.lock` shared; the one that leaves last,
and so can have it exclusively, stops the server, also one that it found
running. Whoever starts or stops it holds `turn.lock` meanwhile. Locks end with
their process, so a killed one leaves nothing behind but its server, which the
next one adopts.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import TracebackType
from urllib.parse import urlencode

from switch.ledger.embedded_files import PORT, EmbeddedError, Folder, find_binaries, try_lock
from switch.ledger.embedded_server import (
    DATABASE,
    POLL_SECONDS,
    ROLE,
    START_LIMIT_SECONDS,
    STOP_LIMIT_SECONDS,
    Server,
)

__all__ = ["EmbeddedError", "EmbeddedPostgres", "running_url"]

#: How long another process's start or stop is waited for, seconds: longer than either takes.
TURN_LIMIT_SECONDS = START_LIMIT_SECONDS + STOP_LIMIT_SECONDS

#: How often the server is looked after, seconds.
WATCH_SECONDS = 1.0


def running_url(data_dir: Path) -> str | None:
    """The database's URL of a server that others run there, for who only looks; None where there
    is none that could answer.
    """
    socket_dir = (data_dir.absolute() / "run").resolve()
    if not socket_dir.is_dir():
        return None
    place = urlencode({"host": socket_dir, "port": PORT, "user": ROLE})
    return f"postgresql:///{DATABASE}?{place}"


class EmbeddedPostgres:
    """A Postgres server of our own, for as long as somebody is inside the `async with`.

    `url` reaches it, for asyncpg as for psql and pgbench; `bin_dir` has those.
    Everything raises `EmbeddedError`, one line, where the server cannot be had.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = Folder(data_dir.absolute())
        self._server = Server(self._folder, find_binaries())
        self._users: int | None = None  # the descriptor of users.lock, while we are one

    @property
    def url(self) -> str:
        """The database's URL, over a Unix socket. It stays the same when the server restarts."""
        return self._server.url(DATABASE)

    @property
    def bin_dir(self) -> Path:
        """The folder of the installation's programs: psql, pgbench, pg_dump."""
        return self._server.binaries.folder

    async def __aenter__(self) -> EmbeddedPostgres:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Become a user of the server, which is started, adopted, or made for the first time.

        Returns when it answers. A failure leaves a server that is still
        recovering alone; a cancellation (Ctrl-C) stops it in good order.
        """
        with in_one_line():
            try:
                self._folder.prepare()
                async with self._turn():
                    self._join()
                    await self._server.bring_up()
            except (EmbeddedError, OSError):
                self._leave()
                raise
            except BaseException:
                await self.stop()
                raise

    async def stop(self) -> None:
        """Cease to be a user of the server; the last one stops it and waits until it is down."""
        if self._users is None:
            return
        with in_one_line():
            try:
                async with self._turn():
                    if try_lock(self._users, fcntl.LOCK_EX):
                        await self._server.shut_down()
            finally:
                self._leave()

    async def ensure_running(self) -> None:
        """Bring the server back if it is dead. Costs a look at two small files if it is not."""
        if self._server.pid() is not None:
            return
        with in_one_line():
            async with self._turn():
                if self._users is not None:
                    await self._server.bring_up()

    async def watch(self, on_event: Callable[..., None]) -> None:
        """Bring the server back whenever it dies, until cancelled.

        `on_event` gets "database_died", then "database_restarted" (`seconds`
        since it was seen dead), and between them "database_restart_failed"
        (`problem`) whenever it is a new one: it is tried again every
        `WATCH_SECONDS`.
        """
        died: float | None = None
        reason = ""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if self._users is None or (died is None and self._server.pid() is not None):
                continue
            if died is None:
                died, reason = time.monotonic(), ""
                on_event("database_died")
            try:
                await self.ensure_running()
            except EmbeddedError as error:
                if reason != (reason := str(error)):
                    on_event("database_restart_failed", problem=reason)
            else:
                on_event("database_restarted", seconds=round(time.monotonic() - died, 3))
                died = None

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Be the one process that starts or stops the server."""
        give_up = time.monotonic() + TURN_LIMIT_SECONDS
        file = self._folder.open("turn.lock")
        try:
            while not try_lock(file, fcntl.LOCK_EX):
                if time.monotonic() > give_up:
                    raise EmbeddedError(
                        f"another process has been starting or stopping {self._folder.root} "
                        f"for {TURN_LIMIT_SECONDS:.0f} s: see {self._folder.log}"
                    )
                await asyncio.sleep(POLL_SECONDS)
            yield
        finally:
            os.close(file)

    def _join(self) -> None:
        """Be a user. Only whoever has the turn asks for this lock exclusively, so it is free."""
        self._users = self._folder.open("users.lock")
        fcntl.flock(self._users, fcntl.LOCK_SH)

    def _leave(self) -> None:
        """Be no user any more."""
        if self._users is not None:
            os.close(self._users)
            self._users = None


@contextlib.contextmanager
def in_one_line() -> Iterator[None]:
    """Turn what the operating system refuses into an `EmbeddedError`."""
    try:
        yield
    except OSError as error:
        raise EmbeddedError(f"{error.filename or 'database.data_dir'}: {error.strerror}") from None
