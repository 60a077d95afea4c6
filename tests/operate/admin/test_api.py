"""The admin port's JSON: now, history, live, search and why, of a running switch."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from switch.operate.admin.asking import FOUND_MAX
from switch.operate.admin.pulse import COLUMNS
from tests.client import connected
from tests.operate.test_admin import Watched
from tests.process import PATIENCE_SECONDS, until
from tests.traffic import PLAIN, add_load_cards, code, echo, load_card, purchase

#: A Host header, and whether it names this machine from within.
HOSTS = [
    ("127.0.0.1", True), ("127.0.0.1:8580", True), ("localhost:9000", True), ("LOCALHOST", True),
    ("[::1]:8580", True), ("[::1]", True), ("127.1.2.3:1", True),
    ("evil.example", False), ("evil.example:8580", False), ("127.0.0.1.evil.example", False),
    ("localhost.evil.example:8580", False), ("10.0.0.1:8580", False), ("", False),
    ("127.0.0.1@evil.example", False), ("0.0.0.0:8580", False),
]  # fmt: skip

#: What is asked, and what the refusal names.
BAD_QUESTIONS = [
    ("search?q=", "RRN"), ("search", "RRN"), (f"search?q={PLAIN.pan}", "never for a PAN"),
    ("search?q=%27%20OR%201", "RRN"), ("search?q=1234&since=x", "30m, 6h, 2d"),
    ("search?q=1234&since=-1d", "30m, 6h, 2d"), ("search?q=1234&since=%C2%B2d", "30m, 6h, 2d"),
    ("search?q=1234&since=9999999999d", "30m, 6h, 2d"), ("why/x", "search"), ("why/1:2", "search"),
    ("why/1:2:99999999999999999999999999", "search"),
    ("why/99999999999999999999:1:1", "search"), ("why/1:99999999999999999999:1", "search"),
    ("why/1:-99999999999999999999:1", "search"), ("why/1:1:-99999999999999999", "search"),
]  # fmt: skip


@pytest.fixture(scope="module")
def switch(quick_root: Path) -> Iterator[Watched]:
    """A running switch with its admin port."""
    with tempfile.TemporaryDirectory(dir=quick_root) as folder:
        watched = Watched(Path(folder))
        try:
            watched.start()
            add_load_cards(watched.database_url, 5)
            yield watched
        finally:
            watched.end()


def told(switch: Watched, path: str, status: int = 200) -> Any:
    """What an answer of the API says."""
    got, text = switch.get(f"/api/{path}")
    assert status == got, text
    return json.loads(text)


@pytest.mark.parametrize(("host", "is_taken"), HOSTS)
def test_a_name_that_was_made_to_point_here_is_refused(
    switch: Watched, host: str, is_taken: bool
) -> None:
    """On loopback who asks names this machine from within; a page of elsewhere cannot."""
    link = http.client.HTTPConnection("127.0.0.1", switch.admin_port, timeout=PATIENCE_SECONDS)
    try:
        for path, status in (("/api/now", 200 if is_taken else 403), ("/healthz", 200)):
            link.request("GET", path, headers={"Host": host})
            answer = link.getresponse()
            answer.read()
            assert status == answer.status
    finally:
        link.close()


async def test_now_tells_what_the_switch_did(switch: Watched) -> None:
    """Messages, decisions, declines, links and database, of the last second and minute."""
    async with connected(switch.port()) as client:
        for _ in range(3):
            assert "00" == code(await client.ask(purchase(load_card(0))))
        assert "51" == code(await client.ask(purchase(PLAIN, 10_000_000)))
        await client.ask(echo())
        await asyncio.to_thread(until, lambda: told(switch, "now")["minute"]["messages"] >= 5)
        now = told(switch, "now")
    minute = now["minute"]
    assert (4, 3, 0.75) == (minute["decisions"], minute["approved"], minute["approval_rate"])
    assert ({"insufficient_funds": 1}, {"sent": 5}) == (minute["declines"], minute["outcomes"])
    assert {"0100": 4, "0800": 1} == minute["mtis"]
    latency = minute["latency_ms"]
    assert 0 < latency["p50"] <= latency["p99"] <= latency["p999"] <= latency["max"] < 1500
    assert (True, [], "inline") == (now["ready"], now["missing"], now["hsm"]["state"])
    assert ["connected"] == [link["state"] for link in now["links"]]
    assert now["links"][0]["last_echo"] is not None
    database = now["database"]
    assert (True, 0) == (database["ready"], database["waiting"])
    assert database["connected"] == database["connections"] > 0
    assert 1 <= minute["batch_mean"]
    assert (os.uname().nodename, switch.pid) == (now["process"]["host"], now["process"]["pid"])
    assert 0 == now["log_lines_lost"]


def test_history_has_a_point_for_each_second(switch: Watched) -> None:
    """Its columns are of one length, and grow by a point each second."""
    before = told(switch, "history")
    assert list(COLUMNS) == list(before)
    assert 1 == len({len(column) for column in before.values()})
    until(lambda: len(told(switch, "history")["at"]) > len(before["at"]) + 1)
    at = told(switch, "history")["at"]
    assert at == sorted(at)


async def test_a_message_is_found_and_explained(switch: Watched) -> None:
    """By its RRN, then why by its place: the refusing check, masked, with its currency."""
    message = purchase(PLAIN, 10_000_000)
    async with connected(switch.port()) as client:
        assert "51" == code(await client.ask(message))
    found = told(switch, f"search?q={message.fields[37]}")
    one = found["found"][0]
    assert ("insufficient_funds", PLAIN.pan[-4:]) == (one["reason"], one["last_four"])
    assert ({"letters": "EUR", "digits": 2}, False) == (found["currencies"]["978"], found["more"])
    why = told(switch, f"why/{one['place']}")
    refused = [check for check in why["checks"] if check["verdict"] == "refused"]
    assert [("funds", "insufficient_funds")] == [(x["name"], x["reason"]) for x in refused]
    assert {"978": {"letters": "EUR", "digits": 2}} == why["currencies"]
    for text in (json.dumps(found), json.dumps(why)):
        assert PLAIN.pan not in text
    assert {"error"} == told(switch, f"why/{one['place']}1", 404).keys()


@pytest.mark.parametrize(("path", "named"), BAD_QUESTIONS)
def test_a_bad_question_is_answered_in_one_line(switch: Watched, path: str, named: str) -> None:
    """It says what can be asked, and repeats nothing: somebody may have typed a PAN."""
    problem = told(switch, path, 400)["error"]
    assert named in problem
    assert PLAIN.pan not in problem
    assert "\n" not in problem


async def test_a_search_has_an_end(switch: Watched) -> None:
    """Of very many only the newest are listed, and it says that there are more."""
    async with connected(switch.port()) as client:
        for _ in range(FOUND_MAX + 1):
            await client.ask(purchase(load_card(1)))
    found = told(switch, f"search?q={load_card(1).pan[-4:]}")
    assert (FOUND_MAX, True) == (len(found["found"]), found["more"])


def test_a_search_without_a_database_says_so(switch: Watched) -> None:
    """While Postgres stands still an answer comes all the same, and later ones are right."""
    switch.signal_postgres(signal.SIGKILL)
    assert "database" in told(switch, "search?q=1234", 503)["error"]
    until(lambda: switch.get("/api/search?q=1234")[0] == 200, "the database")
