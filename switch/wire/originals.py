"""What an advice, a completion or a reversal tells beside its purchase."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from switch.wire.message import MessageError
from switch.wire.requests import AuthorizationRequest, reading
from switch.wire.values import Original
from switch.wire.versions import version_of

_AUTHORIZATION_CODE, _RESPONSE_CODE = 38, 39
_SEQUENCE = re.compile(r"(?P<number>[0-9]{2})(?P<of>[0-9]{2})")


@dataclass(frozen=True, slots=True)
class LaterRequest:
    """A message about something that already happened: an advice or a reversal."""

    about: AuthorizationRequest  #: what it says of the purchase itself
    original: Original | None
    authorization_code: str | None  #: DE38
    response_code: str | None  #: DE39, as it was answered elsewhere
    is_approved: bool  #: as that says; without one: it is
    is_final: bool  #: the last completion of its hold
    keep_minor: int | None = None  #: what is to remain of its amount; none: nothing

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
    """The message that this one is about; raise `MessageError` where that cannot be read."""
    with reading(about.message, about.spec):
        return version_of(about.spec).original_of(about.message.fields)


def _keep_minor(about: AuthorizationRequest) -> int | None:
    with reading(about.message, about.spec):
        return version_of(about.spec).kept(about.mti, about.message.fields)


def _is_final(additional: Mapping[str, str]) -> bool:
    """One of several completions says which of how many; one alone is the last."""
    sequence = _SEQUENCE.fullmatch(additional.get("completion_sequence", ""))
    return sequence is None or int(sequence["number"]) >= int(sequence["of"])
