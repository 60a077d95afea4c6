"""Application cryptograms, and the ARPC that only a right one gets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from keys.hsm import (
    ArpcMethod,
    ArqcAnswer,
    Capability,
    CardKeyDerivation,
    Cryptogram,
    CryptogramScheme,
    Hsm,
    SessionKeyDerivation,
    Verdict,
)
from keys.padding import pad_method_2
from tests.contract import oracle
from tests.contract.asking import HAS_NO_ARPC, REFUSES, Answer, Case, one_of
from tests.contract.cards import LONG_PAN, PAN, PAN_SEQUENCE_NUMBER
from tests.contract.keys import REFS

A, B = CardKeyDerivation
NONE, COMMON, MASTERCARD, EMV_2000 = SessionKeyDerivation
METHOD_1, METHOD_2 = ArpcMethod

CARD_KEYS = {A: Capability.CARD_KEY_A, B: Capability.CARD_KEY_B}
SESSION_KEYS = {
    NONE: Capability.ARQC_CARD_KEY,
    COMMON: Capability.ARQC_COMMON,
    MASTERCARD: Capability.ARQC_MASTERCARD,
    EMV_2000: Capability.ARQC_EMV_2000,
}
METHODS = {METHOD_1: Capability.ARPC_1, METHOD_2: Capability.ARPC_2}

ATC = b"\x1c\x86"
UNPREDICTABLE_NUMBER = bytes.fromhex("52BF4585")
DATA = pad_method_2(
    bytes.fromhex(
        "0000000040000000000000000124800004800001241911050152BF45851800001C06011203A0B800"
    )
)

ARC = b"00"
DECLINING_ARC = b"05"
CSU = bytes.fromhex("00820000")
PROPRIETARY_DATA = bytes.fromhex("0102030405060708")


def asked(scheme: CryptogramScheme, arpc_data: bytes, pan: str = PAN) -> tuple[Cryptogram, bytes]:
    """Make a right question, and the ARPC that answers it."""
    words = {"pan": pan, "pan_sequence_number": PAN_SEQUENCE_NUMBER}
    arqc, arpc = oracle.cryptogram(
        scheme,
        **words,
        atc=ATC,
        unpredictable_number=UNPREDICTABLE_NUMBER,
        data=DATA,
        arpc_data=arpc_data,
    )
    question = Cryptogram(
        scheme,
        **words,
        atc=ATC,
        data=DATA,
        arqc=arqc,
        unpredictable_number=UNPREDICTABLE_NUMBER,
    )
    return question, arpc


def cryptogram_case(
    row: Capability, fact: str, question: Cryptogram, arpc_data: bytes, answers: Answer
) -> Case:
    """Ask for one cryptogram."""

    async def ask(hsm: Hsm) -> ArqcAnswer:
        return await hsm.verify_arqc(REFS["imk_ac"], question, arpc_data=arpc_data)

    scheme = question.scheme
    needs = {row, CARD_KEYS[scheme.card_key], SESSION_KEYS[scheme.session_key]}
    needs |= {METHODS[scheme.arpc]}
    return Case(row, fact, frozenset(needs), ask, answers, secrets=(question.pan,))


def right_and_wrong(
    row: Capability, name: str, scheme: CryptogramScheme, arpc_data: bytes, pan: str = PAN
) -> Iterator[Case]:
    """Ask for a cryptogram that is right, and for it over other data."""
    question, arpc = asked(scheme, arpc_data, pan)
    answer = one_of(ArqcAnswer(Verdict.MATCH, arpc))
    yield cryptogram_case(row, f"{name} matches and is answered", question, arpc_data, answer)
    wrong = replace(question, data=b"\1" + DATA[1:])
    yield cryptogram_case(row, f"{name} over other data has no ARPC", wrong, arpc_data, HAS_NO_ARPC)


def session_keys() -> Iterator[Case]:
    """Every kind of session key; it is of its counter, and M/Chip's own of the reader's number."""
    for kind, row in SESSION_KEYS.items():
        scheme = CryptogramScheme(A, kind, METHOD_1)
        yield from right_and_wrong(row, "a cryptogram", scheme, ARC)
        question, _ = asked(scheme, ARC)
        for fact, arqc in (
            ("one bit off", bytes([question.arqc[0] ^ 1]) + question.arqc[1:]),
            ("cut to four bytes", question.arqc[:4]),
            ("of no bytes", b""),
            ("of zeros", bytes(8)),
        ):
            wrong = replace(question, arqc=arqc)
            yield cryptogram_case(row, f"one {fact} has no ARPC", wrong, ARC, HAS_NO_ARPC)
        others = replace(question, pan_sequence_number="02")
        yield cryptogram_case(row, "another card's has no ARPC", others, ARC, HAS_NO_ARPC)
        if kind is not NONE:
            later = replace(question, atc=b"\x1c\x87")
            yield cryptogram_case(row, "of another counter no ARPC", later, ARC, HAS_NO_ARPC)
    scheme = CryptogramScheme(A, MASTERCARD, METHOD_1)
    question, _ = asked(scheme, ARC)
    row = Capability.ARQC_MASTERCARD
    others = replace(question, unpredictable_number=bytes(4))
    yield cryptogram_case(row, "of another number no ARPC", others, ARC, HAS_NO_ARPC)
    without = replace(question, unpredictable_number=b"")
    yield cryptogram_case(row, "without the number it is refused", without, ARC, REFUSES)


def card_keys() -> Iterator[Case]:
    """Both ways to a card's key, for PANs up to sixteen digits and above."""
    for derivation, row in CARD_KEYS.items():
        scheme = CryptogramScheme(derivation, COMMON, METHOD_1)
        for pan in (PAN, LONG_PAN):
            yield from right_and_wrong(row, f"a PAN of {len(pan)}", scheme, ARC, pan)
    for derivation, other in ((A, B), (B, A)):
        question, _ = asked(CryptogramScheme(other, COMMON, METHOD_1), ARC, LONG_PAN)
        wrong = replace(question, scheme=CryptogramScheme(derivation, COMMON, METHOD_1))
        fact = "the other option's has no ARPC"
        yield cryptogram_case(CARD_KEYS[derivation], fact, wrong, ARC, HAS_NO_ARPC)


def answers() -> Iterator[Case]:
    """Both methods of answering, for what approves and what declines."""
    for method, row, name, arpc_data in (
        (METHOD_1, Capability.ARPC_1, "approving", ARC),
        (METHOD_1, Capability.ARPC_1, "declining", DECLINING_ARC),
        (METHOD_2, Capability.ARPC_2, "CSU", CSU),
        (METHOD_2, Capability.ARPC_2, "declining CSU", bytes(4)),
        (METHOD_2, Capability.ARPC_2, "CSU and proprietary data", CSU + PROPRIETARY_DATA),
    ):
        yield from right_and_wrong(row, name, CryptogramScheme(A, COMMON, method), arpc_data)
    for method, row, lengths in (
        (METHOD_1, Capability.ARPC_1, (0, 1, 3)),
        (METHOD_2, Capability.ARPC_2, (0, 3, 13)),
    ):
        question, _ = asked(CryptogramScheme(A, COMMON, method), ARC if method is METHOD_1 else CSU)
        for length in lengths:
            fact = f"over {length} bytes it is refused"
            yield cryptogram_case(row, fact, question, bytes(length), REFUSES)
