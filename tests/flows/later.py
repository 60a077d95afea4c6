"""Messages about an earlier one, as their senders make them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from switch.wire.message import Message
from tests.ledger.support import number

#: What one message says of a purchase and a later one about it does not say again.
_NOT_AGAIN = (35, 38, 39, 48, 52, 54, 55, 90, 95)

Changes = str | None


def changed(message: Message, mti: str | None = None, **changes: Changes) -> Message:
    """The same with other fields: `_4="…"` sets one, `_4=None` leaves one out."""
    fields: dict[int, str | None] = dict(message.fields)
    fields |= {int(name[1:]): value for name, value in changes.items()}
    given = {de: value for de, value in fields.items() if value is not None}
    return Message(mti or message.mti, given)


def repeat(message: Message, **changes: Changes) -> Message:
    """The same again, as its sender marks it: 0101, 0421."""
    return changed(message, f"{message.mti[:3]}1", **changes)


def later(mti: str, of: Message, minor: int | None = None, **changes: Changes) -> Message:
    """A message about the same purchase: with its RRN and a STAN of its own."""
    fields = {de: value for de, value in of.fields.items() if de not in _NOT_AGAIN}
    fields[11] = f"{number() % 1_000_000:06d}"
    if minor is not None:
        fields[4] = f"{minor:012d}"
    return changed(Message(mti, fields), **changes)


def original(of: Message, *, mti: str | None = None, acquirer: str | None = None) -> str:
    """DE90 as it tells of a message."""
    institution = of.fields[32] if acquirer is None else acquirer
    return f"{mti or of.mti}{of.fields[11]}{of.fields[7]}{institution:0>11}{0:011d}"


def advice(
    of: Message, minor: int | None = None, response: str = "00", **changes: Changes
) -> Message:
    """A stand-in's 0120; its code is STIP01."""
    decided: dict[str, Changes] = {"_38": "STIP01", "_39": response}
    return later("0120", of, minor, **decided | changes)


def completion(of: Message, minor: int | None = None, **changes: Changes) -> Message:
    """A 0220 that names its original in DE90."""
    named: dict[str, Changes] = {"_90": original(of)}
    return later("0220", of, minor, **named | changes)


def reversal(
    of: Message, keep: int | None = None, *, mti: str = "0420", **changes: Changes
) -> Message:
    """A reversal of all, or of what is beyond an amount that is to remain."""
    remains = None if keep is None else f"{keep:012d}{0:030d}"
    named: dict[str, Changes] = {"_90": original(of), "_95": remains}
    return later(mti, of, None, **named | changes)


def increment(of: Message, minor: int, **changes: Changes) -> Message:
    """A 0100, the card not there, that adds to an earlier one; with no amount: that extends it."""
    mark = private(incremental="1" if minor else "2")
    keyed: dict[str, Changes] = {"_22": "012", "_48": mark, "_90": original(of)}
    return later("0100", of, minor, **keyed | changes)


def private(**elements: str) -> str:
    """DE48: `scheme_id="…"`, `partial="1"`, `incremental="1"`, `sequence="0102"`."""
    tags = {"partial": "61", "incremental": "62", "scheme_id": "63", "sequence": "64"}
    return "".join(f"{tags[name]}{len(value):02d}{value}" for name, value in elements.items())


SCHEME_ID = private(scheme_id="TX0000000000001")
#: What an advice has in common with the 0100 of its purchase, and no more than that.
ADVICE_CLUES: Mapping[str, Any] = {
    "RRN": lambda asked: {},
    "STAN and DE7": lambda asked: {"_11": asked.fields[11], "_37": "999999999999"},
    "STAN and DE7 without RRN": lambda asked: {"_11": asked.fields[11], "_37": "0" * 12},
    "scheme id": lambda asked: {"_37": "999999999999", "_48": SCHEME_ID},
    "scheme id without RRN": lambda asked: {"_37": "0" * 12, "_48": SCHEME_ID},
}


def told_by(clue: str, asked: Message, minor: int | None = None, response: str = "00") -> Message:
    """The advice about a purchase that has one clue in common with its 0100."""
    return advice(asked, minor, response, **ADVICE_CLUES[clue](asked))
