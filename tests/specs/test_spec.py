"""A dialect is loaded whole or refused with one clear line."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from specs.spec import SpecError, known, load
from switch.rules.reason import Reason

FOLDER = Path(__file__).parents[2] / "specs"
ASCII = (FOLDER / "iso87_ascii.toml").read_text()

TODAY = date(2026, 1, 1)

DIALECTS = ["iso87-ascii", "iso87-binary"]


@pytest.mark.parametrize("name", known())
def test_every_field_stands(name: str) -> None:
    """A dialect says all 128 fields, and those of a third bitmap where it has one."""
    numbers = sorted(load(name).fields)
    assert list(range(1, 129)) == numbers[:128]
    assert load(name).has_third_bitmap == (name == "visa-base1") == (len(numbers) > 128)


@pytest.mark.parametrize("name", known())
def test_every_reason_has_a_code(name: str) -> None:
    """A dialect has a DE39 for every reason and for both approvals, and for nothing else."""
    spec = load(name)
    reasons = {reason.value for reason in Reason} | {"approved", "approved_partial"}
    rows = spec.response_codes.rows.keys()
    assert reasons == rows - {"approved_verification", "approved_reversal", "approved_network"}
    for kind in ("approved", "approved_verification"):
        assert spec.response_codes.approval(kind, TODAY) in spec.approving


@pytest.mark.parametrize("name", known())
def test_what_may_not_be_seen(name: str) -> None:
    """In every dialect the PAN is a PAN; tracks, PIN block, chip and private data are secret."""
    fields = load(name).fields
    assert fields[2].sensitivity == "pan"
    for number in (34, 35, 36, 45, 52, 55, 102, 103, *range(120, 128)):
        assert fields[number].sensitivity == "secret"
    assert fields[48].sensitivity in ("code", "secret")
    for number in (64, 128):
        assert fields[number].sensitivity == ""


@pytest.mark.parametrize(
    ("name", "version", "digits"),
    [("iso87-binary-icc", "0", 2), ("iso93-ascii", "1", 3), ("iso93-binary", "1", 3),
     ("cmf-2003", "2", 4), ("visa-base1", "0", 2), ("mastercard-cis", "0", 2),
     ("postilion", "0", 2)],
)  # fmt: skip
def test_versions(name: str, version: str, digits: int) -> None:
    """A dialect's requests begin with its version; its DE39 is of two, three or four digits."""
    spec = load(name)
    assert version == spec.version
    assert {f"{version}{rest}" for rest in ("100", "120", "200", "220", "400", "420", "800")} <= (
        spec.classes.keys()
    )
    assert digits == spec.fields[39].length


def test_dash_and_underscore() -> None:
    """A dialect answers to its name with dashes or underscores, and is read once."""
    assert load("iso87-ascii").name == load("iso87_ascii").name == "iso87-ascii"
    assert load("iso87-ascii") is load("iso87-ascii")


def test_path() -> None:
    """A dialect may be a file of one's own."""
    assert load(str(FOLDER / "iso87_binary.toml")).name == "iso87-binary"


@pytest.mark.parametrize(
    ("number", "name", "notation", "sensitivity"),
    [
        (2, "pan", "n ..19", "pan"),
        (4, "amount_transaction", "n 12", ""),
        (28, "amount_transaction_fee", "x+n 8", ""),
        (35, "track_2_data", "z ..37", "secret"),
        (45, "track_1_data", "ans ..76", "secret"),
        (48, "additional_data_private", "ans ...999", "code"),
        (52, "pin_block", "b 8", "secret"),
        (55, "icc_data", "b ...499", "secret"),
        (90, "original_data_elements", "n 42", ""),
        (128, "mac_2", "b 8", ""),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_fields(dialect: str, number: int, name: str, notation: str, sensitivity: str) -> None:
    """Both dialects give a field one name, one notation and one sensitivity."""
    field = load(dialect).fields[number]
    assert (name, notation, sensitivity) == (field.name, field.notation, field.sensitivity)


def test_both_dialects_agree_but_for_the_wire() -> None:
    """The two differ in encodings and in nothing else."""
    left, right = (load(name) for name in DIALECTS)
    for number, field in left.fields.items():
        other = right.fields[number]
        assert (field.name, field.notation, field.sensitivity) == (
            other.name,
            other.notation,
            other.sensitivity,
        )
    assert left.classes == right.classes
    assert left.response_codes == right.response_codes
    assert left.message_key == right.message_key == (7, 11, 32, 37, 41)
    assert left.subfields == right.subfields
    assert left.results == right.results


@pytest.mark.parametrize(
    ("mti", "required", "echoed"),
    [
        ("0100", (3, 4, 7, 11, 32, 37, 41, 49), (3, 4, 6, 7, 11, 32, 33, 37, 41, 42, 49, 51)),
        ("0800", (7, 11, 70), (7, 11, 70)),
    ],
)
def test_classes(mti: str, required: tuple[int, ...], echoed: tuple[int, ...]) -> None:
    """A class says what its request brings and what its answer gives back."""
    classes = load("iso87-ascii").classes
    assert (required, echoed) == (classes[mti].required, classes[mti].echoed)


RESPONSE_CODES = {
    "approved": "00",
    "approved_partial": "10",
    "reversed_before_original": "05",
    "declined_elsewhere": "05",
    "reversed": "05",
    "not_supported": "12",
    "currency_not_supported": "12",
    "no_card_record": "14",
    "format_error": "30",
    "lost": "41",
    "stolen": "43",
    "closed": "46",
    "account_closed": "46",
    "insufficient_funds": "51",
    "card_expired": "54",
    "pin_mismatch": "55",
    "not_permitted": "57",
    "limit_amount": "61",
    "blocked": "62",
    "mac_mismatch": "63",
    "limit_count": "65",
    "strong_authentication_required": "1A",
    "pin_tries_exceeded": "75",
    "inactive": "78",
    "cryptogram_mismatch": "82",
    "card_code_mismatch": "82",
    "cryptogram_replayed": "82",
    "atc_out_of_window": "82",
    "unavailable": "91",
    "duplicate_conflict": "94",
    "system_error": "96",
}


def test_response_codes() -> None:
    """Every reason has the DE39 of the policy table."""
    codes = load("iso87-ascii").response_codes
    assert {reason: codes.at(reason, TODAY) for reason in codes.rows} == RESPONSE_CODES


@pytest.mark.parametrize("dialect", DIALECTS)
def test_icc_data_encoding(dialect: str) -> None:
    """DE55 is hex text in both generic dialects."""
    assert load(dialect).icc_data_encoding == "hex"


def test_unknown_dialect_lists_the_known() -> None:
    """A dialect that does not exist is refused with those that do."""
    with pytest.raises(SpecError, match=r"unknown dialect 'iso99': known are cmf-2003, iso87-asc"):
        load("iso99")


def test_missing_file() -> None:
    """A file that does not exist is refused by name."""
    with pytest.raises(SpecError, match=r"none\.toml: No such file"):
        load("/nowhere/none.toml")


ROW_4 = '[  4, "amount_transaction",                   "n 12",        "ascii",     ""],'


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        (ROW_4, "", "fields: DE 4 missing"),
        (ROW_4, ROW_4 * 2, "fields: DE 4 stands twice"),
        (ROW_4, ROW_4.replace('"ascii"', '"utf-9"'), "DE 4: encoding 'utf-9' is not one of"),
        (ROW_4, ROW_4.replace('"ascii"', '"hex"'), "DE 4: n does not stand in hex"),
        (ROW_4, ROW_4.replace('"n 12"', '"n12"'), "DE 4: notation 'n12' is not known"),
        (ROW_4, ROW_4.replace('"n 12"', '"n .12"'), "DE 4: notation 'n .12' is not known"),
        (ROW_4, ROW_4.replace('"n 12"', '"n 0"'), "DE 4: notation 'n 0' is not known"),
        (ROW_4, ROW_4.replace('"n 12"', '"n ..100"'), "'n ..100' is longer than its length"),
        (ROW_4, ROW_4.replace('""', '"hush"'), "DE 4: sensitivity: 'hush' is not one of"),
        (ROW_4, ROW_4.replace("amount_transaction", "pan"), "fields: name pan stands twice"),
        (ROW_4, ROW_4.replace("amount_transaction", "Amount"), "'Amount' is not snake_case"),
        (ROW_4, '[4, "amount"],', "DE 4: must say name, notation, encoding and sensitivity"),
        (ROW_4, ROW_4.replace("  4", "193"), "a row must begin with a DE number of 1 to 192"),
        (ROW_4, ROW_4.replace("  4", '"4"'), "a row must begin with a DE number of 1 to 192"),
        (ROW_4, "4,", "a row must begin with a DE number of 1 to 192"),
        ('"b ...499",    "hex"', '"ans ...999", "ascii"', "DE 55: notation must be b"),
        ('"x+n 8",       "ascii"', '"x+n 7", "amount"', "an even count of digits"),
        ('version     = "0"', "version = 0", "version: 0 is not of the form"),
        ('version     = "0"', "", "the dialect: version is missing"),
        ('version     = "0"', 'version = "0"\nverzion = 1', "the dialect: verzion is unknown"),
        ('bitmap      = "hex"', 'bitmap = "bcd"', "bitmap: 'bcd' is not one of 'hex', 'binary'"),
        ('lengths     = "ascii"', 'lengths = "b"', "lengths: 'b' is not one of 'ascii', 'bcd'"),
        ('mti         = "ascii"', "mti = []", r"mti: \[\] is not one of 'ascii', 'bcd'"),
        ("[7, 11, 32, 37, 41] #", "[7, 7] #", "message_key: DE 7 stands twice"),
        ("[7, 11, 32, 37, 41] #", "[7, 130] #", "message_key: DE 130 is no field of the dialect"),
        ("[7, 11, 32, 37, 41] #", "[7, 193] #", "message_key: must be a list of DE numbers"),
        ("[7, 11, 32, 37, 41] #", "[true] #", "message_key: must be a list of DE numbers"),
        ("0800 = {", "0810 = {", "classes.0810: not a request MTI of version 0"),
        ("0800 = {", "0801 = {", "classes.0801: not a request MTI of version 0"),
        ("0800 = {", "1800 = {", "classes.1800: not a request MTI of version 0"),
        ("echoed = [7, 11, 70] }", "}", "not TOML"),
        ("echoed = [7, 11, 70] }", "echoed = [7, 11, 64] }", "classes.0800.echoed: DE 64 is a"),
        ("[7, 11, 32, 37, 41] #", "[7, 128] #", "message_key: DE 128 is a message's own auth"),
        ("{ required = [7, 11, 70],   ", "{", "classes.0800: required is missing"),
        ('= "94"', '= "9"', "response_codes.duplicate_conflict: not a value of DE 39"),
        ('= "94"', "= 94", "response_codes.duplicate_conflict: not a value of DE 39"),
        ("tag_digits    = 2", "tag_digits = 0", "subfields.48.tag_digits: must be 1 to 4"),
        ('["92",', '["9",', "subfields.48.rows: '9' is not of the form"),
        ('["92",', '["87",', "subfields.48.rows.87: stands twice"),
        ("version", "version =", "not TOML"),
    ],
)  # fmt: skip
def test_nonsense(tmp_path: Path, good: str, bad: str, message: str) -> None:
    """Nonsense is refused with one line: the file, the place, the reason."""
    assert good in ASCII
    path = tmp_path / "mine.toml"
    path.write_text(ASCII.replace(good, bad, 1))
    with pytest.raises(SpecError, match=message) as refused:
        load(str(path))
    text = str(refused.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
