"""
What the switch understands of subfields, by one name each, however a dialect has them.

A dialect's file names its subfields; here the values of those names come into the form
that the flows know. One that breaks its form is a format error that names the field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache

from specs.datasets import BARE
from specs.spec import Spec
from specs.subfields import Layout, leaves, names
from specs.tlv import TlvError, decode_ber
from switch.wire.message import Message, MessageError

_ICC_DATA = 55
#: The dataset of chip data in Visa's DE55 (Shulyaka/iso8583tools, fields_visa.frm: 55.01).
_CHIP_DATASET = "01"

_CVV2 = re.compile("[0-9]{3,4}")
_CAVV = re.compile("[0-9]{10}")
_PRESENT = "1"  # CVV2: it is given, and not left out, illegible or absent from the card
#: What Visa's partial authorization indicator says where less is taken: 3 of an estimated amount.
_TAKES_PARTIAL = frozenset({"1", "3"})
_INCREMENTAL = "I"  # Visa's authorization characteristics indicator
_NETWORK_AND_REFERENCE = 9  # of Mastercard's Banknet reference, six characters behind the network

_Found = Mapping[str, str]


def _cvv2(found: _Found) -> str | None:
    value = found.get("cvv2")
    if value is None or found.get("cvv2_presence_indicator", _PRESENT) != _PRESENT:
        return None
    return _in_form(value.strip(), _CVV2)


def _cavv(found: _Found) -> str | None:
    """Number, results and code: ten digits, which are one value or four parts of Visa's."""
    if "cavv_value" in found:
        result, factor, code, number = (
            found.get(f"cavv_{part}", "")
            for part in ("result", "second_factor", "value", "unpredictable_number")
        )
        return _in_form(number + result[1:] + factor + code[1:], _CAVV)
    value = found.get("cavv")
    return None if value is None else _in_form(value, _CAVV)


def _in_form(value: str, form: re.Pattern[str]) -> str:
    if not form.fullmatch(value):
        raise ValueError
    return value


def _partial_approval(found: _Found) -> str | None:
    if (indicator := found.get("partial_authorization_indicator")) is not None:
        return "1" if indicator in _TAKES_PARTIAL else None
    return found.get("partial_approval")


def _incremental(found: _Found) -> str | None:
    if found.get("authorization_characteristics_indicator") == _INCREMENTAL:
        return "1"
    return found.get("incremental")


def _scheme_transaction_id(found: _Found) -> str | None:
    """Mastercard: the trace of the first message before one's own network data."""
    own = found.get("network_code", "") + found.get("banknet_reference", "")
    network = (found.get("trace_network_data") or own)[:_NETWORK_AND_REFERENCE].strip()
    value = found.get("scheme_transaction_id") or network
    return value if value.strip("0 ") else None


def _completion_sequence(found: _Found) -> str | None:
    number, count = (
        found.get(f"multiple_clearing_sequence_{part}") for part in ("number", "count")
    )
    return number + count if number and count else found.get("completion_sequence")


#: The name that the flows know → what makes its value of those found, by their names in the file.
_FORMS: Mapping[str, tuple[Callable[[_Found], str | None], frozenset[str]]] = {
    "cvv2": (_cvv2, frozenset({"cvv2", "cvv2_presence_indicator"})),
    "cavv": (
        _cavv,
        frozenset(
            {
                "cavv", "cavv_result", "cavv_second_factor", "cavv_value",
                "cavv_unpredictable_number",
            }
        ),
    ),
    "partial_approval": (
        _partial_approval,
        frozenset({"partial_approval", "partial_authorization_indicator"}),
    ),
    "incremental": (
        _incremental,
        frozenset({"incremental", "authorization_characteristics_indicator"}),
    ),
    "scheme_transaction_id": (
        _scheme_transaction_id,
        frozenset(
            {"scheme_transaction_id", "trace_network_data", "network_code", "banknet_reference"}
        ),
    ),
    "completion_sequence": (
        _completion_sequence,
        frozenset(
            {
                "completion_sequence", "multiple_clearing_sequence_number",
                "multiple_clearing_sequence_count",
            }
        ),
    ),
}  # fmt: skip
_UNDERSTOOD = frozenset[str]().union(*(of for _, of in _FORMS.values()))


@cache
def _fields(spec: Spec) -> tuple[tuple[int, Layout, frozenset[str]], ...]:
    """The fields in which something stands that is understood, and what."""
    return tuple(
        (number, layout, understood)
        for number, layout in spec.subfields.items()
        if (understood := _UNDERSTOOD.intersection(names(layout)))
    )


def named(message: Message, spec: Spec) -> dict[str, str]:
    """What the message says in subfields, by the names that the flows know."""
    found: dict[str, str] = {}
    origin: dict[str, int] = {}
    for number, layout, understood in _fields(spec):
        if not (text := message.fields.get(number)):
            continue
        try:
            values = layout.decode(text)
        except TlvError:
            raise _format(number, message, spec) from None
        for _, part, text_inside in leaves(layout, values):
            if part.name in understood:
                found[part.name] = text_inside
                origin[part.name] = number
    values_by_name: dict[str, str] = {}
    if not found:
        return values_by_name
    for name, (form, of) in _FORMS.items():
        if not (given := of & found.keys()):
            continue
        try:
            value = form(found)
        except ValueError:
            raise _format(origin[min(given)], message, spec) from None
        if value is not None:
            values_by_name[name] = value
    return values_by_name


def icc(message: Message, spec: Spec) -> dict[str, str]:
    """DE55 by tag, hex, within its dataset where the dialect has one."""
    text = message.fields.get(_ICC_DATA)
    if not text:
        return {}
    try:
        return decode_ber(_chip_data(text, spec))
    except TlvError:
        raise _format(_ICC_DATA, message, spec) from None


def _chip_data(text: str, spec: Spec) -> str:
    """The BER-TLV of DE55, without the head of a dataset; "" where there is none."""
    layout = spec.subfields.get(_ICC_DATA)
    if layout is None or _CHIP_DATASET not in layout.parts:
        return text
    values = layout.decode(text)
    if BARE in values:
        return text
    chip = values.get(_CHIP_DATASET, "")
    if isinstance(chip, str):
        return chip
    inside = layout.part(_CHIP_DATASET).layout
    return inside.encode(chip) if inside is not None else ""


def icc_answer(data: str, request: Message, spec: Spec) -> str:
    """DE55 of an answer: BER-TLV in a dataset where the request had it so."""
    layout = spec.subfields.get(_ICC_DATA)
    if layout is None or _CHIP_DATASET not in layout.parts:
        return data
    if BARE in layout.decode(request.fields.get(_ICC_DATA, "")):
        return data
    return layout.encode({_CHIP_DATASET: data})


def _format(number: int, message: Message, spec: Spec) -> MessageError:
    return MessageError("format", spec.fields[number].name, readable=message)
