"""Where terminals' requests are written: in the fields of ISO 8583:1987, before they are sent."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping

from switch.operate.replay.moments import DATE, RRN
from switch.operate.simulate.cards import Card
from switch.operate.simulate.steps import Ask

CURRENCY = "978"
#: The code with which a scheme approves in the issuer's place.
STAND_IN_CODE = "STIP01"

_CODE, _RESPONSE = 38, 39
_COUNTRY, _ACQUIRER = "276", "476173"
#: DE22 by how a card is read.
_ENTRIES: Mapping[str, str] = {
    "chip": "051",
    "contactless": "071",
    "stripe": "901",
    "ecommerce": "812",
    "manual": "012",
}
_ECOMMERCE_CONDITION = "59"
_CRYPTOGRAM_INFORMATION, _APPLICATION_DATA = "80", "06011203A00000"  # an ARQC, of version 18
#: What stands in later messages of a purchase as it did in the first: nothing secret.
_KEPT = frozenset({2, 3, 4, 14, 18, 19, 22, 25, 32, 37, 41, 42, 43, 49})
_RRNS = 10**6

#: The merchants that there are: terminals of one acquirer.
_TERMINALS = 50


class Desk:
    """Writes the messages of stories, each with an RRN that no other one has."""

    def __init__(
        self, chance: random.Random, now: Callable[[], Mapping[int | str, str]], *,
        rrn_from: int, time_out: float, repeat_after: float,
    ) -> None:  # fmt: skip
        """`now` says the moment; patience is in seconds of the story."""
        self._chance, self._now = chance, now
        self._rrns = itertools.count(rrn_from)
        self._time_out, self._repeat_after = time_out, repeat_after

    def request(
        self, card: Card, entry: str, minor: int, *, mti: str = "0100", code: str = "000000",
        mcc: str = "5411", pin: bool | None = None,
    ) -> Ask:  # fmt: skip
        """What a terminal asks. `pin` says whether it is the right one; none: none is entered."""
        terminal = self._chance.randrange(_TERMINALS)
        fields = {
            2: card.pan,
            3: code,
            4: f"{minor:012d}",
            14: card.expiry,
            18: mcc,
            19: _COUNTRY,
            22: _ENTRIES[entry],
            25: _ECOMMERCE_CONDITION if entry == "ecommerce" else "00",
            32: _ACQUIRER,
            37: f"{self._now()[RRN]}{next(self._rrns) % _RRNS:06d}",
            41: f"SIM{terminal:05d}",
            42: f"MERCHANT{terminal:07d}",
            43: f"{'ACME STORE':25}{'BERLIN':13}DE",
            49: CURRENCY,
        }
        said = {"cvv2": card.cvv2()} if entry == "ecommerce" else {}
        if entry != "ecommerce":
            fields[35] = card.track_2(is_chip=entry != "stripe")
        if entry in ("chip", "contactless"):
            fields[23] = card.sequence_number.zfill(3)
            fields[55] = card.chip_data(self._tags(minor, code))
        if pin is not None:
            fields[26], fields[52] = "12", card.pin_block(is_right=pin)
        return Ask(mti, fields, self._time_out, said)

    def increment(self, first: Ask, minor: int) -> Ask:
        """More of what was authorized: a request of its own about it, without the card."""
        fields = self._later(first) | {4: f"{minor:012d}", 22: _ENTRIES["manual"]}
        return Ask("0100", fields, self._time_out, {"incremental": "1"}, first)

    def advice(self, first: Ask, response: str, *, is_approved: bool) -> Ask:
        """What the scheme decided in the issuer's place. `response` is its DE39."""
        fields = self._later(first) | {_RESPONSE: response}
        if is_approved:
            fields[_CODE] = STAND_IN_CODE
        # Of a financial request the advice tells what it came to, so it names it.
        original = first if first.mti[1] == "2" else None
        return Ask(first.mti[:2] + "20", fields, self._repeat_after, original=original)

    def completion(self, first: Ask, minor: int, code: str) -> Ask:
        """What a purchase came to."""
        fields = self._later(first) | {4: f"{minor:012d}", _CODE: code}
        return Ask("0220", fields, self._repeat_after, original=first)

    def reversal(self, first: Ask, mti: str, keep_minor: int | None) -> Ask:
        """Takes a request back, or down to what is kept."""
        fields = self._later(first)
        return Ask(mti, fields, self._repeat_after, original=first, keep_minor=keep_minor)

    def network(self, what: str) -> Ask:
        """A sign-on, an echo or a sign-off."""
        return Ask("0800", {}, self._time_out, network=what)

    def _later(self, first: Ask) -> dict[int, str]:
        return {number: value for number, value in first.fields.items() if number in _KEPT}

    def _tags(self, minor: int, code: str) -> dict[str, str]:
        return {
            "9F27": _CRYPTOGRAM_INFORMATION,
            "9F10": _APPLICATION_DATA,
            "9F37": f"{self._chance.getrandbits(32):08X}",
            "95": "0000000000",
            DATE: self._now()[DATE],
            "9C": code[:2],
            "9F02": f"{minor:012d}",
            "5F2A": f"0{CURRENCY}",
            "82": "3C00",
            "9F1A": f"0{_COUNTRY}",
            "9F03": f"{0:012d}",
            "9F33": "E0F0C8",
            "9F34": "420300",
            "9F35": "22",
        }
