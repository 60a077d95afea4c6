"""
Records `tests/golden/log.jsonl`, over which the recipes of docs/logs.md are run.

    python -m tests.golden_log

A real switch plays the demo's day, is sent too much and nonsense, loses its database and gets it
back. Afterwards the outputs in docs/logs.md are to be written anew: `python -m tests.golden_log
--page` does that.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import log_page
from tests.client import all_of, connected
from tests.links.conftest import locked
from tests.process import Switch, running, until
from tests.test_log_page import RECORDED
from tests.traffic import GOLDEN, ROOT, add_load_cards, code, load_card, purchase
from tests.typed import typed

NARROW = {"name": "narrow", "listen": "127.0.0.1:0", "in_flight_max": 4,
          "answer_within_ms": 400, "margin_ms": 100}  # fmt: skip
TOO_MANY = 24


async def _trouble(switch: Switch) -> None:
    async with connected(switch.port("narrow")) as client:
        async with locked(switch, load_card(0)):
            answers = [client.send(purchase(load_card(0), 1250)) for _ in range(TOO_MANY)]
            assert {"91"} == set(map(code, await all_of(answers)))
        await asyncio.to_thread(switch.wait_for, "shedding_ended")
        client.write_frame(b"0100 this is no message")
        await asyncio.to_thread(switch.wait_for, "message_error")
        switch.signal_postgres(signal.SIGKILL)
        await asyncio.to_thread(switch.wait_for, "database_died")
        await client.ask(purchase(load_card(1), 990))
        await asyncio.to_thread(switch.wait_for, "database_restarted")


def record() -> None:
    """Run the switch, and keep what it wrote."""
    settings = {f"links__1__{key}": value for key, value in NARROW.items()}
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), **settings) as switch:
        add_load_cards(switch.database_url, 2)
        day = GOLDEN / "scenario.jsonl"
        said = typed("replay", str(day), "--to", f"127.0.0.1:{switch.port()}")
        assert said.exit_code == 0, said.stdout
        asyncio.run(_trouble(switch))
        os.kill(switch.pid, signal.SIGTERM)
        switch.wait()
        until(lambda: switch.lines("stopped"))
        RECORDED.write_bytes(switch.log_file.read_bytes())


def write_page() -> None:
    """Run each recipe of the page over the recorded log, and put in what it prints."""

    def run(found: re.Match[str]) -> str:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "switch.log").symlink_to(RECORDED)
            said = subprocess.run(["bash", "-o", "pipefail", "-ec", found[1]], cwd=folder,
                                  capture_output=True, text=True, check=True,
                                  env=os.environ | {"LC_ALL": "C"})  # fmt: skip
        return f"```sh\n{found[1]}```\n\n```\n{said.stdout}```"

    page = ROOT / "docs" / "logs.md"
    page.write_text(log_page.RECIPE.sub(run, page.read_text()))


if __name__ == "__main__":
    write_page() if "--page" in sys.argv else record()
