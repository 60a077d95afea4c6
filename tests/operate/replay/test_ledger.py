"""Whether approvals that a load was given stand in the ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from switch.ledger.calls import AuthorizationCall
from switch.operate.replay import ReplayError
from switch.operate.replay.ledger import missing
from switch.operate.replay.tally import Approval
from tests.ledger.support import Books, ask


async def test_an_approval_without_its_row_is_missing(database: str) -> None:
    """It is found by STAN, moment, RRN and code, and a decline is none."""
    books = await Books.open(database)
    account_id = await books.account(posted_minor=1_000)
    approved, declined = ask(account_id, 1_000), ask(account_id, 1_000)
    await books.decide(approved)
    await books.decide(declined)
    await books.connection.close()

    def told(call: AuthorizationCall, code: str = "") -> Approval:
        return Approval(call.stan, call.transmission_datetime, call.rrn, code)

    there = told(approved, approved.authorization_code)
    others = [replace(there, **{name: "000000"}) for name in ("stan", "moment", "rrn", "code")]
    now = datetime.now(UTC)
    assert 0 == await missing(database, [there, told(approved)], None)
    assert 5 == await missing(database, [there, *others, told(declined)], now - timedelta(hours=1))
    assert 1 == await missing(database, [there], now + timedelta(hours=1))
    assert 0 == await missing(database, [], None)


async def test_a_database_that_does_not_answer_is_told_without_its_address() -> None:
    """One line without the URL, which may have a password in it."""
    with pytest.raises(ReplayError, match="does not answer") as raised:
        await missing("postgresql://one:swordfish@127.0.0.1:1/none", [], None)
    assert "swordfish" not in str(raised.value)
