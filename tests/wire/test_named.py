"""What the switch understands of subfields, wherever a dialect has them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.spec import Spec, known, load
from specs.tlv import decode_ber
from switch.wire.message import Message, MessageError
from switch.wire.named import icc, icc_answer, named
from tests.wire.strategies import messages

ASCII, VISA, MASTERCARD = load("iso87-ascii"), load("visa-base1"), load("mastercard-cis")
#: Visa's usage 3, version 7: result 2, second factor 11, key 01, CAVV 123, number 9876.
CAVV = "02110101239876" + "0" * 16 + "30" + "00000000"
CHIP = "9F3602001595050000000000"


@pytest.mark.parametrize(
    ("spec", "fields", "expected"),
    [
        (ASCII, {48: "920341462011"}, {"cvv2": "414", "incremental": "1"}),
        (ASCII, {48: "43109876211123"}, {"cavv": "9876211123"}),
        (ASCII, {48: "6404010387019"}, {"completion_sequence": "0103"}),
        (VISA, {126: "0040000000000000F1F0" "40F4F1F4"}, {"cvv2": "414"}),
        (VISA, {126: "0040000000000000F0F0" "40404040"}, {}),  # it was left out
        (VISA, {126: f"0080000000000000{CAVV}"}, {"cavv": "9876211123"}),
        (VISA, {60: "000000000001"}, {"partial_approval": "1"}),
        (VISA, {60: "000000000003"}, {"partial_approval": "1"}),
        (VISA, {60: "000000000002"}, {}),
        (VISA, {60: "0000"}, {}),
        (VISA, {62: "C000000000000000" "C9" "0123456789012345"}, {
            "incremental": "1", "scheme_transaction_id": "123456789012345"}),
        (VISA, {62: "0030000000000000" "0103"}, {"completion_sequence": "0103"}),
        (MASTERCARD, {48: "T9203414"}, {"cvv2": "414"}),
        (MASTERCARD, {48: "T610510000"}, {"partial_approval": "1"}),
        (MASTERCARD, {48: "T610500000"}, {"partial_approval": "0"}),
        (MASTERCARD, {63: "MCCABC123   "}, {"scheme_transaction_id": "MCCABC123"}),
        (MASTERCARD, {48: "T6315MCCABC1231128  ", 63: "MCCXYZ789   "}, {
            "scheme_transaction_id": "MCCABC123"}),
    ],
)  # fmt: skip
def test_by_name(spec: Spec, fields: Mapping[int, str], expected: Mapping[str, str]) -> None:
    """Each dialect's own way comes to the same values by the same names."""
    assert expected == named(Message("0100", dict(fields)), spec)


@pytest.mark.parametrize(
    ("spec", "fields", "name"),
    [
        (ASCII, {48: "9203ABC"}, "additional_data_private"),
        (ASCII, {48: "4303123"}, "additional_data_private"),
        (ASCII, {48: "92034"}, "additional_data_private"),
        (VISA, {126: "0040000000000000F1F0"}, "private_use_126"),
        (VISA, {126: "0040000000000000F1F0C1C1F4F1"}, "private_use_126"),
        (VISA, {126: f"0080000000000000{'F' * 40}"}, "private_use_126"),
        (MASTERCARD, {48: "T92034"}, "additional_data_private"),
    ],
)
def test_in_no_form(spec: Spec, fields: Mapping[int, str], name: str) -> None:
    """What breaks its form is an error that names the field, and says nothing of its value."""
    with pytest.raises(MessageError) as refused:
        named(Message("0100", dict(fields)), spec)
    assert ("format", name) == (refused.value.problem, refused.value.field)
    assert not any(value in str(refused.value) for value in fields.values())


@pytest.mark.parametrize("spec", [pytest.param(load(name), id=name) for name in known()])
@given(data=st.data())
def test_anything(spec: Spec, data: st.DataObject) -> None:
    """Whatever subfields hold, they are read or refused by name."""
    message = data.draw(messages(spec))
    for read in (named, icc):
        with contextlib.suppress(MessageError):
            read(message, spec)


def test_chip_data_in_a_dataset() -> None:
    """Visa's dataset 01 is opened, and closed again round what the answer says."""
    length = f"{len(CHIP) // 2:04X}"
    for text in (CHIP, f"01{length}{CHIP}", f"01{length}{CHIP}020001FF"):
        request = Message("0100", {55: text})
        assert decode_ber(CHIP) == icc(request, VISA)
        answer = icc_answer("910AA1A2A3A4A5A6A7A83030", request, VISA)
        assert ("01000C" if text[:2] == "01" else "") + "910AA1A2A3A4A5A6A7A83030" == answer
