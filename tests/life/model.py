"""
A ledger in memory that does what docs/life.md says and nothing else.

It is written from that page and the policy table of docs/architecture.md, and knows nothing of
the SQL: where the two disagree, one of the three is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.life import finding
from tests.life.money import Account, Card, Clue, Row
from tests.life.policy import CODES, amount_of, billed, half_up, kept, refusal, unsupported
from tests.life.reading import CREDITS, DEBITS, Told


@dataclass
class Answer:
    """What an answer must say."""

    response_code: str
    row: Row | None = None  #: whose authorization code it bears
    amount: int | None = None  #: DE4
    available: int | None = None  #: DE54 of an inquiry
    original: int | None = None  #: DE54 of a partial approval


@dataclass
class Model:
    """A few cards and accounts, and what messages did to them."""

    cards: dict[str, Card]  #: by PAN
    now: int = 0
    suspense: dict[str, Account] = field(default_factory=dict)

    def receive(self, told: Told) -> tuple[Answer, Row | None]:
        """What a message is answered, and the row that has it."""
        self.now += 1
        if told.mti in ("0100", "0200"):
            return self._request(told)
        books = self._books(told)
        if not any(book.repeated(told) for book in books):
            {"0120": self._advise, "0220": self._complete}.get(told.mti, self._reverse)(told, books)
        return Answer("00"), None

    def unwind(self, row: Row) -> None:
        """Take back a request whose answer did not leave in time, unless a copy was answered.

        Where an advice has spoken for the purchase meanwhile, its money stays.
        """
        if row.is_repeated or row.reason or row.answers_as:
            return
        row.is_unwound = True
        if row.root.advised < row.number:
            own = [hold for hold in row.open_holds if hold.row is row]
            row.lower(own, sum(hold.amount for hold in own), "unwound")
            row.post(0)
            row.settle()

    def expire(self, row: Row) -> None:
        """The time of all that is held for a purchase is over."""
        self.now += 1
        row.lower(row.open_holds, row.held, "expired")
        row.settle()

    def suspense_of(self, currency: str) -> Account:
        """The account that takes what cannot be booked."""
        if currency not in self.suspense:
            self.suspense[currency] = Account(f"suspense {currency}", currency=currency)
        return self.suspense[currency]

    # Requests.

    def _request(self, told: Told) -> tuple[Answer, Row | None]:
        card = self.cards[told.pan]
        book = card.account
        if book is None:
            return Answer(CODES[unsupported(told) or "no_card_record"]), None
        if earlier := book.repeated(told):
            return _repeat(earlier, told), earlier
        row = self._record(told, book, billed(told, book.currency) or 0)
        if told.atc is not None:  # its cryptogram is right, and used up whatever is decided
            row.atc_refusal = card.chip.present(told.atc)
        first = finding.early(book, told)
        if book.was_reversed(told, told.trace):
            row.reason, row.is_reversed = "reversed_before_original", True
        elif first:
            row.join(first)
            self._answer_as(row, first)
        else:
            self._decide(row)
        return _answer(row), row

    def _answer_as(self, row: Row, first: Row) -> None:
        """Answer as the advice or completion that was here first. Its mark serves one original."""
        row.book.marks = {key: one for key, one in row.book.marks.items() if one is not first}
        if first.root.is_reversed:
            row.reason, row.is_reversed = "reversed_before_original", True
            return
        row.answers_as, row.code = first, first.code
        row.reason = None if first.told.is_approved else "advised"

    def _decide(self, row: Row) -> None:
        told, book = row.told, row.book
        purchase = finding.increased(book, told) if told.mti == "0100" and told.addition else None
        if purchase:
            row.join(purchase)
        row.reason = refusal(row)
        amount = row.amount
        if row.reason == "insufficient_funds" and told.takes_less and told.kind == "purchase":
            amount = book.available
            share = told.transaction.minor * amount // row.amount
            if share > 0:
                row.reason, row.partial = None, share
        if row.reason is None:
            self._carry_out(row, amount)
            for hold in purchase.open_holds if purchase else ():
                hold.expires = self.now
        row.available = book.available

    def _carry_out(self, row: Row, amount: int) -> None:
        """Hold or post what was approved, and use limits."""
        if row.told.mti == "0200" and row.told.kind in DEBITS | CREDITS:
            row.post(amount)
        if row.told.kind in DEBITS:
            row.use, row.cash_use = amount, row.cash
            if row.told.mti == "0100":
                row.hold(amount, self.now)

    # Advices: what already happened is never declined.

    def _advise(self, told: Told, books: list[Account]) -> None:
        traces = told.trace, finding.as_of(told, "0100")
        at = next((book for book in books if book.was_reversed(told, *traces)), None)
        book, found, amount = self._place(told, books, finding.advised, at)
        row = self._record(told, book, amount)
        if found:
            row.join(found)
            if not found.all_posted:
                # The original, if it is still to come, answers as the last word was.
                marks = book.marks.items()
                book.marks = {clue: row if one.root is found else one for clue, one in marks}
        else:
            self._mark(row, finding.advice_clues(told))
        if at or row.root.is_reversed:
            row.is_reversed = True
            return
        row.root.advised = self.now
        if row.root.all_posted or (told.is_approved and told.kind not in DEBITS):
            return
        row.lower(row.open_holds, row.held, "released")
        if told.is_approved:
            row.root.hold(amount, self.now)
        row.settle()

    def _complete(self, told: Told, books: list[Account]) -> None:
        at = next((book for book in books if book.was_reversed(told, told.trace)), None)
        book, found, amount = self._place(told, books, finding.completed, at)
        row = self._record(told, book, amount)
        if found:
            row.join(found)
        if not told.is_approved or told.kind in ("inquiry", "unknown"):
            return
        if not found:
            self._mark(row, (told.original, told.rrn, told.scheme_id))
        if at:
            row.is_reversed = True
            return
        row.root.advised = self.now
        self._post(row, found)

    def _post(self, row: Row, found: Row | None) -> None:
        """Post a completion: on its own row, or what it tells of an 0200 on that one's."""
        if found and "0200" in (found.told.mti, found.root.told.mti):
            found.root.post(row.amount)
        else:
            row.post(row.amount)
            taken = row.held if row.told.is_final else row.amount
            if found:
                row.lower(row.open_holds, taken, "completed")
        row.settle()

    def _reverse(self, told: Told, books: list[Account]) -> None:
        hits = [(book, finding.reversed_by(book, told)) for book in books]
        is_here = books[0].status == "open" and books[0].currency == told.transaction.currency
        book, found = next((hit for hit in hits if hit[1]), (books[0 if is_here else -1], None))
        row = self._record(told, book, 0)
        if found is None:
            _remember(books, told)
            return
        row.join(found)
        is_of_hold = finding.is_of_hold(book, told, found)
        if found.told.mti == "0200" and found.answers_as:
            found = found.answers_as
        if found.told.mti == "0220" and found.root.told.mti == "0200":
            found = found.root
        if found.told.mti[1] == "4":
            return
        if found.told.mti[2] == "2" and not found.told.is_approved:
            # It has nothing to give back, and what it was about may still come.
            _remember([book], told)
            return
        keep = kept(told, found)
        if not _is_decline(found):
            self._give_back(found, keep, is_of_hold)
        if keep == 0 and not found.all_posted:
            found.is_reversed = True
            found.root.is_reversed |= not found.standing

    def _give_back(self, found: Row, keep: int, is_of_hold: bool) -> None:
        """Let no more than what is to remain stand of a message."""
        own = [hold for hold in found.open_holds if hold.row is found]
        if found.posted and not is_of_hold:
            found.post(min(found.posted, keep))
        elif found is not found.root and found.told.mti == "0100" and not found.answers_as:
            found.lower(own, max(0, sum(hold.amount for hold in own) - keep), "reversed")
        else:
            found.lower(found.open_holds, max(0, found.standing - keep), "reversed")
        found.settle()

    # The journal.

    def _books(self, told: Told) -> list[Account]:
        """Where a message that is never declined may be booked, the best place first."""
        account = self.cards[told.pan].account
        suspense = self.suspense_of(told.transaction.currency)
        return [account, suspense] if account else [suspense]

    def _place(
        self, told: Told, books: list[Account], find: finding.Find, at: Account | None
    ) -> tuple[Account, Row | None, int]:
        """Where a message is booked, what it is about there, and the amount it comes to."""
        for book in books:
            found = find(book, told)
            amount = amount_of(told, book, found)
            is_over = find is finding.advised and found is not None and found.is_reversed
            if amount is None and (book is at or is_over):
                amount = 0
            is_open = book.status == "open" or not told.is_approved
            if amount is not None and (found or book is at or is_open):
                return book, found, amount
        raise AssertionError("the suspense account of its own currency takes everything")

    def _record(self, told: Told, book: Account, amount: int) -> Row:
        cash = half_up(told.cash_minor, amount, told.transaction.minor) if told.cash_minor else 0
        row = Row(self.now, told, self.cards[told.pan], book, amount, cash, code=told.code)
        book.rows.append(row)
        return row

    def _mark(self, row: Row, clues: Iterable[Clue | None]) -> None:
        for clue in clues:
            if clue is not None:
                row.book.marks.setdefault((row.told.pan, clue), row)


def _repeat(earlier: Row, told: Told) -> Answer:
    asked = told.transaction, told.processing_code, billed(told, earlier.book.currency) or 0
    first = earlier.told
    if asked != (first.transaction, first.processing_code, earlier.amount):
        return Answer(CODES["duplicate_conflict"])
    undone = earlier.is_reversed or earlier.is_unwound or earlier.root.is_reversed
    if undone and earlier.reason is None:
        return Answer(CODES["reversed"])
    earlier.is_repeated = True
    return _answer(earlier)


def _answer(row: Row) -> Answer:
    if row.answers_as:
        has_code = row.answers_as.code and not row.reason and row.told.kind != "inquiry"
        return Answer(row.answers_as.told.response or "00", row if has_code else None)
    if row.reason:
        return Answer(CODES[row.reason])
    if row.told.kind == "inquiry":
        return Answer("00", available=row.available)
    if row.partial is not None:
        asked = row.told.transaction.minor
        return Answer("10", row, amount=row.partial, original=asked)
    return Answer("00", row, amount=row.told.transaction.minor)


def _remember(books: Iterable[Account], told: Told) -> None:
    """Note a reversal for an original that is still to come."""
    for book in books:
        for trace in finding.original_traces(told):
            book.reversed.add((told.pan, trace, told.original_acquirer))


def _is_decline(found: Row) -> bool:
    """A decline of ours that no advice overruled since."""
    is_overruled = found.posted or (found is found.root and found.held)
    return found.reason is not None and not is_overruled
