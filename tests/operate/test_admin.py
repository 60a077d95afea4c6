"""The admin port and the metrics of a running switch."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.client import all_of, connected
from tests.links.conftest import locked
from tests.prepared import PREPARED
from tests.process import PATIENCE_SECONDS, Switch, free_port, running, until
from tests.traffic import PLAIN, add_load_cards, code, echo, load_card, purchase


class Watched(Switch):
    """A switch with its admin port."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.admin_port = free_port()
        super().__init__(
            folder,
            admin__listen=f"127.0.0.1:{self.admin_port}",
            links__0__answer_within_ms=1500,
            links__0__margin_ms=500,
            **settings,
        )

    def get(self, path: str) -> tuple[int, str]:
        """Ask the admin port: status and text."""
        try:
            url = f"http://127.0.0.1:{self.admin_port}{path}"
            with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def samples(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """All metrics, by name and labels."""
        _, text = self.get("/metrics")
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def sum(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        wanted = set(labels.items())
        found = self.samples().items()
        return sum(value for (each, has), value in found if each == name and wanted <= set(has))


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


def test_a_serving_switch_is_healthy_and_ready(switch: Watched) -> None:
    """/healthz and /readyz say yes; what is not there is 404, and nothing can be written."""
    assert (200, "ok\n") == switch.get("/healthz")
    assert (200, "ready\n") == switch.get("/readyz")
    assert 404 == switch.get("/nothing")[0]
    url = f"http://127.0.0.1:{switch.admin_port}/metrics"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url, data=b"x", timeout=PATIENCE_SECONDS)
    refused.value.close()
    assert 405 == refused.value.code


async def test_messages_are_counted_by_what_became_of_them(switch: Watched) -> None:
    """Counters tell link, MTI, reason and outcome; histograms link and MTI alone."""
    before = switch.sum("switch_messages_total")
    async with connected(switch.port()) as client:
        for _ in range(3):
            await client.ask(purchase(load_card(0)))
        await client.ask(purchase(PLAIN, 10_000_000))
        await client.ask(echo())
        client.write_frame(b"nonsense")
        assert 1 == switch.sum("switch_connections")
        await client.ask(echo())
    await asyncio.to_thread(until, lambda: switch.sum("switch_messages_total") == before + 7)
    link = {"link": "demo", "outcome": "sent"}
    assert 3 <= switch.sum("switch_messages_total", mti="0100", reason="approved", **link)
    assert 1 <= switch.sum("switch_messages_total", reason="insufficient_funds", **link)
    assert 1 == switch.sum("switch_messages_total", mti="unreadable", outcome="dropped")
    assert 1 == switch.sum("switch_answers_lost_total", outcome="dropped")
    assert 4 <= switch.sum("switch_message_seconds_count", link="demo", mti="0100")
    assert 1 <= switch.sum("switch_events_total", event="message_error")
    labels = {names for (name, has), _ in switch.samples().items()
              if name == "switch_message_seconds_count"
              for names in [tuple(label for label, _ in has)]}  # fmt: skip
    assert {("link", "mti")} == labels


async def test_a_peer_cannot_make_metrics_without_end(switch: Watched) -> None:
    """A thousand MTIs that nobody knows are one label: a scrape costs the loop by the label."""
    async with connected(switch.port()) as client:
        for start in range(0, 1000, 100):  # fewer at once than are shed
            for number in range(start, start + 100):
                client.write_frame(f"{number:04d}".encode() + bytes(30))
            assert "00" == code(await client.ask(echo()))
    assert len(switch.samples()) < 900


def test_metrics_hold_no_secret(switch: Watched) -> None:
    """No PAN stands in any metric."""
    assert "4761739" not in switch.get("/metrics")[1]


async def test_a_switch_without_its_database_is_not_ready(switch: Watched) -> None:
    """While Postgres is dead /readyz says 503 and why, /healthz still 200; then both recover."""
    switch.signal_postgres(signal.SIGKILL)
    await asyncio.to_thread(
        until, lambda: switch.get("/readyz") == (503, "not ready: database\n"), "503"
    )
    assert (200, "ok\n") == switch.get("/healthz")
    await asyncio.to_thread(until, lambda: switch.get("/readyz")[0] == 200, "readiness")


async def test_a_draining_switch_is_not_ready(quick_path: Path) -> None:
    """From SIGTERM until the last answer /readyz says 503 and why."""
    watched = Watched(quick_path)
    try:
        await asyncio.to_thread(watched.start)
        await asyncio.to_thread(add_load_cards_of, watched)
        async with connected(watched.port()) as client:
            async with locked(watched, load_card(0)):
                waiting = client.send(purchase(load_card(0)))
                await asyncio.sleep(0.1)
                os.kill(watched.pid, signal.SIGTERM)
                watched.wait_for("stopping")
                assert (503, "not ready: draining\n") == watched.get("/readyz")
                assert 1 == watched.sum("switch_in_flight")
            assert ["00"] == [code(answer) for answer in await all_of([waiting])]
        assert 0 == await asyncio.to_thread(watched.wait)
    finally:
        watched.end()


async def test_a_process_that_others_replace_serves_on(quick_path: Path) -> None:
    """For `stop.drain_s` after SIGTERM it takes connections and decides, and says that it goes."""
    watched = Watched(quick_path, stop__drain_s=2)
    PREPARED.lay(watched.data_dir)
    try:
        await asyncio.to_thread(watched.start)
        os.kill(watched.pid, signal.SIGTERM)
        watched.wait_for("stopping")
        assert (503, "not ready: draining\n") == watched.get("/readyz")
        assert (200, "ok\n") == watched.get("/healthz")
        async with connected(watched.port()) as client:
            assert "00" == code(await client.ask(purchase(PLAIN)))
            await client.ended()
        assert 0 == await asyncio.to_thread(watched.wait)
    finally:
        watched.end()


def add_load_cards_of(watched: Watched) -> None:
    """One load card."""
    add_load_cards(watched.database_url, 1)


def test_the_admin_port_can_be_off(quick_path: Path) -> None:
    """Without an admin address a switch listens on its links alone."""
    with running(quick_path) as switch:
        ports = {int(line.split()[1].rpartition(":")[2], 16) for line in _listening(switch.pid)}
        assert {switch.port()} == ports


def _listening(pid: int) -> list[str]:
    """The lines of a process's own TCP sockets that listen."""
    files = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").glob("*")]
    inodes = {name[8:-1] for name in files if name.startswith("socket:[")}
    lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    return [line for line in lines if line.split()[3] == "0A" and line.split()[9] in inodes]
