"""What a PKCS#11 function may return, and which of three things it means (PKCS#11 2.40)."""

from __future__ import annotations

_OK = 0x000

#: Codes that say the question is wrong, not the token: asking again would change nothing.
_REJECTIONS = {
    0x007: "CKR_ARGUMENTS_BAD",
    0x010: "CKR_ATTRIBUTE_READ_ONLY",
    0x012: "CKR_ATTRIBUTE_TYPE_INVALID",
    0x013: "CKR_ATTRIBUTE_VALUE_INVALID",
    0x01B: "CKR_ACTION_PROHIBITED",
    0x020: "CKR_DATA_INVALID",
    0x021: "CKR_DATA_LEN_RANGE",
    0x054: "CKR_FUNCTION_NOT_SUPPORTED",
    0x062: "CKR_KEY_SIZE_RANGE",
    0x063: "CKR_KEY_TYPE_INCONSISTENT",
    0x068: "CKR_KEY_FUNCTION_NOT_PERMITTED",
    0x070: "CKR_MECHANISM_INVALID",
    0x071: "CKR_MECHANISM_PARAM_INVALID",
    0x0D0: "CKR_TEMPLATE_INCOMPLETE",
    0x0D1: "CKR_TEMPLATE_INCONSISTENT",
}

#: Codes of a login that must not be tried again: a token locks itself after some wrong PINs.
_PIN_REFUSALS = {
    0x0A0: "CKR_PIN_INCORRECT",
    0x0A1: "CKR_PIN_INVALID",
    0x0A2: "CKR_PIN_LEN_RANGE",
    0x0A3: "CKR_PIN_EXPIRED",
    0x0A4: "CKR_PIN_LOCKED",
    0x102: "CKR_USER_PIN_NOT_INITIALIZED",
}

#: Names of the codes that an outage is most often told by. Every other code is one too.
_OUTAGES = {
    0x005: "CKR_GENERAL_ERROR",
    0x006: "CKR_FUNCTION_FAILED",
    0x030: "CKR_DEVICE_ERROR",
    0x031: "CKR_DEVICE_MEMORY",
    0x032: "CKR_DEVICE_REMOVED",
    0x060: "CKR_KEY_HANDLE_INVALID",
    0x082: "CKR_OBJECT_HANDLE_INVALID",
    0x0B0: "CKR_SESSION_CLOSED",
    0x0B1: "CKR_SESSION_COUNT",
    0x0B3: "CKR_SESSION_HANDLE_INVALID",
    0x0E0: "CKR_TOKEN_NOT_PRESENT",
    0x101: "CKR_USER_NOT_LOGGED_IN",
}
_NAMES = {**_REJECTIONS, **_PIN_REFUSALS, **_OUTAGES}


class CryptokiError(Exception):
    """A PKCS#11 function returned a code other than CKR_OK. Holds the code and nothing else."""

    def __init__(self, code: int) -> None:
        super().__init__(_NAMES.get(code, f"PKCS#11 code {code:#x}"))
        self.is_rejection = code in _REJECTIONS
        self.is_pin_refusal = code in _PIN_REFUSALS


def check(code: int) -> None:
    """Raise `CryptokiError` for every code but CKR_OK."""
    if code != _OK:
        raise CryptokiError(code)
