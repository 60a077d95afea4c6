"""`switch events`: what happened, for people and for programs, and who publishes it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.conftest import PostgresServer
from tests.desk import WHY, Desk, demo_desk
from tests.events.rebuilding import check


@pytest.fixture(scope="module")
def desk(migrated_server: PostgresServer) -> Iterator[Desk]:
    """One database for the file, with an account of its own on which something happened."""
    for desk in demo_desk(migrated_server):
        desk.done("accounts create acc-told --program demo --currency 978", *WHY)
        desk.done("accounts credit acc-told 25.50 --id r-1", *WHY)
        yield desk


def told(desk: Desk, words: str = "") -> list[str]:
    """The lines of `switch events tail`."""
    return desk.done(f"events tail {words}").splitlines()


def number_of(desk: Desk) -> str:
    """Our number of the account."""
    return str(desk.rows("SELECT account_id FROM accounts WHERE reference = $1", "acc-told")[0][0])


def test_the_last_for_people(desk: Desk) -> None:
    """One line an event, the last one last: its number, its type, the account, what it moved."""
    opened, credited = told(desk, "-n 2")
    assert ["account.created", number_of(desk)] == opened.split()[2:4]
    assert ["account.posted", number_of(desk), "posted", "+25.50", "EUR"] == credited.split()[2:7]
    assert opened.split()[1] < credited.split()[1]


def test_as_they_are_published(desk: Desk) -> None:
    """Each is a line of JSON as its schema has it, none is left out; of no lines none is shown."""
    events = [json.loads(line) for line in told(desk, "-n 1000 --json")]
    for event in events:
        check(event)
    assert [(len(events),)] == desk.rows("SELECT count(*) FROM events")
    assert [] == told(desk, "-n 0")


def test_those_of_an_account_and_of_a_type(desk: Desk) -> None:
    """Both are looked for from the newest on, and a type by how it begins."""
    mine = told(desk, f"--account {number_of(desk)}")
    assert ["account.created", "account.posted"] == [line.split()[2] for line in mine]
    assert mine[1:] == told(desk, f"--account {number_of(desk)} --type account.p")
    cards = told(desk, "-n 3 --type card.")
    assert ["card.created"] * 3 == [line.split()[2] for line in cards]
    assert [] == told(desk, "--type nothing.")


def test_what_is_refused(desk: Desk) -> None:
    """An account is our number of it; and nobody publishes to nowhere."""
    assert "our number of it" in desk.refused("events tail --account acc-told")
    assert "goes nowhere" in desk.refused("events publish", events__sink="none")
