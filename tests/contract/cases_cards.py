"""Card codes: right ones, wrong ones, and what is none."""

from __future__ import annotations

from collections.abc import Iterator

from keys.hsm import Capability, CardCode, CardVerificationValue, Cvc3, DynamicCvv, Hsm, Verdict
from tests.contract import oracle
from tests.contract.asking import MATCHES, MISMATCHES, NEVER_MATCHES, Answer, Case
from tests.contract.cards import EXPIRY, LONG_PAN, PAN, PAN_SEQUENCE_NUMBER
from tests.contract.keys import REFS

ATC = b"\x00\x5e"
UNPREDICTABLE_NUMBER = bytes.fromhex("00000899")
TRACK_DATA = bytes.fromhex(f"{PAN}D{EXPIRY}2010000000000000F")


def other(code: str) -> str:
    """As many digits, the last of them another."""
    return code[:-1] + str((int(code[-1]) + 1) % 10)


def code_case(
    row: Capability,
    fact: str,
    key: str,
    of: CardCode,
    code: str,
    answers: Answer,
    *,
    pan: str = PAN,
) -> Case:
    """Ask for one code."""

    async def ask(hsm: Hsm) -> Verdict:
        return await hsm.verify_card_code(REFS[key], of, pan=pan, code=code)

    return Case(row, fact, frozenset({row}), ask, answers, secrets=(pan,))


#: name, expiry as it was written at issuing, service code, PAN
STATIC = [
    ("CVV",             "3012", "201", PAN),
    ("CVV2",            "1230", "000", PAN),
    ("iCVV",            "3012", "999", PAN),
    ("CAVV",            "7391", "000", PAN),
    ("CVV of 19 digits", "3012", "201", LONG_PAN),
]  # fmt: skip


def static_codes() -> Iterator[Case]:
    """CVV, CVV2, iCVV and CAVV: one formula over other words."""
    row = Capability.CARD_CODE
    for name, expiry, service_code, pan in STATIC:
        of = CardVerificationValue(expiry, service_code)
        code = oracle.card_code("cvk", pan=pan, expiry=expiry, service_code=service_code)
        yield code_case(row, f"{name} matches", "cvk", of, code, MATCHES, pan=pan)
        yield code_case(
            row, f"a wrong {name} does not", "cvk", of, other(code), MISMATCHES, pan=pan
        )
    of = CardVerificationValue(EXPIRY, "201")
    code = oracle.card_code("cvk", pan=PAN, expiry=EXPIRY, service_code="201")
    for fact, given in (
        ("two digits of it are not", code[:2]),
        ("four digits are not", code + "0"),
        ("nothing is not", ""),
        ("letters are not", "62a"),
        ("digits of another script are not", "٤١٣"),
    ):
        yield code_case(row, f"CVV: {fact}", "cvk", of, given, MISMATCHES)
    fact = "a CVV does not match as an iCVV"
    yield code_case(row, fact, "cvk", CardVerificationValue(EXPIRY, "999"), code, MISMATCHES)
    fact = "a CVV under another key does not match"
    theirs = oracle.card_code("csck", pan=PAN, expiry=EXPIRY, service_code="201")
    yield code_case(row, fact, "cvk", of, theirs, MISMATCHES)
    for wrong in ("47617390000000ab", "4761", ""):
        yield code_case(
            row, f"a PAN of {len(wrong)} never matches", "cvk", of, code, NEVER_MATCHES, pan=wrong
        )


def dynamic_codes() -> Iterator[Case]:
    """DCVV and CVC3, of one transaction counter each."""
    words = {
        "pan_sequence_number": PAN_SEQUENCE_NUMBER,
        "expiry": EXPIRY,
        "service_code": "201",
        "atc": "0094",
    }
    code = oracle.dynamic_cvv(pan=PAN, **words)
    row, key = Capability.DCVV, "imk_dcvv"
    yield code_case(row, "it matches", key, DynamicCvv(**words), code, MATCHES)
    yield code_case(row, "a wrong one does not", key, DynamicCvv(**words), other(code), MISMATCHES)
    yield code_case(row, "two digits do not", key, DynamicCvv(**words), code[:2], MISMATCHES)
    replayed = DynamicCvv(**(words | {"atc": "0096"}))
    yield code_case(row, "of another counter it does not", key, replayed, code, MISMATCHES)

    cvc3 = oracle.cvc3(
        pan=PAN,
        pan_sequence_number=PAN_SEQUENCE_NUMBER,
        track_data=TRACK_DATA,
        atc=ATC,
        unpredictable_number=UNPREDICTABLE_NUMBER,
    )
    row, key = Capability.CVC3, "imk_cvc3"
    of = Cvc3(PAN_SEQUENCE_NUMBER, ATC, UNPREDICTABLE_NUMBER, TRACK_DATA)
    for length in (3, 4, 5):
        digits = cvc3[-length:]
        yield code_case(row, f"its last {length} digits match", key, of, digits, MATCHES)
        yield code_case(row, f"{length} others do not", key, of, other(digits), MISMATCHES)
    yield code_case(row, "two digits do not", key, of, cvc3[-2:], MISMATCHES)
    replayed_3 = Cvc3(PAN_SEQUENCE_NUMBER, b"\x00\x60", UNPREDICTABLE_NUMBER, TRACK_DATA)
    yield code_case(row, "of another counter it does not", key, replayed_3, cvc3, MISMATCHES)
