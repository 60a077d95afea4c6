"""`switch cards`, and files of accounts and cards, as an operator types them."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from switch.commands import operator
from switch.mask import mask_pan
from tests.conftest import PostgresServer
from tests.desk import PLASTIC, WHY, Desk, demo_desk
from tests.process import as_setting
from tests.traffic import PLAIN, load_card
from tests.typed import commands, typed


@pytest.fixture(scope="module")
def desk(migrated_server: PostgresServer) -> Iterator[Desk]:
    """One database for the file."""
    yield from demo_desk(migrated_server)


#: PANs that no demo card has.
NEW, NEXT, OTHER = (load_card(number).pan for number in (7_001, 7_002, 7_003))


def test_a_card_from_its_making_to_its_end(desk: Desk) -> None:
    """Made, limited, controlled, reissued, blocked, unblocked and closed; then shown."""
    number = desk.card("acc-0000003", NEW)

    def done(words: str) -> str:
        verb, _, options = words.partition(" ")
        return desk.done(f"cards {verb} {number} {options}", *WHY)

    assert f"card {number}: cash a day: amount 500.00 EUR, count 5\n" == done(
        "set-limit cash day --amount 500 --count 5"
    )
    assert "cash a day: count 5 → 6" in done("set-limit cash day --count 6")
    assert "the limit is removed" in done("remove-limit cash day")
    assert "is so already" in done("remove-limit cash day")
    done("set-limit all week --amount 70.10")
    assert "countries allowed all → 250 276, mcc blocked none → 7995" in done(
        "set-controls --block-mcc 7995 --countries 276,250"
    )
    assert "countries allowed 250 276 → all" in done("set-controls --countries all")
    assert "plastic 3312/01 is added; stopped: 3012/00" in done(
        "reissue --expiry 3312 --sequence-number 01 --stop-old"
    )
    assert "lost (was active); to be told: demo" in done("block --as lost")
    assert "is so already" in done("block --as lost")
    assert "active (was lost); to be told: demo" in done("unblock")
    assert "no wrong PIN was counted" in done("reset-pin-tries")
    assert "closed (was active)" in done("block --as closed")
    shown = desk.done(f"cards show {number}")
    for words in (
        f"card          {number}  …{NEW[-4:]}", "status        closed", "PIN           none",
        "expiry 3312, sequence number 01, service code 201, ATC 0\n",
        "expiry 3012, sequence number 00, service code 201, ATC 0, stopped\n",
        "limit         all a week: 70.10 EUR (0.00 EUR used)", "blocked       MCC 7995",
        "countries     all", "told          demo: delete as active, waiting",
        "reissue", "alice: remove limit", "block", "create card",
    ):  # fmt: skip
        assert words in shown
    assert NEW not in shown


def test_wrong_pins_are_forgotten(desk: Desk) -> None:
    """The demo's card with three wrong PINs has none."""
    assert "3 wrong PINs are forgotten" in desk.done("cards reset-pin-tries 14", *WHY)
    assert "PIN           visa_pvv, 0 of 3 tries used" in desk.done("cards show 14")


def test_a_pan_is_taken_from_standard_input_alone(desk: Desk) -> None:
    """With - a card is found by its PAN, which is shown masked; as an argument it is refused."""
    spaced = " ".join(PLAIN.pan[at : at + 4] for at in range(0, 16, 4))
    shown = desk.done("cards show -", told=f"{spaced}\r\nrest")
    assert f"card          1  {mask_pan(PLAIN.pan)}" in shown
    assert PLAIN.pan not in shown
    assert "card 1: all a day: count 9" in desk.done(
        "cards set-limit - all day --count 9", *WHY, told=PLAIN.pan
    )
    refused = desk.refused(f"cards show {PLAIN.pan}")
    assert "give -" in refused
    assert PLAIN.pan not in refused
    assert "there is no such card" in desk.refused("cards show -", told=OTHER)


@pytest.mark.parametrize("told", ["", "\n", "x", PLAIN.pan[:-1] + "3", "4" * 20, "\xff\x00"])
def test_what_is_no_pan(desk: Desk, told: str) -> None:
    """It is refused for its length, its letters or its check digit, and not repeated."""
    for words in ("cards show -", "cards create --account acc-0000001"):
        more = (*PLASTIC, *WHY) if "create" in words else ()
        refused = desk.refused(words, *more, told=told)
        assert refused.startswith("switch: PAN: ")
        assert PLAIN.pan[:-1] not in refused


def test_a_pan_has_one_card(desk: Desk) -> None:
    """A second card of one PAN is refused, on whichever account; a PIN is never asked for."""
    desk.card("acc-0000001", NEXT)
    line = desk.refused("cards create --account acc-0000002", *PLASTIC, *WHY, told=NEXT)
    assert "a card has this PAN already" in line
    assert NEXT not in line
    offered = {name for group in commands().values() for name in getattr(group, "commands", ())}
    assert [] == [name for name in offered if "pin" in name and name != "reset-pin-tries"]


def test_cards_under_other_keys_are_left_alone(database: str) -> None:
    """Where the vault's keys are not those of the cards that are there, none is added or sought."""
    desk = Desk(database)
    typed("demo", "reset", settings={"database__url": as_setting(database)})
    desk.rows("UPDATE cards SET pan_ciphertext = '\\x00'")
    for words in ("cards create --account acc-0000001", "cards show -"):
        more = (*PLASTIC, *WHY) if "create" in words else ()
        assert "under other token_keys" in desk.refused(words, *more, told=OTHER)


# Files.


def test_files_come_in_whole(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts with opening postings, then their cards with PIN references; a line of progress."""
    monkeypatch.setattr(operator, "TOLD_EVERY", 2)
    accounts, cards = tmp_path / "accounts.csv", tmp_path / "cards.csv"
    accounts.write_text(
        "reference,program,currency,opening_balance\n"
        + "".join(f"file-{n},demo,978,{n}.50\n" for n in range(5))
    )
    cards.write_text(
        "account,pan,expiry,service_code,status,pin_method,pin_reference\n"
        + "".join(
            f"file-{n % 5},{load_card(8_000 + n).pan},3012,201,inactive,visa_pvv,10385\n"
            for n in range(6)
        )
    )
    said = desk.type(f"accounts import {accounts}", *WHY)
    assert (0, "5 accounts are added\n") == (said.exit_code, said.stdout)
    assert "reading: 2 of 6 lines\n" in said.stderr
    said = desk.type(f"cards import {cards}", *WHY)
    assert (0, "6 cards are added\n") == (said.exit_code, said.stdout)
    shown = desk.done("accounts show file-0")
    for words in ("posted        0.50 EUR", "cards         2", "alice: import account"):
        assert words in shown
    assert "visa_pvv, 0 of 3" in desk.done("cards show -", told=load_card(8_000).pan)
    assert [(5, 5, 1250)] == desk.rows(
        "SELECT count(*), count(DISTINCT a.account_id), sum(p.amount_minor)::int"
        " FROM accounts AS a JOIN postings AS p USING (account_id)"
        " WHERE a.reference LIKE 'file-%' AND p.contra = 'opening'"
    )
    (details,) = desk.rows(
        "SELECT string_agg(details::text, '') FROM operator_actions WHERE action LIKE 'import%'"
    )[0]
    assert details.count('"file": "cards.csv"') == 6
    assert "10385" not in details

    again = desk.type(f"cards import {cards}", *WHY)
    assert 1 == again.exit_code
    assert 6 == again.stderr.count("pan: a card has it already\n")
    assert again.stderr.endswith(f"switch: {cards}: 6 problems: nothing is imported\n")


def test_a_file_with_a_problem_comes_in_not_at_all(desk: Desk, tmp_path: Path) -> None:
    """What the file and what the database say is told together, by line; no row is added."""
    cards = tmp_path / "cards.csv"
    good, late = load_card(8_100).pan, load_card(8_101).pan
    cards.write_text(
        "account,pan,expiry,service_code\n"
        f"acc-0000001,{good},3012,201\n"
        f"nobody,{late},3012,201\n"
        f"acc-0000001,{PLAIN.pan},3012,201\n"
        f"acc-0000001,{good[:-1]},3012,201\n"
    )
    said = desk.type(f"cards import {cards}", *WHY)
    assert (1, "") == (said.exit_code, said.stdout)
    assert [
        f"switch: {cards}: line 3: account: there is no account with this reference",
        f"switch: {cards}: line 4: pan: a card has it already",
        f"switch: {cards}: line 5: pan: its check digit is wrong",
        f"switch: {cards}: 3 problems: nothing is imported",
    ] == said.stderr.splitlines()
    for pan in (good, late):
        assert "there is no such card" in desk.refused("cards show -", told=pan)

    accounts = tmp_path / "accounts.csv"
    accounts.write_text(
        "reference,program,currency\nnew-1,demo,978\nacc-0000001,demo,978\nnew-2,other,978\n"
    )
    said = desk.type(f"accounts import {accounts}", *WHY)
    assert [
        "line 3: reference: an account has it already",
        "line 4: program: there is no such card program",
        "2 problems: nothing is imported",
    ] == [line.removeprefix(f"switch: {accounts}: ") for line in said.stderr.splitlines()]
    assert "no account" in desk.refused("accounts show new-1")


def test_a_bar_where_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal progress is a bar."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with operator.progress("sending", 4_000) as tell:
        tell(2_000)
        tell(4_000)
    assert "sending" in terminal.getvalue()
    assert "100%" in terminal.getvalue()
