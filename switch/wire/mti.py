"""
The message type indicator: version, class, function and origin, a digit each.

ISO 8583:1987. An even function asks, an odd one answers; an odd origin is a repeat.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from switch.wire.error import MessageError

VERSIONS: Mapping[str, str] = {"0": "1987", "1": "1993", "2": "2003"}
_CLASSES: Mapping[str, str] = {
    "1": "authorization",
    "2": "financial",
    "3": "file action",
    "4": "reversal",
    "5": "reconciliation",
    "6": "administrative",
    "7": "fee collection",
    "8": "network management",
}
_FUNCTIONS: Mapping[str, str] = {
    "0": "request",
    "1": "response",
    "2": "advice",
    "3": "advice response",
    "4": "notification",
    "5": "notification acknowledgement",
    "8": "acknowledgement",  # 8 and 9: of a response, as networks use what the standard reserves
    "9": "negative acknowledgement",
}


#: Every MTI there can be: each question about one is worked out once.
_MTIS = 10_000
_once = lru_cache(_MTIS)


@_once
def is_mti(mti: str) -> bool:
    """Four decimal digits."""
    return len(mti) == 4 and mti.isascii() and mti.isdigit()


@_once
def is_request(mti: str) -> bool:
    """It wants an answer: a request, an advice, a notification."""
    return int(_checked(mti)[2]) % 2 == 0


@_once
def is_decided(mti: str) -> bool:
    """It asks for a decision: an authorization or financial request, not an advice."""
    return _checked(mti)[1] in "12" and mti[2] == "0"


def is_repeat(mti: str) -> bool:
    """The sender says that it sent this before: 0101, 0421."""
    return int(_checked(mti)[3]) % 2 == 1


@_once
def without_repeat(mti: str) -> str:
    """The MTI of the first copy: 0101 → 0100."""
    return _checked(mti)[:3] + str(int(mti[3]) & ~1)


def repeat(mti: str) -> str:
    """The MTI of a later copy: 0302 → 0303."""
    return _checked(mti)[:3] + str(int(mti[3]) | 1)


def advice(mti: str) -> str:
    """The MTI of the advice that tells of what a request asked for: 0100 → 0120."""
    return _checked(mti)[:2] + "20"


@_once
def response(mti: str) -> str:
    """
    The MTI of the answer: function digit + 1, an odd origin digit − 1.

    0100 → 0110, 0101 → 0110, 0421 → 0430. Raises `MessageError` for what is no request.
    """
    if not is_request(mti):
        raise MessageError("not_a_request", "mti")
    return mti[:2] + str(int(mti[2]) + 1) + without_repeat(mti)[3]


@_once
def what(mti: str) -> str:
    """What a message is in every version, repeat or not: 0101 → 100, 1804 → 804."""
    return without_repeat(mti)[1:]


def message_class(mti: str) -> str:
    """The class in words: "authorization", "reversal", … or "unknown class"."""
    return _CLASSES.get(_checked(mti)[1], "unknown class")


def in_words(mti: str) -> str:
    """0121 → "authorization advice, repeat (ISO 8583:1987)"."""
    function = _FUNCTIONS.get(_checked(mti)[2], "of unknown function")
    repeat = ", repeat" if is_repeat(mti) else ""
    version = VERSIONS.get(mti[0], "of unknown version")
    return f"{message_class(mti)} {function}{repeat} (ISO 8583:{version})"


def _checked(mti: str) -> str:
    if not is_mti(mti):
        raise MessageError("format", "mti")
    return mti
