"""The keys of Payment Cryptography: what each is for, and no other use than that.

Usage and mode of use are those of docs/hsm-aws.md; `make deploy-check` lets the switch's own
check at start look at what these make.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Aliases are alias/switch/NAME. The switch may use what has one of these and nothing else.
ALIAS_PREFIX = "alias/switch/"


@dataclass(frozen=True)
class PaymentKey:
    """One key, in the words of the service."""

    name: str  #: as in the key file
    usage: str
    algorithm: str
    modes: tuple[str, ...]
    is_brought: bool = False  #: imported by hand, with its alias: only permitted here

    @property
    def alias(self) -> str:
        """As in the key file."""
        return f"{ALIAS_PREFIX}{self.name}"


PAYMENT_KEYS = (
    PaymentKey(
        "cvk", "TR31_C0_CARD_VERIFICATION_KEY", "TDES_2KEY", ("Generate", "Verify")
    ),  # CVV, iCVV, CVV2
    PaymentKey(
        "pvk", "TR31_V2_VISA_PIN_VERIFICATION_KEY", "TDES_2KEY", ("Generate", "Verify")
    ),  # PVV
    PaymentKey(
        "imk_ac", "TR31_E0_EMV_MKEY_APP_CRYPTOGRAMS", "TDES_2KEY", ("DeriveKey",)
    ),  # ARQC, ARPC
    PaymentKey(
        "zpk", "TR31_P0_PIN_ENCRYPTION_KEY", "TDES_2KEY", ("Encrypt", "Decrypt", "Wrap", "Unwrap")
    ),  # PIN blocks of the link, formats 0, 1, 3
    PaymentKey(
        "zak", "TR31_M3_ISO_9797_3_MAC_KEY", "TDES_2KEY", ("Generate", "Verify")
    ),  # DE64, DE128
)

#: Those that are made here.
MADE_KEYS = tuple(key for key in PAYMENT_KEYS if not key.is_brought)

#: What the switch calls: of the control plane at start, of the data plane for each message.
#: Nothing that makes a code, a PIN or a key, and neither EncryptData nor DecryptData.
ACTIONS = (
    "payment-cryptography:GetAlias",
    "payment-cryptography:GetKey",
    "payment-cryptography:GenerateMac",
    "payment-cryptography:TranslatePinData",
    "payment-cryptography:VerifyAuthRequestCryptogram",
    "payment-cryptography:VerifyCardValidationData",
    "payment-cryptography:VerifyMac",
    "payment-cryptography:VerifyPinData",
)
