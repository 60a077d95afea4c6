"""The same message in the terms of another version of ISO 8583."""

from __future__ import annotations

from datetime import date

from specs.spec import Spec
from specs.spec import load as load_spec
from specs.subfields import Value
from switch.wire.message import Message
from tests.traffic import change

GENERIC = load_spec("iso87-ascii").subfields[48]
_FUNCTIONS = {"1": "100", "2": "200", "4": "400", "6": "600"}
_NETWORK_CODES = {"001": "801", "002": "802", "301": "831"}
#: The first two digits of DE22 in 1987: position 7 of 1993, the first byte of 2003.
_READING = {
    "81": ("6", "04"),
    "01": ("6", "04"),
    "02": ("2", "10"),
    "05": ("5", "20"),
    "07": ("M", "22"),
}
#: What has another meaning, or none, in the later versions.
_OF_1987 = (13, 25, 26, 28, 70, 90, 95)


def in_terms_of(dialect: str, message: Message) -> Message:
    """A message of iso87-ascii as that dialect says it."""
    spec = load_spec(dialect)
    if spec.subfields.get(48) != GENERIC and 48 in message.fields:
        message = _in_subfields(spec, message)
    if spec.version == "0":
        mode = message.fields.get(22)
        is_long = mode is not None and spec.fields[22].length == 4
        return change(message, de_22=f"{mode}0") if is_long else message
    is_2003 = spec.version == "2"
    kind = message.mti[1:]
    old = message.fields
    new = {number: value for number, value in old.items() if number not in _OF_1987}
    new[11] = old[11].zfill(spec.fields[11].length)
    new[24] = _NETWORK_CODES[old[70]] if 70 in old else _FUNCTIONS[kind[0]]
    if 13 in old:
        new[12] = ("20" if is_2003 else "") + f"26{old[13]}{old[12]}"
    if 18 in old:
        new[26] = new.pop(18)
    if 22 in old:
        position_7, byte = _READING[old[22][:2]]
        is_net = old.get(25) == "59"  # environment: over a computer; position 5: e-commerce
        new[22] = f"{byte}000000000000001000000000000000" if is_net else f"{byte:0<32}"
        if not is_2003:
            new[22] = f"0000{'5' if is_net else '0'}0{position_7}00000"
    if is_2003 and 4 in old:
        new[4] = f"{new.pop(49)}2{old[4]}"
        new[41] = f"{old[41]:16}"
        new.pop(43, None)
    kind = "804" if kind == "800" else kind
    return Message(spec.version + kind, dict(sorted(new.items())))


def _in_subfields(spec: Spec, message: Message) -> Message:
    """A card code and a word on partial approval where Visa and Mastercard have them."""
    said = GENERIC.decode(message.fields[48])
    code, takes_less = str(said.get("92", "")), "61" in said
    if spec.name == "mastercard-cis":
        now: dict[str, Value] = {"prefix": "T", "61": "10000"} if takes_less else {"prefix": "T"}
        return change(
            message, de_48=spec.subfields[48].encode(now | ({"92": code} if code else {}))
        )
    request: dict[str, Value] = {"10": {"1": "1", "2": "0", "3": code.rjust(4)}}
    return change(
        message,
        de_48=None,
        de_126=spec.subfields[126].encode(request) if code else None,
        de_60="000000000001" if takes_less else None,
    )


def reversal(of: Message, number: int, *, to: int | None = None) -> Message:
    """A reversal of a message of 1993 or 2003; partial where something is to remain."""
    fields = dict(of.fields)
    for secret in (35, 52, 55):
        fields.pop(secret, None)
    stan, at, acquirer = fields[11], fields[12], fields[32]
    fields[56] = f"{of.mti}{stan}{at}{f'{len(acquirer):02d}' if of.mti[0] == '1' else ''}{acquirer}"
    fields[11] = f"{number:0{len(stan)}d}"
    fields[24] = "400"
    if to is not None:
        fields[24] = "401"
        fields[30] = fields[4] + "0" * len(fields[4])
        fields[4] = fields[4][:-12] + f"{to:012d}"
    return Message(f"{of.mti[0]}420", dict(sorted(fields.items())))


def approved(dialect: str, mti: str) -> str:
    """DE39 by which that dialect says yes to a request."""
    by_class = {"4": "approved_reversal", "8": "approved_network"}.get(mti[1], "approved")
    return load_spec(dialect).response_codes.approval(by_class, date.max)


def code_of(dialect: str, reason: str) -> str:
    """Its newest DE39 of a reason."""
    return load_spec(dialect).response_codes.at(reason, date.max)
