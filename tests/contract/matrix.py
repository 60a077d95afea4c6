"""
Which backend must be able to do what: the matrix that `python -m tests.contract` proves.

It is written down, not read from the backends: one that lost a capability, or has one that
nobody wrote here, fails.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from keys.hsm import Capability
from tests.contract.asking import Case
from tests.contract.cases import CASES
from tests.contract.cases_keys import ROW as PINNED_KEYS

C = Capability

#: Rows of no capability: every backend has them.
CLOSED, CANCELLED, SIDE_BY_SIDE = "closed", "cancelled", "side-by-side"
COMMON_ROWS = (PINNED_KEYS, CLOSED, CANCELLED, SIDE_BY_SIDE)

_CRYPTOGRAMS = {
    C.CARD_KEY_A,
    C.CARD_KEY_B,
    C.ARQC_CARD_KEY,
    C.ARQC_COMMON,
    C.ARQC_MASTERCARD,
    C.ARPC_1,
    C.ARPC_2,
}
_PINS = {C.PIN_ISO_0, C.PIN_ISO_1, C.PIN_ISO_3, C.VISA_PVV, C.IBM_3624, C.TRANSLATE_PIN}
_ISO_MACS = {C.MAC_ISO9797_1, C.MAC_ISO9797_3}
_CMACS = {C.MAC_AES_CMAC, C.MAC_TDES_CMAC}
_AMEX = {C.AMEX_CSC_1, C.AMEX_CSC_2}

EXPECTED: dict[str, frozenset[C]] = {
    # All but codes whose formulas are not public.
    "software": frozenset(C) - _AMEX,
    "aws": frozenset(C) - {C.IMPORT_ZONE_KEY},
    # Its commands for format 4, CMAC and dynamic codes are not published in full.
    "payshield": frozenset({C.CARD_CODE} | _PINS | _CRYPTOGRAMS | _ISO_MACS),
    # No PIN: the clear block would have to leave the token.
    "pkcs11": frozenset({C.CARD_CODE} | _CRYPTOGRAMS | _ISO_MACS | _CMACS),
}

#: Cells that are asked nothing: no oracle can judge them, and why. The service does the work.
UNPROVED: dict[tuple[str, str], str] = {
    ("aws", C.AMEX_CSC_1): "its formula is not public: nothing here can judge the answer",
    ("aws", C.AMEX_CSC_2): "its formula is not public: nothing here can judge the answer",
}

BACKENDS = tuple(EXPECTED)
ROWS: tuple[str, ...] = (*C, *COMMON_ROWS)


def must_work(backend: str, row: str) -> bool:
    """Whether a cell must be proved."""
    return row in COMMON_ROWS or (row in EXPECTED[backend] and (backend, row) not in UNPROVED)


def cases_of(backend: str) -> list[Case]:
    """Give the cases that a backend must answer."""
    return [case for case in CASES if case.is_for(EXPECTED[backend])]


def module_of(backend: str) -> ModuleType | str:
    """Give a backend under test, or say why it cannot be run here."""
    try:
        module = import_module(f"tests.contract.{backend}")
    except ModuleNotFoundError as error:
        return f"{error.name} is not there"
    reason: str | None = module.missing()
    return module if reason is None else reason
