"""Files of presentments: what is read of them, and what is told of those that cannot be."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keys.vault import Vault
from switch.ledger.clearing import ClearingFile
from switch.ledger.imports import FileRefused
from switch.operate.clearing_csv import COLUMNS, read_clearing
from switch.operate.issuing_csv import FileError
from switch.wire.requests import Money
from tests.flows.support import DataKeys
from tests.traffic import PLAIN, load_card

VAULT = Vault(DataKeys())
LINE: dict[str, str] = {
    "kind": "presentment",
    "pan": PLAIN.pan,
    "scheme": "demo",
    "reference": "74027004151000000000017",
    "processing_code": "000000",
    "amount": "25.00",
    "currency": "978",
}


def written(folder: Path, *lines: Mapping[str, str]) -> Path:
    """A file with these lines, and every column that one of them has."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="")
    writer.writeheader()
    writer.writerows(lines)
    path = folder / "day.csv"
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


def read(path: Path) -> ClearingFile:
    return read_clearing(path, VAULT, progress=lambda _: None)


def problems(folder: Path, *lines: Mapping[str, str]) -> list[str]:
    """What is told of a file that is refused."""
    with pytest.raises(FileRefused) as refused:
        read(written(folder, *lines))
    return [str(problem) for problem in refused.value.problems.shown]


def test_a_line_is_a_record(tmp_path: Path) -> None:
    """Amounts are in minor units of their currency, the PAN is its token, the file its SHA-256."""
    whole = LINE | {
        "billing_amount": "3000", "billing_currency": "392", "sequence": "0102",
        "scheme_transaction_id": "MDS123", "authorization_code": "12345A", "rrn": "632600000001",
        "acquirer": "00476173", "terminal": "T1", "merchant": "M1", "merchant_name": "A SHOP",
        "mcc": "5411", "country": "276", "transacted_at": "2026-05-31T14:03:09",
    }  # fmt: skip
    path = written(tmp_path, whole)
    file = read(path)
    assert (hashlib.sha256(path.read_bytes()).digest(), "day.csv") == (file.file_id, file.name)
    (record,) = file.records
    assert (2, "presentment", "purchase", False) == (
        record.line, record.kind, record.purchase_kind, record.is_final,
    )  # fmt: skip
    assert (VAULT.pan_token(PLAIN.pan),) == record.pan_tokens
    assert PLAIN.pan[:8] == record.bin
    assert (Money(2_500, "978"), Money(3_000, "392")) == (record.transaction, record.billing)
    assert ("MDS123", "12345A", "632600000001", "00476173") == (
        record.scheme_transaction_id, record.authorization_code, record.rrn, record.acquirer,
    )  # fmt: skip
    assert ("T1", "M1", "A SHOP", "5411", "276", "0531140309") == (
        record.terminal, record.merchant, record.merchant_name, record.mcc, record.country,
        record.transacted_at,
    )  # fmt: skip


def test_what_may_be_left_out(tmp_path: Path) -> None:
    """The required columns alone are a record, the last of its purchase. Zeros are no RRN."""
    (record,) = read(written(tmp_path, LINE | {"rrn": "000000000000"})).records
    assert record.is_final
    assert (None, None, None, "", "") == (
        record.billing, record.scheme_transaction_id, record.authorization_code, record.rrn,
        record.sequence,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "kind"),
    [("000000", "purchase"), ("010000", "cash"), ("090000", "cashback"), ("110000", "purchase"),
     ("200000", "refund"), ("260000", "credit"), ("290000", "credit")],
)  # fmt: skip
def test_debits_and_credits(tmp_path: Path, code: str, kind: str) -> None:
    """The processing code says which: 0 and 1 debit, 2 credits."""
    (record,) = read(written(tmp_path, LINE | {"processing_code": code})).records
    assert kind == record.purchase_kind


def test_the_same_record_in_another_file_has_the_same_key(tmp_path: Path) -> None:
    """Kind, card, reference and sequence make it; of a reversal, or a part of one, the amount."""

    def key(**changes: str) -> bytes:
        (record,) = read(written(tmp_path, LINE | changes)).records
        return record.message_key(record.pan_tokens[0])

    def original_key(**changes: str) -> bytes | None:
        (record,) = read(written(tmp_path, LINE | changes)).records
        return record.original_key(record.pan_tokens[0])

    assert key() == key(amount="26.00", terminal="OTHER", rrn="632600000001")
    keys = [
        key(), key(kind="second_presentment"), key(pan=load_card(1).pan), key(reference="2"),
        key(sequence="0102"), key(kind="reversal"), key(kind="reversal", amount="1.00"),
    ]  # fmt: skip
    assert len(keys) == len(set(keys))
    assert key() == original_key(kind="reversal", amount="1.00")
    assert key(kind="second_presentment") == original_key(kind="second_reversal")
    assert original_key() is None


def test_every_problem_of_a_file_is_told(tmp_path: Path) -> None:
    """By line and column, whatever stands before it; nothing of the file is read then."""
    told = problems(
        tmp_path,
        LINE | {"kind": "chargeback", "amount": "-1"},
        LINE,
        LINE | {"pan": PLAIN.pan[:-1] + "0", "currency": "", "scheme": "Demo"},
        LINE | {"reference": PLAIN.pan, "processing_code": "310000", "amount": "0"},
        LINE | {"billing_amount": "1", "rrn": "1", "sequence": "0201", "mcc": "x"},
        LINE | {"amount": "1.005", "transacted_at": "31.5.", "acquirer": "BANK"},
    )  # fmt: skip
    assert [
        ("line 2", "kind"), ("line 2", "amount"),
        ("line 4", "pan"), ("line 4", "scheme"), ("line 4", "currency"),
        ("line 5", "processing_code"), ("line 5", "amount"), ("line 5", "reference"),
        ("line 6", "sequence"), ("line 6", "rrn"), ("line 6", "mcc"),
        ("line 6", "billing_currency"),
        ("line 7", "acquirer"), ("line 7", "transacted_at"), ("line 7", "amount"),
    ] == [tuple(one.split(": ")[:2]) for one in told]  # fmt: skip
    assert PLAIN.pan not in "".join(told)


def test_a_file_without_its_columns_is_no_file(tmp_path: Path) -> None:
    """A missing column is named; an unknown one, which may be a PAN, is told by its place."""
    with pytest.raises(FileError, match="column reference is missing"):
        read(written(tmp_path, {name: LINE[name] for name in LINE if name != "reference"}))
    with pytest.raises(FileError, match="column 1 is not known") as error:
        read(written(tmp_path, {PLAIN.pan: "1"}))
    assert PLAIN.pan not in str(error.value)
    with pytest.raises(FileError, match="No such file"):
        read(tmp_path / "none.csv")


def test_what_looks_like_a_pan_is_masked(tmp_path: Path) -> None:
    """In free text and in the file's name another card's PAN does not stand in clear."""
    other = load_card(3).pan
    path = written(tmp_path, LINE | {"merchant_name": f"PAID WITH {other}"})
    path = path.rename(tmp_path / f"{other}.csv")
    file = read(path)
    assert other not in f"{file.name} {file.records[0].merchant_name}"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(sorted(COLUMNS)), st.text(st.characters(exclude_categories=["Cs"]))
        ),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_stands_there_is_told(tmp_path: Path, lines: list[dict[str, str]]) -> None:
    """Any texts beside a wrong PAN give problems by column, and none repeats the PAN."""
    secret = "4761739010009999"  # no check digit of its own: it is never a PAN
    path = written(tmp_path, *(LINE | line | {"pan": secret} for line in lines))
    with pytest.raises((FileRefused, FileError)) as refused:
        read(path)
    told = [str(refused.value)]
    if isinstance(refused.value, FileRefused):
        told = [str(one) for one in refused.value.problems.shown]
        assert {one.split(":")[1].strip() for one in told} <= {*COLUMNS, "line"}
    assert secret not in "".join(told)
