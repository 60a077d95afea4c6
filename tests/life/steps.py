"""
What can happen to a few cards, as hypothesis draws it.

A step names its card, its slot (one buying: what shares an RRN and a scheme id) and its number in
the slot (its STAN), and may name another message of the slot in the same way. So a step means the
same whatever stands before it: a sequence can be cut anywhere and messages come in any order.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from hypothesis import strategies as st

from tests.flows.support import icc
from tests.life.reading import CASH_AMOUNT

HOME, FOREIGN = "978", "840"
#: Home currency per hundred of the foreign one.
RATE = 93
_PIECE_MOST = 10
FOREIGN_SLOT, CREDIT_SLOT = 2, 3
CODES = {
    "purchase": "00", "cash": "01", "cashback": "09", "refund": "20", "funding": "26",
    "load": "28", "inquiry": "31", "unknown": "99",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """Shown as it was drawn, without what is as usual."""

    def __repr__(self) -> str:
        """Only what differs from the default."""
        own = [(f.name, getattr(self, f.name)) for f in fields(self)]
        usual = {f.name: f.default for f in fields(self)}
        told = [f"{name}={value!r}" for name, value in own if value != usual[name]]
        return f"{type(self).__name__}({', '.join(told)})"


@dataclass(frozen=True, repr=False)
class Send(Step):
    """A message."""

    mti: str = "0100"
    card: int = 0
    slot: int = 0
    number: int = 0
    amount: int = 100
    kind: str = "purchase"
    is_billed: bool = True  #: a foreign one brings the billing amount
    names: tuple[str, int] | None = None  #: DE90: an MTI and a number in the slot
    has_rrn: bool = True
    has_scheme_id: bool = False
    has_code: bool = False  #: DE38 of the last approval in the slot
    takes_less: bool = False
    addition: str = ""  #: "1" increment, "2" extension
    is_final: bool = True
    response: str = ""  #: DE39
    keep: int | None = None  #: DE95
    is_of_other: bool = False  #: DE90 has another acquirer
    atc: int = 0  #: of a right cryptogram; 0: the card is typed in
    is_marked_repeat: bool = False  #: its repeat digit is set though it may be the first

    def fields(self, world: int, pan: str, code: str | None) -> dict[int, str]:
        """What is sent, but for the MTI."""
        trace = _trace(self.slot, self.number)
        rrn = f"{world:011d}{self.slot + 1}" if self.has_rrn else "0" * 12
        currency = FOREIGN if self.slot == FOREIGN_SLOT else HOME
        own: dict[int, str | None] = {
            2: pan,
            3: CODES[self.kind] + "0000",
            4: f"{self.amount:012d}",
            7: trace[6:],
            11: trace[:6],
            18: "5411",
            22: "051" if self.atc else "011",
            32: "476173",
            37: rrn,
            38: code if self.has_code else None,
            39: self.response or None,
            41: "TERM0001",
            48: self._additional(world) or None,
            49: currency,
            55: icc(self.atc) if self.atc else None,
            90: self._original(),
            95: None if self.keep is None else f"{self.keep:012d}{0:012d}C{0:08d}C{0:08d}",
        }
        if currency == FOREIGN and self.is_billed:
            own |= {6: f"{self.amount * RATE // 100:012d}", 51: HOME}
        if self.kind == "cashback":
            own[54] = f"00{CASH_AMOUNT}{currency}C{self.amount // 2:012d}"
        return {number: value for number, value in own.items() if value is not None}

    def _additional(self, world: int) -> str:
        values = {
            "61": "1" if self.takes_less else "",
            "62": self.addition,
            "63": f"{world}S{self.slot}" if self.has_scheme_id else "",
            "64": "" if self.is_final else "0102",
        }
        return "".join(f"{tag}{len(value):02d}{value}" for tag, value in values.items() if value)

    def _original(self) -> str | None:
        if self.names is None:
            return "0" * 42 if self.mti[1] == "4" else None
        mti, number = self.names
        acquirer = "499999" if self.is_of_other else "476173"
        return f"{mti}{_trace(self.slot, number)}{acquirer:0>11}{0:011d}"


def _trace(slot: int, number: int) -> str:
    """STAN and DE7 of a message."""
    return f"{slot * 10 + number + 1:06d}11231200{slot:02d}"


@dataclass(frozen=True, repr=False)
class Again(Step):
    """The last message of its kind in a slot comes again, the same but for its repeat digit."""

    mti: str = "0100"
    card: int = 0
    slot: int = 0


@dataclass(frozen=True, repr=False)
class Unwind(Step):
    """The answer to the last request of its kind in a slot did not leave in time."""

    mti: str = "0100"
    card: int = 0
    slot: int = 0


@dataclass(frozen=True, repr=False)
class Expire(Step):
    """The time of what is held in a slot is over."""

    card: int = 0
    slot: int = 0


@dataclass(frozen=True, repr=False)
class Change(Step):
    """An operator changes a card, or closes its account."""

    card: int = 0
    what: str = "active"  #: a card's status; or mcc, any_mcc; or account_closed


def _some(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


def _mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([usual] * (4 * len(others)) + list(others))


_PLACE: Mapping[str, st.SearchStrategy[Any]] = {
    "card": _some(0, 0, 0, 0, 1, 1, 1, 2, 3, 4),
    "slot": _some(0, 0, 0, 0, 1, 1, 2, 2, 3),
    "number": _some(0, 0, 0, 1, 1, 2),
    "amount": _some(100, 100, 50, 101, 200, 300, 333, 700, 1200),
    "is_billed": _mostly(True, False),
    "has_rrn": _mostly(True, False),
    "has_scheme_id": st.booleans(),
    "is_marked_repeat": _mostly(False, True),
    "wish": st.integers(0, 19),
}
_DEBIT_KINDS = ("purchase", "purchase", "cash", "cashback")
_OTHER_KINDS = ("refund", "refund", "funding", "load", "inquiry")


def _send(wish: int, **how: Any) -> Send:
    """A kind that is usual in the slot; a request of the foreign one is mostly billed."""
    if how["slot"] == CREDIT_SLOT:
        how["kind"] = _OTHER_KINDS[wish % len(_OTHER_KINDS)]
    elif how["slot"] == 1:
        how["kind"] = _DEBIT_KINDS[wish % len(_DEBIT_KINDS)]
    elif wish == 19 and how["mti"] in ("0100", "0200"):
        how["kind"] = "unknown"
    addition = how.get("addition", "")
    if addition == "2" or (not addition and wish == 18 and how["mti"] in ("0100", "0220")):
        how["amount"] = 0
    if how.get("keep") is not None:
        how["keep"] = how["keep"] * how["amount"] // 100
    return Send(**how)


def _names(*mtis: str) -> st.SearchStrategy[tuple[str, int]]:
    return st.tuples(_some(*mtis), _some(0, 0, 0, 1, 1, 2))


def _message(**how: Any) -> st.SearchStrategy[Send]:
    return st.builds(_send, **{**_PLACE, **how})


#: A card is dipped about once in three times; two are further apart than the window.
_ATC = _some(0, 0, 0, 0, 0, 0, 1, 2, 30, 40)
REQUEST = _message(
    mti=_some("0100", "0100", "0200"),
    takes_less=_mostly(False, True),
    atc=_ATC,
)
INCREMENT = _message(
    mti=st.just("0100"),
    slot=_some(0, 0, 1, 2),
    addition=_some("1", "1", "2"),
    names=st.none() | _names("0100"),
    takes_less=_mostly(False, True),
    atc=_ATC,
)
ADVICE = _message(
    mti=st.just("0120"),
    has_code=st.just(True),
    response=_some("00", "00", "00", "10", "85", "05", "51"),
)
COMPLETION = _message(
    mti=st.just("0220"),
    names=st.none() | _names("0100", "0100", "0200", "0120", "0220"),
    has_code=st.booleans(),
    is_final=_mostly(True, False, False),
    response=_mostly("", "00", "05"),
)
REVERSAL = _message(
    mti=_some("0400", "0420"),
    names=st.none() | _names("0100", "0100", "0200", "0120", "0220", "0400"),
    keep=st.none() | _some(0, 30, 50, 100),
    is_of_other=_mostly(False, False, False, True),
)
_SLOT = {name: _PLACE[name] for name in ("card", "slot")}
_AGAIN = st.builds(Again, mti=_some("0100", "0100", "0200", "0120", "0220", "0400"), **_SLOT)
REST: st.SearchStrategy[Step] = st.one_of(
    _AGAIN,
    _AGAIN,
    st.builds(Unwind, mti=_some("0100", "0100", "0200"), **_SLOT),
    st.builds(Expire, **_SLOT),
    st.builds(
        Change,
        card=_PLACE["card"],
        what=_mostly("active", "blocked", "lost", "mcc", "any_mcc", "account_closed"),
    ),
)
STEP: st.SearchStrategy[Step] = st.one_of(
    REQUEST, REQUEST, INCREMENT, ADVICE, COMPLETION, COMPLETION, REVERSAL, REVERSAL, REST
)


def sequences(pieces: int) -> st.SearchStrategy[Sequence[Step]]:
    """About five steps a piece: one long list would mostly be drawn as short."""
    piece = st.lists(STEP, max_size=_PIECE_MOST)
    return st.tuples(*[piece] * pieces).map(lambda drawn: list(itertools.chain(*drawn)))
