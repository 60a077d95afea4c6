"""
Keys: pinned, kept to their use, and told by name alone.

Every backend has one of these questions at least, whatever it can do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from keys.hsm import (
    ArpcMethod,
    Capability,
    CardKeyDerivation,
    CardVerificationValue,
    Cryptogram,
    CryptogramScheme,
    Hsm,
    KeyRef,
    MacAlgorithm,
    PinBlockFormat,
    SessionKeyDerivation,
    VisaPvv,
)
from tests.contract.asking import REFUSES, Case, one_of
from tests.contract.cards import EXPIRY, PAN, PAN_SEQUENCE_NUMBER, PINS, PVKI
from tests.contract.cases_pins import ISO_0, block_of
from tests.contract.keys import KEYS, REFS

#: The row of these in the matrix.
ROW = "pinned-keys"

Question = Callable[[Hsm, KeyRef], Awaitable[object]]

VISA_CVN_10 = CryptogramScheme(
    CardKeyDerivation.OPTION_A, SessionKeyDerivation.NONE, ArpcMethod.METHOD_1
)

#: the key that a question takes, what the backend must be able to do, and the question
QUESTIONS: dict[str, tuple[frozenset[Capability], Question]] = {
    "cvk": (
        frozenset({Capability.CARD_CODE}),
        lambda hsm, key: hsm.verify_card_code(
            key, CardVerificationValue(EXPIRY, "201"), pan=PAN, code="625"
        ),
    ),
    "pvk": (
        frozenset({Capability.VISA_PVV, Capability.PIN_ISO_0}),
        lambda hsm, key: hsm.verify_pin(
            VisaPvv(key, PVKI, "0385"),
            zone_key=REFS["zpk"],
            pin_block=block_of(ISO_0, PINS[0]),
            pin_block_format=ISO_0,
            pan=PAN,
        ),
    ),
    "zpk": (
        frozenset({Capability.VISA_PVV, Capability.PIN_ISO_0}),
        lambda hsm, key: hsm.verify_pin(
            VisaPvv(REFS["pvk"], PVKI, "0385"),
            zone_key=key,
            pin_block=block_of(ISO_0, PINS[0]),
            pin_block_format=ISO_0,
            pan=PAN,
        ),
    ),
    "zpk_next": (
        frozenset({Capability.TRANSLATE_PIN, Capability.PIN_ISO_0}),
        lambda hsm, key: hsm.translate_pin(
            from_key=REFS["zpk"],
            from_format=ISO_0,
            to_key=key,
            to_format=PinBlockFormat.ISO_0,
            pin_block=block_of(ISO_0, PINS[0]),
            pan=PAN,
        ),
    ),
    "imk_ac": (
        frozenset({Capability.ARQC_CARD_KEY, Capability.CARD_KEY_A, Capability.ARPC_1}),
        lambda hsm, key: hsm.verify_arqc(
            key,
            Cryptogram(VISA_CVN_10, PAN, PAN_SEQUENCE_NUMBER, b"\0\1", bytes(16), bytes(8)),
            arpc_data=b"00",
        ),
    ),
    "zak": (
        frozenset({Capability.MAC_ISO9797_3}),
        lambda hsm, key: hsm.mac(key, b"08008220", algorithm=MacAlgorithm.ISO9797_3),
    ),
    "mak_1": (
        frozenset({Capability.MAC_ISO9797_1}),
        lambda hsm, key: hsm.verify_mac(
            key, b"08008220", bytes(8), algorithm=MacAlgorithm.ISO9797_1
        ),
    ),
}


def checks() -> Iterator[Case]:
    """What `check` says of a key that a setting names, before anything is asked with it."""
    for name, (needs, _) in QUESTIONS.items():
        usage = KEYS[name].usage
        ref = REFS[name]
        elsewhere = "V2" if usage != "V2" else "C0"
        for fact, asked, usages, answers in (
            ("is there", ref, (usage,), one_of(None)),
            ("is of one of two usages", ref, (elsewhere, usage), one_of(None)),
            ("with another check value is refused", KeyRef(name, "000000"), (usage,), REFUSES),
            ("without a check value is refused", KeyRef(name, ""), (usage,), REFUSES),
            ("for another usage is refused", ref, (elsewhere,), REFUSES),
        ):
            yield Case(ROW, f"{name} {fact}", needs, checking(asked, *usages), answers)
    unknown = KeyRef("nobody", REFS["cvk"].kcv)
    yield Case(ROW, "one of no name is refused", frozenset(), checking(unknown, "C0"), REFUSES)


def checking(ref: KeyRef, *usages: str) -> Callable[[Hsm], Awaitable[None]]:
    """Ask nobody but the backend itself."""

    async def ask(hsm: Hsm) -> None:
        hsm.check(ref, *usages)

    return ask


def questions() -> Iterator[Case]:
    """A question with another check value, another name or a key of another use is refused."""
    for name, (needs, question) in QUESTIONS.items():
        other = "pvk" if name == "cvk" else "cvk"
        for fact, asked in (
            ("with another check value", KeyRef(name, "000000")),
            ("of no name", KeyRef("nobody", REFS[name].kcv)),
            (f"that is a {KEYS[other].usage}", REFS[other]),
        ):
            yield Case(
                ROW,
                f"a key {fact} is refused for {name}'s question",
                needs,
                asking(question, asked),
                REFUSES,
                (PAN, *PINS),
            )


def asking(question: Question, key: KeyRef) -> Callable[[Hsm], Awaitable[object]]:
    """Ask a question with a key."""

    async def ask(hsm: Hsm) -> object:
        return await question(hsm, key)

    return ask
