"""
A message in words, for people: every field named, what must not be seen masked.

Two nets hold a PAN back. Each field and each subfield is masked by what its dialect
says of it, and what we cannot name is masked whole. Then the message's own card numbers
are masked wherever else they stand, a merchant's name included.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from specs.spec import Spec
from specs.subfields import Layout, Value, leaves
from specs.tlv import TlvError
from switch.mask import PAN_MAX, PAN_MIN, mask_pan
from switch.wire import mti
from switch.wire.currency import UnknownCurrency, in_units
from switch.wire.message import Message

_RESPONSE_CODE, _ICC_DATA = 39, 55
_TAG_COLUMNS, _NAME_COLUMNS = 6, 34
_INDENT = 2  # of what stands inside another

#: Amount → its currency.
_CURRENCIES = {4: 49, 5: 50, 6: 51}

#: Where card numbers stand: the PAN, its extension, three tracks, two accounts.
_CARD_NUMBERS = (2, 34, 35, 36, 45, 102, 103)
_CARD_NUMBER_TAGS = frozenset({"5A", "57", "56", "9F6B"})
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
            lines += _lines(view, spec.subfields[number], 0)
    return "\n".join(lines)


def _lines(views: Mapping[str, Value], layout: Layout, depth: int) -> Iterator[str]:
    """Subfields by tag, those inside others further to the right."""
    margin = " " * (7 + _INDENT * depth)
    for tag, view in views.items():
        part = layout.part(tag)
        shown = f"{margin}{_shown(tag):<{_TAG_COLUMNS}}"
        if isinstance(view, str):
            columns = max(_NAME_COLUMNS - _INDENT * depth, len(part.name) + 1)
            yield f"{shown}{part.name:<{columns}}{view}".rstrip()
        else:
            yield f"{shown}{part.name}"
            if part.layout is not None:
                yield from _lines(view, part.layout, depth + 1)


def as_json(
    message: Message, *, clear: bool = False, spec: Spec
) -> dict[str, str | dict[str, Value]]:
    """
    The same for machines: {"mti": "0100", "fields": {"3": "000000", …}}.

    A field with subfields is an object by tag where it can be read, and so on inside.
    """
    return {
        "mti": message.mti,
        "fields": {str(number): view for number, view in _views(message, spec, clear)},
    }


def _views(message: Message, spec: Spec, clear: bool) -> Iterator[tuple[int, Value]]:
    """Each field in the order of its number, as it may be shown."""
    show = _shown if clear else _without(_card_numbers(message, spec))
    for number in sorted(message.fields):
        value, sensitivity = message.fields[number], spec.fields[number].sensitivity
        values = _values(number, value, spec)
        if values is None:
            yield number, show(value if clear else _masked(value, sensitivity))
        else:
            yield number, _seen(values, spec.subfields[number], show, clear)


def _values(number: int, value: str, spec: Spec) -> dict[str, Value] | None:
    """The subfields of a field; None for one that has none, or is not to be read so."""
    layout = spec.subfields.get(number)
    try:
        return layout.decode(value) if layout is not None and value else None
    except TlvError:
        return None


def _seen(
    values: Mapping[str, Value], layout: Layout, show: Callable[[str], str], clear: bool
) -> dict[str, Value]:
    """Subfields as they may be shown, each by what is known of it."""
    seen: dict[str, Value] = {}
    for tag, value in values.items():
        part = layout.part(tag)
        if isinstance(value, str):
            seen[tag] = show(value if clear else _masked(value, part.sensitivity))
        elif part.layout is not None:
            seen[tag] = _seen(value, part.layout, show, clear)
    return seen


def _masked(value: str, sensitivity: str) -> str:
    if not sensitivity:
        return value
    if sensitivity == "pan":
        return mask_pan(value.rstrip("F"))  # tag 5A fills its last half byte with F
    return f"*** ({len(value)} characters)"


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


def _card_numbers(message: Message, spec: Spec) -> set[str]:
    """Every card number that stands where card numbers stand."""
    values = [message.fields.get(number, "") for number in _CARD_NUMBERS]
    for number, layout in spec.subfields.items():
        found = _values(number, message.fields.get(number, ""), spec) or {}
        values += [
            value
            for tag, part, value in leaves(layout, found)
            if part.sensitivity == "pan" or (number == _ICC_DATA and tag in _CARD_NUMBER_TAGS)
        ]
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
