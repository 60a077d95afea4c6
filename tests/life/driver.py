"""The model and the real thing side by side: one sequence of steps through both."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from switch.deadline import Deadline
from switch.demo.program import read_program
from switch.flows.exchange import Exchange
from switch.ledger.outbox import Outbox
from switch.ledger.queries import QUERIES
from switch.wire.message import Message, decode, encode
from tests.events.rebuilding import Money, kept, rebuilt, told
from tests.flows.support import PAN_FIRST, SPEC, House
from tests.ledger.support import PROGRAM, Books, number
from tests.life.model import Answer, Model
from tests.life.money import Account, Card, Limit, Row
from tests.life.reading import ORIGINAL_AMOUNT, read
from tests.life.snapshot import expected, found
from tests.life.steps import Again, Change, Expire, Send, Step, Unwind

ANSWER_MS, MARGIN_MS = 20_000, 20
SECOND_CARD = 7
#: By card; the last two are not ours.
LIMITS: Sequence[Sequence[Limit]] = (
    (),
    (
        Limit("all", "day", amount=1_500, count=5),
        Limit("cash", "day", amount=400),
        Limit("purchase", "transaction", amount=800),
    ),
    (Limit("all", "week", count=4), Limit("purchase", "month", amount=900)),
    (),
    (),
)


class Disagreement(AssertionError):
    """The model and the ledger do not say the same."""

    def __init__(self, what: str, steps: Sequence[Step] = ()) -> None:
        """`steps` led to it."""
        done = "".join(f"    {step!r},\n" for step in steps)
        super().__init__(f"after [\n{done}]\n{what}" if steps else what)
        self.steps = steps


@dataclass
class World:
    """Two accounts with three cards, and two cards that are not ours."""

    number: int  #: no other has its RRNs and scheme ids
    house: House
    model: Model
    pans: Sequence[str]
    accounts: dict[int, Account]
    cards: dict[tuple[int, int], str]  #: account and card → PAN
    suspense: dict[str, tuple[int, int]]  #: by currency, as it was before
    sent: list[tuple[Send, dict[int, str]]] = field(default_factory=list)
    exchanges: dict[tuple[str, ...], tuple[Row | None, Exchange]] = field(default_factory=dict)
    codes: dict[tuple[int, int], str] = field(default_factory=dict)  #: the last of a slot
    told_before: int = 0  #: the last event of before
    opening: dict[int, Money] = field(default_factory=dict)  #: by account

    @classmethod
    async def make(cls, house: House) -> World:
        """New accounts and cards."""
        first, first_pan = await house.card(posted_minor=1_000)
        other, other_pan = await house.card(posted_minor=1_500, credit_limit_minor=500)
        await house.books.card(first, SECOND_CARD)
        pans = [first_pan, other_pan, *(str(PAN_FIRST + number()) for _ in range(3))]
        await house.books.connection.execute(
            "INSERT INTO pan_tokens VALUES ($1, 0, $2, $3)",
            house.vault.pan_token(pans[2]),
            first,
            SECOND_CARD,
        )
        accounts = {
            first: Account("first", posted=1_000),
            other: Account("other", posted=1_500, credit_limit=500),
        }
        owners = ((first, first), (other, other), (first, SECOND_CARD))
        for (account_id, card_id), limits in zip(owners, LIMITS, strict=False):
            for limit in limits:
                await house.books.limit(
                    account_id,
                    limit.scope,
                    limit.period,
                    amount_minor=limit.amount,
                    count=limit.count,
                    card_id=card_id,
                )
        cards = {
            pan: Card(pan, accounts.get(owners[place][0]) if place < 3 else None, limits=limits)
            for place, (pan, limits) in enumerate(zip(pans, LIMITS, strict=True))
        }
        return cls(
            number=number(),
            house=house,
            model=Model(cards),
            pans=pans,
            accounts=accounts,
            cards=dict(zip(owners, pans, strict=False)),
            suspense=await suspense(house.books),
            told_before=await Outbox(house.books.connection).last(),
            opening={
                one: Money(account.posted, 0, account.credit_limit)
                for one, account in accounts.items()
            },
        )

    async def replay(self, steps: Sequence[Step]) -> None:
        """Do every step in both, and compare after each."""
        for place, step in enumerate(steps):
            try:
                await self._do(step)
                await self._compare()
            except Disagreement as error:
                raise Disagreement(str(error), steps[: place + 1]) from None
        await self._rebuild(steps)

    async def _rebuild(self, steps: Sequence[Step]) -> None:
        """What others are told of it comes to the same money."""
        connection = self.house.books.connection
        events = await told(connection, self.told_before)
        now, opened = await kept(connection), {str(one): two for one, two in self.opening.items()}
        try:
            books = rebuilt(events, opened)
        except AssertionError as error:
            raise Disagreement(str(error), steps) from None
        if wrong := {one: books[one] for one in books if books[one] != now[one]}:
            raise Disagreement(f"  events tell {wrong}", steps)

    async def _do(self, step: Step) -> None:
        match step:
            case Send():
                code = f"STIP{step.number:02d}" if step.mti == "0120" else None
                code = code or self.codes.get((step.card, step.slot), "NOCODE")
                fields = step.fields(self.number, self.pans[step.card], code)
                self.sent.append((step, fields))
                await self._send(step, fields, is_repeat=step.is_marked_repeat)
            case Again() if last := self._last(step):
                await self._send(*last, is_repeat=True)
            case Unwind():
                await self._unwind(step)
            case Expire():
                await self._expire(step)
            case Change():
                await self._change(step)

    def _last(self, step: Again | Unwind) -> tuple[Send, dict[int, str]] | None:
        place = step.mti, step.card, step.slot
        own = [(one, _) for one, _ in self.sent if (one.mti, one.card, one.slot) == place]
        return own[-1] if own else None

    async def _send(self, step: Send, fields: dict[int, str], *, is_repeat: bool) -> None:
        message = read(step.mti, fields)
        wanted, row = self.model.receive(message)
        mti = step.mti[:3] + ("1" if is_repeat else "0")
        deadline = Deadline.start(time.monotonic(), ANSWER_MS, MARGIN_MS)
        payload = encode(Message(mti, dict(sorted(fields.items()))), SPEC)
        exchange = await self.house.router.exchange(payload, deadline)
        if exchange.answer is None:
            raise Disagreement(f"no answer: {exchange.fault}")
        answer = dict(decode(exchange.answer, SPEC).fields)
        if wrong := _wrong(wanted, answer):
            raise Disagreement(f"  answer: {wrong}")
        if message.key not in self.exchanges:
            self.exchanges[message.key] = row, exchange
        if row and 38 in answer:
            row.code = answer[38]
        if code := answer.get(38) or (step.mti == "0120" and fields.get(38)):
            self.codes[step.card, step.slot] = code

    async def _unwind(self, step: Unwind) -> None:
        """Take back as the link does, but at once."""
        last = self._last(step)
        if last is None:
            return
        row, exchange = self.exchanges[read(step.mti, last[1]).key]
        undo = exchange.reply.undo if exchange.reply else None
        if row is None or row.is_repeated or undo is None:
            return
        self.model.unwind(row)
        await self.house.books.connection.fetchval(
            QUERIES["unwind"], undo.account_id, undo.message_key, undo.authorization_code
        )

    async def _expire(self, step: Expire) -> None:
        """Let the time of the newest purchase in the slot that holds something be over."""
        pan, moment = self.pans[step.card], f"11231200{step.slot:02d}"
        rows = [
            row
            for account in self.accounts.values()
            for row in account.rows
            if row.told.pan == pan and row.told.trace.moment == moment and row.held
        ]
        if not rows:
            return
        account = rows[-1].book
        self.model.expire(rows[-1])
        account_id = next(one for one, other in self.accounts.items() if other is account)
        root = rows[-1].root.told
        rrn = root.rrn[1] if root.rrn else "0" * 12
        card_id = next(card for (_, card), pan in self.cards.items() if pan == root.pan)
        connection = self.house.books.connection
        await connection.execute(
            "UPDATE holds AS h SET expires_at = now() - interval '1 second'"
            "  FROM authorizations AS z"
            " WHERE h.account_id = $1 AND h.state = 'open' AND z.account_id = $1"
            "   AND z.authorization_id = h.purchase_id AND z.card_id = $2"
            "   AND left(z.mti, 3) = $3 AND z.stan = $4 AND z.transmission_datetime = $5"
            "   AND z.rrn = $6",
            account_id, card_id, root.mti[:3], *root.trace[1:], rrn,
        )  # fmt: skip
        await connection.fetchval(QUERIES["expire_holds"], 1_000)

    async def _change(self, step: Change) -> None:
        card = self.model.cards[self.pans[step.card]]
        if card.account is None:
            return
        account_id, card_id = next(ids for ids, pan in self.cards.items() if pan == card.pan)
        connection = self.house.books.connection
        if step.what == "account_closed":
            card.account.status = "closed"
            await connection.execute(
                "UPDATE accounts SET status = 'closed' WHERE account_id = $1", account_id
            )
            return
        if step.what in ("mcc", "any_mcc"):
            card.mcc_blocked = ["5411"] if step.what == "mcc" else []
        else:
            card.status = step.what
        await connection.execute(
            "UPDATE cards SET status = $3, mcc_blocked = $4 WHERE (account_id, card_id) = ($1, $2)",
            account_id, card_id, card.status, card.mcc_blocked,
        )  # fmt: skip

    async def _compare(self) -> None:
        wanted = expected(self.model, self.accounts, self.pans)
        there = await found(self.house.books, self.accounts, self.cards, self.pans, self.suspense)
        wrong = [
            f"  {what}:\n    model  {wanted.get(what)}\n    ledger {there.get(what)}"
            for what in sorted(wanted.keys() | there.keys())
            if wanted.get(what) != there.get(what)
        ]
        if wrong:
            raise Disagreement("\n".join(wrong))


async def replay(house: House, steps: Sequence[Step]) -> None:
    """The same in a world of its own."""
    await (await World.make(house)).replay(steps)


async def shorten(house: House, error: Disagreement) -> Disagreement:
    """The same disagreement, or another, with no step that it does not need."""
    place = len(error.steps)
    while place:
        place -= 1
        try:
            await replay(house, [*error.steps[:place], *error.steps[place + 1 :]])
        except Disagreement as shorter:
            error = shorter
            place = min(place, len(error.steps))
    return error


def _wrong(wanted: Answer, answer: dict[int, str]) -> str | None:
    """What an answer should say and does not."""
    said = f"{ {n: answer[n] for n in (4, 38, 39, 54) if n in answer} }"
    if answer[39] != wanted.response_code:
        return f"model DE39 {wanted.response_code}, ledger {said}"
    if wanted.row and (38 not in answer or wanted.row.code not in (None, answer[38])):
        return f"model DE38 {wanted.row.code or 'any'}, ledger {said}"
    if wanted.amount is not None and int(answer[4]) != wanted.amount:
        return f"model DE4 {wanted.amount}, ledger {said}"
    amounts = [answer.get(54, "")[at : at + 20] for at in range(0, len(answer.get(54, "")), 20)]
    by_type = {one[2:4]: int(one[8:]) * (-1 if one[7] == "D" else 1) for one in amounts}
    for kind, amount in (("02", wanted.available), (ORIGINAL_AMOUNT, wanted.original)):
        if amount is not None and by_type.get(kind) != amount:
            return f"model DE54 type {kind} {amount}, ledger {said}"
    return None


async def suspense(books: Books) -> dict[str, tuple[int, int]]:
    """What stands on the suspense accounts, by currency."""
    rows = await books.connection.fetch(
        "SELECT currency, posted_minor, held_minor FROM accounts WHERE kind = 'suspense'"
    )
    return {currency: (posted, held) for currency, posted, held in rows}


async def arrange(books: Books) -> None:
    """A program that verifies nothing, in whose time zone it is about noon."""
    settings: dict[str, Any] = read_program().program["settings"]
    zone = f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"
    needs = {"cash_pin": "optional", "time_zone": zone}
    await books.connection.execute(
        "UPDATE programs SET settings = $1::jsonb, time_zone = $2 WHERE program_id = $3",
        orjson.dumps(settings | needs).decode(),
        zone,
        PROGRAM,
    )
