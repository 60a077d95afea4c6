"""How a switch starts to serve and how it ends: all that came is answered, nothing is left."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from switch.wire.message import Message
from tests.client import Client, all_of, connected
from tests.links.conftest import locked
from tests.process import PATIENCE_SECONDS, Switch, command, is_alive, running, until
from tests.traffic import add_load_cards, code, load_card, purchase

CARDS = 50


@pytest.fixture(scope="module")
def prepared(quick_root: Path) -> Iterator[Switch]:
    """A switch that is stopped, with load cards in its database."""
    with (
        tempfile.TemporaryDirectory(dir=quick_root) as folder,
        running(Path(folder)) as started,
    ):
        add_load_cards(started.database_url, CARDS)
        started.stop()
        yield started


@pytest.fixture
def switch(prepared: Switch) -> Iterator[Switch]:
    """The same, started; nothing of it runs after the test."""
    prepared.log_file.write_bytes(b"")
    yield prepared.start()
    prepared.end()


async def load_until_closed(client: Client) -> tuple[int, int]:
    """Keep twenty requests out until the link closes: how many were sent, how many answered."""
    sent = 0
    while not client.closed.done():
        if sent - len(client.answers) < 20:
            client.send(purchase(load_card(sent % CARDS))).add_done_callback(_look)
            sent += 1
        else:
            await asyncio.sleep(0)
    return sent, len(client.answers)


def _look(answer: asyncio.Future[Message]) -> None:
    answer.exception()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stopping_switch_answers_what_it_took(
    switch: Switch, number: signal.Signals
) -> None:
    """SIGTERM, or Ctrl-C to the whole group, under load: every request taken is answered."""
    pids = [switch.pid, *switch.postgres_pids()]
    async with connected(switch.port()) as client, asyncio.timeout(PATIENCE_SECONDS):
        loading = asyncio.create_task(load_until_closed(client))
        await client.received(200)
        if number is signal.SIGINT:
            os.killpg(switch.pid, number)
        else:
            os.kill(switch.pid, number)
        _, answered = await loading
    assert 0 == await asyncio.to_thread(switch.wait)

    assert {"00"} == {code(answer) for answer in client.answers}
    lines = switch.lines("message")
    assert answered == len(lines), "a request was taken and not answered, or the reverse"
    assert {"sent"} == {line["outcome"] for line in lines}
    assert "stopped" == switch.lines()[-1]["event"]
    assert "" == switch.error_file.read_text()
    assert [] == [pid for pid in pids if is_alive(pid)]


async def test_a_stopping_switch_waits_for_an_answer_that_takes_long(switch: Switch) -> None:
    """A request that waits for its account when SIGTERM comes is answered in its time."""
    async with connected(switch.port()) as client:
        async with locked(switch, load_card(0)):
            waiting = client.send(purchase(load_card(0)))
            await asyncio.sleep(0.1)
            os.kill(switch.pid, signal.SIGTERM)
            await asyncio.to_thread(switch.wait_for, "stopping")
            with pytest.raises(ConnectionRefusedError):
                await Client.connect(switch.port())
        assert ["00"] == [code(answer) for answer in await all_of([waiting])]
    assert 0 == await asyncio.to_thread(switch.wait)


async def test_what_was_done_is_there_after_a_restart(switch: Switch) -> None:
    """After an orderly stop and a start a repeat gets the answer that its original got."""
    asked = purchase(load_card(1))
    async with connected(switch.port()) as client:
        first = await client.ask(asked)
    assert 0 == await asyncio.to_thread(switch.stop)
    await asyncio.to_thread(switch.start)
    async with connected(switch.port()) as client:
        assert first == await client.ask(asked)


def test_a_switch_can_be_stopped_while_it_starts(quick_path: Path) -> None:
    """SIGTERM before it serves ends it in good order, with its Postgres."""
    switch = Switch(quick_path)
    try:
        switch.start(wait=False)
        until(switch.postgres_pids, "a Postgres")
        assert 0 == switch.stop()
        assert [] == switch.postgres_pids()
        assert "" == switch.error_file.read_text()
    finally:
        switch.end()


@pytest.mark.parametrize("setting", ["links__0__listen", "admin__listen"])
def test_a_port_that_is_taken_is_one_line(prepared: Switch, setting: str) -> None:
    """Where its port is taken a switch says so in one line, exits with 1 and leaves nothing."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "{}:{}".format(*taken.getsockname())
        switch = Switch(prepared.folder, **{setting: address})
        refused = command("run", folder=switch.folder, settings=switch.settings)
    assert 1 == refused.returncode
    assert 1 == refused.stderr.count("\n")
    assert refused.stderr.startswith("switch: ")
    assert f"cannot listen on {address}" in refused.stderr
    for line in refused.stdout.splitlines():
        assert isinstance(json.loads(line), dict)
    assert [] == switch.postgres_pids()
