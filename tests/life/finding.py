"""How the model finds the message that another one is about: docs/life.md, second section."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tests.life.money import Account, Clue, Row
from tests.life.reading import CREDITS, Told, Trace

Fits = Callable[[Row], bool]
Find = Callable[[Account, Told], Row | None]


def newest(book: Account, told: Told, fits: Fits) -> Row | None:
    """The newest row of the same card that fits and is no reversal."""
    rows = (
        row
        for row in reversed(book.rows)
        if row.told is not told
        and row.told.pan == told.pan
        and row.told.mti[1] != "4"
        and fits(row)
    )
    return next(rows, None)


def by_trace(book: Account, told: Told, trace: Trace) -> Row | None:
    """The row that a trace tells of; of another's DE90 also one of the institution it names."""
    acquirer = told.original_acquirer if trace == told.original else None
    rows = (
        row
        for row in reversed(book.rows)
        if row.told is not told
        and row.told.pan == told.pan
        and row.told.trace == trace
        and acquirer in (None, row.told.acquirer)
    )
    return next(rows, None)


def by_mark(book: Account, told: Told, clues: Iterable[Clue | None]) -> Row | None:
    """The row that left a mark under one of these clues; the newest where several did."""
    rows = [
        book.marks[told.pan, clue]
        for clue in clues
        if clue is not None and (told.pan, clue) in book.marks
    ]
    return max(rows, key=lambda row: row.number, default=None)


def early(book: Account, told: Told) -> Row | None:
    """The advice or completion that was here before this request."""

    def fits(clue: Clue, row: Row) -> bool:
        if row.told.mti == "0120" and told.mti != "0100":
            return False
        if (row.told.kind in CREDITS) != (told.kind in CREDITS):
            return False
        return clue != told.rrn or row.told.transaction == told.transaction

    # An increment has the RRN and scheme id of a purchase of which it is not the original.
    clues = (told.trace,) if told.addition else (told.scheme_id, told.rrn, told.trace)
    marks = [(clue, book.marks.get((told.pan, clue))) for clue in clues if clue]
    rows = [row for clue, row in marks if row and fits(clue, row)]
    return max(rows, key=lambda row: row.number, default=None)


def as_of(told: Told, mti: str) -> Trace:
    """The trace of a message of another class with the same STAN and DE7."""
    return told.trace._replace(mti=mti)


def advised(book: Account, told: Told) -> Row | None:
    """The purchase that a stand-in advice is about."""

    def is_ours(row: Row) -> bool:
        return row.told.mti in ("0100", "0120", "0220")

    found = (
        _by_scheme(book, told, is_ours)
        or _by_rrn(book, told, is_ours)
        or by_trace(book, told, as_of(told, "0100"))
        or by_mark(book, told, (*advice_clues(told), told.trace))
    )
    if found and (found.told.kind in CREDITS) != (told.kind in CREDITS):
        return None
    return found.root if found else None


def advice_clues(told: Told) -> tuple[Clue | None, ...]:
    """Under which an advice leaves its mark."""
    return told.rrn, told.scheme_id, as_of(told, "0100")


def completed(book: Account, told: Told) -> Row | None:
    """What a completion is about; of an 0200 and what was told of it, the 0200."""
    found = (
        (told.original and by_trace(book, told, told.original))
        or _by_code(book, told)
        or _by_scheme(book, told, lambda row: row.told.mti != "0420")
        or by_mark(book, told, (told.original, told.scheme_id, told.trace))
        or _by_reused_rrn(book, told)
    )
    if found and (found.told.kind in CREDITS) != (told.kind in CREDITS):
        return None
    return found.root if found and found.root.told.mti == "0200" else found


def _by_reused_rrn(book: Account, told: Told) -> Row | None:
    """By the mark under its RRN, where the codes do not speak against it."""
    found = by_mark(book, told, (told.rrn,))
    if found and found.code and told.code and found.code != told.code:
        return None
    return found


def reversed_by(book: Account, told: Told) -> Row | None:
    """What a reversal is about: by a trace, else by what it says itself."""
    for trace in original_traces(told):
        if row := by_trace(book, told, trace) or by_mark(book, told, (trace,)):
            return row
    return newest(
        book,
        told,
        lambda row: (
            told.rrn is not None
            and (row.told.rrn, row.told.terminal) == (told.rrn, told.terminal)
            and row.told.transaction == told.transaction
        ),
    )


def is_of_hold(book: Account, told: Told, found: Row) -> bool:
    """Whether a reversal names an authorization, be that known only by its completion."""
    for trace in original_traces(told):
        if by_trace(book, told, trace):
            break
        if by_mark(book, told, (trace,)):
            return trace.mti in ("0100", "0120")
    return found.told.mti in ("0100", "0120")


def original_traces(told: Told) -> list[Trace]:
    """The traces that the original of a reversal may have."""
    if told.original:
        return [told.original]
    return [as_of(told, mti) for mti in ("0100", "0200", "0120", "0220")]


def increased(book: Account, told: Told) -> Row | None:
    """The purchase with an open hold that an increment or extension is of."""
    found = told.original and by_trace(book, told, told.original)
    if found is None:
        found = _by_scheme(book, told, lambda row: row.told.mti in ("0100", "0120"))
    return found.root if found and found.held else None


def _by_scheme(book: Account, told: Told, fits: Fits) -> Row | None:
    if told.scheme_id is None:
        return None
    return newest(book, told, lambda row: row.told.scheme_id == told.scheme_id and fits(row))


def _by_rrn(book: Account, told: Told, fits: Fits) -> Row | None:
    if told.rrn is None:
        return None
    return newest(book, told, lambda row: row.told.rrn == told.rrn and fits(row))


def _by_code(book: Account, told: Told) -> Row | None:
    if told.code is None or told.rrn is None:
        return None
    return newest(book, told, lambda row: (row.code, row.told.rrn) == (told.code, told.rrn))
