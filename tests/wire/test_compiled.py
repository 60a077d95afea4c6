"""The compiled reader and writer do as pyiso8583 does, or say nothing: for every dialect."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs.field import EBCDIC, Field
from specs.spec import Spec, known, load
from switch.wire.compiled import Read, reader, writer
from switch.wire.content import MAC_FIELDS
from switch.wire.message import Message, MessageError, decode_at_length, encode_at_length
from tests.wire.strategies import golden_formats, head, messages, spec_of

_SPECS = Path(__file__).parents[2] / "specs"
_EXAMPLES = 10  # of each dialect; every field of it is also tried alone
_SHORT = 300  # of longer values only the bounds are tried

#: What no dialect here has, and one of somebody's own may: notation, encoding.
_RARE = {
    1: ("b 8", "hex"), 10: ("n 7", "bcd-right"), 28: ("x+n ..8", "cp500"), 34: ("ns ..28", "cp037"),
    45: ("ans ..76", "ascii"), 56: ("a ...20", "cp037"), 57: ("a 5", "ascii"),
    58: ("b ...20", "hex"), 59: ("n ..8", "bcd"), 60: ("z ..9", "bcd"), 64: ("b 8", "hex"),
    112: ("x+n ..4", "latin-1"), 113: ("x+n 8", "amount"), 114: ("an ..30", "cp500"),
}  # fmt: skip


@pytest.fixture(scope="module", params=[*known(), "rare"])
def spec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Spec:
    """Each dialect, and one of whatever they have not."""
    if request.param != "rare":
        return load(request.param)
    text = (_SPECS / "iso87_binary.toml").read_text()
    text = text.replace('mti         = "bcd"', 'mti         = "cp037"')
    text = text.replace('bitmap      = "binary"', 'bitmap      = "hex"')
    text = text.replace('lengths     = "bcd" ', 'lengths     = "cp037" ')
    for number, (notation, encoding) in _RARE.items():
        row = rf'(\[ *{number}, *"\w+", *)"[^"]+", *"[^"]+",'
        text, rows = re.subn(row, rf'\1"{notation}", "{encoding}",', text)
        assert rows == 1
    path = tmp_path_factory.mktemp("rare") / "rare.toml"
    path.write_text(text)
    return load(str(path))


def _reader(spec: Spec, numbers: set[int]) -> tuple[bytes, Read]:
    """The MTI and the bitmaps that announce these fields, and what reads them."""
    start = head(spec, numbers)
    return start, reader(spec, sorted(numbers), len(start))


@pytest.mark.parametrize("wire_format", golden_formats())
def test_golden(wire_format: str) -> None:
    """Every message of another implementation is read and written by the short way alone."""
    spec = load(spec_of(wire_format))
    for message, raw in golden_formats()[wire_format]:
        _, read = _reader(spec, set(message.fields))
        assert message.fields == read(raw)
        assert raw == writer(spec, tuple(message.fields))(message.mti, message.fields)


def test_every_field(spec: Spec) -> None:
    """A field alone is read and written just when pyiso8583 does it, and as it does, at its bounds
    and beyond them: each field of a dialect, for they differ in notation and encoding alone."""
    for field in _shapes(spec):
        start, read = _reader(spec, {field.number})
        write = writer(spec, [field.number])
        for value in _tried(field):
            message = Message(f"{spec.version}100", {field.number: value})
            data = _bytes_or_none(message, spec)
            assert data == write(message.mti, message.fields)
            if data is not None:
                assert message.fields == read(data)
        for body in _bodies(spec, field):
            assert _fields_or_none(start + body, spec) == read(start + body)


def test_an_empty_value_among_others(spec: Spec) -> None:
    """One digit at least is asked of each value, though values of a kind are looked at together."""
    numbers = [n for n, field in spec.fields.items() if field.length_digits and field.kind in "nz"]
    fields = dict.fromkeys(numbers, "7")
    start, read = _reader(spec, set(numbers))
    write = writer(spec, numbers)
    assert write(f"{spec.version}100", fields) is not None
    for number in numbers:
        assert write(f"{spec.version}100", {**fields, number: ""}) is None
        bodies = {n: _body(spec, n, "7") for n in numbers}
        assert read(start + b"".join(bodies.values())) == fields
        bodies[number] = _length(spec, spec.fields[number], 0)
        assert read(start + b"".join(bodies.values())) is None


def test_messages(spec: Spec) -> None:
    """Whatever a dialect can carry is read and written by the short way, in any order given."""

    @given(message=messages(spec), data=st.data())
    @settings(max_examples=_EXAMPLES, deadline=None)
    def holds(message: Message, data: st.DataObject) -> None:
        raw = encode_at_length(message, spec)
        _, read = _reader(spec, set(message.fields))
        assert message.fields == read(raw)
        order = data.draw(st.permutations(list(message.fields)))
        shuffled = {number: message.fields[number] for number in order}
        assert raw == writer(spec, order)(message.mti, shuffled)

    holds()


def test_spoilt_messages(spec: Spec) -> None:
    """A message that was changed, cut, stretched or bent anywhere behind its bitmaps is read just
    when pyiso8583 reads it, and then as the same."""

    @given(message=messages(spec), data=st.data())
    @settings(max_examples=_EXAMPLES, deadline=None)
    def holds(message: Message, data: st.DataObject) -> None:
        raw = encode_at_length(message, spec)
        start, read = _reader(spec, set(message.fields))
        for _ in range(10):
            spoilt = start + data.draw(_spoilt(raw[len(start) :]))
            assert _fields_or_none(spoilt, spec) == read(spoilt)

    holds()


def test_spoilt_values(spec: Spec) -> None:
    """A message with one value replaced by any text is written just when pyiso8583 writes it."""

    @given(message=messages(spec).filter(lambda message: message.fields), data=st.data())
    @settings(max_examples=_EXAMPLES, deadline=None)
    def holds(message: Message, data: st.DataObject) -> None:
        write = writer(spec, list(message.fields))
        for _ in range(5):
            number = data.draw(st.sampled_from(list(message.fields)))
            value = data.draw(_any_text(message.fields[number]))
            spoilt = Message(message.mti, {**message.fields, number: value})
            expected = _bytes_or_none(spoilt, spec)
            assert expected == write(spoilt.mti, spoilt.fields)

    holds()


def _shapes(spec: Spec) -> Iterable[Field]:
    """One field of each notation and encoding: all that is compiled of it beside its number. A
    message authentication code has blanks."""
    return {
        (field.notation, field.encoding, number in MAC_FIELDS): field
        for number, field in spec.fields.items()
        if number not in (1, 65)  # a bitmap, where there is a third
    }.values()


def _tried(field: Field) -> Iterator[str]:
    """Values at the bounds of a field, over them, and with a character that it cannot have."""
    sign, character = ("C", "7") if field.kind == "x+n" else ("", "A" if field.kind == "a" else "7")
    longest = 2 * field.length if field.kind == "b" else field.length
    for length in {0, 1, 2, 3, 4, longest - 1, longest, longest + 1, longest + 2}:
        yield (sign + character * (length - len(sign)))[:length]
    whole = sign + character * (min(longest, _SHORT) - len(sign))
    for other in " =D-a\x1b\x7f\x85\xa0\xad\xe9\xffĖ٢\ud800":
        yield whole[:-1] + other
        yield other + whole[1:]
        yield other


def _body(spec: Spec, number: int, value: str) -> bytes:
    """What stands behind the bitmaps for one field of this value."""
    message = Message(f"{spec.version}100", {number: value})
    return encode_at_length(message, spec)[len(head(spec, {number})) :]


def _bodies(spec: Spec, field: Field) -> Iterator[bytes]:
    """What may stand behind the bitmaps for one field: whole, cut short, with more behind, half of
    it blank, with a byte bent, and of every length up to four and of the longest."""
    longest = 2 * field.length if field.kind == "b" else field.length
    for length in {min(longest, _SHORT), 4} if field.length_digits else {longest}:
        value = "C" * (field.kind == "x+n") + "7" * (length - (field.kind == "x+n"))
        value = value.replace("7", "A") if field.kind == "a" else value
        body = _body(spec, field.number, value)
        half = len(body) // 2
        yield from (body, body[:-1], body + b"\0", b"", body[:half] + b" " * (len(body) - half))
        for at in {0, 1, 2, 3, 4, 5, 6, len(body) - 1} & set(range(len(body))):
            for byte in b"\x00\x09\x0a\x1b\x20\x2b\x30\x31\x3d\x40\x44\x60\x70\xa0\xb2\xf0\xf1\xff":
                yield body[:at] + bytes([byte]) + body[at + 1 :]
    if field.length_digits:
        unit = b"\xf7" if field.encoding in EBCDIC else b"7"
        for count in {0, 1, 2, 3, 4, min(field.length, 9999)}:
            size = (count + 1) // 2 if field.encoding.startswith("bcd") else count
            yield _length(spec, field, count) + unit * size


def _length(spec: Spec, field: Field, count: int) -> bytes:
    """How a dialect writes that length."""
    codec = spec.codec[str(field.number)]
    encoding, size = codec["len_enc"], codec["len_type"]
    if encoding == "b":
        return count.to_bytes(size, "big")
    if encoding == "bcd":
        return bytes.fromhex(f"{count:0{2 * size}}")
    return f"{count:0{size}}".encode(encoding)


@st.composite
def _spoilt(draw: st.DrawFn, raw: bytes) -> bytes:
    """Bytes changed in one to three places."""
    spoilt = bytearray(raw)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(spoilt)))
        how = draw(st.sampled_from(("bit", "byte", "in", "cut", "end")))
        if how == "bit" and at < len(spoilt):
            spoilt[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "byte":
            spoilt[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
        elif how == "in":
            spoilt[at:at] = draw(st.sampled_from((b"0", b"\0", b" ", b"+", b"\xb2", b"D", b"\xf0")))
        elif how == "cut":
            del spoilt[at : at + draw(st.integers(1, 3))]
        else:
            del spoilt[at:]
    return bytes(spoilt)


def _any_text(value: str) -> st.SearchStrategy[str]:
    """Any text at all, or a value with something put in for a part of it."""
    at = st.integers(0, len(value))
    put = st.text("0 =DdC\x1b\x85\xa0\xad\xe9Ė٢²", max_size=2)
    spoilt = st.tuples(at, put).map(lambda t: value[: t[0]] + t[1] + value[t[0] + len(t[1]) :])
    return st.one_of(spoilt, st.text(max_size=8))


def _bytes_or_none(message: Message, spec: Spec) -> bytes | None:
    try:
        return encode_at_length(message, spec)
    except MessageError:
        return None


def _fields_or_none(data: bytes, spec: Spec) -> Mapping[int, str] | None:
    try:
        return decode_at_length(data, spec).fields
    except MessageError:
        return None
