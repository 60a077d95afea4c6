"""Which bytes a message authentication code is over, and where it stands."""

from __future__ import annotations

import re
from pathlib import Path

import psec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.spec import Spec, known, load
from switch.wire.mac import can_carry_mac, encode_with_room, put_mac, split_mac
from switch.wire.message import Message, MessageError, decode, encode
from tests.wire.strategies import messages

ASCII, BINARY = load("iso87-ascii"), load("iso87-binary")
ROOT = Path(__file__).parents[2]
SPECS = [pytest.param(spec, id=spec.name) for spec in (ASCII, BINARY)]
#: Bytes of a bitmap and of the code on the wire.
SIZES = {ASCII: (16, 16), BINARY: (8, 8)}
MAC = bytes.fromhex("A1B2C3D4E5F60718")
HALF = MAC[:4]

#: An echo test, whose DE70 needs a secondary bitmap, and its answer without one.
ECHO = Message("0800", {7: "1122120000", 11: "000001", 70: "301"})
SHORT = Message("0810", {7: "1122120000", 11: "000001", 39: "00"})

macs = st.binary(min_size=8, max_size=8)


def sealed(message: Message, spec: Spec, mac: bytes = MAC) -> bytes:
    """A message with a code of its own."""
    return put_mac(encode_with_room(message, spec), mac, spec)


@pytest.mark.parametrize(
    ("spec", "message", "data", "mac"),
    [
        (ASCII, SHORT,
         "30383130" "30323230303030303032303030303031" "31313232313230303030" "303030303031"
         "3030", "41314232433344344535463630373138"),
        (ASCII, ECHO,
         "30383030" "38323230303030303030303030303030" "30343030303030303030303030303031"
         "31313232313230303030" "303030303031" "333031", "41314232433344344535463630373138"),
        (BINARY, SHORT, "0810" "0220000002000001" "1122120000" "000001" "3030",
         "A1B2C3D4E5F60718"),
        (BINARY, ECHO, "0800" "8220000000000000" "0400000000000001" "1122120000" "000001" "0301",
         "A1B2C3D4E5F60718"),
    ],
    ids=["ascii-64", "ascii-128", "binary-64", "binary-128"],
)  # fmt: skip
def test_to_the_byte(spec: Spec, message: Message, data: str, mac: str) -> None:
    """It is over MTI, bitmaps with its own bit set, and fields; then it stands itself."""
    payload = sealed(message, spec)
    assert data + mac == payload.hex().upper()
    parts = split_mac(payload, spec)
    assert parts is not None
    assert (data, MAC) == (parts.data.hex().upper(), parts.mac)


@pytest.mark.parametrize("spec", SPECS)
@given(data=st.data(), mac=macs, has_secondary=st.booleans())
def test_there_and_back(spec: Spec, data: st.DataObject, mac: bytes, has_secondary: bool) -> None:
    """What is written with a code is parted into the same bytes, with and without DE128."""
    drawn = data.draw(messages(spec))
    highest = 127 if has_secondary else 63
    fields = {number: value for number, value in drawn.fields.items() if number <= highest}
    fields.pop(64, None)
    if has_secondary:
        fields[70] = "301"
    message, last = Message(drawn.mti, dict(sorted(fields.items()))), 128 if has_secondary else 64
    payload = sealed(message, spec, mac)
    assert {**message.fields, last: mac.hex().upper()} == decode(payload, spec).fields
    # The codec of record's own bytes of the whole message, but for the last field's.
    whole = encode(Message(message.mti, {**message.fields, last: mac.hex().upper()}), spec)
    parts = split_mac(payload, spec)
    assert parts is not None
    assert whole == payload
    assert whole[: -SIZES[spec][1]] == parts.data == split_room(message, spec)
    assert parts.mac in (mac, mac[:4])


def split_room(message: Message, spec: Spec) -> bytes:
    """What the code is to be made over."""
    parts = split_mac(encode_with_room(message, spec), spec)
    assert parts is not None
    return parts.data


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("message", [ECHO, SHORT], ids=["128", "64"])
@pytest.mark.parametrize("filling", ["zeros", "blanks"])
def test_half_a_code(spec: Spec, message: Message, filling: str) -> None:
    """Four bytes with zeros or blanks after them are a code of four bytes."""
    payload = sealed(message, spec)
    sign = b"0" if filling == "zeros" else b" "
    if spec is BINARY:
        sign = b"\0" if filling == "zeros" else b" "
    half = SIZES[spec][1] // 2
    payload = payload[:-half] + sign * half
    parts = split_mac(payload, spec)
    assert parts is not None
    assert (payload[: -2 * half], HALF) == (parts.data, parts.mac)
    assert {*message.fields} < {*decode(payload, spec).fields}


def test_lower_case() -> None:
    """Hex text is read in either case, and written in capitals."""
    payload = sealed(SHORT, ASCII)
    parts = split_mac(payload[:-16] + payload[-16:].lower(), ASCII)
    assert parts is not None
    assert MAC == parts.mac
    assert payload == payload[:-16] + payload[-16:].upper()


@pytest.mark.parametrize(
    "text",
    [b" " * 16, b"A1B2C3D4E5F6    ", b"A1B2    00000000", b"A1B2    " + b" " * 8,
     b"        A1B2C3D4", b"A1B2C3D4 E5F6071", b"A1B2C3D4E5F6071G", b"A1B2C3D4\t\t\t\t\t\t\t\t"],
)  # fmt: skip
def test_what_is_no_code(text: bytes) -> None:
    """Blanks anywhere but after the first half, and what is not hex, are no code and no field."""
    payload = sealed(SHORT, ASCII)[:-16] + text
    assert split_mac(payload, ASCII) is None
    with pytest.raises(MessageError) as error:
        decode(payload, ASCII)
    assert "mac" == error.value.field


@pytest.mark.parametrize("spec", SPECS)
def test_none(spec: Spec) -> None:
    """A message whose last bit is not set has none; DE64 is none beside a secondary bitmap."""
    assert split_mac(encode(ECHO, spec), spec) is None
    assert split_mac(encode(SHORT, spec), spec) is None
    inner = Message("0800", {7: "1122120000", 64: MAC.hex().upper(), 70: "301"})
    assert split_mac(encode(inner, spec), spec) is None


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("message", [ECHO, SHORT], ids=["128", "64"])
def test_cut_short(spec: Spec, message: Message) -> None:
    """Wherever a message is cut, what is parted from it is never its header."""
    payload = sealed(message, spec)
    bitmap, mac = SIZES[spec]
    head = len(message.mti) // (1 if spec is ASCII else 2) + bitmap * (1 + (message is ECHO))
    for length in range(len(payload)):
        parts = split_mac(payload[:length], spec)
        assert (parts is None) or length >= head + mac
        assert parts is None or (parts.data, MAC) != (payload[:-mac], parts.mac)


@pytest.mark.parametrize("spec", SPECS)
@given(data=st.binary(max_size=200))
def test_any_bytes(spec: Spec, data: bytes) -> None:
    """Whatever the bytes are: two parts that make the whole, or none."""
    parts = split_mac(data, spec)
    assert parts is None or data.startswith(parts.data)
    assert parts is None or len(parts.mac) in (4, 8)


@pytest.mark.parametrize("spec", SPECS)
def test_an_unreadable_message(spec: Spec) -> None:
    """One of which a field is wrong is parted all the same: its code stands at its end."""
    payload = bytearray(sealed(SHORT, spec))
    payload[-SIZES[spec][1] - 3] = 0xFF  # in the STAN
    with pytest.raises(MessageError):
        decode(bytes(payload), spec)
    parts = split_mac(bytes(payload), spec)
    assert parts is not None
    assert MAC == parts.mac


def test_longer_codes() -> None:
    """Of a code of sixteen bytes the first eight are sent."""
    assert sealed(SHORT, BINARY, MAC + bytes(8)) == sealed(SHORT, BINARY)


def test_no_value_is_shown() -> None:
    """The parts of a message show no byte of it."""
    parts = split_mac(sealed(SHORT, ASCII), ASCII)
    assert "Authenticated()" == repr(parts)


@pytest.mark.parametrize(
    ("notation", "encoding", "can"),
    [
        ("b 8", "hex", True),
        ("b 8", "binary", True),
        ("b 4", "hex", True),
        ("b 3", "hex", False),
        ("b 16", "hex", False),
        ("b ..8", "hex", False),
        ("an 16", "ascii", False),
    ],
)
def test_room(tmp_path: Path, notation: str, encoding: str, can: bool) -> None:
    """A dialect has room for codes where both fields are four to eight bytes of fixed length."""
    text = (ROOT / "specs/iso87_ascii.toml").read_text()
    row = '[ 64, "mac",                                  "b 8",         "hex",       ""]'
    assert row in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(row, f'[ 64, "mac", "{notation}", "{encoding}", ""]'))
    spec = load(str(path))
    assert can is can_carry_mac(spec)
    if notation == "b 4":
        assert HALF.hex().upper() == decode(sealed(SHORT, spec), spec).fields[64]


@pytest.mark.parametrize("dialect", [name for name in known() if name != "visa-base1"])
@pytest.mark.parametrize("fields", [{11: 1}, {11: 1, 94: 1}], ids=["64", "128"])
def test_room_in_every_dialect(dialect: str, fields: dict[int, int]) -> None:
    """Every dialect of two bitmaps carries codes, as long as its field, in DE64 and DE128."""
    spec = load(dialect)
    assert can_carry_mac(spec)
    message = Message(f"{spec.version}800", {n: "1" * spec.fields[n].length for n in fields})
    payload = sealed(message, spec)
    parts = split_mac(payload, spec)
    last = 128 if 94 in fields else 64
    assert parts is not None
    assert MAC[: spec.fields[last].length] == parts.mac
    assert {**message.fields, last: parts.mac.hex().upper()} == decode(payload, spec).fields


def test_no_room_before_a_third_bitmap() -> None:
    """Where a third bitmap may come DE128 is not the last field: what stands last is no code."""
    visa = load("visa-base1")
    assert not can_carry_mac(visa)
    payload = encode(Message("0100", {11: "000001", 128: MAC.hex().upper(), 130: "010203"}), visa)
    assert split_mac(payload, visa) is None


#: A line of the page's table: dialect, bytes, and the code by either padding.
EXAMPLE = re.compile(
    r"^\| `(iso87-\w+)` \| ([`0-9 ]+) \((text|hex)\) \| `(\w{16})` \| `(\w{16})` \|$", re.M
)


def test_the_page() -> None:
    """What docs/mac.md works out to the byte is what others make of it, and what we split."""
    key = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    examples = EXAMPLE.findall((ROOT / "docs/mac.md").read_text())
    assert 4 == len(examples)
    for dialect, shown, form, *codes in examples:
        digits = re.sub("[` ]", "", shown)
        data = digits.encode() if form == "text" else bytes.fromhex(digits)
        for padding, code in enumerate(codes, start=1):
            made = psec.mac.generate_retail_mac(key[:8], key[8:], data, padding)
            assert code == made.hex().upper()
            payload = data + (code.encode() if form == "text" else made)
            parts = split_mac(payload, load(dialect))
            assert parts is not None
            assert (data, made) == (parts.data, parts.mac)
            assert code in decode(payload, load(dialect)).fields.values()
