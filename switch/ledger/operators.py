"""What operators change: accounts, cards, limits. Each change is one call, recorded with itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import asyncpg
import orjson

from switch.ledger.migrate import described
from switch.ledger.primary import connect
from switch.ledger.queries import OPERATE

#: How long an account that somebody else works on is waited for.
LOCK_LIMIT = "5s"
SESSION = {"application_name": "switch operator", "timezone": "UTC", "lock_timeout": LOCK_LIMIT}

#: What speaks against a change, by the outcome that the database gives.
REFUSED: Mapping[str, str] = {
    "no_program": "there is no such card program",
    "no_account": "there is no such account",
    "no_card": "there is no such card",
    "account_exists": "an account has this reference already",
    "card_exists": "a card has this PAN already",
    "plastic_exists": "the card has a plastic of this expiry and sequence number already",
    "suspense": "a suspense account is the house's own: it can be credited and debited only",
    "account_closed": "the account is closed: reopen it first",
    "card_closed": "the card is closed, which is final",
    "no_service_code": "the card has no plastic yet: give --service-code",
    "key_conflict": "this id was used on this account for another amount: nothing is posted",
}


class OperatorRefusal(Exception):
    """It cannot be done: one line that says why. Nothing was changed."""


class Actor(NamedTuple):
    """Who does it, and why."""

    operator: str
    reason: str


class Change(NamedTuple):
    """What came of it: done, unchanged or repeated; what it was and what it became."""

    outcome: str
    was: dict[str, Any]
    became: dict[str, Any]

    @property
    def is_done(self) -> bool:
        """Whether anything was changed."""
        return self.outcome == "done"


class CardPlace(NamedTuple):
    """Where a card is."""

    account_id: int
    card_id: int


@dataclass(frozen=True, slots=True)
class SealedPan:
    """A PAN as the ledger keeps it."""

    tokens: tuple[bytes, ...]  #: under all live keys, the newest first
    token_version: int
    ciphertext: bytes = field(repr=False)
    last_four: str


@dataclass(frozen=True, slots=True)
class Plastic:
    """What is embossed on a card, or written into its chip."""

    expiry: str  #: YYMM
    service_code: str
    sequence_number: str


@dataclass(frozen=True, slots=True)
class Controls:
    """Changes to where a card may be used."""

    block_channels: Sequence[str] = ()
    allow_channels: Sequence[str] = ()
    block_mccs: Sequence[str] = ()
    allow_mccs: Sequence[str] = ()
    sets_countries: bool = False
    countries: Sequence[str] | None = None  #: none: every country


class Operators:
    """The operator's side of the ledger, over one connection. Raises `OperatorRefusal`."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def create_account(
        self, actor: Actor, reference: str, program: str, currency: str, credit_limit_minor: int
    ) -> Change:
        """Open an account without money."""
        return await self._change(
            "create_account", actor, reference, program, currency, credit_limit_minor
        )

    async def close_account(self, actor: Actor, account_id: int) -> Change:
        """Let nobody spend from it any more. What is held and posted stays."""
        return await self._change(
            "change_account", actor, "close_account", account_id, "closed", None
        )

    async def reopen_account(self, actor: Actor, account_id: int) -> Change:
        """Undo a closing."""
        return await self._change(
            "change_account", actor, "reopen_account", account_id, "open", None
        )

    async def set_credit_limit(self, actor: Actor, account_id: int, minor: int) -> Change:
        """Another credit limit."""
        return await self._change(
            "change_account", actor, "set_credit_limit", account_id, None, minor
        )

    async def post(
        self, actor: Actor, account_id: int, amount_minor: int, key: str | None = None
    ) -> Change:
        """Credit (above zero) or debit an account; once, however often it is asked, by its key."""
        return await self._change("post", actor, account_id, amount_minor, key)

    async def create_card(
        self, actor: Actor, account_id: int, pan: SealedPan, plastic: Plastic, status: str
    ) -> Change:
        """Add a card to an account."""
        return await self._change(
            "create_card", actor, account_id, list(pan.tokens), pan.token_version, pan.ciphertext,
            pan.last_four, plastic.expiry, plastic.service_code, plastic.sequence_number, status,
        )  # fmt: skip

    async def block_card(
        self, actor: Actor, card: CardPlace, status: str, links: Sequence[str] = ()
    ) -> Change:
        """Give a card a status that is refused, and have the networks behind some links told."""
        return await self._change("set_card_status", actor, *card, status, list(links))

    async def unblock_card(self, actor: Actor, card: CardPlace) -> Change:
        """Let a card be used again; networks that were told of its block are told."""
        return await self._change("set_card_status", actor, *card, "active", [])

    async def reset_pin_tries(self, actor: Actor, card: CardPlace) -> Change:
        """Forget the wrong PINs."""
        return await self._change("reset_pin_tries", actor, *card)

    async def reissue_card(
        self, actor: Actor, card: CardPlace, expiry: str, sequence_number: str,
        service_code: str | None, *, stops_old: bool,
    ) -> Change:  # fmt: skip
        """Add a plastic; the others are valid until their own end, unless they are stopped."""
        return await self._change(
            "reissue_card", actor, *card, expiry, sequence_number, service_code, stops_old
        )

    async def set_limit(
        self, actor: Actor, card: CardPlace, scope: str, period: str,
        amount_minor: int | None, count: int | None,
    ) -> Change:  # fmt: skip
        """Limit a card. What is none stays as it was."""
        return await self._change("set_limit", actor, *card, scope, period, amount_minor, count)

    async def remove_limit(self, actor: Actor, card: CardPlace, scope: str, period: str) -> Change:
        """Take a limit away, and what was counted toward it."""
        return await self._change("remove_limit", actor, *card, scope, period)

    async def set_controls(self, actor: Actor, card: CardPlace, controls: Controls) -> Change:
        """Change where a card may be used."""
        countries = None if controls.countries is None else sorted(set(controls.countries))
        return await self._change(
            "set_controls", actor, *card,
            list(controls.block_channels), list(controls.allow_channels),
            list(controls.block_mccs), list(controls.allow_mccs),
            controls.sets_countries, countries,
        )  # fmt: skip

    @asynccontextmanager
    async def recording(
        self, actor: Actor, action: str, *, was: Mapping[str, Any] | None, became: Mapping[str, Any]
    ) -> AsyncIterator[None]:
        """Record what is done inside, which is about no account, and only if that succeeds."""
        with refusing():
            async with self.connection.transaction():
                await self.connection.execute(
                    OPERATE["record"], *actor, action, _json(was), _json(became)
                )
                yield

    async def _change(self, name: str, actor: Actor, *arguments: Any) -> Change:
        with refusing():
            row = await self.connection.fetchrow(OPERATE[name], *actor, *arguments)
        assert row is not None  # a function gives one row  # noqa: S101
        if row["outcome"] in REFUSED:
            raise OperatorRefusal(REFUSED[row["outcome"]])
        was, became = (orjson.loads(row[side] or "{}") for side in ("was", "became"))
        return Change(row["outcome"], was, became)


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


@asynccontextmanager
async def operators(url: str) -> AsyncIterator[Operators]:
    """An operator's connection to the ledger. Raises `OperatorRefusal` where it cannot be had."""
    with refusing():
        connection = await connect(url, server_settings=SESSION)
    try:
        yield Operators(connection)
    finally:
        await connection.close()


@contextmanager
def refusing() -> Iterator[None]:
    """What the database refuses, in one line that has no value in it."""
    try:
        yield
    except asyncpg.LockNotAvailableError:
        raise OperatorRefusal(
            f"what it needs was in use for {LOCK_LIMIT}: nothing is changed, try again"
        ) from None
    except asyncpg.UniqueViolationError:
        raise OperatorRefusal(
            "another process added the same meanwhile: nothing is changed, look and try again"
        ) from None
    except asyncpg.NumericValueOutOfRangeError:
        raise OperatorRefusal(
            "the balance would be larger than any that is kept: nothing is changed"
        ) from None
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError):
        raise OperatorRefusal(
            "the connection to the database was lost: see whether the change is there, then "
            "run it again"
        ) from None
    except asyncpg.PostgresError as error:
        raise OperatorRefusal(f"the database refused: {described(error)}") from None
