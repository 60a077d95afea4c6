"""The ledger: one method a question. Postgres decides; Python carries."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import asyncpg
import orjson

from switch.deadline import Deadline
from switch.ledger import statements
from switch.ledger.batch import Batcher
from switch.ledger.calls import AuthorizationCall, Booked, BookingCall, RefusedCall
from switch.ledger.card_reader import CardReader
from switch.ledger.clock import DatabaseClock
from switch.ledger.errors import CallRefused, LedgerUnavailable, OutcomeUnknown, Overloaded
from switch.ledger.file_updates import FileUpdates
from switch.ledger.kept_cards import KeptCards
from switch.ledger.lane import PostgresLane, follow
from switch.ledger.primary import Primary
from switch.ledger.queries import QUERIES
from switch.ledger.stand_in_journal import StandInJournal
from switch.ledger.stand_ins import StandIns
from switch.ledger.unwind import Journal, Pending, Unwinder
from switch.ledger.zone_keys import ZoneKeys
from switch.rules.card import Card
from switch.rules.decision import Decision
from switch.rules.program import Program

#: Months whose partitions are made ahead of time: a sweep that fails for weeks costs nothing.
PARTITION_MONTHS_AHEAD = 3
#: Connections that find cards: more than one, so that one that hangs stops nobody.
FIND_LANES = 2
#: Connections that book advices and reversals: a storm of them delays no decision.
BOOK_LANES = 2
#: Bookings that share a transaction: each costs the others some tenths of a millisecond.
BOOK_BATCH_MAX = 16
#: How often they are looked after, in seconds.
PARTITIONS_SECONDS = 3600.0
#: How often holds that are past their time are looked for, in seconds.
SWEEP_SECONDS = 5.0
#: A database of which nothing was heard for this long is not ready, though its connections stand.
SILENCE_SECONDS = SWEEP_SECONDS + 3.0
#: Holds that one sweep releases at most: it holds their accounts' locks meanwhile.
SWEEP_MOST = 50
#: How long one housekeeping statement may take, in seconds: sweeping, unwinding.
HOUSEKEEPING_SECONDS = 5.0

_READ_CLOCK = "read_clock"

OnEvent = Callable[..., None]


class Ledger:
    """Our side of the database: lanes for decisions, one each for the rest."""

    def __init__(
        self,
        url: str,
        journal: Journal,
        *,
        connections: int,
        batch_max: int,
        connect_timeout: float,
        cards_kept: int,
        on_event: OnEvent,
        one_account_per_call: bool = False,
    ) -> None:
        """`connections` decide; `cards_kept` of those found stay in memory; `on_event` is told of
        what operators should know. With `one_account_per_call` a statement is about one account.
        """
        ways = statements.BY_ACCOUNT if one_account_per_call else statements.BATCHED
        self._one_account_per_call = one_account_per_call
        self.clock = DatabaseClock()
        self.primary = Primary(url)
        self._on_event = on_event
        self._journal = journal

        def lane(run: Any) -> PostgresLane[Any, Any]:
            return PostgresLane(
                self.primary,
                run,
                clock=self.clock,
                connect_timeout=connect_timeout,
                on_event=on_event,
                session=ways.session,
                first=QUERIES["renumber_events"],
            )

        batcher = partial(_batcher, one_key=one_account_per_call)
        self._deciding = [lane(ways.authorize) for _ in range(connections)]
        self._finding = [lane(ways.find_cards) for _ in range(FIND_LANES)]
        self._refusing = [lane(statements.refuse)]
        self._booking = [lane(ways.book) for _ in range(BOOK_LANES)]
        self._keeping = [lane(self._housekeep)]
        self._decisions: Batcher[AuthorizationCall, Decision] = batcher(self._deciding, batch_max)
        self._kept = KeptCards(cards_kept)
        self._finds: Batcher[tuple[bytes, ...], Card | None] = batcher(self._finding, batch_max)
        self._bookings: Batcher[BookingCall, Booked] = batcher(
            self._booking, min(batch_max, BOOK_BATCH_MAX)
        )
        self._refusals: Batcher[RefusedCall, None] = _batcher(self._refusing, batch_max)
        self._chores: Batcher[tuple[str, tuple[Any, ...]], Any] = _batcher(self._keeping, 1)
        #: All of them by what their calls do, for whoever watches.
        self.calls: Mapping[str, Batcher[Any, Any]] = {
            "decide": self._decisions,
            "find": self._finds,
            "refuse": self._refusals,
            "book": self._bookings,
            "chore": self._chores,
        }
        self.found_kept = 0  #: cards that were asked for and kept
        self.found_anew = 0  #: those that the database was asked for
        for deciding in self._deciding:
            deciding.on_ready = self._reconnected
        self.file_updates = FileUpdates(self._chore)
        self.zone_keys = ZoneKeys(self._chore)
        self.stand_ins: StandIns | None = None  #: none where no program allows any
        self._unwinder = Unwinder(journal, self._unwind, on_event=on_event)
        self._heard_at = time.monotonic()
        self._sweeper: asyncio.Task[None] | None = None
        self._reader = CardReader(self._kept, self._chore)
        self._follower: asyncio.Task[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether a decision can be made now: connections are up, and the database was heard of."""
        if time.monotonic() - self._heard_at > SILENCE_SECONDS:
            return False
        return all(
            any(lane.is_ready for lane in lanes) for lanes in (self._deciding, self._finding)
        )

    @property
    def unwinding(self) -> int:
        """How many messages wait to be taken back."""
        return len(self._journal.pending)

    @property
    def cards_kept(self) -> int:
        """How many cards are kept now."""
        return len(self._kept)

    async def open(self) -> None:
        """Connect, and take back what an earlier process left."""
        for lane in self._lanes():
            await lane.open()
        self._follower = asyncio.create_task(
            follow(self.primary, self._lanes(), on_event=self._on_event)
        )
        self._unwinder.start()
        self._sweeper = asyncio.create_task(self._sweep())
        self._reader.start()

    def allow_stand_ins(self, journal: StandInJournal) -> None:
        """From now on approvals can be given while the database is away, and what an earlier
        process gave is posted.
        """
        self.stand_ins = StandIns(
            journal, self._journal, self._decisions, self._chores, on_event=self._on_event
        )
        self.stand_ins.start()

    def _reconnected(self) -> None:
        """A connection is back. It may be to another database of the same address, restored or
        made anew, in which a version is another card's: what was kept is forgotten.
        """
        self._reader.read_anew()
        self._decisions.dispatch()

    async def close(self, *, within: float) -> None:
        """Finish what is in a lane, take back what can be within some seconds, disconnect."""
        for task in (self._sweeper, self._follower):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self._reader.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._decisions.drain()
                await self._bookings.drain()
        if self.stand_ins is not None:
            await self.stand_ins.close(within=within)
        await self._unwinder.close(within=within)
        for lane in self._lanes():
            await lane.close()

    async def find_card(
        self, pan_tokens: Sequence[bytes], deadline: Deadline, *, link: str = ""
    ) -> Card | None:
        """The card behind a PAN's tokens under all live keys, or none where it is not ours. The
        link is whose message asks.

        They are looked for in one statement: one after the other would miss a card whose token
        changes in between.
        """
        tokens = tuple(pan_tokens)
        self.found_anew += 1
        card = await self._finds.submit(
            tokens, key=tokens[0], decide_by=deadline.decide_by, party=link
        )
        self._kept.keep(tokens, card)
        return card

    def kept_card(self, pan_tokens: Sequence[bytes]) -> Card | None:
        """The card of a PAN as it was found before, where it is kept.

        It may have changed since: a decision about it names its version, and there is none
        where it has another one by then (`CardChanged`).
        """
        for token in pan_tokens:
            if (card := self._kept.get(token)) is not None:
                self.found_kept += 1
                return card
        return None

    async def refuse(self, call: RefusedCall, deadline: Deadline) -> None:
        """Record a request for a card that is not ours."""
        await self._refusals.submit(
            call, key=call.message_key, decide_by=deadline.decide_by, party=call.link
        )

    def admit(self, account_id: int, link: str, deadline: Deadline) -> None:
        """Raise `Overloaded` at once where a decision for that account would come too late, unless
        there may be one without the database.
        """
        try:
            self._decisions.admit(key=account_id, decide_by=deadline.decide_by, party=link)
        except Overloaded:
            if self.stand_ins is None or not self.stand_ins.is_ledger_away:
                raise

    async def authorize(self, call: AuthorizationCall, deadline: Deadline) -> Decision:
        """Decide in one transaction; see authorize_v5.

        Raises `LedgerUnavailable` where there is no decision. Where it might still come,
        it is sure to be taken back before this raises (`OutcomeUnknown`).
        """
        if self._journal.holds(call.account_id, call.message_key):
            # A copy of a message whose approval is being taken back, or waits to be posted.
            raise LedgerUnavailable
        try:
            return await self._decisions.submit(
                call, key=call.account_id, decide_by=deadline.decide_by, party=call.link
            )
        except OutcomeUnknown:
            await self.take_back(call)
            raise

    async def book(self, call: BookingCall, deadline: Deadline) -> Booked:
        """Book what already happened; see book_v1. When this returns it is committed.

        Raises `LedgerUnavailable` where it is not, or may not be.
        """
        return await self._bookings.submit(
            call, key=call.account_id, decide_by=deadline.decide_by, party=call.link
        )

    async def take_back(self, call: AuthorizationCall) -> None:
        """Return when it is sure that a message's approval, now or later, is taken back."""
        if self.stand_ins is not None and await self.stand_ins.take_back(call):
            return
        await self._unwinder.note(
            Pending(call.account_id, call.message_key, call.authorization_code)
        )

    async def untold(self, call: AuthorizationCall) -> None:
        """An approval's answer found its connection gone: a repeat that is answered 91 takes it
        back. Where this cannot be noted it stays until its reversal or expiry.
        """
        if self.stand_ins is not None and self.stand_ins.holds(call):
            return  # a repeat is told of it here; else it stays
        try:
            await self._chore("untold", call.account_id, call.message_key, call.authorization_code)
        except (LedgerUnavailable, CallRefused):
            self._on_event("untold_not_noted", account_id=call.account_id)

    async def programs(self) -> list[Program]:
        """Every card program. Raises `ProgramError` where one cannot be used."""
        return [program_of(row) for row in await self._chore("programs")]

    async def _unwind(self, entry: Pending) -> str:
        rows = await self._chore(
            "unwind", entry.account_id, entry.message_key, entry.authorization_code
        )
        outcome: str = rows[0][0]
        return outcome

    async def _sweep(self) -> None:
        """Release holds past their time, for ever; a sweep that fails is made up by the next."""
        partitions_at = time.monotonic() + PARTITIONS_SECONDS
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self._chore(_READ_CLOCK)
                self._heard_at = time.monotonic()
                if time.monotonic() > partitions_at:
                    await self._chore("make_partitions", PARTITION_MONTHS_AHEAD)
                    partitions_at = time.monotonic() + PARTITIONS_SECONDS
                released = SWEEP_MOST
                while released >= SWEEP_MOST:
                    released = await self._expire()
                    if released:
                        self._on_event("holds_expired", count=released)
            except Exception as error:  # noqa: BLE001 - the next sweep is the remedy
                self._on_event("sweep_failed", error=type(error).__name__)

    async def _expire(self) -> int:
        """Release some holds past their time, and tell how many they were."""
        if not self._one_account_per_call:
            released: int = (await self._chore("expire_holds", SWEEP_MOST))[0][0]
            return released
        due = await self._chore("accounts_due", SWEEP_MOST)
        return sum([(await self._chore("expire_holds_of", row[0]))[0][0] for row in due])

    async def _chore(self, name: str, *parameters: Any) -> list[Any]:
        by = time.monotonic() + HOUSEKEEPING_SECONDS
        rows: list[Any] = await self._chores.submit((name, parameters), key=None, decide_by=by)
        return rows

    async def _housekeep(
        self,
        connection: asyncpg.Connection,
        calls: Sequence[tuple[int, tuple[str, tuple[Any, ...]]]],
    ) -> list[Any]:
        answers: list[Any] = []
        for _, (name, values) in calls:
            if name == _READ_CLOCK:  # it drifts, it is set, and a machine may sleep
                await self.clock.measure(connection)
                answers.append([])
            else:
                answers.append(await connection.fetch(QUERIES[name], *values))
        return answers

    def _lanes(self) -> list[PostgresLane[Any, Any]]:
        return [
            *self._deciding, *self._finding, *self._refusing, *self._booking, *self._keeping,
        ]  # fmt: skip


def program_of(row: asyncpg.Record) -> Program:
    """A row of the programs. Raises `ProgramError` where its settings cannot be used."""
    return Program.parse(row["program_id"], row["name"], orjson.loads(row["settings"]))


def _batcher(
    lanes: list[PostgresLane[Any, Any]], batch_max: int, *, one_key: bool = False
) -> Batcher[Any, Any]:
    batcher: Batcher[Any, Any] = Batcher(lanes, batch_max=batch_max, one_key=one_key)
    for lane in lanes:
        lane.on_ready = batcher.dispatch
    return batcher
