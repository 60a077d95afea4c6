"""`switch clearing`, as an operator types it, alone and beside a running switch."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.client import connected
from tests.conftest import PostgresServer
from tests.desk import Desk, demo_desk
from tests.process import (
    COMMAND,
    PATIENCE_SECONDS,
    as_setting,
    command,
    environment,
    eventually,
    running,
)
from tests.traffic import PLAIN, add_load_cards, code, load_card, purchase

HEADER = "kind,pan,scheme,reference,processing_code,amount,currency,authorization_code"
CARDS = 20


@pytest.fixture(scope="module")
def desk(migrated_server: PostgresServer) -> Iterator[Desk]:
    """One database for the file."""
    for desk in demo_desk(migrated_server):
        add_load_cards(desk.url, CARDS)
        yield desk


def line(
    pan: str, reference: int, *, kind: str = "presentment", amount: str = "1.00", given: str = ""
) -> str:
    """One line of a file."""
    return f"{kind},{pan},demo,{reference:023d},000000,{amount},978,{given}"


def written(folder: Path, lines: Iterable[str], name: str = "day.csv") -> Path:
    """A file of lines."""
    path = folder / name
    path.write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8")
    return path


def posted(desk: Desk, *accounts: int) -> int:
    """What some load cards' accounts have spent."""
    ((minor,),) = desk.rows(
        "SELECT coalesce(-sum(amount_minor), 0)::bigint FROM postings"
        " WHERE contra = 'settlement' AND account_id = ANY ($1)",
        list(accounts),
    )
    return int(minor)


def test_a_file_from_its_import_to_its_page(desk: Desk, tmp_path: Path) -> None:
    """It says what was posted and what to look at; again, nothing is posted; show knows it."""
    card = load_card(0)
    lines = [line(card.pan, 1), line(card.pan, 1), line(card.pan, 2, kind="reversal")]
    path = written(tmp_path, lines)
    said = desk.done("clearing import", str(path))
    assert said.startswith("day.csv: 3 records are imported\n")
    for words in (
        "presentment        unmatched             1  moved -1.00 EUR",
        "presentment        duplicate             1  moved 0.00 EUR",
        "reversal           remembered            1  moved 0.00 EUR",
        f"line 2: presentment unmatched: 1.00 EUR, moved -1.00 EUR, load-{card.account_id}"
        f" …{card.pan[-4:]}, reference 00000000000000000000001",
        "3 records, by alice",
    ):
        assert words in said
    assert card.pan not in said
    again = desk.done("clearing import", str(path))
    assert again.startswith("day.csv: 0 records are imported, 3 had been before\n")
    assert 100 == posted(desk, card.account_id)

    shown = desk.done("clearing show", str(path))
    number = shown.partition("(")[2].partition(")")[0]
    assert shown == desk.done("clearing show", number) == again.partition("\n")[2]
    assert "and 2 more" in desk.done("clearing show --most 1", number)
    assert f"{number}  " in desk.done("clearing list")


def test_a_file_with_a_wrong_line_is_refused_whole(desk: Desk, tmp_path: Path) -> None:
    """Every problem is a line with its place; nothing is posted, nothing is known of it."""
    card = load_card(1)
    path = written(tmp_path, [line(card.pan, 10), line(card.pan, 11, amount="x"), line("1", 12)])
    said = desk.type("clearing import", str(path))
    assert (1, "") == (said.exit_code, said.stdout)
    assert [
        f"switch: {path}: line 3: amount: must be digits with at most one point, like 25.00",
        f"switch: {path}: line 4: pan: must be 12 to 19 digits",
        f"switch: {path}: 2 problems: nothing is imported",
    ] == said.stderr.splitlines()
    assert 0 == posted(desk, card.account_id)
    assert "was not imported" in desk.refused("clearing show", str(path))


def test_what_show_refuses(desk: Desk) -> None:
    """What is no file and no number, and a number that no file has."""
    assert "there is no such file here" in desk.refused("clearing show nowhere.csv")
    assert "was not imported" in desk.refused("clearing show 000000000000")


def test_one_import_at_a_time(desk: Desk, tmp_path: Path) -> None:
    """Beside another import one is refused: two would not see each other's presentments."""
    path = written(tmp_path, [line(load_card(2).pan, 20)])

    async def meanwhile() -> str:
        connection = await asyncpg.connect(desk.url)
        try:
            await connection.execute("SELECT pg_advisory_lock(8583, 3)")
            return await asyncio.to_thread(desk.refused, "clearing import", str(path))
        finally:
            await connection.close()

    assert "another process imports a clearing file" in asyncio.run(meanwhile())
    assert 0 == posted(desk, load_card(2).account_id)


def test_a_wrong_tolerance_is_refused(desk: Desk, tmp_path: Path) -> None:
    """A program whose tolerance cannot be used is named, and nothing is posted."""
    path = written(tmp_path, [line(load_card(2).pan, 21)])
    change = "UPDATE programs SET settings = settings {} RETURNING 1"
    desk.rows(change.format("|| '{\"clearing_tolerance_percent\": -1}'"))
    assert "clearing_tolerance_percent must be whole, 0 to 1000" in desk.refused(
        "clearing import", str(path)
    )
    desk.rows(change.format("- 'clearing_tolerance_percent'"))


async def test_a_killed_import_goes_on_where_it_was(desk: Desk, tmp_path: Path) -> None:
    """kill -9 in the middle of a file: what was posted stays, a second run posts the rest."""
    cards = [load_card(number) for number in range(3, CARDS)]
    lines = [line(cards[at % 16].pan, 100 + at) for at in range(199)]
    path = written(tmp_path, [*lines[:120], line(cards[16].pan, 99), *lines[120:]])
    accounts = [card.account_id for card in cards]
    connection = await asyncpg.connect(desk.url)
    try:
        async with connection.transaction():
            await connection.execute(
                "SELECT FROM accounts WHERE account_id = $1 FOR UPDATE", cards[16].account_id
            )
            importer = subprocess.Popen(  # noqa: ASYNC220 - it goes on beside us
                [COMMAND, "clearing", "import", str(path), "--by", "night"],
                env=environment({"database__url": as_setting(desk.url)}),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

            async def has_begun() -> bool:
                count: int = await connection.fetchval(
                    "SELECT count(*) FROM presentments WHERE reference >= $1", f"{99:023d}"
                )
                return count == 149

            await eventually(has_begun, "all but the locked record of its batch")
            importer.send_signal(signal.SIGKILL)
            importer.wait(PATIENCE_SECONDS)
        shown = await asyncio.to_thread(desk.done, "clearing show", str(path))
        assert "149 of 200 records: import it again" in shown
        said = await asyncio.to_thread(desk.done, "clearing import", str(path))
        assert "51 records are imported, 149 had been before" in said
        spent = await connection.fetch(
            "SELECT -sum(amount_minor) FROM postings WHERE contra = 'settlement'"
            " AND account_id = ANY ($1) GROUP BY account_id", accounts,
        )  # fmt: skip
        assert sorted([100, *(1_300,) * 7, *(1_200,) * 9]) == sorted(int(row[0]) for row in spent)
    finally:
        await connection.close()


def test_the_books_are_right(desk: Desk) -> None:
    """After all that was done on this page every rule of the audit holds."""
    assert "BROKEN" not in desk.done("audit")


async def test_a_purchase_is_presented_beside_a_running_switch(quick_path: Path) -> None:
    """What the switch approved is found by its code: it then sees the posting, and no hold."""
    with running(quick_path) as switch:
        async with connected(switch.port()) as client:
            answer = await client.ask(purchase(PLAIN, 60_000))
            assert "00" == code(answer)
            given = answer.fields[38]
            path = written(quick_path, [line(PLAIN.pan, 1, amount="610.00", given=given)])
            said = await asyncio.to_thread(
                command, "clearing", "import", str(path), "--by", "night",
                folder=quick_path, settings=switch.settings,
            )  # fmt: skip
            assert (0, "day.csv: 1 records are imported") == (
                said.returncode, said.stdout.partition("\n")[0],
            ), said.stderr  # fmt: skip
            assert "presentment        matched               1  moved -610.00 EUR" in said.stdout
            assert "51" == code(await client.ask(purchase(PLAIN, 39_001)))
            assert "00" == code(await client.ask(purchase(PLAIN, 39_000)))
