"""What stands inside a field is taken apart and put together as it was."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from specs.field import Field
from specs.spec import known, load
from specs.subfields import Layout, leaves
from specs.tlv import TlvError

VISA, MASTERCARD, CMF, ASCII = map(
    load, ("visa-base1", "mastercard-cis", "cmf-2003", "iso87-ascii")
)
EVERY = [
    pytest.param(spec.fields[number], layout, id=f"{spec.name} {number}")
    for spec in map(load, known())
    for number, layout in spec.subfields.items()
]


def contents(field: Field) -> st.SearchStrategy[str]:
    """Anything that may stand in a field: also bytes and digits that look like lengths."""
    if field.kind == "b":
        few = st.sampled_from([b"\x00", b"\x01", b"\x02", b"\x9f", b"\xf1", b"\x57", b"\x80"])
        raw = st.one_of(st.binary(max_size=60), st.lists(few, max_size=30).map(b"".join))
        return raw.map(lambda value: value.hex().upper())
    if field.kind == "n":
        return st.text("0123456789", min_size=1, max_size=60)
    return st.text("0123T 19C4", max_size=60)


@pytest.mark.parametrize(("field", "layout"), EVERY)
@given(data=st.data())
def test_there_and_back(field: Field, layout: Layout, data: st.DataObject) -> None:
    """Whatever stands in a field of any dialect is refused, or is written back as it came.

    But for BER-TLV, where one thing may be written in several ways: there it is the same thing.
    """
    text = data.draw(contents(field))
    try:
        values = layout.decode(text)
    except TlvError as error:
        problem = str(error)
    else:
        problem = ""
    if problem:
        assert len(text) < 9 or text not in problem  # tags are short
        return
    again = layout.encode(values)
    assert values == layout.decode(again)
    assert field.kind == "b" or text == again


@pytest.mark.parametrize(
    ("layout", "text", "values"),
    [
        (ASCII.subfields[54], "0002978C000000002500", {
            "1": {"1": "00", "2": "02", "3": "978", "4": "C", "5": "000000002500"}}),
        (ASCII.subfields[48], "92034149902AB", {"92": "414", "99": "AB"}),
        (VISA.subfields[44], "5 X 2", {"1": "5", "2": " ", "3": "X", "4": " ", "5": "2"}),
        (VISA.subfields[55], "01000C9F3602001595050000000000", {
            "01": {"9F36": "0015", "95": "0000000000"}}),
        (VISA.subfields[55], "9F36020015", {"bare": {"9F36": "0015"}}),
        (VISA.subfields[55], "000101AA", {"bare": {"01": "AA"}}),
        (VISA.subfields[55], "01000A9F3602001595050000000000", None),
        (VISA.subfields[60], "1500000000", {
            "1": "1", "2": "5", "3": "0", "4": "0", "5": "00", "6": "0", "7": "0", "8": "00"}),
        (VISA.subfields[62], "C000000000000000C90123456789012345", {
            "1": "I", "2": "123456789012345"}),
        (VISA.subfields[62], "8000000000000001C9" "C1C2", {"1": "I", "64": "C1C2"}),
        (VISA.subfields[62], "8000000000000000", None),
        (VISA.subfields[63], "A000000002" "3301", {"1": "0002", "3": "3301"}),
        (VISA.subfields[104], "5700050103C1C1C1", {"57": {"01": "C1C1C1"}}),
        (VISA.subfields[126], "0040000000000000F1F040F4F1F4", {
            "10": {"1": "1", "2": "0", "3": " 414"}}),
        (MASTERCARD.subfields[48], "T6105100009203414", {
            "prefix": "T", "61": {"1": "1", "2": "0", "3": "0", "4": "00"}, "92": "414"}),
        (MASTERCARD.subfields[48], "9203414", {"92": "414"}),
        (MASTERCARD.subfields[48], "T42070103210", {
            "prefix": "T", "42": {"01": {"1": "2", "2": "1", "3": "0"}}}),
        (MASTERCARD.subfields[63], "MCC123456", {"1": "MCC", "2": "123456"}),
        (CMF.subfields[49], "7100059F36020015", {"71": {"9F36": "0015"}}),
        (CMF.subfields[54], "00029782C000000002500", {
            "1": {"1": "00", "2": "02", "3": "978", "4": "2", "5": "C", "6": "000000002500"}}),
    ],
)  # fmt: skip
def test_layouts(layout: Layout, text: str, values: object) -> None:
    """Each kind of layout, by an example; what is cut short, or too long, is refused."""
    if values is None:
        with pytest.raises(TlvError):
            layout.decode(text)
        return
    assert values == layout.decode(text)
    assert text == layout.encode(layout.decode(text))


@given(text=st.text("0123456789ABCDEF", max_size=40).filter(lambda text: len(text) % 2 == 0))
@example(text="01")
def test_unknown_is_kept_and_secret(text: str) -> None:
    """A tag without a name is written back, and is nobody's to see."""
    value = f"DF01{len(text) // 2:02X}{text}"
    values = ASCII.subfields[55].decode(value)
    assert ["secret"] == [part.sensitivity for _, part, _ in leaves(ASCII.subfields[55], values)]
    assert value == ASCII.subfields[55].encode(values)
