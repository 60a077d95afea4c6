"""
The local journal of approvals to take back, and the loop that takes them back.

A message whose ledger call is still out when its time to decide is over is answered
91. Before that answer leaves, its key is here, on disk: so a decline that was sent
ends with no money held, whoever is killed in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from switch.ledger.errors import LedgerUnavailable

#: The pause before an unwinding that failed is tried again, in seconds.
RETRY_SECONDS = 0.2
#: How often a stopping process looks whether all is taken back, in seconds.
CLOSING_POLL = 0.02


class JournalError(Exception):
    """The journal cannot be used: it says which file and why."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A message that may have been approved and was answered 91."""

    account_id: int
    message_key: bytes
    authorization_code: str  #: of this attempt: an earlier one's approval stays


class _Group:
    """Lines that reach the disk together."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.saved: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Journal:
    """An append-only file of what was noted and what is done; flushed to disk in groups."""

    def __init__(self, path: Path) -> None:
        """Open or make the file, for this process alone. Raises `JournalError`."""
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise JournalError(f"unwind journal {path}: {error.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise JournalError(
                f"unwind journal {path} is in use by another switch: give each its own"
            ) from None
        try:
            self._pending = self._read()
        except OSError as error:
            os.close(self._file)
            raise JournalError(f"unwind journal {path}: {error.strerror}") from None
        self._keys = Counter((entry.account_id, entry.message_key) for entry in self._pending)
        self._group: _Group | None = None
        self._saver: asyncio.Task[None] | None = None

    def holds(self, account_id: int, message_key: bytes) -> bool:
        """Whether a message waits to be taken back: until it is, its fate is not known."""
        return (account_id, message_key) in self._keys

    def reserve(self, account_id: int, message_key: bytes) -> None:
        """Let a message's fate be unknown here until `release`: another journal has it."""
        self._keys[account_id, message_key] += 1

    def release(self, account_id: int, message_key: bytes) -> None:
        """One of those that knew of a message is done with it."""
        self._keys[account_id, message_key] -= 1
        if not self._keys[account_id, message_key]:
            del self._keys[account_id, message_key]

    @property
    def pending(self) -> tuple[Pending, ...]:
        """What was noted and is not done, oldest first."""
        return tuple(self._pending)

    async def note(self, entry: Pending) -> None:
        """Return when the entry is on disk. Raises `JournalError` when it cannot be."""
        if entry not in self._pending:
            self._pending[entry] = None
            self.reserve(entry.account_id, entry.message_key)
        if self._group is None:
            self._group = _Group()
        self._group.lines.append(_line("noted", entry))
        saved = self._group.saved
        if self._saver is None:
            self._saver = asyncio.create_task(self._save())
        await asyncio.shield(saved)

    def done(self, entry: Pending) -> None:
        """The entry is taken back. Need not reach the disk: taking back twice changes nothing."""
        if entry in self._pending:
            del self._pending[entry]
            self.release(entry.account_id, entry.message_key)
        if self._saver is not None:
            return
        with contextlib.suppress(OSError):
            if self._pending:
                os.write(self._file, b"\n" + _line("done", entry))
            else:
                os.ftruncate(self._file, 0)

    def close(self) -> None:
        """Let the file go."""
        os.close(self._file)

    async def _save(self) -> None:
        """Flush group after group: those that come while one flush runs share the next."""
        while (group := self._group) is not None:
            self._group = None
            try:
                await asyncio.to_thread(self._flush, b"".join(group.lines))
            except OSError as error:
                group.saved.set_exception(
                    JournalError(f"unwind journal {self._path}: {error.strerror}")
                )
            else:
                group.saved.set_result(None)
        self._saver = None

    def _flush(self, lines: bytes) -> None:
        # A full disk or a kill may have left half a line: what comes now stands on its own.
        lines = b"\n" + lines
        while lines:
            lines = lines[os.write(self._file, lines) :]
        os.fdatasync(self._file)

    def _read(self) -> dict[Pending, None]:
        """What is still pending. It stays in the file: to write it anew could lose it."""
        pending: dict[Pending, None] = {}
        for line in self._path.read_bytes().splitlines():
            try:
                (what, entry), *_ = orjson.loads(line).items()
                key = Pending(
                    entry["account_id"],
                    bytes.fromhex(entry["message_key"]),
                    entry["authorization_code"],
                )
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # an empty line, or half a one
            if what == "noted":
                pending[key] = None
            else:
                pending.pop(key, None)
        if not pending:
            os.ftruncate(self._file, 0)
        return pending


def _line(what: str, entry: Pending) -> bytes:
    told = {
        "account_id": entry.account_id,
        "message_key": entry.message_key.hex(),
        "authorization_code": entry.authorization_code,
    }
    return orjson.dumps({what: told}, option=orjson.OPT_APPEND_NEWLINE)


class Unwinder:
    """Takes back what the journal holds, as soon as the database lets it."""

    def __init__(
        self,
        journal: Journal,
        unwind: Callable[[Pending], Awaitable[str]],
        *,
        on_event: Callable[..., None],
    ) -> None:
        """`unwind` takes one entry back and says how that ended (see unwind_v2)."""
        self._journal = journal
        self._unwind = unwind
        self._on_event = on_event
        self._work: asyncio.Queue[Pending] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin with what an earlier process left."""
        for entry in self._journal.pending:
            self._work.put_nowait(entry)
        self._task = asyncio.create_task(self._run())

    async def note(self, entry: Pending) -> None:
        """Return when the message is sure to be taken back, whatever happens to this process.

        Raises `JournalError` where that cannot be promised; it is tried all the same.
        """
        try:
            await self._journal.note(entry)
        finally:
            self._work.put_nowait(entry)

    async def close(self, *, within: float) -> None:
        """Finish what can be finished in `within` seconds; the rest stays in the journal."""
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within):
                    while self._journal.pending:  # noqa: ASYNC110 - a few looks, once
                        await asyncio.sleep(CLOSING_POLL)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._journal.close()

    async def _run(self) -> None:
        while True:
            entry = await self._work.get()
            try:
                outcome = await self._unwind(entry)
            except Exception as error:  # noqa: BLE001 - whatever it is, money is still held
                if not isinstance(error, LedgerUnavailable):
                    self._on_event("unwind_failed", error=type(error).__name__)
                # Another may be possible meanwhile: this one goes to the end.
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self._work.put_nowait, entry)
                continue
            self._journal.done(entry)
            self._on_event(
                "late_approval_unwound" if outcome == "unwound" else "late_request_settled",
                account_id=entry.account_id,
                state=outcome,
            )
