"""What can go wrong between a flow and the ledger."""

from __future__ import annotations


class LedgerUnavailable(Exception):
    """The ledger gave no decision, and nothing of this request can still happen."""


class Overdue(LedgerUnavailable):
    """The request was still waiting when its time to decide was over: it never ran."""


class Overloaded(LedgerUnavailable):
    """More requests wait than can be decided in time: this one was not taken."""


class OutcomeUnknown(LedgerUnavailable):
    """The request went to the database, and no answer came in time: it may yet commit."""


class VerdictMissing(LedgerUnavailable):
    """The HSM gave no verdict, and the decision needs one."""


class CardChanged(LedgerUnavailable):
    """What was known of the card is no longer so: find it anew and ask again."""


class CallRefused(Exception):
    """The database refused a call and rolled it back. Names the error, never a value."""


class NotKept(LedgerUnavailable):
    """An approval of our own did not reach the disk in time, and is void."""
