"""
What the switch asks of a hardware security module, and nothing more.

A backend answers these questions with keys that it alone can use. No method
returns a clear PIN or key, and none encrypts arbitrary data: making card
codes, PIN values and cryptograms belongs to issuing, not to authorizing.

No backend can do everything. What it can stands in its `capabilities`, and a
program that needs more is refused at start, not at its first cardholder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Protocol, cast


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


class Capability(StrEnum):
    """One thing that a backend may be able to do: a row of the matrix of `make contract`."""

    CARD_CODE = "card-code"  #: CVV, CVV2, iCVV, and the CAVV that is made as they are
    AMEX_CSC_1 = "amex-csc-1"
    AMEX_CSC_2 = "amex-csc-2"
    DCVV = "dcvv"
    CVC3 = "cvc3"
    PIN_ISO_0 = "pin-iso-0"  #: PIN blocks that it reads
    PIN_ISO_1 = "pin-iso-1"
    PIN_ISO_3 = "pin-iso-3"
    PIN_ISO_4 = "pin-iso-4"
    VISA_PVV = "visa-pvv"
    IBM_3624 = "ibm-3624"
    TRANSLATE_PIN = "translate-pin"
    CARD_KEY_A = "emv-option-a"  #: card keys, EMV Book 2, A1.4
    CARD_KEY_B = "emv-option-b"
    ARQC_CARD_KEY = "arqc-card-key"  #: session keys: none, EMV common, M/Chip's own, EMV 2000
    ARQC_COMMON = "arqc-common"
    ARQC_MASTERCARD = "arqc-mastercard"
    ARQC_EMV_2000 = "arqc-emv-2000"
    ARPC_1 = "arpc-1"
    ARPC_2 = "arpc-2"
    MAC_ISO9797_1 = "mac-iso9797-1"
    MAC_ISO9797_3 = "mac-iso9797-3"
    MAC_AES_CMAC = "mac-aes-cmac"
    MAC_TDES_CMAC = "mac-tdes-cmac"
    IMPORT_ZONE_KEY = "import-zone-key"  #: take a new working key under a zone master key


@dataclass(frozen=True, slots=True)
class KeyRef:
    """A key by its logical name, with the check value it must have.

    A backend maps the name to what it holds (a TR-31 block, an alias, a label)
    and refuses to start where the check value differs.
    """

    name: str
    kcv: str


@dataclass(frozen=True, slots=True)
class CardVerificationValue:
    """CVV, CVV2 and iCVV: one formula over other words (Mastercard calls it CVC).

    CVV2 has service code 000, iCVV usually 999. A CAVV of Visa's usage 3 version 7 is one too:
    the last four digits of its transaction number stand for the expiry, the result of the
    authentication and of its second factor for the service code.
    """

    expiry: str  #: four digits, in the order used at issuing
    service_code: str  #: three digits


@dataclass(frozen=True, slots=True)
class AmexCsc:
    """An American Express card security code of three to five digits."""

    version: int  #: 1 or 2
    expiry: str  #: YYMM
    service_code: str = "000"  #: three digits; version 1 has none


@dataclass(frozen=True, slots=True)
class DynamicCvv:
    """Visa's dCVV: a CVV under the card's own key, with the ATC before the PAN's rest."""

    pan_sequence_number: str  #: two digits
    expiry: str  #: YYMM
    service_code: str
    atc: str  #: four digits, as the track tells it


@dataclass(frozen=True, slots=True)
class Cvc3:
    """Mastercard's CVC3: over the static track, the ATC and the reader's number."""

    pan_sequence_number: str  #: two digits
    atc: bytes  #: two bytes
    unpredictable_number: bytes  #: four bytes
    track_data: bytes = field(repr=False)  #: the static track data of the card


CardCode = CardVerificationValue | AmexCsc | DynamicCvv | Cvc3


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
    COMMON = "common"  #: EMV Book 2, A1.3.1: from the ATC. Visa CVN 18 and 22, M/Chip 20 and 21
    #: M/Chip CVN 16 and 17: from ATC and unpredictable number; the ARPC is under the card's key
    MASTERCARD = "mastercard"
    EMV_2000 = "emv-2000"  #: the tree of EMV 2000, Book 2, A1.3: for old cards, where allowed


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
    unpredictable_number: bytes = b""  #: four bytes, for session keys that are made of it


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
    need be kept for it. Every question raises `HsmUnavailable` where no answer came and
    `HsmRejected` where it was configured wrong; neither says anything of the value.
    """

    name: str  #: of the backend, as settings and logs call it
    is_inline: bool
    capabilities: frozenset[Capability]

    async def open(self) -> None:
        """Connect, warm every connection, and compare every key's check value with the pinned one.

        Raises `HsmUnavailable` where the HSM does not answer, `HsmRejected` naming the first key
        that it has not, or that is another.
        """

    def check(self, ref: KeyRef, *usages: str) -> None:
        """Raise `HsmRejected` unless this key is there, with this check value and a TR-31 usage
        of these.

        Asks nobody: `open` found out.
        """

    async def verify_card_code(self, key: KeyRef, of: CardCode, *, pan: str, code: str) -> Verdict:
        """Compare a card code; what has not its form is a mismatch."""

    async def verify_pin(
        self,
        reference: PinReference,
        *,
        zone_key: KeyRef,
        pin_block: bytes,
        pin_block_format: PinBlockFormat,
        pan: str,
    ) -> Verdict:
        """Compare the PIN in an enciphered block with the card's reference.

        A backend that does not tell a block that is none from a wrong PIN says `MISMATCH` to both.
        """

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
        """Encipher a PIN block anew for another zone, for the same PAN.

        Never from a format that is bound to the PAN into format 1, which is not (PCI PIN 3-3).
        """

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


class ZoneKeyForm(StrEnum):
    """How a zone key travels under a zone master key."""

    KEY_BLOCK = "key-block"  #: TR-31: version B under TDES, D under AES
    CRYPTOGRAM = "cryptogram"  #: TDES alone: the key in ECB, hex; what it is for is agreed on


@dataclass(frozen=True, slots=True)
class StoredZoneKey:
    """A zone key as a backend wants it back: enciphered, or a name of its own for it."""

    stored: str = field(repr=False)  #: software: a TR-31 block under its key block protection key
    kcv: str  #: six hexadecimal digits


@dataclass(frozen=True, slots=True)
class OfferedZoneKey:
    """A new zone key: for ourselves, and for the other side under the zone master key."""

    ours: StoredZoneKey
    wrapped: str = field(repr=False)


class ZoneKeyHsm(Protocol):
    """An HSM that takes zone PIN keys while the switch runs (`Capability.IMPORT_ZONE_KEY`).

    Importing and learning are two steps, so that every process of a switch can learn what one
    imported: what `stored` is, is the backend's own. AWS Payment Cryptography would import with
    ImportKey and store the key's ARN; a payShield would import with A6, make with A0 and store the
    key under its LMK.
    """

    name: str
    capabilities: frozenset[Capability]

    async def import_zone_key(
        self, wrapped: str, *, under: KeyRef, form: ZoneKeyForm, algorithm: str, kcv: str
    ) -> StoredZoneKey:
        """Take a PIN key (P0) of an algorithm, T or A, that came under a zone master key.

        Raises `HsmRejected` where it does not open, is for something else, or has not the check
        value that came with it. It can be used once it is learned.
        """

    async def make_zone_key(
        self, *, under: KeyRef, form: ZoneKeyForm, algorithm: str
    ) -> OfferedZoneKey:
        """Make a random PIN key to be sent under a zone master key."""

    async def learn_zone_key(self, ref: KeyRef, stored: str) -> None:
        """Make a stored key usable under a name; raise `HsmRejected` where it cannot be used."""

    def forget_zone_key(self, ref: KeyRef) -> None:
        """Use it no more."""


def zone_keys_of(hsm: Hsm) -> ZoneKeyHsm:
    """An HSM as one that takes zone keys; raises `HsmRejected` where it does not."""
    if Capability.IMPORT_ZONE_KEY not in hsm.capabilities:
        raise HsmRejected(f"the {hsm.name} backend takes no zone keys while the switch runs")
    return cast("ZoneKeyHsm", hsm)
