"""
What an advice, a completion or a reversal tells of the message that it is about.

ISO 8583:1987: DE90 is MTI, STAN, transmission time, acquirer and forwarder of the
original; DE95 is the amount that is to remain, and three that we do not use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from switch.wire.message import MessageError
from switch.wire.requests import AuthorizationRequest

_AUTHORIZATION_CODE, _RESPONSE_CODE, _ORIGINAL, _REPLACEMENT = 38, 39, 90, 95
_ORIGINAL_DATA = re.compile(
    r"(?P<mti>[0-9]{4})(?P<stan>[0-9]{6})(?P<at>[0-9]{10})(?P<acquirer>[0-9]{11})[0-9]{11}"
)
_REPLACEMENT_AMOUNT = re.compile(r"[0-9]{12}")
_SEQUENCE = re.compile(r"(?P<number>[0-9]{2})(?P<of>[0-9]{2})")


@dataclass(frozen=True, slots=True)
class Original:
    """The message that this one is about, as DE90 tells it."""

    mti: str
    stan: str
    transmission_datetime: str  #: DE7, MMDDhhmmss
    acquirer: str | None  #: without leading zeros; none: any

    @classmethod
    def parse(cls, data: str) -> Self | None:
        """Read DE90; none where it is all zeros. Raises `ValueError` for what it cannot be."""
        parts = _ORIGINAL_DATA.fullmatch(data)
        if parts is None:
            raise ValueError("not the original's data")
        if not data.strip("0"):
            return None
        acquirer = parts["acquirer"].lstrip("0") or None
        return cls(parts["mti"], parts["stan"], parts["at"], acquirer)


@dataclass(frozen=True, slots=True)
class LaterRequest:
    """A message about something that already happened: an advice or a reversal."""

    about: AuthorizationRequest  #: what it says of the purchase itself
    original: Original | None
    authorization_code: str | None  #: DE38
    response_code: str | None  #: DE39, as it was answered elsewhere
    is_approved: bool  #: as that says; without one: it is
    is_final: bool  #: the last completion of its hold
    keep_minor: int | None = field(default=None)  #: DE95: what is to remain, as DE4; none: nothing

    @classmethod
    def parse(cls, about: AuthorizationRequest) -> Self:
        """Read what the message tells beside its purchase; raise `MessageError` naming a field."""
        fields = about.message.fields
        for money, name in (
            (about.transaction, "transaction"),
            (about.billing, "cardholder_billing"),
        ):
            # It is booked whatever its currency is; but in one it must be.
            if money is not None and not (money.currency.isascii() and money.currency.isdigit()):
                raise MessageError("format", f"currency_code_{name}", readable=about.message)
        response_code = fields.get(_RESPONSE_CODE)
        return cls(
            about=about,
            original=original_of(about),
            authorization_code=(fields.get(_AUTHORIZATION_CODE) or "").strip() or None,
            response_code=response_code,
            is_approved=response_code is None or response_code in about.spec.approving,
            is_final=_is_final(about.additional),
            keep_minor=_keep_minor(about),
        )


def original_of(about: AuthorizationRequest) -> Original | None:
    """The message that this one is about; raise `MessageError` where DE90 cannot be read."""
    data = about.message.fields.get(_ORIGINAL)
    if not data:
        return None
    try:
        return Original.parse(data)
    except ValueError:
        raise MessageError("format", "original_data_elements", readable=about.message) from None


def _keep_minor(about: AuthorizationRequest) -> int | None:
    data = about.message.fields.get(_REPLACEMENT)
    if not data:
        return None
    amount = _REPLACEMENT_AMOUNT.match(data)
    if amount is None:
        raise MessageError("format", "replacement_amounts", readable=about.message)
    return int(amount[0])


def _is_final(additional: Mapping[str, str]) -> bool:
    """One of several completions says which of how many; one alone is the last."""
    sequence = _SEQUENCE.fullmatch(additional.get("completion_sequence", ""))
    return sequence is None or int(sequence["number"]) >= int(sequence["of"])
