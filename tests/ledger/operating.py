"""What the tests of operators share."""

from __future__ import annotations

import json
from typing import Any

from switch.ledger.operators import Actor, CardPlace, Plastic, SealedPan
from tests.ledger.support import Books, number

ALICE = Actor("alice", "asked by the holder")
PLASTIC = Plastic("3012", "201", "00")


def sealed() -> SealedPan:
    """A PAN that no test had before."""
    one = number()
    return SealedPan((one.to_bytes(32), (10**9 + one).to_bytes(32)), 1, b"sealed", "0012")


def own(account_id: int) -> CardPlace:
    """The card that has its account's number."""
    return CardPlace(account_id, account_id)


async def actions(books: Books, account_id: int) -> list[tuple[str, dict[str, Any]]]:
    """What operators did to an account, oldest first."""
    rows = await books.connection.fetch(
        "SELECT * FROM operator_actions WHERE account_id = $1 ORDER BY action_id", account_id
    )
    for row in rows:
        assert ALICE == (row["operator"], row["reason"])
    return [(row["action"], json.loads(row["details"])) for row in rows]
