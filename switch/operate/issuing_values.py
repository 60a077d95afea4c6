"""
What the values of accounts and cards must look like, for commands and for files.

Each function gives the value as the ledger keeps it, or raises `ValueProblem`
with what it must be. The value itself is never repeated: it may be a PAN.
"""

from __future__ import annotations

import re

from keys.vault import Vault
from switch.ledger.operators import SealedPan
from switch.log_fields import passes_luhn, scrub
from switch.mask import PAN_MAX, PAN_MIN
from switch.wire.currency import is_known

STATUSES = ("active", "inactive", "blocked", "lost", "stolen", "closed")
PIN_METHODS = ("visa_pvv", "ibm3624")
SCOPES = ("all", "purchase", "cash", "ecommerce", "contactless")
PERIODS = ("transaction", "day", "week", "month")
#: How a card is read, and cash, which is refused by whatever way it is asked.
CHANNELS = ("chip", "contactless", "stripe", "manual", "ecommerce", "other", "cash")

#: The longest reference or id.
KEY_MAX = 64
#: The longest reason or name of an operator.
WORDS_MAX = 200
#: Suspense accounts are the ledger's own.
_RESERVED = "suspense"

_PAN = re.compile(rf"[0-9]{{{PAN_MIN},{PAN_MAX}}}")
_EXPIRY = re.compile(r"[0-9]{2}(0[1-9]|1[0-2])")
#: Visa: the key's index and the PVV. IBM 3624: the offset.
_PIN_REFERENCES = {"visa_pvv": re.compile(r"[0-9]{5}"), "ibm3624": re.compile(r"[0-9]{4,12}")}


class ValueProblem(ValueError):
    """A value that cannot be kept: says what it must be, never what it was."""


def pan(text: str) -> str:
    """A primary account number with its check digit (ISO/IEC 7812-1)."""
    if not _PAN.fullmatch(text):
        raise ValueProblem(f"must be {PAN_MIN} to {PAN_MAX} digits")
    if not passes_luhn(text):
        raise ValueProblem("its check digit is wrong")
    return text


def sealed(text: str, vault: Vault) -> SealedPan:
    """A PAN as the ledger keeps it."""
    number = pan(text)
    tokens = tuple(vault.lookup_tokens(number))
    return SealedPan(
        tokens, vault.token_version, vault.seal(number, context=tokens[0]), number[-4:]
    )


def reference(text: str) -> str:
    """The issuer's own name of an account."""
    if text.startswith(_RESERVED):
        raise ValueProblem(f"must not begin with {_RESERVED}: those are the ledger's own")
    return key(text)


def key(text: str) -> str:
    """An id that somebody else made. It is kept as it is, so it must not look like a PAN."""
    if not text or len(text) > KEY_MAX or not text.isprintable() or " " in text:
        raise ValueProblem(f"must be 1 to {KEY_MAX} printable characters without spaces")
    if _PAN.fullmatch(text) and passes_luhn(text):
        raise ValueProblem("looks like a PAN, and it would stand in clear: put a letter before it")
    return text


def name(text: str) -> str:
    """The name of something that must be there already: a card program, an account."""
    if not text or not text.isprintable():
        raise ValueProblem("must be printable characters")
    return text


def currency(text: str) -> str:
    """An ISO 4217 numeric code."""
    if not is_known(text):
        raise ValueProblem("must be the three digits of an ISO 4217 currency, like 978")
    return text


def expiry(text: str) -> str:
    """The last month of a plastic."""
    if not _EXPIRY.fullmatch(text):
        raise ValueProblem("must be YYMM, like 3012")
    return text


def service_code(text: str) -> str:
    """What a stripe says of how the card may be used."""
    return _digits(text, 3, "must be three digits, like 201")


def sequence_number(text: str) -> str:
    """What tells the plastics of one PAN apart (DE23, tag 5F34)."""
    return _digits(text, 2, "must be two digits, like 00")


def mcc(text: str) -> str:
    """A merchant category code (ISO 18245)."""
    return _digits(text, 4, "must be four digits, like 7995")


def country(text: str) -> str:
    """An ISO 3166 numeric code."""
    return _digits(text, 3, "must be the three digits of an ISO 3166 country, like 276")


def status(text: str) -> str:
    """What a card may be."""
    return _one_of(text, STATUSES)


def pin_method(text: str) -> str | None:
    """How a card's PIN is verified; none where it has no PIN."""
    return _one_of(text, PIN_METHODS) if text else None


def pin_reference(text: str, method: str | None) -> str | None:
    """What a card's PIN is verified against, by its method."""
    if method is None:
        if text:
            raise ValueProblem("needs a pin_method")
        return None
    if not _PIN_REFERENCES[method].fullmatch(text):
        raise ValueProblem(
            "must be five digits: the key's index and the PVV"
            if method == "visa_pvv"
            else "must be the 4 to 12 digits of the offset"
        )
    return text


def words(text: str) -> str:
    """A name or a reason that an operator gives; what looks like a PAN in it is masked."""
    plain = " ".join(text.split())
    if not plain or len(plain) > WORDS_MAX or not plain.isprintable():
        raise ValueProblem(f"must be 1 to {WORDS_MAX} printable characters")
    return scrub(plain)


def _digits(text: str, count: int, problem: str) -> str:
    if not (len(text) == count and text.isascii() and text.isdigit()):
        raise ValueProblem(problem)
    return text


def _one_of(text: str, known: tuple[str, ...]) -> str:
    if text not in known:
        raise ValueProblem(f"must be one of {', '.join(known)}")
    return text
