"""Whether approvals that a load was given stand in the ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from specs.spec import load as load_spec
from switch.ledger.calls import AuthorizationCall
from switch.operate.replay import ReplayError
from switch.operate.replay.fresh import Outgoing
from switch.operate.replay.ledger import differing, missing
from switch.operate.replay.playing import approval_of
from switch.operate.replay.tally import Approval
from switch.wire.message import encode
from switch.wire.places import Places
from tests.ledger.support import Books, ask
from tests.traffic import PLAIN, purchase
from tests.versions import in_terms_of


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


async def test_a_purchase_of_which_another_amount_stands_differs(database: str) -> None:
    """By its RRN and what should stand; of what is not there nothing stands."""
    books = await Books.open(database)
    account_id = await books.account(posted_minor=5_000)
    approved = ask(account_id, 1_000)
    await books.decide(approved)
    await books.connection.close()
    since = datetime.now(UTC) - timedelta(hours=1)
    right = [(approved.rrn, 1_000), ("nowhere", 0)]
    assert [] == await differing(database, right, since)
    wrong = [(approved.rrn, 999), ("nowhere", 1)]
    told = sorted([(approved.rrn, 999, 1_000), ("nowhere", 1, 0)])
    assert told == sorted(await differing(database, wrong, since))


@pytest.mark.parametrize("dialect", ["iso87-ascii", "iso93-binary", "cmf-2003"])
def test_a_row_is_found_by_de7_in_every_version(dialect: str) -> None:
    """Also where DE12 names a message: the ledger keeps DE7."""
    spec = load_spec(dialect)
    message = in_terms_of(dialect, purchase(PLAIN))
    payload = encode(message, spec)
    told = approval_of(Outgoing(payload, Places(spec).of(payload)), "123456", spec)
    fields = message.fields
    assert Approval(fields[11], fields[7], fields[37], "123456") == told


async def test_a_database_that_does_not_answer_is_told_without_its_address() -> None:
    """One line without the URL, which may have a password in it."""
    with pytest.raises(ReplayError, match="does not answer") as raised:
        await missing("postgresql://one:swordfish@127.0.0.1:1/none", [], None)
    assert "swordfish" not in str(raised.value)
