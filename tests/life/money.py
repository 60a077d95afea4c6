"""The model's books: accounts, the journal, holds, postings and the use of limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.life.chip import Chip
from tests.life.reading import CREDITS, Told, Trace

Clue = Trace | tuple[str, str] | str


class Limit:
    """What a card may use of one scope in one period; everything is of the same day."""

    def __init__(
        self, scope: str, period: str, amount: int | None = None, count: int | None = None
    ) -> None:
        self.scope, self.period, self.amount, self.count = scope, period, amount, count

    def takes(self, kind: str, amount: int, cash: int) -> int:
        """How much of it a debit uses; nothing where the scope does not take it."""
        if self.scope == "cash":
            return cash
        return amount if self.scope == "all" or kind in ("purchase", "cashback") else 0


@dataclass(eq=False)
class Card:
    """A card by its PAN. One that is not ours has no account."""

    pan: str
    account: Account | None = None
    status: str = "active"
    mcc_blocked: Sequence[str] = ()
    limits: Sequence[Limit] = ()
    chip: Chip = field(default_factory=Chip)


@dataclass(eq=False)
class Hold:
    """Money set aside by one row for one purchase."""

    root: Row
    row: Row
    amount: int
    expires: int  #: the number of the message that set it
    state: str = "open"


@dataclass(eq=False)
class Row:
    """A message in the journal."""

    number: int  #: in order of receipt
    told: Told
    card: Card
    book: Account
    amount: int  #: billed
    cash: int
    atc_refusal: str | None = None
    reason: str | None = None
    code: str | None = None
    posted: int = 0
    use: int = 0
    cash_use: int = 0
    partial: int | None = None  #: approved, where less than asked, in the transaction's currency
    available: int = 0  #: after the decision
    is_reversed: bool = False
    is_unwound: bool = False
    is_repeated: bool = False  #: a copy was told of the approval
    answers_as: Row | None = None  #: the advice that was here first
    advised: int = 0  #: of a root: the number of the last advice that spoke for it
    _root: Row | None = None

    @property
    def root(self) -> Row:
        """The row that carries the purchase."""
        return self._root or self

    def join(self, other: Row) -> None:
        """Belong to another row's purchase."""
        self._root = other.root

    @property
    def members(self) -> list[Row]:
        """The rows of the purchase, oldest first."""
        return [row for row in self.book.rows if row.root is self.root]

    @property
    def open_holds(self) -> list[Hold]:
        """The open holds of the purchase, newest first."""
        holds = [h for h in self.book.holds if h.root is self.root and h.state == "open"]
        return sorted(holds, key=lambda hold: -hold.row.number)

    @property
    def held(self) -> int:
        """What is held for the purchase."""
        return sum(hold.amount for hold in self.open_holds)

    @property
    def all_posted(self) -> int:
        """What stands posted for the purchase."""
        return sum(row.posted for row in self.members)

    @property
    def standing(self) -> int:
        """What is held and posted for the purchase."""
        return self.held + self.all_posted

    def hold(self, amount: int, now: int) -> None:
        """Set money aside; a hold of this row that was closed is open again."""
        for hold in self.book.holds:
            if hold.row is self:
                hold.amount, hold.state, hold.expires = amount, "open", now
                return
        self.book.holds.append(Hold(self.root, self, amount, now))

    def post(self, amount: int) -> None:
        """Let so much stand posted by this message."""
        more = amount - self.posted
        self.book.posted += more if self.told.kind in CREDITS else -more
        self.posted = amount

    def lower(self, holds: Sequence[Hold], amount: int, state: str) -> None:
        """Take an amount off holds, in their order, at most what they have."""
        for hold in holds:
            less = min(amount, hold.amount)
            amount -= less
            if less == hold.amount:
                hold.state = state
            else:
                hold.amount -= less

    def settle(self) -> None:
        """The rows of a purchase never use more than stands for it: the newest uses less."""
        excess = sum(row.use for row in self.members) - self.standing
        for row in reversed(self.members):
            less = max(0, min(row.use, excess))
            row.use, excess = row.use - less, excess - less
            row.cash_use = min(row.cash_use, row.use)


@dataclass(eq=False)
class Account:
    """An account, its journal, its holds and the marks left on it."""

    name: str
    posted: int = 0
    credit_limit: int = 0
    currency: str = "978"
    status: str = "open"
    rows: list[Row] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    marks: dict[tuple[str, Clue], Row] = field(default_factory=dict)  #: by PAN and clue
    #: Originals not yet here: PAN, trace, and acquirer where it was told.
    reversed: set[tuple[str, Trace, str | None]] = field(default_factory=set)

    @property
    def held(self) -> int:
        """The sum of the open holds."""
        return sum(hold.amount for hold in self.holds if hold.state == "open")

    @property
    def available(self) -> int:
        """What may be spent."""
        return self.posted + self.credit_limit - self.held

    def repeated(self, told: Told) -> Row | None:
        """The row of the first copy of a message."""
        return next((row for row in self.rows if row.told.key == told.key), None)

    def was_reversed(self, told: Told, *traces: Trace) -> bool:
        """Whether a reversal of a message was here before it, under one of these traces."""
        names = {(told.pan, one, by) for one in traces for by in (None, told.acquirer)}
        return bool(names & self.reversed)

    def use(self, card: Card, limit: Limit) -> tuple[int, int]:
        """What is used of a limit: amount and count."""
        used = [
            limit.takes(row.told.kind, row.use, row.cash_use)
            for row in self.rows
            if row.card is card
        ]
        return sum(used), sum(amount > 0 for amount in used)
