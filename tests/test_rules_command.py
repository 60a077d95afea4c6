"""`switch rules try` as people type it: its page, and what it refuses in one line."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
import pytest
from click.testing import Result

from switch.operate.trial.scratch import remove_left_behind
from tests.conftest import PostgresServer
from tests.ledger.support import Books, ask
from tests.process import (
    COMMAND,
    PATIENCE_SECONDS,
    as_setting,
    environment,
    is_alive,
    until,
)
from tests.typed import typed

FILE = '[[limits]]\nscope = "all"\nperiod = "day"\namount = 25.00\n'
NARROWER = """\
from 2026-01-01 00:00:00 UTC until MOMENT UTC

accounts                   1
requests                   3
the same                   2
otherwise                  1

was                        would have been              requests  amount
approved                   limit_amount                        1  10.00 EUR

the first of them, in UTC
  MOMENT  rrn RRN  …0012  purchase 10.00 EUR  approved → limit_amount
"""


@pytest.fixture
def recorded(database: str) -> str:
    """A database in which three purchases of 10.00 EUR were approved."""

    async def work() -> None:
        books = await Books.open(database)
        account = await books.account()
        for _ in range(3):
            assert "approved" == await books.reason(ask(account))
        await books.connection.close()

    asyncio.run(work())
    return database


@pytest.fixture
def scratch(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database to play in."""
    for url in postgres_server.fresh("template0"):
        yield as_setting(url)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text(FILE)
    return path


def try_(url: str, file: Path, *words: str, begin: str = "2026-01-01") -> Result:
    settings: Mapping[str, object] = {"database__url": as_setting(url)}
    return typed("rules", "try", str(file), "--from", begin, *words, settings=settings)


def test_the_page(recorded: str, scratch: str, file: Path) -> None:
    """How many, which, and the first of them; without a PAN."""
    said = try_(recorded, file, "--scratch", scratch)
    page = re.sub(r"rrn \d{12}", "rrn RRN", said.stdout)
    page = re.sub(r"2(?!026-01-01)\d{3}-\d\d-\d\d \d\d:\d\d:\d\d", "MOMENT", page)
    assert (0, NARROWER) == (said.exit_code, page), said.output


def test_json(recorded: str, scratch: str, file: Path) -> None:
    """The same for programs, in minor units."""
    told: dict[str, Any] = json.loads(try_(recorded, file, "--json", "--scratch", scratch).stdout)
    assert (1, 3, 2, 1) == tuple(told[key] for key in ("accounts", "requests", "same", "other"))
    assert {"was": "approved", "now": "approved", "currency": "978", "is_other": False,
            "number": 2, "amount_minor": 2_000} == told["answers"][0]  # fmt: skip
    assert ["limit_amount"] == [example["now"] for example in told["examples"]]
    assert {} == told["beside"]


def test_a_role_that_may_only_select(
    recorded: str, scratch: str, file: Path, postgres_server: PostgresServer
) -> None:
    """It is enough: nothing is written, no lock is taken that keeps a decision waiting."""
    role = f"reader_{urlsplit(recorded).path[1:]}"
    postgres_server.execute(f"CREATE ROLE {role} LOGIN")
    asyncio.run(_grant(recorded, role))
    parts = urlsplit(recorded)
    query = urlencode(dict(parse_qsl(parts.query)) | {"user": role})
    said = try_(urlunsplit(parts._replace(query=query)), file, "--scratch", scratch)
    asyncio.run(_grant(recorded, role, revoke=True))
    postgres_server.execute(f"DROP ROLE {role}")
    assert 0 == said.exit_code, said.output
    assert "otherwise                  1" in said.stdout


async def _grant(url: str, role: str, *, revoke: bool = False) -> None:
    connection = await asyncpg.connect(url)
    verb, to = ("REVOKE", "FROM") if revoke else ("GRANT", "TO")
    await connection.execute(f"{verb} SELECT ON ALL TABLES IN SCHEMA public {to} {role}")
    await connection.close()


def test_a_server_of_its_own(recorded: str, file: Path) -> None:
    """Without --scratch one is started, and nothing of it is left."""
    said = try_(recorded, file)
    assert 0 == said.exit_code, said.output
    assert "otherwise                  1" in said.stdout


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Nobody can read what was recorded."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(url))
        try:
            runner.run(connection.execute("BEGIN; LOCK TABLE authorizations"))
            yield
        finally:
            runner.run(connection.close())


@contextmanager
def started(url: str, file: Path, folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A trial in a process of its own, whose server is there: the process, and the server's. It
    does not come to its end meanwhile.
    """
    with (
        locked(url),
        subprocess.Popen(
            [COMMAND, "rules", "try", str(file), "--from", "2026-01-01"],
            cwd=folder,
            env=environment({"database__url": as_setting(url)}) | {"TMPDIR": str(folder)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as trial,
    ):
        server = "switch-trial-*/postgres/data/postmaster.pid"
        try:
            until(lambda: [one for one in folder.glob(server) if one.read_text().count("\n") > 1])
            (found,) = folder.glob(server)
            yield trial, int(found.read_text().split("\n", 1)[0])
        finally:
            trial.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_trial_that_is_ended(
    recorded: str, file: Path, quick_path: Path, number: signal.Signals
) -> None:
    """Neither its folder nor its server is left."""
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip(f"{number.name} is ignored by whoever runs the tests, and so by all they start")
    with started(recorded, file, quick_path) as (trial, server):
        trial.send_signal(number)
        _, said = trial.communicate(timeout=PATIENCE_SECONDS)
        assert (130, False) == (trial.returncode, "Traceback" in said), said
    assert not is_alive(server)
    assert [] == list(quick_path.glob("switch-trial-*"))


def test_a_trial_that_is_killed(
    recorded: str, file: Path, quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leaves is removed by the next one; what another still uses is not."""
    with started(recorded, file, quick_path) as (trial, server):
        monkeypatch.setattr(tempfile, "tempdir", str(quick_path))
        asyncio.run(remove_left_behind())
        assert is_alive(server)
        trial.kill()
        trial.wait()
        assert is_alive(server)
        asyncio.run(remove_left_behind())
    assert not is_alive(server)
    assert [] == list(quick_path.glob("switch-trial-*"))


def test_a_file_that_changes_nothing(recorded: str, scratch: str, file: Path) -> None:
    """It is a test of the trial itself: nothing differs, and the page says what it is."""
    file.write_text("")
    said = try_(recorded, file, "--scratch", scratch)
    assert "nothing is changed: what differs is what cannot be played again" in said.stdout
    assert "otherwise                  0" in said.stdout


REFUSED = [
    (("--to", "2999-01-01"), "--to: lies in the future"),
    (("--to", "2025-12-31"), "--from: must be before --to"),
    (("--to", "noon"),
     "Invalid value for '--to': must be like 2026-11-22, or 2026-11-22T18:00+01:00"),
    (("--from", "0001-01-01"), "Invalid value for '--from': must be in 1970 or later"),
    (("--scratch", "postgresql://127.0.0.1:1/none"),
     "--scratch: no connection to that database: Connection refused"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "says"), REFUSED, ids=[says for _, says in REFUSED])
def test_what_is_refused(database: str, file: Path, words: tuple[str, ...], says: str) -> None:
    """One line that says what to do, and no traceback."""
    said = try_(database, file, *words)
    assert 1 == said.exit_code
    assert said.stderr.startswith(f"switch: {says}")
    assert 1 == len(said.stderr.splitlines())


def test_a_file_that_cannot_be_used(database: str, scratch: str, file: Path) -> None:
    """It is refused before anything is asked of a database."""
    file.write_text("limit = 1")
    said = try_(database, file, "--scratch", scratch)
    assert (1, f"switch: {file}: limit: unknown key\n") == (said.exit_code, said.stderr)
