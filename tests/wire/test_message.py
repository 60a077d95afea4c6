"""Bytes become a message or a `MessageError`; a message becomes its bytes again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from specs.spec import Spec, load
from switch.wire.message import Message, MessageError, decode, encode, require
from tests.wire.strategies import golden, golden_formats, head, spec_of

ASCII, BINARY = load("iso87-ascii"), load("iso87-binary")
SPECS = [pytest.param(spec, id=spec.name) for spec in (ASCII, BINARY)]
GOLDEN = [
    pytest.param(spec, message, data, id=f"{spec.name}-{message.mti}-{index}")
    for spec in (ASCII, BINARY)
    for index, (message, data) in enumerate(golden(spec.name.replace("-", "_")))
]
PAN = "4761739000000012"


@pytest.mark.parametrize(("spec", "message", "data"), GOLDEN)
def test_golden(spec: Spec, message: Message, data: bytes) -> None:
    """What another implementation wrote is read, and written again byte for byte."""
    assert message == decode(data, spec)
    assert data == encode(message, spec)


FORMATS = [
    pytest.param(load(spec_of(wire_format)), message, data, id=f"{wire_format}-{index}")
    for wire_format, pairs in golden_formats().items()
    for index, (message, data) in enumerate(pairs)
]


@pytest.mark.parametrize(("spec", "message", "data"), FORMATS)
def test_golden_formats(spec: Spec, message: Message, data: bytes) -> None:
    """The same for nine wire formats of three versions of the standard."""
    assert message == decode(data, spec)
    assert data == encode(message, spec)


def test_golden_formats_are_nine() -> None:
    """None of the nine formats and of the sixteen messages of each is left out."""
    assert [16] * 9 == [len(pairs) for pairs in golden_formats().values()]


def test_golden_binary_icc_data(tmp_path: Path) -> None:
    """A binary dialect whose DE55 is raw differs in one row."""
    text = (Path(__file__).parents[2] / "specs" / "iso87_binary.toml").read_text()
    row = '"b ...499",    "hex", '
    assert row in text
    path = tmp_path / "raw.toml"
    path.write_text(text.replace(row, '"b ...999",    "binary", '))
    spec = load(str(path))
    assert spec.icc_data_encoding == "binary"
    for message, data in golden("iso87_binary_icc"):
        assert message == decode(data, spec)
        assert data == encode(message, spec)


@pytest.mark.parametrize(
    ("number", "value", "ascii_bytes", "binary_bytes"),
    [
        (2, "4761739000000012", b"164761739000000012", "164761739000000012"),
        (2, "476173900000001", b"15476173900000001", "154761739000000010"),
        (4, "000000002500", b"000000002500", "000000002500"),
        (28, "D00000100", b"D00000100", "4400000100"),
        (32, "4761739", b"074761739", "0747617390"),
        (35, "4761=3012", b"094761=3012", "094761D30120"),
        (43, "CAFÉ".ljust(40), "CAFÉ".ljust(40).encode("latin-1"), None),
        (49, "978", b"978", "393738"),
        (52, "0E0E74D9913BEEA8", b"0E0E74D9913BEEA8", "0E0E74D9913BEEA8"),
        (55, "82023C00", b"00882023C00", "00083832303233433030"),
    ],
)
def test_encodings(number: int, value: str, ascii_bytes: bytes, binary_bytes: str | None) -> None:
    """Each kind of field stands on the wire as its dialect says."""
    message = Message("0100", {number: value})
    assert encode(message, ASCII)[4 + 16 :] == ascii_bytes
    if binary_bytes is not None:
        assert encode(message, BINARY)[2 + 8 :].hex().upper() == binary_bytes
    assert (
        message == decode(encode(message, ASCII), ASCII) == decode(encode(message, BINARY), BINARY)
    )


def test_second_bitmap() -> None:
    """Fields above 64 bring a second bitmap, which is no field of the message."""
    data = b"0800" + b"8220000000000000" + b"0400000000000000" + b"1122080007" + b"000001" + b"001"
    message = Message("0800", {7: "1122080007", 11: "000001", 70: "001"})
    assert message == decode(data, ASCII)
    assert data == encode(message, ASCII)


def test_letters_of_either_case() -> None:
    """Bitmaps and binary values may come in lowercase hex; a message has uppercase."""
    data = b"0100" + b"0000000000001000" + b"0e0e74d9913beea8"
    assert Message("0100", {52: "0E0E74D9913BEEA8"}) == decode(data, ASCII)
    assert decode(b"0100c0000000000000000000000000000000" + b"0212", ASCII).fields == {2: "12"}


def test_separator_of_track_2() -> None:
    """The separator of track 2 is = in a message, however it came."""
    assert decode(b"0100" + b"0000000020000000" + b"094761D3012", ASCII).fields == {35: "4761=3012"}


DE4 = b"0100" + b"1000000000000000"
DE2 = b"0100" + b"4000000000000000"


@pytest.mark.parametrize(
    ("data", "problem", "field", "offset"),
    [
        (b"", "length", "mti", 0),
        (b"010", "length", "mti", 0),
        (b"01x0" + b"0" * 16, "format", "mti", 0),
        ("²100".encode("latin-1") + b"0" * 16, "format", "mti", 0),
        (b"0100", "bitmap", "bitmap", 4),
        (b"0100" + b"7234", "bitmap", "bitmap", 4),
        (b"0100" + b"723G648128E09200", "bitmap", "bitmap", 4),
        (b"0100" + b"10000000 0000000", "bitmap", "bitmap", 4),
        (b"0100" + b"8000000000000000", "bitmap", "bitmap", 4),
        (b"0100" + b"8000000000000000" + b"8000000000000000" * 2, "bitmap", "bitmap", 4),
        (DE4, "length", "amount_transaction", 20),
        (DE4 + b"00000000250", "length", "amount_transaction", 20),
        (DE4 + b"0000000025x0", "format", "amount_transaction", 20),
        (DE4 + "00000000250²".encode("latin-1"), "format", "amount_transaction", 20),
        (DE4 + b"000000002500" + b"1", "trailing", "amount_transaction", 32),
        (b"0100" + b"0" * 16 + b"1", "trailing", "bitmap", 20),
        (DE2 + b"1", "length", "pan", 20),
        (DE2 + b"xx", "length", "pan", 20),
        (DE2 + b"20" + b"4" * 20, "length", "pan", 20),
        (DE2 + b"164761", "length", "pan", 22),
        (DE2 + b"-1" + b"4761", "length", "pan", 22),
        (DE2 + b"-0", "format", "pan", 20),
        (DE2 + b"00", "format", "pan", 20),
        (DE2 + b" 4" + b"4761", "length", "pan", 20),
        (DE2 + b"+4" + b"4761", "length", "pan", 20),
        (b"0100" + b"0000000000800000" + b"TERM\x1b[2J", "format", "terminal_id", 20),
        (DE4 + b"0000000025x0" + b"1", "format", "amount_transaction", 20),
        (b"0100" + b"0000000000001000" + b"0E0E74D9913BEEAX", "format", "pin_block", 20),
        (b"0100" + b"0000001000000000" + b"X00000100", "format", "amount_transaction_fee", 20),
    ],
)  # fmt: skip
def test_faults_ascii(data: bytes, problem: str, field: str, offset: int) -> None:
    """A fault is told by problem, field and place."""
    with pytest.raises(MessageError) as refused:
        decode(data, ASCII)
    error = refused.value
    assert (problem, field, offset) == (error.problem, error.field, error.offset)


@pytest.mark.parametrize(
    ("data", "problem", "field", "offset"),
    [
        ("01", "length", "mti", 0),
        ("01A0" + "00" * 8, "format", "mti", 0),
        ("0100" + "00" * 7, "bitmap", "bitmap", 2),
        ("0100" + "8000000000000000" * 2 + "00" * 40, "bitmap", "bitmap", 2),
        ("0100" + "1000000000000000" + "0000000025", "length", "amount_transaction", 10),
        ("0100" + "1000000000000000" + "00000000250A", "format", "amount_transaction", 10),
        ("0100" + "4000000000000000" + "1A47617390", "length", "pan", 10),
        ("0100" + "4000000000000000" + "0347610", "format", "pan", 11),
        ("0100" + "0000200000000000" + "1826", "format", "acquiring_country_code", 10),
        ("0100" + "0000001000000000" + "4500000100", "format", "amount_transaction_fee", 10),
        ("0100" + "0000000020000000" + "044E61", "format", "track_2_data", 10),
    ],
)  # fmt: skip
def test_faults_binary(data: str, problem: str, field: str, offset: int) -> None:
    """The binary dialect refuses what is no digit, a wrong spare half byte and a wrong sign."""
    with pytest.raises(MessageError) as refused:
        decode(bytes.fromhex(data + "F" * (len(data) % 2)), BINARY)
    error = refused.value
    assert (problem, field, offset) == (error.problem, error.field, error.offset)


VISA, MASTERCARD = load("visa-base1"), load("mastercard-cis")


@pytest.mark.parametrize(
    ("dialect", "number", "value", "wire"),
    [
        # a binary length counts the digits of packed digits …
        ("visa-base1", 2, "4761739000000012", "10" "4761739000000012"),
        ("visa-base1", 2, "476173900000001", "0F" "0476173900000001"),
        ("visa-base1", 35, "4761=3012", "09" "04761D3012"),
        # … and the bytes of text and of binary values; two bytes of it after four dots
        ("visa-base1", 44, "5  M", "04" "F54040D4"),
        ("visa-base1", 55, "82023C00", "04" "82023C00"),
        ("visa-base1", 110, "0102", "0002" "0102"),
        ("visa-base1", 28, "D00000100", "C4F0F0F0F0F0F1F0F0"),
        ("visa-base1", 49, "978", "0978"),
        ("mastercard-cis", 2, "4761739000000012", "F1F6" "F4F7F6F1F7F3F9F0F0F0F0F0F0F0F1F2"),
        ("mastercard-cis", 48, "R8001M", "F0F0F6" "D9F8F0F0F1D4"),
        ("mastercard-cis", 52, "0E0E74D9913BEEA8", "0E0E74D9913BEEA8"),
        ("mastercard-cis", 55, "82023C00", "F0F0F4" "82023C00"),
        ("iso93-binary", 24, "831", "8310"),
        ("iso93-binary", 35, "4761=3012", "09" "343736313D33303132"),
        ("iso93-binary", 97, "D0000000000000100", "44" "0000000000000100"),
        ("iso93-ascii", 55, "82023C00", "303034" "82023C00"),
        ("cmf-2003", 4, "9782000000002500", "9782000000002500"),
        ("cmf-2003", 55, "82023C00", "0004" "82023C00"),
        ("cmf-2003", 64, "0102030A", "0102030A"),
        ("postilion", 52, "0E0E74D9913BEEA8", "0E0E74D9913BEEA8"),
        ("postilion", 127, "0102", "303030303032" "0102"),
    ],
)  # fmt: skip
def test_encodings_of_schemes(dialect: str, number: int, value: str, wire: str) -> None:
    """Each dialect's fields stand on the wire as the public tables say."""
    spec = load(dialect)
    message = Message(f"{spec.version}100", {number: value})
    data = encode(message, spec)
    assert head(spec, {number}).hex().upper() + wire == data.hex().upper()
    assert message == decode(data, spec)


def test_mti_in_ebcdic() -> None:
    """An MTI and the lengths may be EBCDIC digits, and are digits and nothing else."""
    assert encode(Message("0800", {11: "000001"}), MASTERCARD).hex() == (
        "f0f8f0f0" + "0020000000000000" + "f0f0f0f0f0f1"
    )
    for length in ("4ef4", "40f4", "f0da", "6df4"):  # "+4", " 4", "0²", "_4"
        with pytest.raises(MessageError, match="length: pan") as refused:
            decode(head(MASTERCARD, {2}) + bytes.fromhex(length) + b"\xf4" * 4, MASTERCARD)
        assert refused.value.offset == 12
    with pytest.raises(MessageError, match="format: mti"):
        decode(b"0800" + bytes(8), MASTERCARD)


def test_three_bitmaps() -> None:
    """Three bitmaps stand one after the other right behind the MTI, before any field."""
    message = Message("0100", {3: "000000", 70: "301", 149: "000000001000"})
    data = encode(message, VISA)
    assert data.hex().upper() == (
        "0100" "A000000000000000" "8400000000000000" "0000080000000000"
        "000000" "0301" "000000001000"
    )  # fmt: skip
    assert message == decode(data, VISA)
    assert decode(encode(Message("0100", {149: "0" * 12}), VISA), VISA).fields == {149: "0" * 12}


@pytest.mark.parametrize("number", [129, 141, 150, 192])
def test_unknown_field_of_the_third_bitmap(number: int) -> None:
    """A bit for a field that the dialect has not is refused: none can be found behind it."""
    with pytest.raises(MessageError, match=f"unknown: de_{number}") as refused:
        decode(head(VISA, {2, number}) + bytes(40), VISA)
    assert refused.value.offset == 2
    assert refused.value.readable == Message("0100", {})
    with pytest.raises(MessageError, match=f"unknown: de_{number}"):
        encode(Message("0100", {number: "00"}), VISA)


def test_readable_before_a_cut() -> None:
    """Of a message cut short, what came before the cut can be read."""
    whole = Message("0100", {2: PAN, 4: "000000002500", 37: "632608000003", 41: "TERM0001"})
    with pytest.raises(MessageError) as refused:
        decode(encode(whole, ASCII)[:-3], ASCII)
    assert refused.value.field == "terminal_id"
    assert refused.value.readable == Message(
        "0100", {2: PAN, 4: "000000002500", 37: "632608000003"}
    )


def test_readable_around_a_fault() -> None:
    """Of a message with letters in its amount, every other field can be read."""
    whole = Message("0100", {2: PAN, 4: "000000002500", 37: "632608000003"})
    with pytest.raises(MessageError) as refused:
        decode(encode(whole, ASCII).replace(b"000000002500", b"00000000250x"), ASCII)
    assert refused.value.readable == Message("0100", {2: PAN, 37: "632608000003"})


def test_readable_with_bytes_left_over() -> None:
    """Of a message with bytes left over, all fields can be read."""
    whole = Message("0100", {2: PAN, 4: "000000002500"})
    with pytest.raises(MessageError) as refused:
        decode(encode(whole, BINARY) + b"\0", BINARY)
    assert refused.value.readable == whole


def test_readable_without_bitmap() -> None:
    """Of a message without a bitmap, its MTI can be read; without an MTI nothing can."""
    with pytest.raises(MessageError) as refused:
        decode(b"0100", ASCII)
    assert refused.value.readable == Message("0100", {})
    with pytest.raises(MessageError) as refused:
        decode(b"01", ASCII)
    assert refused.value.readable is None


@pytest.mark.parametrize("spec", [ASCII, BINARY, VISA, MASTERCARD])
@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: data + b"\0"])
def test_no_value_in_an_error(spec: Spec, spoil: Callable[[bytes], bytes]) -> None:
    """No text of an error, nor of one behind it, holds a value."""
    data = encode(Message("0100", {2: PAN, 35: f"{PAN}=3012", 41: "TERM0001"}), spec)
    with pytest.raises(MessageError) as refused:
        decode(spoil(data), spec)
    error = refused.value
    assert error.__cause__ is None
    assert error.__context__ is None
    for text in (str(error), repr(error), repr(error.args), repr(error.readable)):
        assert PAN not in text
        assert "TERM" not in text


def test_repr_shows_no_value() -> None:
    """A message shows its MTI and which fields it has."""
    assert repr(Message("0100", {35: f"{PAN}=3012", 2: PAN})) == "Message('0100', [2, 35])"


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (Message("100", {}), "format: mti"),
        (Message("01²0", {}), "format: mti"),
        (Message("0100", {4: "25.00"}), "format: amount_transaction"),
        (Message("0100", {4: "2500"}), "length: amount_transaction"),
        (Message("0100", {4: "٢" * 12}), "format: amount_transaction"),
        (Message("0100", {2: "4" * 20}), "length: pan"),
        (Message("0100", {43: "CAFĖ".ljust(40)}), "format: card_acceptor_name_location"),
        (Message("0100", {52: "0e0e74d9913beea8"}), "format: pin_block"),
        (Message("0100", {1: "0" * 16}), "unknown: de_1"),
        (Message("0100", {65: "0" * 16}), "unknown: de_65"),
        (Message("0100", {129: "0"}), "unknown: de_129"),
    ],
)
@pytest.mark.parametrize("spec", SPECS)
def test_unwritable(spec: Spec, message: Message, text: str) -> None:
    """What a dialect does not allow is not written."""
    with pytest.raises(MessageError) as refused:
        encode(message, spec)
    assert text == str(refused.value)
    assert refused.value.__context__ is None


FULL = {3: "000000", 4: "000000002500", 7: "1122080021", 11: "000003", 32: "476173",
        37: "632608000003", 41: "TERM0001", 49: "978"}  # fmt: skip


@pytest.mark.parametrize(
    ("mti", "without", "missing"),
    [
        ("0100", (), None),
        ("0101", (), None),
        ("0100", (4,), "amount_transaction"),
        ("0101", (37,), "rrn"),
        ("0100", (3, 49), "processing_code"),
        ("0120", (), "response_code"),
        ("0400", (), "original_data_elements"),
        ("0800", (), "network_management_code"),
        ("0600", (3, 4, 7), None),
    ],
)
def test_require(mti: str, without: tuple[int, ...], missing: str | None) -> None:
    """A class of message brings its required fields, a repeat those of its original."""
    message = Message(mti, {number: FULL[number] for number in FULL if number not in without})
    if missing is None:
        require(message, ASCII)
        return
    with pytest.raises(MessageError) as refused:
        require(message, ASCII)
    assert ("missing", missing) == (refused.value.problem, refused.value.field)
    assert refused.value.readable is message


def test_require_refuses_an_empty_field() -> None:
    """A required field that is there and empty is missing."""
    with pytest.raises(MessageError, match="missing: acquiring_institution_id"):
        require(Message("0100", {**FULL, 32: ""}), ASCII)
