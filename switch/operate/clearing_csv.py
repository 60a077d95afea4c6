"""
Files of presentments: comma-separated, UTF-8, with a line of column names.

A file is read whole and refused whole: every problem is told by line and column,
no value ever. A PAN becomes a token as soon as it is read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

from keys.vault import Vault
from switch.ledger.clearing import ClearingFile
from switch.ledger.clearing_record import KINDS, ClearingRecord
from switch.ledger.imports import FileRefused, Problems, Progress
from switch.log_fields import scrub
from switch.operate import issuing_csv
from switch.operate import issuing_values as values
from switch.operate.issuing_csv import Column, FileError
from switch.operate.issuing_values import ValueProblem
from switch.wire.major_units import AmountError, to_minor
from switch.wire.requests import KINDS as PURCHASE_KINDS
from switch.wire.requests import Money

#: Digits of a PAN that are no secret (PCI DSS 4.0, 3.4.1).
BIN_DIGITS = 8

_SCHEME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_REFERENCE = re.compile(r"[0-9A-Za-z-]{1,40}")
_SEQUENCE = re.compile(r"[0-9]{4}")
_CODE = re.compile(r"[0-9A-Za-z ]{1,6}")
_RRN = re.compile(r"[0-9A-Za-z]{12}")
_ACQUIRER = re.compile(r"[0-9]{1,11}")
_PROCESSING_CODE = re.compile(r"[012][0-9]{5}")
_TEXT_MAX = 40


def _kind(text: str) -> str:
    if text not in KINDS:
        raise ValueProblem(f"must be one of {', '.join(KINDS)}")
    return text


def _matching(pattern: re.Pattern[str], problem: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text and not pattern.fullmatch(text):
            raise ValueProblem(problem)
        return text

    return parse


def _text(text: str) -> str:
    if len(text) > _TEXT_MAX or not text.isprintable():
        raise ValueProblem(f"must be at most {_TEXT_MAX} printable characters")
    return scrub(text)


def _or_none(parse: Callable[[str], str]) -> Callable[[str], str | None]:
    return lambda text: parse(text) if text else None


def _sequence(text: str) -> str:
    if text and not (_SEQUENCE.fullmatch(text) and "01" <= text[:2] <= text[2:]):
        raise ValueProblem("must be NNMM, the number of how many, like 0102")
    return text


def _processing_code(text: str) -> str:
    if not _PROCESSING_CODE.fullmatch(text):
        raise ValueProblem("must be six digits, 0 or 1 first of a debit, 2 of a credit")
    return text


def _purchase_kind(processing_code: str) -> str:
    """What the code says; of one that we do not decide, whether it is a debit or a credit."""
    other = "credit" if processing_code.startswith("2") else "purchase"
    return PURCHASE_KINDS.get(processing_code[:2], other)


def _moment(text: str) -> str:
    if not text:
        return ""
    try:
        return f"{datetime.fromisoformat(text):%m%d%H%M%S}"
    except ValueError:
        raise ValueProblem("must be ISO 8601, like 2026-05-31T14:03:00") from None


#: In the order of docs/clearing.md. Amounts are read once their currency is known.
COLUMNS: Mapping[str, Column] = {
    "kind": Column(_kind),
    "pan": Column(values.pan),
    "scheme": Column(_matching(_SCHEME, "must be small letters, digits, - and _, like demo")),
    "reference": Column(_matching(_REFERENCE, "must be 1 to 40 letters, digits and -")),
    "processing_code": Column(_processing_code),
    "amount": Column(str),
    "currency": Column(values.currency),
    "billing_amount": Column(str, default=""),
    "billing_currency": Column(_or_none(values.currency), default=""),
    "sequence": Column(_sequence, default=""),
    "scheme_transaction_id": Column(
        _or_none(_matching(_REFERENCE, "must be 1 to 40 letters, digits and -")), default=""
    ),
    "authorization_code": Column(
        _or_none(_matching(_CODE, "must be 1 to 6 letters and digits")), default=""
    ),
    "rrn": Column(_matching(_RRN, "must be 12 letters and digits"), default=""),
    "acquirer": Column(_matching(_ACQUIRER, "must be 1 to 11 digits"), default=""),
    "terminal": Column(_text, default=""),
    "merchant": Column(_or_none(_text), default=""),
    "merchant_name": Column(_or_none(_text), default=""),
    "mcc": Column(_or_none(values.mcc), default=""),
    "country": Column(_or_none(values.country), default=""),
    "transacted_at": Column(_moment, default=""),
}
_OWN = frozenset(one.name for one in fields(ClearingRecord)) & COLUMNS.keys()


def read_clearing(path: Path, vault: Vault, *, progress: Progress) -> ClearingFile:
    """The records of a file, their PANs made tokens.

    Raises `FileError`, or `FileRefused` with all its problems.
    """
    problems, records = Problems(), []
    file_id = file_id_of(path)
    for line, row in issuing_csv._rows(path, COLUMNS, problems, progress):
        record = _record(line, row, vault, problems)
        if record is not None:
            records.append(record)
    if problems.of_all:
        raise FileRefused(problems)
    if file_id != file_id_of(path):
        raise FileError(f"{path}: was changed while it was read: import it again")
    return ClearingFile(file_id, scrub(path.name), records)


def file_id_of(path: Path) -> bytes:
    """SHA-256 of a file's bytes: a file with other bytes is another file. Raises `FileError`."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror}") from None


def _record(
    line: int, row: dict[str, Any], vault: Vault, problems: Problems
) -> ClearingRecord | None:
    """A line as a record; none where something of it cannot be read, which is noted."""
    before = problems.of_all
    transaction = _money(line, row, "amount", "currency", problems)
    billing = None
    if row.get("billing_amount") or row.get("billing_currency"):
        billing = _money(line, row, "billing_amount", "billing_currency", problems)
    pan = row.get("pan", "")
    for name, value in row.items():
        if pan and name != "pan" and isinstance(value, str) and pan in value:
            problems.add(line, name, "has the PAN in it")
    if problems.of_all > before or transaction is None or not row.keys() >= COLUMNS.keys():
        return None
    own = {name: row[name] for name in _OWN}
    own["rrn"] = own["rrn"] if own["rrn"].strip("0") else ""
    return ClearingRecord(
        line=line,
        pan_tokens=tuple(vault.lookup_tokens(pan)),
        bin=pan[:BIN_DIGITS],
        purchase_kind=_purchase_kind(row["processing_code"]),
        transaction=transaction,
        billing=billing,
        **own,
    )


def _money(
    line: int, row: Mapping[str, Any], amount: str, currency: str, problems: Problems
) -> Money | None:
    if amount not in row or currency not in row:  # that is told already
        return None
    if not row[currency]:
        problems.add(line, currency, f"is required beside {amount}")
        return None
    try:
        money = Money(to_minor(row[amount], row[currency]), row[currency])
    except AmountError as error:
        problems.add(line, amount, str(error))
        return None
    if money.minor == 0:
        problems.add(line, amount, "must be above zero")
    return money
