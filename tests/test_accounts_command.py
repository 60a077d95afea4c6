"""`switch accounts`, and what it shares with `switch cards`: who, why, help, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from switch.mask import mask_pan
from tests.client import connected
from tests.conftest import PostgresServer
from tests.desk import WHY, Desk, demo_desk
from tests.process import command, running
from tests.traffic import PLAIN, code, purchase
from tests.typed import command_of, typed


@pytest.fixture(scope="module")
def desk(migrated_server: PostgresServer) -> Iterator[Desk]:
    """One database for the file."""
    yield from demo_desk(migrated_server)


def test_an_account_from_its_opening_to_its_closing(desk: Desk) -> None:
    """Money by hand, told in major units, once by its id; then closed, and open again."""
    assert desk.done(
        "accounts create acc-life --program demo --currency 978 --credit-limit 100", *WHY
    ).startswith("acc-life: opened, number 1000")
    credit = ("accounts credit acc-life 25.50 --id r-1", *WHY)
    assert "acc-life: 25.50 EUR credited: posted 25.50 EUR, available 125.50 EUR\n" == desk.done(
        *credit
    )
    assert "25.50 EUR was credited under this id before: nothing is posted" in desk.done(*credit)
    assert "posted -4.50 EUR, available 95.50 EUR" in desk.done("accounts debit acc-life 30", *WHY)
    assert "acc-life: credit limit 100.00 EUR → 50.00 EUR\n" == desk.done(
        "accounts set-credit-limit acc-life 50", *WHY
    )
    assert "acc-life: closed: -4.50 EUR posted remain\n" == desk.done(
        "accounts close acc-life", *WHY
    )
    assert "is so already: nothing is changed" in desk.done("accounts close acc-life", *WHY)
    assert "acc-life: open again\n" == desk.done("accounts reopen acc-life", *WHY)
    shown = desk.done("accounts show acc-life")
    for words in (
        "posted        -4.50 EUR", "held          0.00 EUR", "available     45.50 EUR",
        "credit limit  50.00 EUR", "status        open", "cards         0", "open holds    0",
        "alice: credit: amount 25.50 EUR, key r-1, posted 0.00 EUR → 25.50 EUR; asked by",
        "alice: reopen account: status closed → open; asked by the holder",
    ):  # fmt: skip
        assert words in shown
    assert [] == desk.rows(
        "SELECT reference FROM accounts AS a WHERE posted_minor <> (SELECT coalesce("
        "sum(amount_minor), 0) FROM postings AS p WHERE p.account_id = a.account_id)"
    )
    assert "--all" in desk.refused("demo reset")


@pytest.mark.parametrize(
    ("currency", "amount", "shown", "wrong"),
    [("978", "1.5", "1.50 EUR", "1.555"), ("392", "150", "150 JPY", "1.5"),
     ("414", "1.555", "1.555 KWD", "1.5555")],
)  # fmt: skip
def test_amounts_are_of_the_accounts_currency(
    desk: Desk, currency: str, amount: str, shown: str, wrong: str
) -> None:
    """Euros have two decimals, yen none, dinars three; more are refused, not rounded."""
    reference = desk.account(f"acc-{currency}", currency)
    assert f"{shown} credited: posted {shown}" in desk.done(
        f"accounts credit {reference} {amount}", *WHY
    )
    assert "amount: " in desk.refused(f"accounts credit {reference} {wrong}", *WHY)


#: What is typed → what the line must say.
REFUSED: dict[str, str] = {
    "accounts create acc-0000001 --program demo --currency 978":           "reference already",
    "accounts create a-1 --program nope --currency 978":                   "there are demo",
    "accounts create a-1 --program demo --currency 97":                    "ISO 4217",
    f"accounts create {PLAIN.pan} --program demo --currency 978":          "looks like a PAN",
    "accounts create a-1 --program demo --currency 978 --credit-limit x":  "must be digits",
    "accounts close nope":                                                 "no account",
    "accounts credit acc-0000001 0":                                       "above zero",
    "accounts credit acc-0000001 0.001":                                   "more decimals",
    "accounts credit acc-0000001 99999999999999999":                       "larger than any",
    "accounts debit acc-0000001 1,5":                                      "must be digits",
    "cards block nope --as lost":                                          "give the card's number",
    "cards block 4711 --as lost":                                          "there is no such card",
    "cards block 1 --as active":                                           "--as",
    "cards block 1":                                                       "--as",
    "cards block 1 --as lost --tell-network north":                        "no link north",
    "cards block 1 --as inactive --tell-network demo":                     "not of inactive",
    "cards unblock 8":                                                     "which is final",
    "cards set-limit 1 all day":                                           "--amount, --count",
    "cards set-limit 1 all transaction --count 1":                         "is one debit",
    "cards set-limit 1 all day --amount -5":                               "not be negative",
    "cards set-limit 1 all day --count 99999999999":                       "--count",
    "cards set-limit 1 all year --count 1":                                "year",
    "cards set-controls 1":                                                "nothing to change",
    "cards set-controls 1 --countries 276,DE":                             "--countries: must be",
    "cards set-controls 1 --block-mcc 79951":                              "--block-mcc",
    "cards set-controls 1 --block-mcc 7995 --allow-mcc 7995":              "blocked and allowed",
    "cards set-controls 1 --block-channel fax":                            "--block-channel",
    "cards reissue 1 --expiry 3313 --sequence-number 02":                  "must be YYMM",
    "cards reissue 1 --expiry 3012 --sequence-number 01":                  "number already",
    "cards import nope.csv":                                               "nope.csv",
}  # fmt: skip


@pytest.mark.parametrize(("words", "said"), REFUSED.items())
def test_what_cannot_be_done_is_said_in_one_line(desk: Desk, words: str, said: str) -> None:
    """Nothing is changed, and nothing recorded."""
    before = desk.rows("SELECT count(*) FROM operator_actions")
    line = desk.refused(words, *WHY)
    assert said in line
    assert PLAIN.pan not in line
    assert before == desk.rows("SELECT count(*) FROM operator_actions")


# Who and why.


@pytest.mark.parametrize(
    ("more", "variable", "user", "who"),
    [(("--by", "carol"), "alice", "bob", "carol"), ((), "alice", "bob", "alice"),
     ((), "", "bob", "bob")],
)  # fmt: skip
def test_who_did_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], variable: str, user: str,
    who: str,
) -> None:  # fmt: skip
    """--by says who, else $SWITCH_OPERATOR, else $USER."""
    monkeypatch.setenv("USER", user)
    desk.done("accounts credit acc-0000002 1", *more, *WHY, operator=variable)
    assert [(who,)] == desk.rows(
        "SELECT operator FROM operator_actions ORDER BY action_id DESC LIMIT 1"
    )


def test_nobody_does_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing says who it is, nothing is changed."""
    monkeypatch.setenv("USER", "")
    words = "accounts credit acc-0000002 1"
    assert "say who does it: --by" in desk.refused(words, *WHY, operator="")
    assert "--by" in desk.refused(words, "--by", " ", *WHY)


def test_a_reason_is_needed(desk: Desk) -> None:
    """Without words of why nothing is changed."""
    words = "accounts credit acc-0000002 1"
    assert "--reason" in desk.refused(words)
    for reason in ("", "  ", "a\0b", "x" * 201):
        assert "--reason" in desk.refused(words, "--reason", reason)


def test_a_pan_in_a_reason_is_masked(desk: Desk) -> None:
    """What looks like a PAN is masked before it is kept, in the record and in the posting."""
    reason = f"card {PLAIN.pan} lost,\n refund"
    desk.done("accounts credit acc-0000002 1", "--reason", reason)
    masked = f"card {mask_pan(PLAIN.pan)} lost, refund"
    assert [(masked, masked)] == desk.rows(
        "SELECT o.reason, p.note FROM operator_actions AS o JOIN postings AS p USING (account_id)"
        " WHERE p.note LIKE 'card %' AND o.reason LIKE 'card %'"
    )
    refused = desk.refused(f"accounts credit acc-0000002 1 --id {PLAIN.pan}", *WHY)
    assert "--id" in refused
    assert PLAIN.pan not in refused


# Beside what else there is.


async def test_beside_a_running_switch(quick_path: Path) -> None:
    """A card that is blocked beside a running switch is declined at once, until it is unblocked."""
    with running(quick_path) as switch:

        def done(*words: str) -> None:
            said = command(
                *words, *WHY, "--by", "alice", folder=quick_path, settings=switch.settings
            )
            assert (0, "") == (said.returncode, said.stderr)

        async with connected(switch.port()) as client:
            assert "00" == code(await client.ask(purchase(PLAIN, 100)))
            done("cards", "block", "1", "--as", "stolen")
            assert "43" == code(await client.ask(purchase(PLAIN, 100)))
            done("cards", "unblock", "1")
            done("accounts", "debit", "acc-0000001", "998.99")
            assert "51" == code(await client.ask(purchase(PLAIN, 100)))
            assert "00" == code(await client.ask(purchase(PLAIN, 1)))


def test_a_schema_that_is_behind(raw_database: str) -> None:
    """An operator's command changes no schema under a running switch: it says who does."""
    assert "switch migrate" in Desk(raw_database).refused("accounts show acc-0000001")


def test_a_database_without_a_program(database: str) -> None:
    """It is said where one comes from."""
    line = Desk(database).refused("accounts create a --program demo --currency 978", *WHY)
    assert "switch demo reset" in line


def test_a_database_that_is_not_there() -> None:
    """It is named, without its password."""
    said = typed(
        "cards", "show", "1", settings={"database__url": "postgresql://x:secret@127.0.0.1:1/x"}
    )
    assert 1 == said.exit_code
    assert "127.0.0.1:1" in said.stderr
    assert "secret" not in said.stderr


# Help.


def _commands() -> Iterator[tuple[str, ...]]:
    for name in ("accounts", "cards"):
        group = command_of(name)
        assert isinstance(group, click.Group)
        yield (name,)
        yield from ((name, verb) for verb in group.commands)


@pytest.mark.parametrize("words", list(_commands()), ids=" ".join)
def test_every_command_helps_with_an_example(words: tuple[str, ...]) -> None:
    """Help says what a command does and how it is typed; what changes asks who and why."""
    said = typed(*words, "--help")
    assert (0, "") == (said.exit_code, said.stderr)
    assert " ".join(("switch", *words)) in said.stdout.partition("Example: ")[2]
    if len(words) == 2:
        changes = words[1] != "show"
        assert changes == ("--reason" in said.stdout) == ("--by" in said.stdout)


def test_help_says_why_no_pan_is_typed() -> None:
    """Who looks for the PAN's option finds where it is taken from."""
    for words in (("cards",), ("cards", "create")):
        assert "standard input" in " ".join(typed(*words, "--help").stdout.split())
