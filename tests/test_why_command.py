"""`switch why`, as it is typed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from switch.ledger.calls import AuthorizationCall
from tests.conftest import PostgresServer
from tests.desk import Desk, demo_desk
from tests.ledger.support import Books, ask


@pytest.fixture(scope="module")
def desk(migrated_server: PostgresServer) -> Iterator[Desk]:
    """One database for the file."""
    yield from demo_desk(migrated_server)


def decided(desk: Desk, *amounts: int, **changes: Any) -> list[AuthorizationCall]:
    """Requests of the demo's first card, decided one after another."""

    async def work() -> list[AuthorizationCall]:
        books = await Books.open(desk.url)
        try:
            ((account_id, card_id),) = await books.connection.fetch(
                "SELECT account_id, card_id FROM cards ORDER BY account_id, card_id LIMIT 1"
            )
            calls = [ask(account_id, minor, card_id=card_id, **changes) for minor in amounts]
            for call in calls:
                await books.decide(call)
            return calls
        finally:
            await books.connection.close()

    return asyncio.run(work())


def test_one_is_explained(desk: Desk, tmp_path: Path) -> None:
    """By its RRN: who refused, the money, and from the log where its time went."""
    (call,) = decided(desk, 9_999_999)
    log = tmp_path / "switch.log"
    about = {"event": "message", "link": "demo", "mti": "0100", "stan": call.stan, "rrn": call.rrn}
    log.write_text(json.dumps(about | {"hsm_us": 1_500, "total_us": 4_200}) + "\n")
    said = desk.done(f"why {call.rrn} --log {log}")
    assert said.startswith("declined   insufficient_funds; question 13, is enough available?\n")
    assert " 13  is enough available?" in said
    assert "REFUSED       99999.99 EUR of " in said
    assert "time       ask the HSM 1.5, in all 4.2 ms\n" in said
    as_json = json.loads(desk.done(f"why {call.rrn} --json --log -", told=log.read_text()))
    assert ("insufficient_funds", 1_500) == (as_json["reason"], as_json["steps"][0]["microseconds"])


def test_several_are_listed(desk: Desk) -> None:
    """The newest first, and how to choose one; by its number in the list it is explained."""
    decided(desk, 100, 200, rrn="632699000001")
    said = desk.done("why 632699000001").splitlines()
    assert ["2.00 EUR" in said[0], "1.00 EUR" in said[1]] == [True, True]
    assert said[2].startswith("2 messages: choose one with --nth")
    assert "purchase, chip, 1.00 EUR" in desk.done("why 632699000001 --nth 2")
    assert ["632699000001"] * 2 == [
        one["rrn"] for one in json.loads(desk.done("why 632699000001 --json"))
    ]


def test_none(desk: Desk) -> None:
    """What is not there is refused with where it was looked for and how far back."""
    said = desk.refused("why 999999999999 --since 90m")
    assert "nothing since 2" in said
    assert "suspense accounts" in said
    assert "--since" in said
    (call,) = decided(desk, 100)
    assert "nothing since" in desk.refused(f"why {call.rrn} --last-four 9876")
    assert "nothing since" in desk.refused(f"why {call.rrn} --nth 2")


def test_what_only_the_log_has(desk: Desk, tmp_path: Path) -> None:
    """A message that was answered 91 is no decision: the log's line of it is shown."""
    log = tmp_path / "switch.log"
    line = {"time": "2026-11-28T08:00:00Z", "event": "message", "mti": "0100", "stan": "123987",
            "rrn": "632608123987", "pan": "47617390****0012", "reason": "unavailable",
            "response_code": "91"}  # fmt: skip
    log.write_text("".join(json.dumps(line | more) + "\n" for more in ({}, {"rrn": "1"})))
    for number in ("632608123987", "123987"):
        said = desk.done(f"why {number} --log {log}")
        assert "RRN 632608123987  47617390****0012  91 unavailable\n" in said
        assert "only the log has it" in said
    (told,) = json.loads(desk.done(f"why 632608123987 --json --log {log}"))
    assert "unavailable" == told["reason"]
    assert "nothing since" in desk.refused(f"why 632608123986 --log {log}")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("4761739000000012", "never for a PAN"),
        ("000001 --since 5", "90m, 12h, 2d, 6w"),
        ("000001 --last-four 12345", "four digits"),
        ("000001 --log /none", "No such file"),
    ],
)
def test_nonsense_is_refused(desk: Desk, words: str, says: str) -> None:
    """In one line that says what is right, and does not repeat what may be a PAN."""
    said = desk.refused(f"why {words}")
    assert says in said
    assert "4761739" not in said
