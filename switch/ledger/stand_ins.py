"""
What this process approved while the ledger was away: counted, kept on disk, posted when it is back.

An approval is in memory from its judgement on, so that no other can use the same room, and on disk
before it is told. Until the ledger has it its repeats are answered from here, whether the ledger is
back or not: only here is known what its sender was told. That is decision 18.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from switch.ledger.batch import Batcher
from switch.ledger.calls import AuthorizationCall
from switch.ledger.errors import CallRefused, LedgerUnavailable, NotKept
from switch.ledger.journal_file import Line, NotWritten
from switch.ledger.lent import Lending
from switch.ledger.stand_in_journal import StandIn, StandInJournal
from switch.ledger.unwind import Journal, JournalError
from switch.rules.decision import Approved, Decision, Declined
from switch.rules.reason import Reason

#: The pause before posting is tried again, in seconds.
RETRY_SECONDS = 0.2
#: What is posted was told, or will never be: this long after the last of its answers was due, in
#: seconds. An approval whose answer did not leave is void before the ledger hears of it.
POST_AFTER_SECONDS = 1.0
#: How long posting one may take, in seconds.
POST_SECONDS = 5.0
#: Approvals that one process keeps, some 4 KB each.
KEPT_MOST = 20_000

Key = tuple[int, bytes]  #: account and message key


class _Kept:
    """An approval that the ledger has not got."""

    __slots__ = ("is_posting", "line", "number", "post_at", "told", "what")

    def __init__(self, what: StandIn, number: int, line: Line | None) -> None:
        self.what, self.number = what, number
        self.line = line  #: none: an earlier process wrote it
        #: Who was told of it, or waits to be: attempts at the message by their own codes.
        self.told = {what.booking.authorization_code}
        self.post_at = 0.0  #: not before, by the monotonic clock
        self.is_posting = False  #: the ledger may have it already

    @property
    def key(self) -> Key:
        """By which its message is known."""
        return self.what.booking.account_id, self.what.booking.message_key

    @property
    def is_saved(self) -> bool:
        """Whether it is on disk."""
        return self.line is None or self.line.is_saved

    @property
    def is_lost(self) -> bool:
        """Whether it never came to the disk. Whoever waited for that was not told of it."""
        return not self.is_saved and self.line is not None and self.line.saved.done()


class StandIns:
    """The approvals of this process that wait for the ledger, the oldest first."""

    def __init__(
        self,
        journal: StandInJournal,
        undecided: Journal,
        decisions: Batcher[AuthorizationCall, Decision],
        chores: Batcher[tuple[str, tuple[Any, ...]], Any],
        *,
        on_event: Callable[..., None],
    ) -> None:
        """`decisions` are those that these stand for, `chores` post them. What is kept here is
        reserved in the journal of unwindings, which every decision looks at.
        """
        self._journal, self._undecided = journal, undecided
        self._decisions, self._chores = decisions, chores
        self._on_event = on_event
        self._kept: dict[Key, _Kept] = {}
        self._some = asyncio.Event()
        self._poster: asyncio.Task[None] | None = None
        self.lending = Lending()  #: by what is kept
        #: Since the start: approvals and their minor units by program and currency, and what was
        #: not approved by the rule that forbade it.
        self.approved: Counter[tuple[int, str]] = Counter()
        self.approved_minor: Counter[tuple[int, str]] = Counter()
        self.forbidden: Counter[str] = Counter()

    def start(self) -> None:
        """Begin with what an earlier process left."""
        if self._journal.unreadable:
            self._on_event("stand_ins_unreadable", count=self._journal.unreadable)
        for number, what in self._journal.left.items():
            self._keep(_Kept(what, number, None))
        self._journal.left.clear()
        self._poster = asyncio.create_task(self._run())

    @property
    def pending(self) -> int:
        """How many wait to be posted."""
        return len(self._kept)

    @property
    def is_full(self) -> bool:
        """Whether no more can be kept."""
        return len(self._kept) >= KEPT_MOST

    def holds(self, call: AuthorizationCall) -> bool:
        """Whether a message was approved here and is not posted."""
        return (call.account_id, call.message_key) in self._kept

    @property
    def is_ledger_away(self) -> bool:
        """Whether no connection that decides stands: what was not sent will not be decided."""
        return not self._decisions.lanes_ready

    def has_sent_another(self, call: AuthorizationCall) -> bool:
        """Whether another message of the same account is at the database: it may be a copy."""
        return self._decisions.has_sent(call.account_id)

    def may_be_decided(self, call: AuthorizationCall) -> bool:
        """Whether a copy of a message is at the database, or its outcome there is not known."""
        return self.has_sent_another(call) or self._undecided.holds(
            call.account_id, call.message_key
        )

    async def approve(self, what: StandIn, *, by: float, answer_by: float) -> Approved:
        """Return when an approval is on disk. It counts from before the first wait in here.

        Raises `NotKept` where it is not on disk `by` then: it is void, for certain. Raises
        `JournalError` where that is not certain either, so that nothing can be answered.
        """
        number, line = self._journal.note(what)
        kept = _Kept(what, number, line)
        kept.post_at = answer_by + POST_AFTER_SECONDS
        self._keep(kept)
        await self._on_disk(kept, what.booking.authorization_code, by=by)
        about = what.program_id, what.currency
        self.approved[about] += 1
        self.approved_minor[about] += what.booking.amount_minor or 0
        return _approved(what, is_repeat=False)

    async def repeated(
        self, call: AuthorizationCall, *, by: float, answer_by: float
    ) -> Decision | None:
        """What a copy of a message is told that was approved here; none where it was not.

        Raises as `approve` does.
        """
        kept = self._kept.get((call.account_id, call.message_key))
        if kept is None:
            return None
        booking = kept.what.booking
        if (call.transaction_minor, call.transaction_currency, call.amount_minor) != (
            booking.transaction_minor, booking.transaction_currency, booking.amount_minor
        ) or call.processing_code != booking.processing_code:  # fmt: skip
            return Declined(Reason.DUPLICATE_CONFLICT, is_repeat=True)
        kept.told.add(call.authorization_code)
        if time.monotonic() < kept.post_at:  # the first may yet not be told: then this one counts
            kept.post_at = max(kept.post_at, answer_by + POST_AFTER_SECONDS)
        await self._on_disk(kept, call.authorization_code, by=by)
        return _approved(kept.what, is_repeat=True)

    async def take_back(self, call: AuthorizationCall) -> bool:
        """An answer did not leave: return when it is sure that the approval is void, unless others
        were told of it too. False where it is none of ours. Raises `JournalError` where it is not
        sure.
        """
        kept = self._kept.get((call.account_id, call.message_key))
        if kept is None or kept.is_posting or call.authorization_code not in kept.told:
            return False  # the ledger has it, or soon will: it unwinds what it has
        await self._unsay(kept, call.authorization_code)
        return True

    async def close(self, *, within: float) -> None:
        """Post what can be posted in `within` seconds; the rest stays in the journal."""
        if self._poster is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within):
                    while self._kept and self._chores.lanes_ready:  # noqa: ASYNC110 - once
                        await asyncio.sleep(RETRY_SECONDS / 10)
            self._poster.cancel()
            await asyncio.gather(self._poster, return_exceptions=True)
        await self._journal.close()

    async def _on_disk(self, kept: _Kept, code: str | None, *, by: float) -> None:
        if kept.line is None or kept.is_saved:
            return
        try:
            async with asyncio.timeout_at(by):
                await asyncio.shield(kept.line.saved)
        except NotWritten:
            self._forget(kept)
            raise NotKept from None
        except JournalError:
            self._forget(kept)
            raise
        except TimeoutError:
            await self._unsay(kept, code)
            raise NotKept from None
        if self._kept.get(kept.key) is not kept:
            raise NotKept  # it reached the disk, and is void since

    async def _unsay(self, kept: _Kept, code: str | None) -> None:
        """One of those who were to be told is not: who is the last takes the approval with him."""
        kept.told.discard(code)
        if kept.told or kept.line is None or self._kept.get(kept.key) is not kept:
            return
        self._forget(kept)
        if self._journal.withdraw(kept.line):
            return
        # The disk may have it by now, and whoever reads that after a kill would post it: the line
        # that strikes it must be there before anybody is told of a decline.
        try:
            await asyncio.shield(self._journal.strike(kept.number).saved)
        except NotWritten as error:
            if not kept.line.is_refused:
                raise JournalError(*error.args) from None

    def _keep(self, kept: _Kept) -> None:
        self._kept[kept.key] = kept
        self._undecided.reserve(*kept.key)
        self.lending.add(kept.what)
        self._some.set()
        # A copy that waits for the ledger must not be decided there: it is told of this one.
        account_id, message_key = kept.key
        self._decisions.withdraw(account_id, lambda call: call.message_key == message_key)

    def _forget(self, kept: _Kept) -> None:
        if self._kept.get(kept.key) is kept:
            del self._kept[kept.key]
            self._undecided.release(*kept.key)
            self.lending.remove(kept.what)

    async def _run(self) -> None:
        """Post the oldest, for ever, as soon as the ledger is there and its answers are over."""
        while True:
            await self._some.wait()
            kept = next(iter(self._kept.values()), None)
            if kept is None:
                self._some.clear()
            elif kept.is_lost:
                self._forget(kept)
            elif self._chores.lanes_ready and kept.is_saved and kept.post_at <= time.monotonic():
                await self._try(kept)
            else:
                await asyncio.sleep(RETRY_SECONDS)

    async def _try(self, kept: _Kept) -> None:
        kept.is_posting = True
        try:
            state = await self._post(kept.what)
        except Exception as error:  # noqa: BLE001 - whatever it is, the ledger has not got it
            # It may be there all the same: to post it again changes nothing.
            if not isinstance(error, LedgerUnavailable):
                self._on_event("stand_in_failed", error=type(error).__name__)
            # Another may be possible meanwhile: this one goes to the end, if it is not void by now.
            if self._kept.get(kept.key) is kept:
                self._kept[kept.key] = self._kept.pop(kept.key)
            await asyncio.sleep(RETRY_SECONDS)
            return
        self._forget(kept)
        if self._kept:
            self._journal.strike(kept.number)
        else:
            self._journal.strike_last(kept.number)
        self._on_event("stand_in_posted", account_id=kept.what.booking.account_id, state=state)

    async def _post(self, what: StandIn) -> str:
        """Book one; see stand_in_v1. Gives what that did."""
        about = (
            what.booking.account_id, what.booking, what.beside_key, what.decided_at,
            what.issuer_authentication, what.findings, what.sequence_number, what.atc,
        )  # fmt: skip
        rows = await self._chores.submit(
            ("stand_in", about), key=None, decide_by=time.monotonic() + POST_SECONDS
        )
        state: str = rows[0][0]
        if state in ("locked", "unbookable"):  # it was locked before: there is no such account
            raise CallRefused(state)
        return state


def _approved(what: StandIn, *, is_repeat: bool) -> Approved:
    """The answer, as it was given first. What is available only the ledger knows."""
    code = what.booking.authorization_code
    return Approved(code, 0, what.issuer_authentication, is_repeat)
