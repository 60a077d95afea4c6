"""Files of accounts and cards: what is read, and every way in which they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from keys.vault import LocalDataKeys, Vault
from switch.ledger.imports import PROBLEMS_MAX
from switch.ledger.operators import Plastic
from switch.operate.issuing_csv import FileError, read_accounts, read_cards
from tests.traffic import KEYS, PLAIN, load_card

VAULT = Vault(LocalDataKeys(KEYS["pan_token"], KEYS["pan_data"]))
ACCOUNTS = "reference,program,currency,opening_balance,credit_limit\n"
CARDS = "account,pan,expiry,service_code,sequence_number,status,pin_method,pin_reference\n"
PAN = PLAIN.pan


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file to write."""
    return tmp_path / "given.csv"


def accounts_of(
    file: Path, text: str
) -> tuple[list[tuple[int, str, str, str, int, int]], list[str]]:
    """The accounts of a text, and its problems."""
    file.write_text(text, encoding="utf-8")
    rows, problems = read_accounts(file, progress=lambda _: None)
    assert len(problems.shown) == problems.of_all
    found = [
        (a.line, a.reference, a.program, a.currency, a.opening_minor, a.credit_limit_minor)
        for a in rows
    ]
    return found, list(map(str, problems.shown))


def card_problems(file: Path, text: str) -> list[str]:
    """The problems of a text of cards."""
    file.write_text(text, encoding="utf-8")
    _, problems = read_cards(file, VAULT, progress=lambda _: None)
    assert len(problems.shown) == problems.of_all
    return list(map(str, problems.shown))


def test_accounts_are_read(file: Path) -> None:
    """Amounts are major units of the line's own currency; columns may come in any order."""
    text = "currency,reference,program,opening_balance\n978,a-1,demo,25.50\n\n392,a-2,demo,-25\n"
    rows, problems = accounts_of(file, text)
    assert ([(2, "a-1", "demo", "978", 2_550, 0), (4, "a-2", "demo", "392", -25, 0)], []) == (
        rows,
        problems,
    )


def test_a_spreadsheet_writes_such_files(file: Path) -> None:
    """A byte order mark, CRLF, quotes and spaces around values are nothing wrong."""
    text = '\ufeffreference, program ,currency\r\n"a-1", demo,978\r\n'
    rows, problems = accounts_of(file, text)
    assert ([(2, "a-1", "demo", "978", 0, 0)], []) == (rows, problems)


def test_cards_are_sealed_as_they_are_read(file: Path) -> None:
    """A card has its token, its ciphertext and last four; the PAN stands nowhere in it."""
    file.write_text(CARDS + f"a-1,{PAN},3012,201,,,visa_pvv,10385\n")
    (card,), _ = read_cards(file, VAULT, progress=lambda _: None)
    assert VAULT.pan_token(PAN) == card.pan.tokens[0]
    assert PAN == VAULT.open(card.pan.ciphertext, context=card.pan.tokens[0])
    assert ("a-1", PAN[-4:], Plastic("3012", "201", "00"), "active", "visa_pvv", "10385") == (
        card.reference, card.pan.last_four, card.plastic, card.status, card.pin_method,
        card.pin_reference,
    )  # fmt: skip
    assert PAN not in repr(card)
    assert "10385" not in repr(card)


#: A line of accounts → its problem.
WRONG_ACCOUNTS: dict[str, str] = {
    ",demo,978,0,0":                    "reference: is required",
    "a 1,demo,978,0,0":                 "reference: must be 1 to 64 printable characters without",
    "a\x011,demo,978,0,0":              "reference: must be",
    f"{'a' * 65},demo,978,0,0":         "reference: must be",
    f"{PAN},demo,978,0,0":              "reference: looks like a PAN",
    "suspense-1,demo,978,0,0":          "reference: must not begin",
    "a-1,,978,0,0":                     "program: is required",
    "a-1,demo,EUR,0,0":                 "currency: must be",
    "a-1,demo,000,0,0":                 "currency: must be",
    "a-1,demo,978,1.234,0":             "opening_balance: has more decimals",
    "a-1,demo,978,1000000000000000,0":  "opening_balance: is larger",
    "a-1,demo,978,0,-1":                "credit_limit: must not be negative",
    "a-1,demo,978,0":                   "line: has 4 values for 5 columns",
    "a-1,demo,978,0,0,0":               "line: has 6 values for 5 columns",
}  # fmt: skip


@pytest.mark.parametrize(("line", "problem"), WRONG_ACCOUNTS.items())
def test_a_wrong_line_of_accounts(file: Path, line: str, problem: str) -> None:
    """Its problem is told by line and column; the lines around it are read."""
    good = "{},demo,978,0,0\n"
    rows, problems = accounts_of(file, ACCOUNTS + good.format("x") + line + "\n" + good.format("y"))
    assert [(2, "x"), (4, "y")] == [row[:2] for row in rows]
    assert 1 == len(problems)
    assert problems[0].startswith(f"line 3: {problem}")
    assert PAN not in problems[0]


#: A line of cards → its problem.
WRONG_CARDS: dict[str, str] = {
    f",{PAN},3012,201,,,,":                    "account: is required",
    "a-1,,3012,201,,,,":                       "pan: is required",
    f"a\0,{PAN},3012,201,,,,":                 "account: must be printable",
    f"a-1,{PAN[:-1]}3,3012,201,,,,":           "pan: its check digit is wrong",
    f"a-1,{PAN}=3012,3012,201,,,,":            "pan: must be 12 to 19 digits",
    f"a-1,{PAN},1312,20,,,,":                  "service_code: must be three digits",
    f"a-1,{PAN},3013,201,,,,":                 "expiry: must be YYMM",
    f"a-1,{PAN},12/30,201,,,,":                "expiry: must be YYMM",
    f"a-1,{PAN},3012,201,1,,,":                "sequence_number: must be two digits",
    f"a-1,{PAN},3012,201,,new,,":              "status: must be one of",
    f"a-1,{PAN},3012,201,,,pvv,10385":         "pin_method: must be one of",
    f"a-1,{PAN},3012,201,,,,10385":            "pin_reference: needs a pin_method",
    f"a-1,{PAN},3012,201,,,visa_pvv,":         "pin_reference: must be five digits",
    f"a-1,{PAN},3012,201,,,visa_pvv,0385":     "pin_reference: must be five digits",
    f"a-1,{PAN},3012,201,,,ibm3624,038":       "pin_reference: must be the 4 to 12 digits",
    f"{PAN},a-1,3012,201,,,,":                 "pan: must be 12 to 19 digits",
    f"a-1,{PAN},3012":                         "line: has 3 values for 8 columns",
}  # fmt: skip


@pytest.mark.parametrize(("line", "problem"), WRONG_CARDS.items())
def test_a_wrong_line_of_cards(file: Path, line: str, problem: str) -> None:
    """Its problem is told by line and column, and no value of it is repeated."""
    problems = card_problems(file, CARDS + line + "\n")
    assert 1 == len(problems)
    assert problems[0].startswith(f"line 2: {problem}")
    for secret in (PAN, PAN[:-1], "10385"):
        assert secret not in problems[0]


def test_what_stands_twice(file: Path) -> None:
    """A reference or PAN of an earlier line is told with that line, however it was quoted."""
    row = "{},demo,978,,\n"
    _, problems = accounts_of(
        file, ACCOUNTS + row.format("a") + row.format("b") + row.format('"a"') + row.format("a")
    )
    assert [f"line {line}: reference: is that of line 2" for line in (4, 5)] == problems
    row = "a-1,{},3012,201,,,,\n"
    cards = CARDS + row.format(load_card(1).pan) + row.format(PAN) + row.format(load_card(1).pan)
    assert ["line 4: pan: is that of line 2"] == card_problems(file, cards)


def test_all_problems_of_a_line_are_told(file: Path) -> None:
    """One look at a file is enough to mend it."""
    _, problems = accounts_of(file, ACCOUNTS + "a b,,978,x,-1\n,demo,EUR,,\n")
    assert ["reference", "program", "opening_balance", "credit_limit", "reference", "currency"] == [
        problem.split(": ")[1] for problem in problems
    ]


def test_lines_are_those_of_an_editor(file: Path) -> None:
    """A value with a line end in it counts the lines that it fills."""
    _, problems = accounts_of(file, ACCOUNTS + '"a\n\nb",demo,978,,\nc,demo,978,x,\n')
    assert ["line 2: reference", "line 5: opening_balance"] == [
        ": ".join(problem.split(": ")[:2]) for problem in problems
    ]


def test_so_many_problems_are_told(file: Path) -> None:
    """Up to a hundred are told; all are counted."""
    file.write_text(ACCOUNTS + ",demo,978,,\n" * (PROBLEMS_MAX + 7))
    rows, problems = read_accounts(file, progress=lambda _: None)
    assert ([], PROBLEMS_MAX, PROBLEMS_MAX + 7) == (rows, len(problems.shown), problems.of_all)


#: Bytes of a file of cards → what is said of it.
NO_FILES: dict[bytes, str] = {
    b"":                                                "column account is missing",
    b"\n":                                              "column account is missing",
    f"a-1,{PAN},3012,201\n".encode():                   "line 1: column 1 is not known",
    f"{PAN}\n".encode():                                "line 1: column 1 is not known",
    b"account,pan,expiry\n":                            "column service_code is missing",
    b"account,pan,expiry,service_code,pan\n":           "column pan stands there twice",
    b"account,pan,expiry,service_code,cvv2\n":          "line 1: column 5 is not known",
    b"account;pan;expiry;service_code\n":               "line 1: column 1 is not known",
    CARDS.encode() + f'a-1,"{PAN}'.encode():            "line 2: is not CSV",
    CARDS.encode() + f'a-1,"{PAN}"x,3012,201'.encode(): "line 2: is not CSV",
    CARDS.encode() + b"\xff\xfe":                       "is not UTF-8",
    CARDS.encode() + b"a" * 200_000:                    "line 2: is not CSV",
}  # fmt: skip


@pytest.mark.parametrize(("content", "said"), NO_FILES.items())
def test_what_is_no_such_file(file: Path, content: bytes, said: str) -> None:
    """A file that cannot be read as one is refused in one line, without a value of it."""
    file.write_bytes(content)
    with pytest.raises(FileError, match=said) as refused:
        read_cards(file, VAULT, progress=lambda _: None)
    assert str(refused.value).startswith(str(file))
    assert PAN not in str(refused.value)


def test_a_file_that_is_not_there(file: Path) -> None:
    """It is named."""
    with pytest.raises(FileError, match="No such file"):
        read_accounts(file, progress=lambda _: None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=40) | st.just(PAN.encode()), max_size=8))
@example([b"a-1,\0", PAN.encode()])
def test_any_bytes_are_read_or_refused(file: Path, parts: list[bytes]) -> None:
    """Whatever follows the column names gives cards, problems, or one refusal: no PAN in it."""
    file.write_bytes(CARDS.encode() + b",".join(parts))
    try:
        rows, problems = read_cards(file, VAULT, progress=lambda _: None)
        said = f"{rows} {problems}"
    except FileError as refused:
        said = str(refused)
    assert PAN not in said
