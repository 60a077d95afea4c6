"""
The messages of a load test: stripe purchases with a right CVV, made before the clock runs.

A message is 24 fields in the iso87-ascii dialect, in a 2-byte frame. Encoding one
costs the codec's whole way, so each card's message is encoded once; what must
differ from one sending to the next (DE7, DE11, DE37) is put between its parts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from keys.software.card_code import CardCodeKey, card_code
from keys.software.key import Key
from specs.spec import load as load_spec
from switch.demo.program import LOAD_EXPIRY, LOAD_SERVICE_CODE, load_pan
from switch.demo.remaking import demo_keys
from switch.wire.message import Message, encode

DIALECT = load_spec("iso87-ascii")

#: What holds the place of DE7 ‖ DE11 and of DE37 until a message is sent.
_DE7, _DE11, _DE37 = "1231235959", "999999", "999999999999"

#: A sequence number's last six digits are the STAN: so many may be in flight at once.
STANS = 1_000_000

#: 1.00 to 10.00: a card's balance of 1,000,000.00 lasts for longer than any run.
_AMOUNT_STEPS = 900
_AMOUNT_LEAST = 100

#: All but the card's own fields. DE63 stands for what schemes send along.
_SHARED: Mapping[int, str] = {
    3: "000000", 7: _DE7, 11: _DE11, 12: "120000", 13: "1231", 14: LOAD_EXPIRY, 15: "1231",
    17: "1231", 18: "5411", 19: "276", 22: "901", 24: "001", 25: "00", 32: "476173",
    33: "476173", 37: _DE37, 41: "TERM0001", 42: "MERCHANT0000001",
    43: "ACME STORE               BERLIN       DE", 49: "978", 63: "REF 0000000001",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Traffic:
    """One message a card, in three parts."""

    heads: Sequence[bytes] = field(repr=False)  #: the frame's header up to DE7
    middles: Sequence[bytes] = field(repr=False)  #: DE12 to DE35
    tail: bytes = field(repr=False)  #: after DE37

    @property
    def cards(self) -> int:
        """How many cards there are."""
        return len(self.heads)

    def messages(self, numbers: Iterable[int], chance: Callable[[], float]) -> bytes:
        """The frames of some sendings; a number makes each unlike every other one, and its card
        is chosen by a number from 0 to 1 that `chance` gives.
        """
        heads, middles, tail = self.heads, self.middles, self.tail
        moment, cards = moment_now(), len(heads)
        return b"".join(
            [
                b"%b%b%06d%b%012d%b"
                % (heads[card], moment, number % STANS, middles[card], number, tail)
                for number in numbers
                for card in (int(chance() * cards),)
            ]
        )


def moment_now() -> bytes:
    """DE7 of this second: MMDDhhmmss in UTC."""
    return _moment(int(time.time()))


@lru_cache(maxsize=1)
def _moment(second: int) -> bytes:
    return time.strftime("%m%d%H%M%S", time.gmtime(second)).encode()


def make_traffic(cards: int, *, at_most: int = 0) -> Traffic:
    """One message for each of the first so many load cards; where they are more than `at_most`,
    which is not 0, for so many that are spread evenly over them. About 20 µs a card.

    The first card's message is encoded, and gives the place of the others' own fields.
    """
    cvk = demo_keys()["cvk"]
    prepared = CardCodeKey.prepare(cvk.material)
    first = purchase(0, cvk)
    payload = encode(first, DIALECT)
    head, _, rest = payload.partition(f"{_DE7}{_DE11}".encode())
    middle, _, tail = rest.partition(_DE37.encode())
    size = len(payload).to_bytes(2, "big")
    pan_to_amount, track = _own(first.fields)
    heads, middles = [], []
    for card in range(0, cards, max(1, cards // at_most) if at_most else 1):
        own, own_track = _own(_fields_of(card, prepared))
        heads.append(size + head.replace(pan_to_amount, own))
        middles.append(middle.replace(track, own_track))
    return Traffic(heads, middles, tail)


def _own(fields: Mapping[int, str]) -> tuple[bytes, bytes]:
    """A card's own: DE2 ‖ DE3 ‖ DE4 and DE35, which are of one length for all load cards."""
    return f"{fields[2]}{_SHARED[3]}{fields[4]}".encode(), fields[35].encode()


def purchase(card: int, cvk: Key) -> Message:
    """A stripe purchase with the load card of that number, from 0."""
    return Message("0100", {**_SHARED, **_fields_of(card, CardCodeKey.prepare(cvk.material))})


def _fields_of(card: int, cvk: CardCodeKey) -> Mapping[int, str]:
    pan = load_pan(card)
    cvv = card_code(cvk, pan, LOAD_EXPIRY, LOAD_SERVICE_CODE)
    return {
        2: pan,
        4: f"{_AMOUNT_LEAST + card % _AMOUNT_STEPS:012d}",
        # PVKI and PVV are zeros: without a PIN nobody reads them.
        35: f"{pan}={LOAD_EXPIRY}{LOAD_SERVICE_CODE}00000{cvv}00",
    }
