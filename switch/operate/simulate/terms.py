"""
What a story asks, in the terms of a dialect.

Stories speak as ISO 8583:1987 does. Here DE11 and the moments come in, the original gets its
place (DE90, later DE56), and what the versions of 1993 and 2003 say in other fields goes there:
the point of service (DE22), the kind of message (DE24), a merchant's category (DE26), an amount
with its currency (DE4). `switch/wire/versions.py` reads the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from specs.spec import Spec
from specs.subfields import Layout, Positional, Value, names
from switch.flows.network import own_request
from switch.operate.replay.moments import Moments
from switch.operate.simulate.steps import Ask
from switch.wire.message import Message
from switch.wire.versions import version_of

_AMOUNT, _STAN, _TIME, _MCC, _ENTRY, _KIND, _MCC_LATER = 4, 11, 12, 18, 22, 24, 26
_AMOUNT_BEFORE, _ACQUIRER, _TERMINAL, _MERCHANT, _CURRENCY = 30, 32, 41, 43, 49
_ORIGINAL, _REPLACEMENT = 90, 95
#: What has another meaning, or none, in the later versions.
_OF_1987 = (13, 25, 26)
_KINDS: Mapping[str, str] = {"1": "100", "2": "200", "4": "400"}
_PARTIAL_REVERSAL = "401"
#: The first two digits of DE22 in 1987 → position 7 of 1993, the first byte of 2003.
_READING: Mapping[str, tuple[str, str]] = {
    "01": ("1", "04"),
    "05": ("5", "20"),
    "07": ("M", "22"),
    "81": ("6", "04"),
    "90": ("2", "10"),
}
_ECOMMERCE = "81"
#: Beside a CVV2, where a dialect asks for it: it is given, and a result is wanted.
_BESIDE: Mapping[str, str] = {"cvv2_presence_indicator": "1", "cvv2_response_type": "0"}
_DECIMALS = "2"  # of the currency that stories pay in


class Terms:
    """One dialect."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._moments = Moments(spec)
        self._stan_digits = spec.fields[_STAN].length

    def can_say(self, name: str) -> bool:
        """Whether the dialect has a subfield of that name."""
        return any(name in names(layout) for layout in self._spec.subfields.values())

    def message(self, ask: Ask, stan: int) -> Message:
        """The message as it is sent now, under a STAN."""
        if ask.network:
            code = getattr(version_of(self._spec).network_codes, ask.network)[0]
            at = datetime.now(UTC)
            return own_request(self._spec, code, stan=str(stan), at=at, added={})
        now = self._moments.now()
        fields = {
            **ask.fields,
            _STAN: f"{stan:0{self._stan_digits}d}",
            **{number: now[number] for number in self._moments.numbers},
            **self._said(ask.said),
        }
        if self._spec.version == "0":
            self._of_1987(fields, ask)
        else:
            self._of_later(fields, ask)
        return Message(self._spec.version + ask.mti[1:], dict(sorted(fields.items())))

    def _said(self, said: Mapping[str, str]) -> dict[int, str]:
        """Subfields by their names, each in the field in which the dialect has it."""
        made: dict[int, str] = {}
        for number, layout in self._spec.subfields.items():
            if said and not said.keys().isdisjoint(names(layout)):
                made[number] = layout.encode(_inside(layout, {**_BESIDE, **said}))
        return made

    def _of_1987(self, fields: dict[int, str], ask: Ask) -> None:
        fields[_ENTRY] = fields[_ENTRY].ljust(self._spec.fields[_ENTRY].length, "0")
        if (original := _sent(ask.original)) is not None:
            of = original.fields
            fields[_ORIGINAL] = f"{original.mti}{of[_STAN]}{of[7]}{of[_ACQUIRER]:0>11}{0:011d}"
        if ask.keep_minor is not None:
            fields[_REPLACEMENT] = f"{ask.keep_minor:012d}{0:012d}C{0:08d}C{0:08d}"

    def _of_later(self, fields: dict[int, str], ask: Ask) -> None:
        is_2003 = self._spec.version == "2"
        position_7, byte = _READING[fields[_ENTRY][:2]]
        is_net = fields[_ENTRY].startswith(_ECOMMERCE)
        fields[_ENTRY] = f"0000{'5' if is_net else '0'}0{position_7}00000"
        if is_2003:
            environment = "10000000" if is_net else "00000000"
            fields[_ENTRY] = f"{byte}000000{0:08d}{environment}{0:08d}"
        for number in _OF_1987:
            fields.pop(number, None)
        fields[_MCC_LATER] = fields.pop(_MCC)
        fields[_KIND] = _KINDS[ask.mti[1]]
        if is_2003:
            fields[_AMOUNT] = f"{fields.pop(_CURRENCY)}{_DECIMALS}{fields[_AMOUNT]}"
            fields[_TERMINAL] = f"{fields[_TERMINAL]:16}"
            del fields[_MERCHANT]  # a dataset there
        if (original := _sent(ask.original)) is not None:
            of = original.fields
            length = "" if is_2003 else f"{len(of[_ACQUIRER]):02d}"
            fields[version_of(self._spec).original] = (
                f"{original.mti}{of[_STAN]}{of[_TIME]}{length}{of[_ACQUIRER]}"
            )
        if ask.keep_minor is not None:
            fields[_KIND] = _PARTIAL_REVERSAL
            before = fields[_AMOUNT]
            fields[_AMOUNT_BEFORE] = before + "0" * len(before)
            fields[_AMOUNT] = before[:-12] + f"{ask.keep_minor:012d}"


def _sent(original: Ask | None) -> Message | None:
    """None also of one that never went out: then there is nothing to name."""
    return None if original is None else original.message


def _inside(layout: Layout, said: Mapping[str, str]) -> dict[str, Value]:
    """The values of a layout by tag: those with a name that is said, also further inside."""
    made: dict[str, Value] = {}
    for tag, part in layout.parts.items():
        if part.name in said:
            wide = layout.lengths[tag] if isinstance(layout, Positional) else 0
            made[tag] = said[part.name].rjust(wide)
        elif part.layout is not None and (values := _inside(part.layout, said)):
            made[tag] = values
    return made
