"""
Files of accounts and cards: comma-separated, UTF-8, with a line of column names.

Every problem of a file is found before anything is imported, and told by line
and column. No value is repeated, not even that of an unknown column's name: a
file without its first line would have a PAN there.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from keys.vault import Vault
from switch.ledger.imports import (
    ImportedAccount,
    ImportedCard,
    Problems,
    Progress,
)
from switch.ledger.operators import Plastic
from switch.operate import issuing_values as values
from switch.operate.issuing_values import ValueProblem
from switch.wire.major_units import AmountError, to_minor, to_signed_minor

T = TypeVar("T")


class Column(NamedTuple):
    """One column: how its text is read, and what stands where a file does not have it."""

    parse: Callable[[str], Any]
    default: str | None = None  #: none: every file has it


#: Amounts are read once their currency is known, a PIN's reference once its method is.
ACCOUNT_COLUMNS: Mapping[str, Column] = {
    "reference": Column(values.reference),
    "program": Column(values.name),
    "currency": Column(values.currency),
    "opening_balance": Column(str, default="0"),
    "credit_limit": Column(str, default="0"),
}
CARD_COLUMNS: Mapping[str, Column] = {
    "account": Column(values.name),
    "pan": Column(values.pan),
    "expiry": Column(values.expiry),
    "service_code": Column(values.service_code),
    "sequence_number": Column(values.sequence_number, default="00"),
    "status": Column(values.status, default="active"),
    "pin_method": Column(values.pin_method, default=""),
    "pin_reference": Column(str, default=""),
}


class FileError(Exception):
    """No such file at all: one line that says why."""


class Seen:
    """What stood in a column before, and where."""

    def __init__(self, column: str, problems: Problems) -> None:
        self._column, self._problems = column, problems
        self._lines: dict[str | bytes, int] = {}

    def check(self, value: str | bytes, line: int) -> None:
        """Note a problem where the value is that of an earlier line."""
        earlier = self._lines.setdefault(value, line)
        if earlier != line:
            self._problems.add(line, self._column, f"is that of line {earlier}")


def read_accounts(path: Path, *, progress: Progress) -> tuple[list[ImportedAccount], Problems]:
    """The accounts of a file, and what is wrong with its other lines. Raises `FileError`."""
    problems, accounts = Problems(), []
    seen = Seen("reference", problems)
    for line, row in _rows(path, ACCOUNT_COLUMNS, problems, progress):
        if "reference" in row:
            seen.check(row["reference"], line)
        account = _account(line, row, problems)
        if account is not None:
            accounts.append(account)
    return accounts, problems


def read_cards(
    path: Path, vault: Vault, *, progress: Progress
) -> tuple[list[ImportedCard], Problems]:
    """The cards of a file, their PANs sealed, and what is wrong with its other lines."""
    problems, cards = Problems(), []
    seen = Seen("pan", problems)
    for line, row in _rows(path, CARD_COLUMNS, problems, progress):
        if "pan" in row:
            row["pan"] = values.sealed(row["pan"], vault)
            seen.check(row["pan"].tokens[0], line)
        card = _card(line, row, problems)
        if card is not None:
            cards.append(card)
    return cards, problems


def _read(
    problems: Problems, line: int, column: str, parse: Callable[..., T], *texts: Any
) -> T | None:
    """What `parse` gives; none, and a problem more, where it refuses."""
    try:
        return parse(*texts)
    except (ValueProblem, AmountError) as error:
        problems.add(line, column, str(error))
        return None


def _account(line: int, row: dict[str, Any], problems: Problems) -> ImportedAccount | None:
    if "currency" not in row:
        return None
    opening = _read(
        problems, line, "opening_balance", to_signed_minor, row["opening_balance"], row["currency"]
    )
    credit = _read(problems, line, "credit_limit", to_minor, row["credit_limit"], row["currency"])
    if opening is None or credit is None or not row.keys() >= ACCOUNT_COLUMNS.keys():
        return None
    return ImportedAccount(line, row["reference"], row["program"], row["currency"], opening, credit)


def _card(line: int, row: dict[str, Any], problems: Problems) -> ImportedCard | None:
    if "pin_method" in row:
        row["pin_reference"] = _read(
            problems,
            line,
            "pin_reference",
            values.pin_reference,
            row["pin_reference"],
            row["pin_method"],
        )
    if not row.keys() >= CARD_COLUMNS.keys():
        return None
    return ImportedCard(
        line,
        row["account"],
        row["pan"],
        Plastic(row["expiry"], row["service_code"], row["sequence_number"]),
        row["status"],
        row["pin_method"],
        row["pin_reference"],
    )


def _rows(
    path: Path, columns: Mapping[str, Column], problems: Problems, progress: Progress
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each line with those of its values that can be read, a value for every column else."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            names = _names(next(reader, []), columns, path)
            begins = reader.line_num + 1
            for texts in reader:
                line, begins = begins, reader.line_num + 1
                progress(reader.line_num)
                if not texts:
                    continue
                if len(texts) != len(names):
                    problems.add(line, "line", f"has {len(texts)} values for {len(names)} columns")
                    continue
                yield line, _parsed(line, dict(zip(names, texts, strict=True)), columns, problems)
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise FileError(f"{path}: is not UTF-8 text") from None
    except csv.Error as error:
        raise FileError(f"{path}: line {reader.line_num}: is not CSV: {error}") from None


def _names(texts: list[str], columns: Mapping[str, Column], path: Path) -> list[str]:
    """The column names of the first line."""
    names = [text.strip() for text in texts]
    known = ", ".join(columns)
    for place, name in enumerate(names, start=1):
        if name not in columns:
            raise FileError(f"{path}: line 1: column {place} is not known: they are {known}")
        if name in names[: place - 1]:
            raise FileError(f"{path}: line 1: column {name} stands there twice")
    for name, column in columns.items():
        if column.default is None and name not in names:
            raise FileError(f"{path}: line 1: column {name} is missing: columns are {known}")
    return names


def _parsed(
    line: int, texts: Mapping[str, str], columns: Mapping[str, Column], problems: Problems
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, column in columns.items():
        text = texts.get(name, "").strip() or column.default
        if text is None:
            problems.add(line, name, "is required")
            continue
        before = problems.of_all
        value = _read(problems, line, name, column.parse, text)
        if problems.of_all == before:
            row[name] = value
    return row
