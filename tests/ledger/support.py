"""A ledger with a few accounts in it, and what the tests ask of it."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import asyncpg

from switch.deadline import Deadline
from switch.ledger.calls import AuthorizationCall
from switch.ledger.lane import SESSION
from switch.ledger.ledger import Ledger
from switch.ledger.queries import QUERIES
from switch.ledger.unwind import Journal
from switch.rules.decision import Decision

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

PROGRAM = 1
PIN_TRIES_MAX = 3
_numbers = itertools.count(1_001)  # lower ones are free for second cards

_ADD_CARD = """
    INSERT INTO cards (
        account_id, card_id, program_id, pan_ciphertext, pan_last_four, status, pin_method,
        pin_reference, pin_tries, channels_blocked, mcc_blocked, countries_allowed)
    VALUES ($1, $2, $3, '', '0012', $4, 'visa_pvv', '10385', $5, $6, $7, $8)
"""
_ADD_PLASTIC = """
    INSERT INTO plastics (
        account_id, card_id, expiry, sequence_number, service_code, is_stopped)
    VALUES ($1, $2, $3, $4, $5, $6)
"""


class Answer(NamedTuple):
    """One decision of authorize_v5."""

    outcome: str
    reason: str | None
    authorization_code: str | None
    available_minor: int | None
    issuer_authentication: str | None
    partial_minor: int | None = None
    partial_transaction_minor: int | None = None
    response_code: str | None = None


def number() -> int:
    """A number that no test had before."""
    return next(_numbers)


def ask(
    account_id: int, amount_minor: int = 1_000, kind: str = "purchase", **changes: Any
) -> AuthorizationCall:
    """A request that nothing speaks against, of the account's own card, with a key of its own."""
    one = number()
    call = AuthorizationCall(
        account_id=account_id,
        card_id=account_id,
        card_version=None,
        message_key=one.to_bytes(16),
        decide_by=time.time() + 3600,
        refusal_before_pin=None,
        hsm_fault=False,
        pin_verdict=None,
        refusal_after_pin=None,
        kind=kind,
        channel="chip",
        amount_minor=amount_minor,
        cash_minor=amount_minor if kind == "cash" else 0,
        transaction_minor=amount_minor,
        transaction_currency="978",
        processing_code="000000",
        mti="0100",
        stan=f"{one % 1_000_000:06d}",
        transmission_datetime="1123120000",
        rrn=f"{one:012d}",
        acquirer="476173",
        terminal="TERM0001",
        merchant="MERCHANT0000001",
        merchant_name="A SHOP",
        mcc="5411",
        country="276",
        entry_mode="051",
        link="demo",
        authorization_code=f"{one % 1_000_000:06d}",
        issuer_authentication=None,
        books="hold",
        hold_seconds=7 * 86_400,
        takes_partial=False,
        rrn_clue=None,
        scheme_clue=None,
        is_increment=False,
        original_trace=None,
        scheme_transaction_id=None,
        scheme="demo",
        sequence_number=None,
        atc=None,
        atc_behind=16,
        atc_ahead=None,
        findings=None,
    )
    return call._replace(**changes)


def turns(calls: Sequence[AuthorizationCall]) -> list[int]:
    """The round of each call in one batch: how many of its account came before it."""
    seen: dict[int, itertools.count[int]] = {}
    return [next(seen.setdefault(call.account_id, itertools.count())) for call in calls]


def requests(calls: Sequence[AuthorizationCall]) -> list[tuple[Any, ...]]:
    """The calls as authorize_v5 takes them, each with its round before it."""
    return [(turn, *call) for turn, call in zip(turns(calls), calls, strict=True)]


class Books:
    """One database of a ledger, straight through SQL."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @classmethod
    async def open(cls, url: str) -> Books:
        """Connect as a lane does, and see that there are partitions and a program."""
        connection = await asyncpg.connect(url, server_settings=SESSION)
        await connection.execute(QUERIES["make_partitions"], 0)
        books = cls(connection)
        if await connection.fetchval(QUERIES["is_empty"]):
            await books.program(PROGRAM)
        return books

    async def program(
        self, program_id: int, *, time_zone: str = "UTC", week_starts: int = 1, settings: str = "{}"
    ) -> int:
        """Add a program that allows three PIN tries."""
        await self.connection.execute(
            QUERIES["add_program"],
            program_id,
            f"program {program_id}",
            "978",
            PIN_TRIES_MAX,
            time_zone,
            week_starts,
            settings,
        )
        return program_id

    async def account(
        self,
        *,
        posted_minor: int = 100_000,
        credit_limit_minor: int = 0,
        currency: str = "978",
        status: str = "open",
        program_id: int = PROGRAM,
        **card: Any,
    ) -> int:
        """Open an account with one card, which has the account's number."""
        account_id = number()
        await self.connection.execute(
            "INSERT INTO accounts (account_id, reference, program_id, currency, status,"
            " credit_limit_minor) VALUES ($1, $2, $3, $4, $5, $6)",
            account_id,
            f"acc-{account_id}",
            program_id,
            currency,
            status,
            credit_limit_minor,
        )
        await self.connection.execute(QUERIES["open_accounts"], [account_id], [posted_minor])
        await self.card(account_id, account_id, program_id=program_id, **card)
        return account_id

    async def card(
        self,
        account_id: int,
        card_id: int,
        *,
        program_id: int = PROGRAM,
        card_status: str = "active",
        pin_tries: int = 0,
        channels_blocked: Sequence[str] = (),
        mcc_blocked: Sequence[str] = (),
        countries_allowed: Sequence[str] | None = None,
    ) -> None:
        """Add a card with one plastic to an account."""
        await self.connection.execute(
            _ADD_CARD,
            account_id,
            card_id,
            program_id,
            card_status,
            pin_tries,
            list(channels_blocked),
            list(mcc_blocked),
            None if countries_allowed is None else list(countries_allowed),
        )
        await self.plastic(account_id, card_id)

    async def token(self, account_id: int) -> bytes:
        """Give an account's own card a token, and tell it."""
        token = number().to_bytes(32)
        await self.connection.execute(
            "INSERT INTO pan_tokens VALUES ($1, 0, $2, $2)", token, account_id
        )
        return token

    async def plastic(
        self,
        account_id: int,
        card_id: int,
        expiry: str = "9912",
        *,
        sequence_number: str = "01",
        service_code: str = "201",
        is_stopped: bool = False,
    ) -> None:
        """Add a plastic to a card."""
        await self.connection.execute(
            _ADD_PLASTIC, account_id, card_id, expiry, sequence_number, service_code, is_stopped
        )

    async def limit(
        self,
        account_id: int,
        scope: str = "all",
        period: str = "day",
        *,
        amount_minor: int | None = None,
        count: int | None = None,
        card_id: int | None = None,
    ) -> None:
        """Limit a card."""
        await self.connection.execute(
            QUERIES["add_limit"], account_id, card_id or account_id, scope, period,
            amount_minor, count,
        )  # fmt: skip

    async def decide(self, *calls: AuthorizationCall) -> list[Answer]:
        """Decide a batch as one transaction."""
        rows = await self.connection.fetchval(QUERIES["authorize"], requests(calls))
        found = {row["ordinal"]: Answer(*list(row.values())[1:]) for row in rows}
        assert len(found) == len(rows)  # one answer a request
        return [found[ordinal] for ordinal in sorted(found)]

    async def decide_by_account(self, *calls: AuthorizationCall) -> list[Answer]:
        """Decide the requests of each account as one transaction."""
        found: dict[int, Answer] = {}
        for account_id in dict.fromkeys(call.account_id for call in calls):
            places = [n for n, call in enumerate(calls) if call.account_id == account_id]
            own = requests([calls[place] for place in places])
            for row in await self.connection.fetchval(QUERIES["authorize_of"], account_id, own):
                found[places[row["ordinal"] - 1]] = Answer(*list(row.values())[1:])
        return [found[place] for place in range(len(calls))]

    async def reason(self, call: AuthorizationCall) -> str:
        """Decide one request; its reason, or its outcome where it has none, or approved."""
        (answer,) = await self.decide(call)
        if answer.outcome == "decided":
            return answer.reason or "approved"
        return answer.reason or answer.outcome

    async def held(self, account_id: int) -> int:
        """What is held of an account, by the account itself."""
        value: int = await self.connection.fetchval(
            "SELECT held_minor FROM accounts WHERE account_id = $1", account_id
        )
        return value

    async def pin_tries(self, account_id: int) -> int:
        """How many wrong PINs the account's own card counts."""
        value: int = await self.connection.fetchval(
            "SELECT pin_tries FROM cards WHERE account_id = $1 AND card_id = $1", account_id
        )
        return value

    async def usage(self, account_id: int) -> dict[tuple[str, str], tuple[int, int]]:
        """What is used of the limits: scope and period → amount and count."""
        rows = await self.connection.fetch(
            "SELECT scope, period, amount_minor, count FROM limit_usage WHERE account_id = $1",
            account_id,
        )
        return {(scope, period): (amount, count) for scope, period, amount, count in rows}

    async def holds(self, account_id: int) -> list[str]:
        """The states of an account's holds, oldest first."""
        rows = await self.connection.fetch(
            "SELECT state FROM holds WHERE account_id = $1 ORDER BY authorization_id", account_id
        )
        return [row["state"] for row in rows]

    async def recorded(self, account_id: int) -> int:
        """How many decisions of an account are recorded; each has its message key."""
        rows: int = await self.connection.fetchval(
            "SELECT count(*) FROM authorizations WHERE account_id = $1", account_id
        )
        keys: int = await self.connection.fetchval(
            "SELECT count(*) FROM message_keys WHERE account_id = $1", account_id
        )
        assert rows == keys
        return rows

    async def unwind(self, call: AuthorizationCall) -> str:
        """Take an approval back."""
        outcome: str = await self.connection.fetchval(
            QUERIES["unwind"], call.account_id, call.message_key, call.authorization_code
        )
        return outcome

    async def wrong_balances(self) -> list[int]:
        """The accounts whose balances do not follow from postings and open holds."""
        return [row[0] for row in await self.connection.fetch(QUERIES["audit"])]


def card_row(token: bytes) -> tuple[object, ...]:
    """A row of find_cards_v4: a card with one plastic."""
    return (
        token, 1, 1, 1, "active", "open", "978", None, None, 1, token, ["00"], ["3012"], ["201"],
    )  # fmt: skip


@asynccontextmanager
async def ledger_on(
    url: str,
    journal: Path,
    *,
    connections: int = 2,
    batch_max: int = 64,
    cards_kept: int = 0,
    one_account_per_call: bool = False,
    on_event: Callable[..., None] = lambda *_, **__: None,
) -> AsyncIterator[Ledger]:
    """An open ledger, closed at the end."""
    ledger = Ledger(
        url,
        Journal(journal),
        connections=connections,
        batch_max=batch_max,
        cards_kept=cards_kept,
        one_account_per_call=one_account_per_call,
        connect_timeout=5.0,
        on_event=on_event,
    )
    await ledger.open()
    try:
        yield ledger
    finally:
        await ledger.close(within=5.0)


def within(seconds: float) -> Deadline:
    """A deadline that leaves so many seconds to decide."""
    now = time.monotonic()
    return Deadline(received_at=now, decide_by=now + seconds, answer_by=now + seconds + 0.05)


async def authorize(ledger: Ledger, call: AuthorizationCall, seconds: float = 20.0) -> Decision:
    """Decide a request through a ledger within so many seconds."""
    deadline = within(seconds)
    call = call._replace(decide_by=ledger.clock.there(deadline.decide_by))
    return await ledger.authorize(call, deadline)
