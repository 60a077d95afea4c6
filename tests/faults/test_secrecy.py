"""Everything that a switch writes through a hard day: no PAN, PIN block, track, code or key."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from specs.spec import load as load_spec
from switch.mask import mask_pan
from switch.wire.message import Message, encode
from tests.client import connected
from tests.faults.conftest import DEADLINE
from tests.faults.load import Load, loading
from tests.faults.secrets_in import Secrets, secrets_of
from tests.faults.slow import make_quick, make_slow
from tests.process import Switch
from tests.traffic import (
    GOLDEN,
    PLAIN,
    add_load_cards,
    change,
    chip,
    code,
    demo_card,
    ecommerce,
    load_card,
    purchase,
    stripe,
)
from tests.typed import typed

CARDS = 40
#: A card whose PAN stands where none belongs; its number is searched for by itself.
MISPLACED = load_card(CARDS)


@dataclass(frozen=True)
class Day:
    """What a day left behind."""

    folder: Path
    secrets: Secrets


@pytest.fixture(scope="module")
def day(quick_root: Path) -> Iterator[Day]:
    """The scenario, unreadable messages, kills and stops, all at log level debug."""
    with tempfile.TemporaryDirectory(dir=quick_root) as name:
        folder = Path(name)
        switch = Switch(
            folder,
            log__level="debug",
            links__1__name="binary",
            links__1__listen="127.0.0.1:0",
            links__1__dialect="iso87-binary",
            **DEADLINE,
        )
        try:
            switch.start()
            add_load_cards(switch.database_url, CARDS + 1)
            address = f"127.0.0.1:{switch.port()}"
            said = typed("replay", str(GOLDEN / "scenario.jsonl"), "--to", address)
            (folder / "replay.log").write_text(said.output)
            messages = asyncio.run(_a_hard_day(switch))
            assert 0 == switch.stop()
        finally:
            switch.end()
        yield Day(folder, secrets_of(messages, load_cards=CARDS))


async def _a_hard_day(switch: Switch) -> list[Message]:
    messages = [
        *(stripe(load_card(number), pin="1234") for number in range(5)),
        *(chip(load_card(number), pin=pin) for number, pin in enumerate(["1234", "9999"])),
        *(ecommerce(card) for card in (PLAIN, demo_card("low balance"))),
        chip(demo_card("19-digit PAN")),
        change(stripe(PLAIN, pin=PLAIN.pin), mti="0600"),
        change(stripe(PLAIN, pin=PLAIN.pin), mti="0110"),
        change(stripe(PLAIN, pin=PLAIN.pin), de_49=None),
        change(ecommerce(PLAIN), de_14="3013"),
        purchase(MISPLACED, de_43=f"{MISPLACED.pan:<40}"),
    ]
    await _send_whole_and_cut(switch.port(), "iso87-ascii", messages)
    await _send_whole_and_cut(switch.port("binary"), "iso87-binary", messages)

    slow = load_card(CARDS - 2)
    connection = await switch.connect()
    await make_slow(connection, {slow: 2.0})
    async with connected(switch.port()) as client:
        assert "91" == code(await client.ask(stripe(slow, pin=slow.pin)))
    await make_quick(connection)
    await connection.close()

    for fault in (signal.SIGSTOP, signal.SIGKILL):
        load = Load(CARDS)
        async with connected(switch.port()) as client, loading(client, load):
            await load.more(50)
            answers = [client.send(message) for message in map(_again, messages[:9])]
            switch.signal_postgres(fault)
            if fault is signal.SIGSTOP:
                await load.more(1, "91")
                switch.signal_postgres(signal.SIGCONT)
            else:
                await asyncio.to_thread(switch.wait_for, "database_restarted")
            await load.more(50)
            await asyncio.wait(answers)
    async with connected(switch.port()) as client, loading(client, Load(CARDS)) as load:
        await load.more(50)
        switch.kill()
    await asyncio.to_thread(switch.start)
    return messages


async def _send_whole_and_cut(port: int, dialect: str, messages: list[Message]) -> None:
    """Each message, then what is left of it when it is cut off, then with a byte spoiled."""
    spec = load_spec(dialect)
    async with connected(port, dialect=dialect) as client:
        for message in messages:
            data = encode(message, spec)
            client.write_frame(data)
            client.write_frame(data[:-9])
            client.write_frame(data[:-20] + b"\xff" + data[-19:])
            client.write_frame(data + data)
        assert "00" == code(await client.ask(purchase(load_card(39))))


def _again(message: Message) -> Message:
    """The same secrets in a message of its own."""
    return change(message, de_11=purchase(PLAIN).fields[11])


def test_the_search_finds_what_it_looks_for(day: Day) -> None:
    """The raw bytes of a message show every kind of secret, in both dialects."""
    kinds = {"PAN", "PIN block"}
    for dialect in ("iso87-ascii", "iso87-binary"):
        raw = encode(stripe(load_card(0), pin="1234"), load_spec(dialect))
        # A PIN block of format 0 is always the same for one PIN and card.
        assert kinds <= day.secrets.found_in(raw)
    shifted = bytes.fromhex("0" + raw.hex() + "0")
    assert "PAN" in day.secrets.found_in(shifted)
    everything = stripe(load_card(0), pin="1234"), ecommerce(PLAIN)
    raw = b"".join(encode(message, load_spec("iso87-ascii")) for message in everything)
    assert {"PAN", "PIN block", "track 2", "CVV2"} == day.secrets.found_in(raw)


def test_nothing_that_was_written_has_a_secret_in_it(day: Day) -> None:
    """Logs, errors, journal, tables, write-ahead log: raw bytes of all files are clean."""
    files = {path.name for path in day.folder.rglob("*") if path.is_file()}
    assert {"stdout.log", "stderr.log", "postgres.log", "unwinds.journal"} <= files
    assert {} == day.secrets.found_under(day.folder)


def test_what_was_written_is_what_should_be(day: Day) -> None:
    """The same files tell of the messages, with their PANs masked."""
    log = (day.folder / "stdout.log").read_text()
    assert f'"pan":"{mask_pan(PLAIN.pan)}"' in log
    assert '"event":"message_error"' in log
    assert '"event":"late_' in log
    assert "" == (day.folder / "stderr.log").read_text()


@pytest.mark.parametrize("where", ["stdout.log", "var"])
def test_a_pan_where_none_belongs_is_masked(day: Day, where: str) -> None:
    """A PAN in the merchant's name (DE43) reaches neither the log nor the ledger."""
    place = day.folder / where
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    pan = MISPLACED.pan.encode()
    assert [] == [path.name for path in files if pan in path.read_bytes()]
