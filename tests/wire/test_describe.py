"""A message in words shows what it says and not whose card it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.spec import Spec, known, load
from specs.tlv import encode_ber
from switch.wire.describe import as_json, describe
from switch.wire.message import Message
from tests.wire.strategies import golden_formats, messages, spec_of

SPEC = load("iso87-ascii")
SPECS = [pytest.param(load(name), id=name) for name in known()]
PAN = "4761739000000012"

REQUEST = Message(
    "0101",
    {
        2: PAN,
        4: "000000002500",
        35: f"{PAN}=30122011038537900",
        43: "ACME STORE               LONDON       GB",
        48: "920341395041234",
        49: "978",
        52: "BC569D4BA8F21D81",
        55: "9F2608D150F7A0EB7EA18E5A084761739000000012DF010199",
        90: "010000000311220800210000047617300000000000",
    },
)

DESCRIBED = """\
0101 authorization request, repeat (ISO 8583:1987)
    2  pan                                  47617390****0012
    4  amount_transaction                   000000002500  25.00 EUR
   35  track_2_data                         *** (34 characters)
   43  card_acceptor_name_location          ACME STORE               LONDON       GB
   48  additional_data_private
       92    cvv2                              *** (3 characters)
       95    unknown                           *** (4 characters)
   49  currency_code_transaction            978
   52  pin_block                            *** (16 characters)
   55  icc_data
       9F26  application_cryptogram            D150F7A0EB7EA18E
       5A    pan                               47617390****0012
       DF01  unknown                           *** (2 characters)
   90  original_data_elements
       1     original_mti                      0100
       2     original_stan                     000003
       3     original_transmission_datetime    1122080021
       4     original_acquiring_institution_id 00000476173
       5     original_forwarding_institution_id 00000000000"""


def test_describe() -> None:
    """Every field stands with its number, its name and what may be seen of it."""
    assert describe(REQUEST, SPEC) == DESCRIBED


def test_clear() -> None:
    """In clear, everything is shown."""
    text = describe(REQUEST, SPEC, clear=True)
    for value in (PAN, f"{PAN}=30122011038537900", "BC569D4BA8F21D81"):
        assert value in text
    assert "92    cvv2                              413" in text


def test_as_json() -> None:
    """The same for machines, DE48 and DE55 by tag."""
    assert as_json(REQUEST, spec=SPEC) == {
        "mti": "0101",
        "fields": {
            "2": "47617390****0012",
            "4": "000000002500",
            "35": "*** (34 characters)",
            "43": "ACME STORE               LONDON       GB",
            "48": {"92": "*** (3 characters)", "95": "*** (4 characters)"},
            "49": "978",
            "52": "*** (16 characters)",
            "55": {
                "9F26": "D150F7A0EB7EA18E",
                "5A": "47617390****0012",
                "DF01": "*** (2 characters)",
            },
            "90": {
                "1": "0100",
                "2": "000003",
                "3": "1122080021",
                "4": "00000476173",
                "5": "00000000000",
            },
        },
    }
    assert as_json(REQUEST, clear=True, spec=SPEC)["fields"]["2"] == PAN  # type: ignore[index]


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({39: "00"}, "39  response_code                        00  approved"),
        ({39: "05"}, "05  reversed_before_original, declined_elsewhere, reversed"),
        ({39: "99"}, "39  response_code                        99"),
        ({4: "000000001500", 49: "392"}, "000000001500  1500 JPY"),
        ({4: "000000001500", 49: "123"}, "4  amount_transaction                   000000001500"),
        ({6: "000000001500", 51: "414"}, "000000001500  1.500 KWD"),
        ({48: "92034"}, "48  additional_data_private              *** (5 characters)"),
        ({55: "9F26"}, "55  icc_data                             *** (4 characters)"),
        ({43: "A\x9bB".ljust(40)}, r"43  card_acceptor_name_location          A\x9bB"),
    ],
)
def test_lines(fields: dict[int, str], line: str) -> None:
    """Amounts and response codes are said in words; what cannot be read is only counted."""
    described = describe(Message("0110", fields), SPEC).splitlines()
    assert any(each.endswith(line) for each in described)


@pytest.mark.parametrize("spec", SPECS)
@given(
    data=st.data(),
    pan=st.from_regex(r"[1-9][0-9]{11,18}", fullmatch=True),
    where=st.sampled_from([2, 35, 45, 55]),
)
def test_no_pan_is_seen(spec: Spec, data: st.DataObject, pan: str, where: int) -> None:
    """A PAN is never shown whole, wherever it stands and wherever it is repeated."""
    drawn = data.draw(messages(spec)).fields
    carrier = {
        2: {2: pan},
        35: {35: f"{pan}=3012201"},
        45: {45: f"B{pan}^DOE/JOHN^3012201"},
        55: {55: encode_ber({"5A": pan + "F" * (len(pan) % 2)})},
    }[where]
    echoes = {43: f"SHOP {pan}", 48: f"95{len(pan)}{pan}", 60: pan, 102: pan, 104: f"to {pan}"}
    texts = {de: value for de, value in echoes.items() if spec.fields[de].kind != "b"}
    fields = {**drawn, **texts, **carrier}
    message = Message("0100", fields)
    assert pan not in describe(message, spec)
    assert pan not in json.dumps(as_json(message, spec=spec))
    assert pan in describe(message, spec, clear=True)


@pytest.mark.parametrize("wire_format", golden_formats())
def test_golden_messages_are_described(wire_format: str) -> None:
    """Every golden message has a line a field, and its PAN in none."""
    spec = load(spec_of(wire_format))
    for message, _ in golden_formats()[wire_format]:
        text = describe(message, spec)
        for number in message.fields:
            assert f"{number:>5}  {spec.fields[number].name}" in text
        if 2 in message.fields:
            assert message.fields[2] not in text
