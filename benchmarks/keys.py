"""
What verifying costs: every question of the software HSM, one after the other on one processor.

    python -m benchmarks.keys             # a table for people, then one JSON object
    python -m benchmarks.keys --rounds 1001

A question is timed as the switch asks it: awaited, through the `Hsm` protocol, with a key found
by its reference. Cards take turns, so that nothing is answered from what the last one left.
Time is the processor's, as the kernel counts it: the questions wait for nothing, and what others
do on the machine meanwhile is not theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import platform
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import click
import cryptography
import orjson
from cryptography.hazmat.backends.openssl import backend as openssl

from keys.hsm import (
    ArpcMethod,
    ArqcAnswer,
    CardKeyDerivation,
    CardVerificationValue,
    Cryptogram,
    CryptogramScheme,
    Cvc3,
    DynamicCvv,
    Ibm3624,
    KeyRef,
    MacAlgorithm,
    PinBlockFormat,
    SessionKeyDerivation,
    Verdict,
    VisaPvv,
)
from keys.padding import pad_method_2
from keys.software import issuing
from keys.software.backend import SoftwareHsm
from keys.software.key import AES, TDES, Key

#: Cards that take turns, and questions between two looks at the clock: so few that some rounds
#: meet nobody else on the processor.
CARDS, QUESTIONS = 50, 100

#: What the three checks of one chip purchase with online PIN may cost together.
LIMIT_US = 100.0

ISO_0, ISO_3, ISO_4 = PinBlockFormat.ISO_0, PinBlockFormat.ISO_3, PinBlockFormat.ISO_4

SESSION_KEYS = {
    SessionKeyDerivation.NONE: "card key",
    SessionKeyDerivation.COMMON: "common",
    SessionKeyDerivation.MASTERCARD: "M/Chip",
    SessionKeyDerivation.EMV_2000: "EMV 2000",
}
MAC_KEYS = {
    MacAlgorithm.ISO9797_1: "mak_1",
    MacAlgorithm.ISO9797_3: "zak",
    MacAlgorithm.AES_CMAC: "mak_aes",
    MacAlgorithm.TDES_CMAC: "mak_tdes",
}

#: Bytes of what a MAC is made over, and of what a card makes its cryptogram over.
MESSAGE = bytes(range(256))
CARD_DATA = pad_method_2(bytes(range(64)))

#: The operations of one message that brings all three.
ONE_MESSAGE = ("CVV", "PIN, format 0, PVV", "ARQC, common, ARPC")
TOGETHER = "CVV + PIN (PVV) + ARQC with ARPC"

Question = Callable[[], Awaitable[object]]

#: Arguments by their name.
Words = dict[str, Any]


def make_key(usage: str, clear: str, *, algorithm: str = TDES, mode: str = "N") -> Key:
    """Make a worthless key of clear hex."""
    return Key(bytes.fromhex(clear), usage=usage, algorithm=algorithm, mode_of_use=mode)


KEYS = {
    "cvk": make_key("C0", "A1C4E6B9D38F527A5E7C2FB0946D803E"),
    "pvk": make_key("V2", "32EF49C2708AB51F6DC8A7430E9B2F58"),
    "pvk_ibm": make_key("V1", "7A1CF29E04B3D6585245AB8C70E61FD3"),
    "imk_ac": make_key("E0", "9E15204313F7318ACB79B90BD986AD29"),
    "imk_dcvv": make_key("E6", "8C6DA2B5E3F4016B7A9D4C2F1E0B8573"),
    "imk_cvc3": make_key("E4", "64CE98A1B3D5F70216385A7C9EB0D2F4"),
    "zpk": make_key("P0", "5B37C8D9E0A4F2168C73DA29B5E60E4A"),
    "zpk_aes": make_key("P0", "0F1E2D3C4B5A69788796A5B4C3D2E1F0", algorithm=AES),
    "mak_1": make_key("M1", "2C3D4E5F60718293A4B5C6D7E8F90A1B"),
    "zak": make_key("M3", "C2A86B0D4F9137E5D0B6498FE32C7A15"),
    "mak_aes": make_key("M6", "603DEB1015CA71BE2B73AEF0857D7781", algorithm=AES),
    "mak_tdes": make_key("M6", "4CF15134A2850DD58A3D10BA80570D38"),
}
REFS = {name: KeyRef(name, key.kcv) for name, key in KEYS.items()}


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of one operation: the best round and the middle one."""

    best: float
    median: float


def asked(hsm: SoftwareHsm, pan: str) -> dict[str, Question]:
    """Give every question about one card, each with its right answer."""
    return card_codes(hsm, pan) | pins(hsm, pan) | cryptograms(hsm, pan) | macs(hsm)


def card_codes(hsm: SoftwareHsm, pan: str) -> dict[str, Question]:
    """Ask for CVV, dCVV and CVC3."""
    card: Words = {"pan": pan, "pan_sequence_number": "01"}
    words: Words = {"expiry": "3012", "service_code": "201"}
    transaction: Words = {
        "atc": b"\0\7",
        "unpredictable_number": b"\1\2\3\4",
        "track_data": bytes.fromhex(f"{pan}D30122010000000000000F"),
    }
    code = issuing.card_code(KEYS["cvk"], pan=pan, **words)
    dynamic = issuing.dynamic_cvv(KEYS["imk_dcvv"], **card, **words, atc="0007")
    checksum = issuing.cvc3(KEYS["imk_cvc3"], **card, **transaction)
    verify = hsm.verify_card_code
    return {
        "CVV": partial(verify, REFS["cvk"], CardVerificationValue(**words), pan=pan, code=code),
        "dCVV": partial(
            verify, REFS["imk_dcvv"], DynamicCvv("01", **words, atc="0007"), pan=pan, code=dynamic
        ),
        "CVC3": partial(
            verify, REFS["imk_cvc3"], Cvc3("01", **transaction), pan=pan, code=checksum
        ),
    }


def pins(hsm: SoftwareHsm, pan: str) -> dict[str, Question]:
    """Ask for a PIN in blocks of two formats, by two references, and in another zone."""
    pvv = VisaPvv(REFS["pvk"], "1", issuing.visa_pvv(KEYS["pvk"], pan=pan, pvki="1", pin="1234"))
    account = {"validation_data": f"{pan[:12]}FFFF", "decimalization_table": "0123456789012345"}
    offset = issuing.ibm3624_offset(KEYS["pvk_ibm"], pin="1234", **account)
    ibm = Ibm3624(REFS["pvk_ibm"], offset, **account)
    found: dict[str, Question] = {}
    for kind, zone in ((ISO_0, "zpk"), (ISO_4, "zpk_aes")):
        block = issuing.pin_block(KEYS[zone], pin_block_format=kind, pin="1234", pan=pan)
        words: Words = {
            "zone_key": REFS[zone],
            "pin_block": block,
            "pin_block_format": kind,
            "pan": pan,
        }
        number = kind.value[-1]
        found[f"PIN, format {number}, PVV"] = partial(hsm.verify_pin, pvv, **words)
        found[f"PIN, format {number}, IBM 3624"] = partial(hsm.verify_pin, ibm, **words)
        found[f"PIN translation, format {number} to 3"] = partial(
            hsm.translate_pin,
            from_key=REFS[zone],
            from_format=kind,
            to_key=REFS["zpk"],
            to_format=ISO_3,
            pin_block=block,
            pan=pan,
        )
    return found


def cryptograms(hsm: SoftwareHsm, pan: str) -> dict[str, Question]:
    """Ask for an ARQC over 72 bytes under each kind of session key, and for its ARPC."""
    found: dict[str, Question] = {}
    for session_key, name in SESSION_KEYS.items():
        scheme = CryptogramScheme(CardKeyDerivation.OPTION_A, session_key, ArpcMethod.METHOD_2)
        words: Words = {"pan": pan, "pan_sequence_number": "01", "atc": b"\0\7", "data": CARD_DATA}
        words["unpredictable_number"] = b"\1\2\3\4"
        arqc = issuing.arqc(KEYS["imk_ac"], scheme, **words)
        question = Cryptogram(scheme, **words, arqc=arqc)
        found[f"ARQC, {name}, ARPC"] = partial(
            hsm.verify_arqc, REFS["imk_ac"], question, arpc_data=bytes(4)
        )
    return found


def macs(hsm: SoftwareHsm) -> dict[str, Question]:
    """Ask for a code over 256 bytes, by each algorithm."""
    return {
        f"MAC, {algorithm.value}": partial(hsm.mac, REFS[key], MESSAGE, algorithm=algorithm)
        for algorithm, key in MAC_KEYS.items()
    }


async def cost_of(questions: Sequence[Question], rounds: int) -> Cost:
    """Ask cards in turn, so often, in so many rounds."""
    found = []
    for _ in range(rounds):
        turn = list(islice(cycle(questions), QUESTIONS))
        begun = time.thread_time()
        for ask in turn:
            await ask()
        found.append((time.thread_time() - begun) / QUESTIONS * 1e6)
    return Cost(min(found), statistics.median(found))


async def prove(questions: dict[str, list[Question]]) -> None:
    """Every question has its right answer: what is measured is a match, not a refusal."""
    for name, each in questions.items():
        for ask in each:
            answer = await ask()
            verdict = answer.verdict if isinstance(answer, ArqcAnswer) else answer
            if verdict is not Verdict.MATCH and not isinstance(verdict, bytes):
                sys.exit(f"{name}: a right question was not answered with a match")


async def measure(rounds: int) -> dict[str, Cost]:
    """Measure every operation, and the three of one message one after the other."""
    hsm = SoftwareHsm(KEYS, emv_2000=True)
    questions: dict[str, list[Question]] = {}
    for number in range(1, CARDS + 1):
        for name, ask in asked(hsm, f"476173{number * 7919:09}4").items():
            questions.setdefault(name, []).append(ask)
    await prove(questions)

    async def one_message(parts: Sequence[Question]) -> None:
        for ask in parts:
            await ask()

    together = zip(*(questions[name] for name in ONE_MESSAGE), strict=True)
    questions[TOGETHER] = [partial(one_message, parts) for parts in together]
    gc.collect()
    gc.disable()
    try:
        return {name: await cost_of(each, rounds) for name, each in questions.items()}
    finally:
        gc.enable()


def machine() -> str:
    """Say in one line what it ran on."""
    model = "unknown processor"
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text()
        models = [line.split(":")[1].strip() for line in text.splitlines() if "model name" in line]
        model = models[0] if models else model
    return (
        f"{platform.system()}, {os.cpu_count()} processors ({model}), "
        f"Python {platform.python_version()}, cryptography {cryptography.__version__}, "
        f"{openssl.openssl_version_text()}"
    )


@click.command()
@click.option("--rounds", default=201, show_default=True, help="Rounds of each operation.")
def main(rounds: int) -> None:
    """Measure what each question of the software HSM costs.

    Nothing else should run meanwhile. Exits with 1 where CVV, PIN and ARQC with ARPC of one message
    take a hundred microseconds or more.
    """
    found = asyncio.run(measure(rounds))
    print(machine())
    print(f"best and median of {rounds} rounds of {QUESTIONS} questions, {CARDS} cards in turn\n")
    print(f"{'':34}{'best µs':>9}{'median µs':>11}")
    for name, cost in found.items():
        print(f"{name:34}{cost.best:9.1f}{cost.median:11.1f}")
    costs = {name: round(cost.best, 2) for name, cost in found.items()}
    print(orjson.dumps({"machine": machine(), "best_us": costs}).decode())
    sys.exit(found[TOGETHER].best >= LIMIT_US)


if __name__ == "__main__":
    main()
