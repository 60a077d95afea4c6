"""A running switch that dials its scheme: purchases, the admin port, and its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from tests.links.peer import listening, true
from tests.process import PATIENCE_SECONDS, free_port, running
from tests.traffic import PLAIN, code, echo, purchase


def get(port: int, path: str) -> str:
    """What the admin port says."""
    url = f"http://127.0.0.1:{port}{path}"
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as response:
        text: str = response.read().decode()
        return text


async def links(port: int) -> dict[str, dict[str, Any]]:
    """`/api/links` by name."""
    found = json.loads(await asyncio.to_thread(get, port, "/api/links"))["links"]
    return {link["name"]: link for link in found}


async def test_purchases_over_a_dialled_link(quick_root: Path) -> None:
    """A scheme that is dialled over two connections is signed on to, decided for, and signed off
    from; `/api/links`, the metrics and the log tell how it stands.
    """
    admin = free_port()
    async with listening() as peer:
        settings: dict[str, object] = {
            "links__1__name": "dialled",
            "links__1__connect": f"127.0.0.1:{peer.port}",
            "links__1__connections": 2,
            "links__1__answer_within_ms": 3000,
            "admin__listen": f"127.0.0.1:{admin}",
        }
        with tempfile.TemporaryDirectory(dir=quick_root) as folder:
            starting = running(Path(folder), **settings)
            switch = await asyncio.to_thread(starting.__enter__)
            try:
                await true(lambda: len(peer.asked) == 2)
                for end in peer.open:
                    assert "00" == code(await end.ask(purchase(PLAIN)))
                assert "00" == code(await peer.ends[0].ask(echo()))
                told = await links(admin)
                assert {"demo": "down", "dialled": "signed_on"} == {
                    name: link["state"] for name, link in told.items()
                }
                dialled = told["dialled"]
                assert ("iso87-ascii", f"127.0.0.1:{peer.port}", True, 2, 0) == tuple(
                    dialled[key]
                    for key in ("dialect", "address", "dials", "connections", "in_flight")
                )
                assert f"127.0.0.1:{switch.port()}" == told["demo"]["address"]
                assert dialled["since"] <= dialled["last_echo"]
                assert told["demo"]["last_echo"] is None
                metrics = await asyncio.to_thread(get, admin, "/metrics")
                assert 'switch_link_state{link="dialled",state="signed_on"} 1.0' in metrics
                assert 'switch_link_state{link="dialled",state="down"} 0.0' in metrics

                os.kill(switch.pid, signal.SIGTERM)
                assert 0 == await asyncio.to_thread(switch.wait)
                assert ["0800/001"] * 2 + ["0800/002"] * 2 == peer.codes()
                assert ["connected", "signed_on", "draining"] == [
                    line["state"] for line in switch.lines("link_state", link="dialled")
                ]
                assert "" == switch.error_file.read_text()
            finally:
                await asyncio.to_thread(starting.__exit__, None, None, None)
