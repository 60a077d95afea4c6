"""What the bench puts into a database is what the switch would: the audit finds it right."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from array import array
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from functools import partial
from itertools import repeat
from pathlib import Path

import asyncpg
import pytest

from benchmarks import history, load
from benchmarks.codec import cost
from benchmarks.honesty import check_yardstick
from benchmarks.html import page
from benchmarks.load import Generator
from benchmarks.rig import HOST, BenchError, free_port, run, serving
from benchmarks.soak import flatness, problems
from benchmarks.textbook import Textbook
from benchmarks.traffic import DIALECT, make_traffic, purchase
from benchmarks.yardstick import SETUP
from keys.keyfile import load as load_keys
from keys.keyfile import read_kbpk
from keys.vault import LocalDataKeys, Vault
from switch.demo import loader
from switch.ledger.queries import QUERIES
from switch.operate.audit import audit
from switch.setting_values import packaged_key_file
from switch.wire.message import Message, decode, encode
from tests.conftest import PostgresServer
from tests.ledger.support import PROGRAM, Books
from tests.process import as_setting

KEYS = load_keys(packaged_key_file("keys.toml"), read_kbpk(packaged_key_file("kbpk.dev")))

CARDS = 7


async def load_cards(books: Books) -> None:
    """Cards as load tests have them."""
    numbers = range(1_000_001, 1_000_001 + CARDS)
    for number in numbers:
        await books.connection.execute(
            "INSERT INTO accounts (account_id, reference, program_id, currency)"
            " VALUES ($1, $2, $3, '978')",
            number, f"load-{number}", PROGRAM,
        )  # fmt: skip
        await books.card(number, number)
    await books.connection.execute(
        QUERIES["open_accounts"], list(numbers), [100_000_000] * len(numbers)
    )


async def findings(url: str) -> dict[str, int]:
    """What an audit checked; it finds nothing wrong."""
    found = await audit(url)
    assert [] == [str(finding) for finding in found if finding.wrong]
    return {finding.rule: finding.checked for finding in found}


async def untold(database: str) -> tuple[int, int]:
    """How many decisions have no event of theirs, which tells money where they are approved, and
    how many accounts' last event has other balances than they.
    """
    books = await Books.open(database)
    decisions: int = await books.connection.fetchval(
        "SELECT count(*) FROM authorizations AS z LEFT JOIN events AS e"
        " USING (account_id, authorization_id, card_id, received_at)"
        " WHERE e.type IS DISTINCT FROM"
        " 'authorization.' || CASE WHEN z.reason IS NULL THEN 'approved' ELSE 'declined' END"
        " OR (e.held_change_minor IS NULL) IS DISTINCT FROM (z.reason IS NOT NULL)"
    )
    accounts: int = await books.connection.fetchval(
        "SELECT count(*) FROM accounts AS a CROSS JOIN LATERAL ("
        "  SELECT posted_minor, held_minor, credit_limit_minor FROM events AS e"
        "   WHERE e.account_id = a.account_id AND e.held_minor IS NOT NULL"
        "   ORDER BY e.event_id DESC LIMIT 1) AS e"
        " WHERE (e.posted_minor, e.held_minor, e.credit_limit_minor)"
        "    <> (a.posted_minor, a.held_minor, a.credit_limit_minor)"
    )
    await books.connection.close()
    return decisions, accounts


async def test_a_history_is_right(database: str, postgres_server: PostgresServer) -> None:
    """Half its messages are authorizations, half their completions, over all its months."""
    books = await Books.open(database)
    await load_cards(books)
    await history.fill(postgres_server.embedded, messages=600, url=as_setting(database))
    checked = await findings(database)
    assert (600, 300, 300) == (checked["keys"], checked["decisions"], checked["purchases"])
    months = await books.connection.fetchval(
        "SELECT count(DISTINCT date_trunc('month', received_at AT TIME ZONE 'UTC'))"
        " FROM authorizations"
    )
    assert months >= history.MONTHS
    await books.connection.close()


async def yardstick(books: Books, database: str, server: PostgresServer) -> None:
    """What pgbench calls, and cards for it."""
    await load_cards(books)
    await run(
        server.embedded.bin_dir / "psql", "--no-psqlrc", "--quiet",
        "--set=ON_ERROR_STOP=1", f"--file={SETUP}", as_setting(database),
    )  # fmt: skip


async def call(
    books: Books, card: int, key: int, minor: int, expiry: str = "9912", within: str = "1 hour"
) -> list[object]:
    """One call as pgbench makes it."""
    row = await books.connection.fetchrow(
        "SELECT * FROM bench_authorize_one(bench_token($1), int8send($2), int8send($2),"
        " now() + $5::text::interval, $4, 60, NULL, NULL, 'purchase', 'stripe', $3, 0, $3,"
        " '978', '000000', '0100', '1', '1231235959', '1', '476173', 'T', 'M', 'S', '5411',"
        " '276', '901', 'pgbench', '123456', 'track_code=match')",
        card, key, minor, expiry, within,
    )  # fmt: skip
    assert isinstance(row, asyncpg.Record)
    return list(row.values())


async def test_a_late_call_is_no_lost_decision(
    database: str, postgres_server: PostgresServer
) -> None:
    """What pgbench counted has its row or was told late; a call beyond both is one too many."""
    books = await Books.open(database)
    await yardstick(books, database, postgres_server)
    await check_yardstick(books.connection, 0)
    assert "decided" == (await call(books, 1_000_001, 1, 1_000))[0]
    assert "late" == (await call(books, 1_000_001, 2, 1_000, within="-1 second"))[0]
    await check_yardstick(books.connection, 2)
    with pytest.raises(BenchError, match="3 calls, 1 too late, 1 rows"):
        await check_yardstick(books.connection, 3)
    await books.connection.close()


async def test_the_yardstick_is_right(database: str, postgres_server: PostgresServer) -> None:
    """What pgbench decides is held, counted and answered again as the switch would."""
    books = await Books.open(database)
    await yardstick(books, database, postgres_server)
    ask = partial(call, books)

    plain, limited = 1_000_001, 1_000_002
    await books.limit(limited, amount_minor=1_000)
    assert ["decided", None, "123456", 99_999_000] == await ask(plain, 1, 1_000)
    assert ["repeated", None, "123456", 99_999_000] == await ask(plain, 1, 1_000)
    assert ["decided", None, "123456", 99_999_100] == await ask(limited, 2, 900)
    assert ["decided", "limit_amount", None, 99_999_100] == await ask(limited, 3, 900)
    assert ["decided", "insufficient_funds", None, 99_999_000] == await ask(plain, 4, 99_999_001)
    assert ["decided", "card_expired", None, 99_999_000] == await ask(plain, 5, 10, "9901")
    checked = await findings(database)
    assert (5, 2, 1) == (checked["keys"], checked["decisions"], checked["usage"])
    assert (0, 0) == await untold(database)
    await books.connection.close()


def test_a_message_is_its_cards_own() -> None:
    """What is put together from parts is what the codec makes."""
    traffic = make_traffic(CARDS)
    for card in range(CARDS):
        sent = traffic.messages([1_000_042], repeat((card + 0.5) / CARDS).__next__)
        moment = decode(sent[2:], DIALECT).fields[7]
        own = {7: moment, 11: "000042", 37: "000001000042"}
        message = purchase(card, KEYS["cvk"])
        payload = encode(Message("0100", {**message.fields, **own}), DIALECT)
        frame = len(payload).to_bytes(2, "big") + payload
        assert frame == sent


def test_messages_are_spread_over_all_cards() -> None:
    """Of many cards so few messages are made as are asked for."""
    some, whole = make_traffic(100, at_most=10), make_traffic(100)
    assert list(whole.heads[::10]) == list(some.heads)


Answer = Callable[[dict[int, str]], str | None]


@contextlib.asynccontextmanager
async def answering(code_of: Answer, *, is_whole: bool = False) -> AsyncIterator[tuple[str, int]]:
    """A server that answers 0100s with the code it is told, all or two of three in one piece."""

    serving = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                fields = dict(decode(await reader.readexactly(size), DIALECT).fields)
                if (code := code_of(fields)) is None:
                    continue
                kept = {n: fields[n] for n in (3, 4, 7, 11, 32, 33, 37, 41, 42, 49)} | {39: code}
                payload = encode(
                    Message("0110", kept | ({38: "123456"} if code == "00" else {})), DIALECT
                )
                frame = len(payload).to_bytes(2, "big") + payload
                at = len(frame) if is_whole or int(fields[11]) % 3 else 50
                writer.write(frame[:at])
                await asyncio.sleep(0)
                writer.write(frame[at:])
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()
        await asyncio.gather(*filter(None, serving))


async def test_the_generator_counts_what_comes() -> None:
    """Approvals, other answers, and messages without one are told apart; none is lost."""

    def code_of(fields: dict[int, str]) -> str | None:
        return {0: None, 1: "51"}.get(int(fields[11]) % 10, "00")

    async with answering(code_of) as address:
        generator = Generator([address], make_traffic(CARDS), first=100, patience=0.2)
        result = await asyncio.to_thread(generator.open_loop, per_second=400, seconds=0.5)
        generator.close()
    numbers = range(100, 100 + result.sent)
    assert [n for n in numbers if n % 10 > 1] == sorted(result.approved)
    assert len(result.approved) == len(result.latencies)
    assert {"51": len([n for n in numbers if n % 10 == 1])} == result.others
    assert len([n for n in numbers if n % 10 == 0]) == result.unanswered


async def test_the_generator_needs_no_codec_for_whole_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Approvals and other answers alike are counted without one, which would cost too much."""

    def code_of(fields: dict[int, str]) -> str | None:
        return "00" if int(fields[11]) % 2 else "91"

    monkeypatch.setattr(load, "decode", None)
    async with answering(code_of, is_whole=True) as address:
        generator = Generator([address], make_traffic(CARDS))
        result = await asyncio.to_thread(generator.open_loop, per_second=400, seconds=0.2)
        generator.close()
    assert {"91": result.sent - len(result.approved)} == result.others
    assert result.sent // 2 == len(result.approved) > 0


async def test_the_generator_keeps_so_many_in_flight() -> None:
    """Each answer sends the next message, and one that does not come is replaced."""
    waiting: set[str] = set()
    most = 0

    def code_of(fields: dict[int, str]) -> str | None:
        nonlocal most
        waiting.add(fields[11])
        most = max(most, len(waiting))
        if int(fields[11]) == 0:
            return None
        waiting.remove(fields[11])
        return "00"

    async with answering(code_of) as address:
        generator = Generator([address], make_traffic(CARDS), patience=0.1)
        result = await asyncio.to_thread(generator.closed_loop, in_flight=3, seconds=0.4)
        generator.close()
    assert (1, {}) == (result.unanswered, result.others)
    assert most <= 3 < result.sent == len(result.approved) + 1


async def test_the_textbook_is_right(database: str) -> None:
    """What it decides is held and answered again, and refused for its reason."""
    vault = Vault(LocalDataKeys(KEYS["pan_token"], KEYS["pan_data"]))
    async with asyncpg.create_pool(database, min_size=2, max_size=2) as pool:
        books = await asyncpg.connect(database)
        await books.execute(QUERIES["make_partitions"], 1)
        await loader.reset(books, vault)
        await loader.add_load_cards(books, vault, KEYS["pvk"], CARDS, progress=lambda _: None)
        await books.close()
        server = await asyncio.start_server(Textbook(pool).serve, HOST, 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())

        async def ask(**changed: str) -> dict[int, str]:
            own = {int(name[2:]): value for name, value in changed.items()}
            message = purchase(1, KEYS["cvk"])
            payload = encode(Message("0100", {**message.fields, **own}), DIALECT)
            writer.write(len(payload).to_bytes(2, "big") + payload)
            size = int.from_bytes(await reader.readexactly(2), "big")
            return dict(decode(await reader.readexactly(size), DIALECT).fields)

        first = await ask(de11="000001")
        assert "00" == first[39]
        assert first == await ask(de11="000001")
        assert "51" == (await ask(de11="000002", de4="000100000000"))[39]
        assert "54" == (await ask(de11="000003", de14="3011"))[39]
        assert "14" == (await ask(de11="000004", de2="4761739000000001"))[39]
        track = purchase(1, KEYS["cvk"]).fields[35]
        assert "82" == (await ask(de11="000005", de35=track[:-5] + "00000"))[39]
        writer.close()
        server.close()
        assert b"" == await reader.read()
    checked = await findings(database)
    assert (4, 1) == (checked["keys"], checked["decisions"])
    assert (0, 0) == await untold(database)


STEP = {
    "per_s": 100, "approved_per_s": 99, "p50_ms": 1.5, "p99_ms": 4.0, "p99_9_ms": None,
    "unanswered": 1, "not_approved": {"91": 2},
}  # fmt: skip


def test_the_page_is_whole_and_says_what_was_found() -> None:
    """One file, without a request to anywhere; what was not measured is left out."""
    found = {
        "machine": {"system": "<Linux>"},
        "compared": {"switch_per_s": 3000, "pgbench_per_s": 1500, "textbook_per_s": 400},
        "ladder": {"ladder": [STEP], "shares": [{"share": 0.25} | STEP]},
        "codec": {"codec": [asdict(cost("iso87-ascii", [purchase(0, KEYS["cvk"])], 1))]},
        "keys": {"best_us": {"CVV": 5.1}},
        "links": {"before": {"ratio": 2.5}, "after": {"ratio": 2.25}, "left": 0.9},
    }
    told = page(found)
    assert "&lt;Linux&gt;" in told
    assert "100 a second (25%)" in told
    assert "91: 2" in told
    assert {"3,000", "5.1", "2.25", "iso87-ascii, decode"} <= set(re.findall(r">([^<]+)<", told))
    assert "History" not in told
    assert "<circle" in told
    assert not re.search(r"src=|href=|url\(|\bnan\b|None", told)


def test_memory_that_grows_is_seen() -> None:
    """What the process took while it warmed up is no growth."""
    flat = [50] * 10 + [100] * 90
    assert (100, 100) == flatness(flat)
    assert (100, 110) == flatness([*flat, *[110] * 20])
    assert ["rss_growth"] == problems(
        {"unanswered": 0, "not_approved": {}, "log_lines_lost": 0, "rss_growth": 0.06}
    )


def test_what_a_stricter_link_would_have_missed_is_counted() -> None:
    """A latency of the limit itself is in time."""
    result = load.Result(latencies=array("d", [0.1, 0.25, 0.251, 2.0]))
    assert 2 == result.slower_than(0.25)


async def test_another_tree_is_measured_with_its_own_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program of another tree has its code from there, whatever the bench was started with."""
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    tree, log, port = tmp_path / "tree", tmp_path / "log", free_port()
    tree.mkdir()
    (tree / "serve.py").write_text(
        "import socket, sys, time\n"
        "print(__file__, flush=True)\n"
        "kept = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-m", "serve", str(port)]
    async with serving(command, port, log, tree):
        assert str(tree / "serve.py") == log.read_text().strip()
