"""The sample consumer in a process of its own, and what it has written."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

from tests.keys.kms_door import CREDENTIALS, REGION
from tests.process import until
from tests.traffic import ROOT

#: Posted, held and credit limit of accounts, minor units.
Balances = dict[str, tuple[int, int, int]]


class Consumer:
    """`consumer.py` over a database in a folder."""

    def __init__(self, folder: Path, queue_url: str, endpoint_url: str) -> None:
        self.database = folder / "balances.db"
        self.told = folder / "consumer.txt"  #: standard error, of all starts
        self._command = [
            sys.executable,
            str(ROOT / "deploy" / "consumer" / "consumer.py"),
            queue_url,
            str(self.database),
            "--endpoint-url",
            endpoint_url,
        ]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Consumer:
        """Start, and wait until it consumes."""
        starts = self._starts()
        with self.told.open("ab") as errors:
            self.process = subprocess.Popen(
                self._command,
                env=os.environ | CREDENTIALS | {"AWS_REGION": REGION},
                stderr=errors,
                stdout=subprocess.DEVNULL,
            )
        until(lambda: self._starts() > starts, "the consumer")
        return self

    def kill(self) -> None:
        """Kill it, wherever it is."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def balances(self) -> Balances:
        """What it has made of the events so far."""
        database = sqlite3.connect(self.database)
        try:
            rows = database.execute(
                "SELECT account, posted_minor, held_minor, credit_limit_minor FROM balances"
            ).fetchall()
        finally:
            database.close()
        return {account: (posted, held, limit) for account, posted, held, limit in rows}

    def _starts(self) -> int:
        return self.told.read_text().count("consuming") if self.told.exists() else 0
