"""The demo's day as others are told of it: complete, as the schema has it, without a secret."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import secrecy
from tests.events.rebuilding import SCHEMA, Event, Money, check, kept, rebuilt
from tests.process import PATIENCE_SECONDS, Switch, free_port, running, until
from tests.traffic import GOLDEN
from tests.typed import typed


@pytest.fixture(scope="module")
def day(quick_root: Path) -> Iterator[Switch]:
    """A switch over the embedded database, without a word of events, that has played the day."""
    folder = quick_root / "events of the day"
    folder.mkdir()
    with running(folder, admin__listen=f"127.0.0.1:{free_port()}") as switch:
        said = typed("replay", str(GOLDEN / "scenario.jsonl"), "--to", f"127.0.0.1:{switch.port()}")
        assert said.stdout.endswith("75 right, 0 different, 0 sent and not compared\n"), said.stdout
        until(lambda: "switch_outbox_lag_seconds" in scraped(switch) and lag(switch) == 0)
        yield switch


def scraped(switch: Switch) -> str:
    """Its metrics."""
    url = f"http://{switch.settings['admin__listen']}/metrics"
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
        return str(answer.read().decode())


def lag(switch: Switch) -> float:
    """Events that are not published."""

    async def ask() -> int:
        connection = await switch.connect()
        try:
            return int(await connection.fetchval(
                "SELECT count(*) FROM events WHERE event_id >"
                " coalesce((SELECT published_id FROM event_cursors), 0)"
            ))  # fmt: skip
        finally:
            await connection.close()

    return asyncio.run(ask())


def published(switch: Switch) -> list[Event]:
    """What stands in its file of events."""
    lines = (switch.folder / "var" / "events" / "events.jsonl").read_bytes().splitlines()
    return [json.loads(line) for line in lines]


def money(switch: Switch) -> dict[str, Money]:
    """All accounts, as the ledger has them."""

    async def ask() -> dict[str, Money]:
        connection = await switch.connect()
        try:
            return await kept(connection)
        finally:
            await connection.close()

    return asyncio.run(ask())


def test_balances_follow_from_events_alone(day: Switch) -> None:
    """Posted, held and credit limit of every account, as the ledger and the audit have them."""
    assert money(day) == rebuilt(published(day))
    said = typed("audit", settings={"database__url": day.database_url})
    assert said.exit_code == 0, said.output


def test_events_are_as_the_schema_has_them(day: Switch) -> None:
    """Each has what its type has, and a number of its own that sorts."""
    events = published(day)
    for event in events:
        check(event)
    ids = [event["event_id"] for event in events]
    assert sorted(set(ids)) == ids
    kinds = Counter(event["type"] for event in events)
    assert kinds["account.created"] == 21
    assert kinds["card.created"] == 22
    assert {
        "authorization.approved", "authorization.declined", "completion.booked", "advice.booked",
        "reversal.booked", "request.refused",
    } < set(kinds)  # fmt: skip
    assert set(kinds) < set(SCHEMA["properties"]["type"]["enum"])


def test_events_have_no_secret(day: Switch) -> None:
    """No PAN, track, PIN block, card code or key."""
    file = day.folder / "var" / "events" / "events.jsonl"
    assert set() == secrecy.demo_secrets().found_in(file.read_bytes())


def test_tail_shows_what_was_published(day: Switch) -> None:
    """The last ones, as they are published, or in a line for people."""
    settings = {"database__url": day.database_url}
    said = typed("events", "tail", "-n", "5", "--json", settings=settings)
    assert published(day)[-5:] == [json.loads(line) for line in said.stdout.splitlines()]
    said = typed("events", "tail", "--type", "authorization.declined", settings=settings)
    declined = [one for one in published(day) if one["type"] == "authorization.declined"]
    lines = said.stdout.splitlines()
    assert len(lines) == min(20, len(declined))
    for line, event in zip(lines, declined[-20:], strict=True):
        assert f" {event['message']['reason']}" in line
        assert f"*{event['card']['last_four']} 0" in line
    said = typed("events", "tail", "--account", "1", "-n", "1", settings=settings)
    assert "1" == said.stdout.split()[3]


def test_no_sink_publishes_nothing(day: Switch) -> None:
    """With another database than the embedded one events go nowhere, and the command says so."""
    said = typed("events", "publish", settings={"database__url": "postgresql://h/d"})
    assert said.exit_code == 1
    assert "events.sink: goes nowhere: name file, stdout or sqs" in said.stderr
