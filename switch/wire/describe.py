"""
A message in words, for people: every field named, what must not be seen masked.

Two nets hold a PAN back. Each field and each tag inside DE48 and DE55 is masked by
what its dialect says of it, and what we cannot name is masked whole. Then the
message's own card numbers are masked wherever else they stand, a merchant's name included.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from specs.emv import SECRET_TAG_NAMES, TAG_NAMES
from specs.field import Field
from specs.spec import Spec
from specs.tlv import TlvError, decode_additional_data, decode_ber
from switch.mask import PAN_MAX, PAN_MIN, mask_pan
from switch.wire import mti
from switch.wire.currency import UnknownCurrency, in_units
from switch.wire.message import Message

#: A value in words: one text, or the texts of its tags.
View = str | dict[str, str]

_RESPONSE_CODE, _ADDITIONAL_DATA, _ICC_DATA = 39, 48, 55

#: Amount → its currency.
_CURRENCIES = {4: 49, 5: 50, 6: 51}

#: Where card numbers stand: the PAN, its extension, three tracks, two accounts.
_CARD_NUMBERS = (2, 34, 35, 36, 45, 102, 103)
_CARD_NUMBER_TAGS = ("5A", "57", "56", "9F6B")
_CARD_NUMBER = re.compile(rf"[0-9]{{{PAN_MIN},{PAN_MAX}}}")


def describe(message: Message, spec: Spec, *, clear: bool = False) -> str:
    """
    A message in lines: what it is, then each field by number, name and value.

    `clear` shows everything. Without it PANs are masked, secrets are only counted.
    """
    lines = [f"{message.mti} {mti.in_words(message.mti)}"]
    for number, view in _views(message, spec, clear):
        name = spec.fields[number].name
        if isinstance(view, str):
            meaning = _meaning(number, message, spec)
            lines.append(f"{number:>5}  {name:<37}{view}{meaning and f'  {meaning}'}".rstrip())
        else:
            lines.append(f"{number:>5}  {name}")
            names = _tag_names(number, spec)
            for tag, value in view.items():
                lines.append(f"       {tag:<6}{names.get(tag, 'unknown'):<34}{value}".rstrip())
    return "\n".join(lines)


def as_json(
    message: Message, *, clear: bool = False, spec: Spec
) -> dict[str, str | dict[str, View]]:
    """
    The same for machines: {"mti": "0100", "fields": {"3": "000000", …}}.

    DE48 and DE55 are objects by tag where they can be read.
    """
    return {
        "mti": message.mti,
        "fields": {str(number): view for number, view in _views(message, spec, clear)},
    }


def _views(message: Message, spec: Spec, clear: bool) -> Iterator[tuple[int, View]]:
    """Each field in the order of its number, as it may be shown."""
    show = _shown if clear else _without(_card_numbers(message))
    for number in sorted(message.fields):
        view = _view(spec.fields[number], message.fields[number], spec, clear)
        if isinstance(view, str):
            yield number, show(view)
        else:
            yield number, {tag: show(value) for tag, value in view.items()}


def _view(field: Field, value: str, spec: Spec, clear: bool) -> View:
    """A field by what its dialect says of it, its tags each by what is known of them."""
    tags = _tags(field.number, value, spec)
    if tags is None:
        return value if clear else _masked(value, field.sensitivity)
    return {
        tag: content if clear else _masked(content, sensitivity)
        for tag, (content, sensitivity) in tags.items()
    }


def _tags(number: int, value: str, spec: Spec) -> dict[str, tuple[str, str]] | None:
    """DE48 and DE55 by tag, value and sensitivity; None for what is not to be read so."""
    layout = spec.additional_data
    try:
        if number == _ADDITIONAL_DATA and layout is not None:
            values = decode_additional_data(
                value, tag_digits=layout.tag_digits, length_digits=layout.length_digits
            )
            return {
                tag: (content, layout.sensitivities.get(tag, "secret"))
                for tag, content in values.items()
            }
        if number == _ICC_DATA:
            values = decode_ber(value)
            return {tag: (content, _emv_sensitivity(tag)) for tag, content in values.items()}
    except TlvError:
        return None
    return None


def _emv_sensitivity(tag: str) -> str:
    return "" if tag in TAG_NAMES else "pan" if tag == "5A" else "secret"


def _masked(value: str, sensitivity: str) -> str:
    if not sensitivity:
        return value
    if sensitivity == "pan":
        return mask_pan(value.rstrip("F"))  # tag 5A fills its last half byte with F
    return f"*** ({len(value)} characters)"


def _tag_names(number: int, spec: Spec) -> Mapping[str, str]:
    if number == _ADDITIONAL_DATA and spec.additional_data is not None:
        return spec.additional_data.names
    return {**TAG_NAMES, **SECRET_TAG_NAMES}


def _meaning(number: int, message: Message, spec: Spec) -> str:
    """An amount in its currency, a response code in our reasons; "" where there is none."""
    value = message.fields[number]
    if number == _RESPONSE_CODE:
        return ", ".join(spec.response_codes.meanings(value))
    try:
        currency = message.fields.get(_CURRENCIES[number], "")
        return in_units(int(value), currency)
    except (KeyError, ValueError, UnknownCurrency):
        return ""


def _card_numbers(message: Message) -> set[str]:
    """Every card number that stands where card numbers stand."""
    values = [message.fields.get(number, "") for number in _CARD_NUMBERS]
    try:
        tags = decode_ber(message.fields.get(_ICC_DATA, ""))
    except TlvError:
        tags = {}
    values += [tags.get(tag, "") for tag in _CARD_NUMBER_TAGS]
    return {number for value in values for number in _CARD_NUMBER.findall(value)}


def _without(numbers: set[str]) -> Callable[[str], str]:
    """What masks these card numbers in a text."""
    if not numbers:
        return _shown
    longest_first = sorted(numbers, key=len, reverse=True)
    pattern = re.compile("|".join(longest_first))
    return lambda text: _shown(pattern.sub(lambda found: mask_pan(found[0]), text))


def _shown(text: str) -> str:
    """Without characters that a terminal would obey."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
