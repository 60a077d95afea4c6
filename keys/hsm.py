"""
What the switch asks of a hardware security module, and nothing more.

A backend answers these questions with keys that it alone can use. No method
returns a clear PIN or key, and none encrypts arbitrary data: making card
codes, PIN values and cryptograms belongs to issuing, not to authorizing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol


class HsmUnavailable(Exception):
    """The HSM did not answer: an outage, a timeout or throttling. Never a mismatch."""


class HsmRejected(Exception):
    """The HSM refused the question itself: a key or a parameter is configured wrong."""


class Verdict(Enum):
    """What an HSM says of a value that a message brought."""

    MATCH = "match"
    MISMATCH = "mismatch"
    #: Only of a PIN block: deciphered, it is no PIN block. A stale zone key looks
    #: like this, so it is refused as a wrong PIN is, but costs nobody a try.
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class KeyRef:
    """A key by its logical name, with the check value it must have.

    A backend maps the name to what it holds (a TR-31 block, an alias, a label)
    and refuses to start where the check value differs.
    """

    name: str
    kcv: str


class PinBlockFormat(Enum):
    """PIN block formats of ISO 9564-1."""

    ISO_0 = "iso-0"
    ISO_1 = "iso-1"
    ISO_3 = "iso-3"
    ISO_4 = "iso-4"


@dataclass(frozen=True, slots=True)
class VisaPvv:
    """The reference of a Visa PIN verification value."""

    key: KeyRef
    pvki: str  #: PIN verification key index, one digit 0-6
    pvv: str = field(repr=False)  #: four digits


@dataclass(frozen=True, slots=True)
class Ibm3624:
    """The reference of an IBM 3624 PIN offset."""

    key: KeyRef
    #: four to twelve digits; its length is the PIN's checked length
    offset: str = field(repr=False)
    decimalization_table: str  #: sixteen digits
    validation_data: str  #: sixteen hex digits


PinReference = VisaPvv | Ibm3624


class CardKeyDerivation(Enum):
    """How an issuer master key gives a card's key (EMV Book 2, A1.4)."""

    OPTION_A = "option-a"
    OPTION_B = "option-b"


class SessionKeyDerivation(Enum):
    """How a card's key gives the key of one transaction."""

    NONE = "none"  #: Visa CVN 10: the card key itself
    COMMON = "common"  #: EMV Book 2, A1.3.1: from the ATC


class ArpcMethod(Enum):
    """How the issuer's answer is authenticated to the card (EMV Book 2, 8.2)."""

    METHOD_1 = "method-1"  #: over ARQC xor ARC, eight bytes
    METHOD_2 = "method-2"  #: over ARQC, CSU and proprietary data, four bytes


@dataclass(frozen=True, slots=True)
class CryptogramScheme:
    """The three choices that a cryptogram version number stands for."""

    card_key: CardKeyDerivation
    session_key: SessionKeyDerivation
    arpc: ArpcMethod


@dataclass(frozen=True, slots=True)
class Cryptogram:
    """An application cryptogram and all that it was made over."""

    scheme: CryptogramScheme
    pan: str = field(repr=False)
    pan_sequence_number: str  #: two digits
    atc: bytes  #: two bytes
    data: bytes  #: already padded to a multiple of eight bytes
    arqc: bytes  #: eight bytes


@dataclass(frozen=True, slots=True)
class ArqcAnswer:
    """Whether a cryptogram is right, and if so the one that answers it."""

    verdict: Verdict
    arpc: bytes | None = None  #: only where the verdict is MATCH


class MacAlgorithm(Enum):
    """Message authentication codes by their standard."""

    ISO9797_1 = "iso9797-1-alg1"
    ISO9797_3 = "iso9797-1-alg3"
    AES_CMAC = "aes-cmac"
    TDES_CMAC = "tdes-cmac"


class Hsm(Protocol):
    """One HSM, real or in software.

    `is_inline` says that it answers without waiting for anything, so that no time limit
    need be kept for it. Every method raises `HsmUnavailable` where no answer came and `HsmRejected`
    where the question was configured wrong; neither says anything of the value.
    """

    is_inline: bool

    async def verify_card_code(
        self, key: KeyRef, *, pan: str, expiry: str, service_code: str, code: str
    ) -> Verdict:
        """Compare a CVV, CVV2 or iCVV. `expiry` is four digits in the order used at issuing."""

    async def verify_pin(
        self,
        reference: PinReference,
        *,
        zone_key: KeyRef,
        pin_block: bytes,
        pin_block_format: PinBlockFormat,
        pan: str,
    ) -> Verdict:
        """Compare the PIN in an enciphered block with the card's reference."""

    async def verify_arqc(
        self, key: KeyRef, cryptogram: Cryptogram, *, arpc_data: bytes
    ) -> ArqcAnswer:
        """Compare an application cryptogram; on a match make its ARPC over `arpc_data`.

        `arpc_data` is the ARC (two bytes) for method 1, the CSU (four bytes) and
        optional proprietary data (up to eight) for method 2.
        """

    async def translate_pin(
        self,
        *,
        from_key: KeyRef,
        from_format: PinBlockFormat,
        to_key: KeyRef,
        to_format: PinBlockFormat,
        pin_block: bytes,
        pan: str,
    ) -> bytes:
        """Encipher a PIN block anew for another zone, for the same PAN."""

    async def mac(self, key: KeyRef, data: bytes, *, algorithm: MacAlgorithm) -> bytes:
        """Make a message's authentication code, the algorithm's full length."""

    async def verify_mac(
        self, key: KeyRef, data: bytes, mac: bytes, *, algorithm: MacAlgorithm
    ) -> Verdict:
        """Compare a message's authentication code, four bytes or more of it."""

    async def ping(self) -> None:
        """Return when the HSM answers; raise `HsmUnavailable` when it does not."""

    async def close(self) -> None:
        """Let go of connections and keys."""
