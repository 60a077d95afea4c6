"""What people type: each command, and every way in which it refuses."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import asyncpg
import pytest

from specs.spec import known
from specs.spec import load as load_spec
from switch.commands import base, main
from switch.commands.base import PLACES
from switch.mask import mask_pan
from switch.wire.message import Message, encode
from tests.client import connected
from tests.process import (
    COMMAND,
    PATIENCE_SECONDS,
    Switch,
    as_setting,
    command,
    environment,
    running,
)
from tests.traffic import PLAIN, ROOT, chip, code, ecommerce, load_card, purchase, stripe
from tests.typed import typed
from tests.wire.strategies import golden_formats, spec_of

ASCII = load_spec("iso87-ascii")


def hex_of(*messages: Message, dialect: str = "iso87-ascii") -> str:
    """Messages as lines of hex."""
    spec = load_spec(dialect)
    return "".join(encode(message, spec).hex() + "\n" for message in messages)


# describe


@pytest.mark.parametrize("wire_format", golden_formats())
def test_describe_speaks_every_dialect(wire_format: str) -> None:
    """A message of each wire format is told by the version and the names of its dialect."""
    dialect, (message, raw) = spec_of(wire_format), golden_formats()[wire_format][0]
    said = typed("describe", "--dialect", dialect, told=raw.hex())
    assert (0, "") == (said.exit_code, said.stderr)
    year = {"0": 1987, "1": 1993, "2": 2003}[message.mti[0]]
    assert f"{message.mti} authorization request (ISO 8583:{year})" in said.stdout
    assert f"pan                                  {mask_pan(message.fields[2])}" in said.stdout
    for secret in (message.fields[2], message.fields[52]):
        assert secret not in said.stdout


@pytest.mark.parametrize("dialect", ["iso87-ascii", "iso87-binary"])
def test_describe_says_in_words_what_a_message_is(dialect: str) -> None:
    """Lines of hex from standard input are told field by field, secrets masked."""
    message = chip(PLAIN, 2500)
    said = typed("describe", "--dialect", dialect, told=hex_of(message, dialect=dialect))
    assert (0, "") == (said.exit_code, said.stderr)
    assert "0100 authorization request" in said.stdout
    assert f"pan                                  {mask_pan(PLAIN.pan)}" in said.stdout
    assert "25.00 EUR" in said.stdout
    for secret in (PLAIN.pan, message.fields[52], message.fields[35], message.fields[55][:22]):
        assert secret not in said.stdout


def test_describe_shows_everything_where_asked() -> None:
    """With --clear, PAN, track, PIN block and CVV2 stand there."""
    told = hex_of(stripe(PLAIN, pin=PLAIN.pin), ecommerce(PLAIN))
    said = typed("describe", "--clear", told=told)
    for secret in (PLAIN.pan, PLAIN.track_2(), PLAIN.pin_block(), PLAIN.cvv2):
        assert secret in said.stdout


def test_describe_gives_json() -> None:
    """With --json each message is one object a line, masked as well, tags by name."""
    message = ecommerce(PLAIN)
    told = hex_of(message, message)
    said = typed("describe", "--json", told=told)
    first, second = map(json.loads, said.stdout.splitlines())
    assert first == second
    assert ("0100", mask_pan(PLAIN.pan)) == (first["mti"], first["fields"]["2"])
    assert PLAIN.cvv2 not in first["fields"]["48"]["92"]
    said = typed("describe", "--json", "--clear", told=told)
    clear = json.loads(said.stdout.splitlines()[0])
    assert PLAIN.cvv2 == clear["fields"]["48"]["92"]


def test_describe_names_bad_lines_and_goes_on(tmp_path: Path) -> None:
    """A line that is no message is told by number and field; the others are described."""
    good = hex_of(purchase(PLAIN))
    cut = good.strip()[:-40]
    file = tmp_path / "messages.hex"
    file.write_bytes(b"xyz\n" + good.encode() + b"\n\xff\xfe\n" + cut.encode() + b"\n")
    said = typed("describe", str(file))
    assert 1 == said.exit_code
    assert 1 == said.stdout.count("0100 authorization request")
    named = said.stderr.splitlines()
    assert ["switch: line 1: not hex", "switch: line 4: not hex"] == named[:2]
    assert named[2].startswith("switch: line 5: length: ")
    assert PLAIN.pan not in said.stderr


# The demo and the database.


async def rows(url: str, table: str) -> int:
    """How many rows a table of a database has."""
    connection = await asyncpg.connect(url)
    try:
        count: int = await connection.fetchval(f"SELECT count(*) FROM {table}")
        return count
    finally:
        await connection.close()


def test_migrating_twice_changes_nothing(raw_database: str) -> None:
    """The first run says what it applied, the second that there was nothing to do."""
    settings = {"database__url": as_setting(raw_database)}
    first, second = typed("migrate", settings=settings), typed("migrate", settings=settings)
    assert (0, "") == (first.exit_code, first.stderr)
    assert first.stdout.startswith("applied 0001_ledger")
    assert (0, "the database is up to date\n") == (second.exit_code, second.output)


@pytest.fixture
def with_load_cards(raw_database: str, quick_path: Path) -> Iterator[Switch]:
    """A switch on a database that was empty when load cards were added, twice."""
    settings = {"database__url": as_setting(raw_database)}
    for count, after in ((3, 0), (2, 3)):
        added = typed("demo", "cards", "--count", str(count), settings=settings)
        assert (0, f"{count} cards are added after {after}\n") == (added.exit_code, added.output)
    with running(quick_path, **settings) as switch:
        yield switch


async def test_load_cards_can_buy(with_load_cards: Switch, raw_database: str) -> None:
    """Cards added to an empty database stay, follow each other, and buy with PIN 1234."""
    switch = with_load_cards
    async with connected(switch.port()) as client:
        for number in range(5):
            assert "00" == code(await client.ask(stripe(load_card(number), pin="1234")))
        assert "00" == code(await client.ask(chip(load_card(4))))
        assert "55" == code(await client.ask(stripe(load_card(4), pin="4321")))
        assert "14" == code(await client.ask(purchase(load_card(5))))
    assert 5 + 22 == await rows(raw_database, "cards")


async def test_a_reset_beside_a_running_switch_begins_anew(quick_path: Path) -> None:
    """After a reset cards are new and nothing is held; the shared Postgres is left running."""
    with running(quick_path) as switch:
        postmaster = switch.postmaster()
        async with connected(switch.port()) as client:
            asked = purchase(PLAIN, 100_000)
            assert "00" == code(await client.ask(asked))
            assert "51" == code(await client.ask(purchase(PLAIN)))
            said = command("demo", "reset", folder=quick_path, settings=switch.settings)
            assert (0, "22 demo cards are loaded\n") == (said.returncode, said.stdout)
            assert 0 == await rows(switch.database_url, "authorizations")
            assert "00" == code(await client.ask(asked))
        assert postmaster == switch.postmaster()
        assert [] == switch.lines("database_died")


# dialects


def test_dialects_are_listed() -> None:
    """Each dialect has a line with its name and its version of the standard."""
    said = typed("dialects")
    assert (0, "") == (said.exit_code, said.stderr)
    assert known() == [line.split()[0] for line in said.stdout.splitlines()]
    assert "visa-base1         ISO 8583:1987  147 fields, MTI packed" in said.stdout


def test_a_dialect_of_ones_own_is_checked(tmp_path: Path) -> None:
    """A dialect that makes sense is told in its line; of one that does not, where and why."""
    text = (ROOT / "specs/visa_base1.toml").read_text()
    mine = tmp_path / "mine.toml"
    mine.write_text(text)
    said = typed("dialects", "check", str(mine))
    assert (0, "") == (said.exit_code, said.stderr)
    assert said.stdout.startswith("mine ")
    row = '"pan",                                  "n ..19"'
    line = 1 + text[: text.index(row)].count("\n")
    for name, good, bad, reason in (
        ("long", row, row.replace("n ..19", "n ..300"), f", line {line}: DE 2: 'n ..300' is long"),
        ("mute", 'closed                   = "46"', "", ": response_codes: closed missing"),
    ):
        assert good in text
        mine = tmp_path / f"{name}.toml"
        mine.write_text(text.replace(good, bad, 1))
        said = typed("dialects", "check", str(mine))
        assert 1 == said.exit_code
        assert said.stderr.startswith(f"switch: {mine}{reason}")


# Help.


@pytest.mark.parametrize(
    "words",
    [(), ("run",), ("migrate",), ("demo",), ("demo", "reset"), ("demo", "cards"), ("describe",),
     ("replay",), ("simulate",), ("dialects",), ("dialects", "check"), ("why",)],
    ids=" ".join,
)  # fmt: skip
@pytest.mark.parametrize("asking", ["--help", "-h"])
def test_every_command_helps_with_an_example(words: tuple[str, ...], asking: str) -> None:
    """Help says what a command does and shows how it is typed."""
    said = typed(*words, asking)
    assert (0, "") == (said.exit_code, said.stderr)
    assert "Example: " in said.stdout
    assert " ".join(("switch", *words)) in said.stdout.partition("Example: ")[2]


def test_every_command_is_where_it_is_looked_for() -> None:
    """The files of a command are those that it, or what belongs to it, is written in."""
    for file in Path(base.__file__).parent.glob("*.py"):
        import_module(f"switch.commands.{file.stem}")
    assert PLACES.keys() == main.commands.keys()
    for name, one in main.commands.items():
        parts = getattr(one, "commands", {name: one}).values()
        written_in = {part.callback.__module__.rpartition(".")[2] for part in parts}
        assert set(PLACES[name]) == written_in, name


@pytest.mark.parametrize(
    ("word", "file", "absent"),
    [("run", "serving", "switch.operate.simulate"), ("describe", "messages", "asyncpg")],
)
def test_what_is_not_needed_is_not_imported(
    word: str, file: str, absent: str, tmp_path: Path
) -> None:
    """A switch starts without what replays and simulates; a message is told without a database."""
    program = (
        "import atexit, sys\natexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        f"from switch.commands import main\nmain(['{word}', '--help'])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True,
    )  # fmt: skip
    imported = set(told.stderr.split())
    files = {name for name in imported if name.startswith("switch.commands.")}
    assert {f"switch.commands.{name}" for name in ("base", file)} == files
    assert absent not in imported


def test_without_a_command_the_help_is_shown() -> None:
    """`switch` alone tells the commands, and is no success."""
    said = typed()
    assert 1 == said.exit_code
    for word in ("accounts", "audit", "cards", "clearing", "maintain", "replay", "run", "simulate"):
        assert word in said.stderr


def test_a_reader_that_leaves_is_no_fault(tmp_path: Path) -> None:
    """`switch describe | head` ends without a traceback."""
    told = hex_of(*[purchase(PLAIN)] * 2000)
    with subprocess.Popen(
        [COMMAND, "describe"],
        cwd=tmp_path,
        env=environment({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(told)
            process.stdin.close()
        said = process.stderr.read()
        process.wait(PATIENCE_SECONDS)
    assert "Traceback" not in said
