"""
Makes new messages of recorded ones, so that nobody takes them for repeats.

STAN, moment and RRN are made anew, and with them what refers to them: a repeat keeps the
identity of its first copy, a reversal names the new original, a completion has the new RRN of
its authorization and the code that this was answered with. What was made over them is made
again: a cryptogram with the card's next counter, a message authentication code. One that was
wrong when recorded stays wrong.

A PIN block is over PIN and PAN, which stay, so it stays too.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from specs.spec import Spec
from specs.tlv import TlvError, decode_ber, encode_ber
from switch.operate.replay.moments import DATE, RRN, Moments, numbers
from switch.operate.replay.scenario import Step
from switch.wire.error import MessageError
from switch.wire.mac import MAC, MAC_2, put_mac, split_mac
from switch.wire.message import Message, encode
from switch.wire.places import Places, to_wire
from switch.wire.versions import version_of

__all__ = ["Fresh", "Outgoing", "Remaker", "atc_at", "patched"]

_PAN, _STAN, _SEQUENCE_NUMBER, _TRACK_2, _RRN, _CODE, _ICC_DATA = 2, 11, 23, 35, 37, 38, 55
_MTI_DIGITS = 4
_ATC, _ARQC, _CHIP_SEQUENCE_NUMBER = "9F36", "9F26", "5F34"
_ATCS = 1 << 16

_Tags = Mapping[str, str]


class Remaker(Protocol):
    """Makes what only holders of keys can make: for demonstrations and tests."""

    def arqc(self, pan: str, pan_sequence_number: str, tags: _Tags) -> str | None:
        """The cryptogram (tag 9F26, hex) over chip data; none where they do not allow one."""
        ...

    def mac(self, data: bytes) -> bytes:
        """The authentication code of a message's bytes."""
        ...


@dataclass(slots=True)
class Outgoing:
    """One message to send, and where its fields stand. Made once a message: freezing costs."""

    payload: bytes = field(repr=False)
    places: Mapping[int, slice]

    @classmethod
    def recorded(cls, step: Step, places: Places) -> Outgoing:
        """A step's bytes as they are. What is no message goes out too, and has no fields."""
        payload = step.payload or b""
        try:
            return cls(payload, places.of(payload))
        except MessageError:
            return cls(payload, {})


@dataclass(frozen=True, slots=True)
class _Template:
    """A recorded message and what of it is made anew."""

    step: Step
    sent: Outgoing
    own: tuple[str, str]  #: STAN and moment, as recorded
    times: tuple[int, ...]
    original: tuple[str, tuple[str, str], str] | None  #: MTI, STAN and moment, the rest
    code_from: int | None  #: the place of the message whose answer brings DE38
    tags: _Tags | None = field(repr=False)  #: of a right cryptogram
    mac_field: int | None  #: of a right code


class Fresh:
    """The messages of a recording, each time they are asked for as new ones."""

    def __init__(
        self, steps: Sequence[Step], spec: Spec, remaker: Remaker, *, atc_from: int, stan_from: int,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        """Every step has its bytes. Counters begin where they are told."""
        self.left: Counter[str] = Counter()  #: what was wrong and stays so, or cannot be remade
        self._spec, self._remaker = spec, remaker
        self._moments = Moments(spec, clock)
        self._version, self._places = version_of(spec), Places(spec)
        self._stan_digits = spec.fields[_STAN].length
        self._stans = numbers(stan_from, 10**6)
        self._atc_from = atc_from
        self._atcs: Counter[tuple[str, str]] = Counter()
        self._place_of = {step.number: place for place, step in reversed([*enumerate(steps)])}
        self._templates = [self._template(step) for step in steps]
        self._sources = {each.code_from for each in self._templates}
        self.round = 0
        self.begin_round()

    def begin_round(self) -> None:
        """From here on every identity is another than before."""
        self.round += 1
        self._codes: dict[int, str] = {}
        self._identities: dict[tuple[str, str], tuple[str, dict[int | str, str]]] = {}
        self._rrns: dict[str, str] = {}
        self._icc_data: dict[tuple[tuple[str, str], str], str] = {}

    @property
    def atc_last(self) -> int | None:
        """The highest counter that any card has had; none: no cryptogram was made."""
        return self._atc_from + max(self._atcs.values()) - 1 if self._atcs else None

    def learn(self, round_: int, place: int, code: str) -> None:
        """Take DE38 of an answer to a message of a round: later messages of that round bring it."""
        if place in self._sources and round_ == self.round and code:
            self._codes[place] = code

    def make(self, place: int) -> Outgoing:
        """The message that stands there in the recording, new."""
        template = self._templates[place]
        changes = self._changes(template)
        if not changes:
            return template.sent
        places = template.sent.places
        payload = None
        is_without_code = template.code_from is not None and _CODE not in changes
        if not is_without_code:
            payload = patched(template.sent.payload, changes, places, self._spec)
        if payload is None:
            fields = {**template.step.fields, **changes}
            if is_without_code:
                del fields[_CODE]  # the recorded one is of a purchase that is no more
            payload = encode(Message(template.step.mti, fields), self._spec)
            places = self._places.of(payload)
        if template.mac_field is not None:
            code = self._remaker.mac(payload[: places[template.mac_field].start])
            payload = put_mac(payload, code, self._spec)
        return Outgoing(payload, places)

    def _changes(self, template: _Template) -> dict[int, str]:
        """The fields that are other than recorded."""
        fields = template.step.fields
        if _STAN not in template.sent.places:
            return {}
        stan, texts = self._identity(template.own)
        changes = {number: texts[number] for number in template.times}
        changes[_STAN] = stan
        if _RRN in fields:
            changes[_RRN] = self._rrn(fields[_RRN], texts)
        if template.code_from in self._codes:
            changes[_CODE] = self._codes[template.code_from]
        if template.original is not None:
            original, of, rest = template.original
            stan, texts = self._identity(of)
            changes[self._version.original] = original + stan + texts[self._version.moment] + rest
        if template.tags is not None:
            changes[_ICC_DATA] = self._chip(template, template.tags)
        return changes

    def _identity(self, recorded: tuple[str, str]) -> tuple[str, dict[int | str, str]]:
        """The new STAN and moment of a message, the same for all that speak of it in a round."""
        known = self._identities.get(recorded)
        if known is None:
            stan = f"{next(self._stans):0{self._stan_digits}d}"
            known = self._identities[recorded] = (stan, self._moments.now())
        return known

    def _rrn(self, recorded: str, texts: Mapping[int | str, str]) -> str:
        known = self._rrns.get(recorded)
        if known is None:
            known = self._rrns[recorded] = f"{texts[RRN]}{next(self._stans):06d}"
        return known

    def _chip(self, template: _Template, tags: _Tags) -> str:
        """Chip data with the card's next counter; of a repeat, those of its first copy."""
        fields = template.step.fields
        key = (template.own, fields[_ICC_DATA])
        known = self._icc_data.get(key)
        if known is None:
            card = _card(fields, tags)
            atc = (self._atc_from + self._atcs[card]) % _ATCS
            self._atcs[card] += 1
            new = {**tags, _ATC: f"{atc:04X}"}
            if DATE in tags:
                new[DATE] = self._moments.now()[DATE]
            new[_ARQC] = self._remaker.arqc(*card, new) or tags[_ARQC]
            known = self._icc_data[key] = encode_ber(new)
        return known

    def _template(self, step: Step) -> _Template:
        sent = Outgoing.recorded(step, self._places)
        fields, moment = step.fields if sent.places else {}, self._version.moment
        times = tuple(number for number in self._moments.numbers if number in fields)
        own = (fields.get(_STAN, ""), fields.get(moment, ""))
        return _Template(
            step,
            sent,
            own,
            times,
            self._original(step),
            self._place_of.get(step.code_from) if step.code_from is not None else None,
            self._right_tags(step),
            self._right_mac(sent),
        )

    def _original(self, step: Step) -> tuple[str, tuple[str, str], str] | None:
        data = step.fields.get(self._version.original, "")
        if self._version.original_of(step.fields) is None:
            return None
        at = _MTI_DIGITS + self._stan_digits
        end = at + self._spec.fields[self._version.moment].length
        return data[:_MTI_DIGITS], (data[_MTI_DIGITS:at], data[at:end]), data[end:]

    def _right_tags(self, step: Step) -> _Tags | None:
        try:
            tags = decode_ber(step.fields.get(_ICC_DATA, ""))
        except TlvError:
            return None
        if _ARQC not in tags or _ATC not in tags:
            return None
        if self._remaker.arqc(*_card(step.fields, tags), tags) == tags[_ARQC]:
            return tags
        self.left["cryptograms"] += 1
        return None

    def _right_mac(self, sent: Outgoing) -> int | None:
        authenticated = split_mac(sent.payload, self._spec)
        if authenticated is None or not sent.places:
            return None
        code = self._remaker.mac(authenticated.data)
        if code[: len(authenticated.mac)] == authenticated.mac:
            return MAC_2 if MAC_2 in sent.places else MAC
        self.left["MACs"] += 1
        return None


def patched(
    payload: bytes, changes: Mapping[int, str], places: Mapping[int, slice], spec: Spec
) -> bytes | None:
    """The bytes with these values in their places; none where one needs the codec, or more room."""
    made = bytearray(payload)
    for number, value in changes.items():
        wire, place = to_wire(value, number, spec), places[number]
        if wire is None or len(wire) != place.stop - place.start:
            return None
        made[place] = wire
    return bytes(made)


def _card(fields: Mapping[int, str], tags: _Tags) -> tuple[str, str]:
    """PAN and PAN sequence number: what a chip's key is made of."""
    pan = fields.get(_PAN) or fields.get(_TRACK_2, "").partition("=")[0]
    return pan, (tags.get(_CHIP_SEQUENCE_NUMBER) or fields.get(_SEQUENCE_NUMBER, "00"))[-2:]


def atc_at(now: float) -> int:
    """A counter above those of earlier that day (UTC): two thirds of a step a second."""
    return 1 + int(now % 86_400 * 2 / 3)
