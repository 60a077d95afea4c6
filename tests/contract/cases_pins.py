"""PINs: right ones, wrong ones, blocks of others, blocks that are none, and translation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from itertools import product

from keys.hsm import (
    Capability,
    Hsm,
    Ibm3624,
    PinBlockFormat,
    PinReference,
    Verdict,
    VisaPvv,
)
from tests.contract import oracle
from tests.contract.asking import (
    IS_NOT_READ,
    MATCHES,
    MISMATCHES,
    REFUSES,
    Answer,
    Case,
)
from tests.contract.cards import (
    DECIMALIZATION_TABLE,
    OTHER_PAN,
    PAN,
    PINS,
    PVKI,
    VALIDATION_DATA,
    WRONG_PINS,
)
from tests.contract.keys import REFS

ISO_0, ISO_1, ISO_3, ISO_4 = PinBlockFormat
READS = {
    ISO_0: Capability.PIN_ISO_0,
    ISO_1: Capability.PIN_ISO_1,
    ISO_3: Capability.PIN_ISO_3,
    ISO_4: Capability.PIN_ISO_4,
}


def zone_of(kind: PinBlockFormat) -> str:
    """Name the zone key of a format."""
    return "zpk_aes" if kind is ISO_4 else "zpk"


def pvv(pin: str, *, pan: str = PAN) -> VisaPvv:
    """Give a card's PVV for a PIN."""
    return VisaPvv(REFS["pvk"], PVKI, oracle.visa_pvv(pan=pan, pvki=PVKI, pin=pin))


def ibm(pin: str) -> Ibm3624:
    """Give a card's offset for a PIN."""
    offset = oracle.ibm3624_offset(
        pin=pin, validation_data=VALIDATION_DATA, decimalization_table=DECIMALIZATION_TABLE
    )
    return Ibm3624(REFS["pvk_ibm"], offset, DECIMALIZATION_TABLE, VALIDATION_DATA)


def pin_case(
    row: Capability,
    fact: str,
    reference: PinReference,
    block: bytes,
    answers: Answer,
    *,
    kind: PinBlockFormat = ISO_0,
    pan: str = PAN,
) -> Case:
    """Ask for the PIN of one block."""

    async def ask(hsm: Hsm) -> Verdict:
        return await hsm.verify_pin(
            reference,
            zone_key=REFS[zone_of(kind)],
            pin_block=block,
            pin_block_format=kind,
            pan=pan,
        )

    way = Capability.VISA_PVV if isinstance(reference, VisaPvv) else Capability.IBM_3624
    return Case(
        row,
        fact,
        frozenset({row, way, READS[kind]}),
        ask,
        answers,
        secrets=(pan, *PINS, block.hex()),
    )


def block_of(kind: PinBlockFormat, pin: str, *, pan: str = PAN, key: str | None = None) -> bytes:
    """Make a block under the zone's key, or another one."""
    return oracle.pin_block(key or zone_of(kind), kind, pin=pin, pan=pan)


def references() -> Iterator[Case]:
    """PVV and IBM 3624 offset, with PINs of four, six and twelve digits."""
    for pin, wrong in zip(PINS, WRONG_PINS, strict=True):
        for row, reference in ((Capability.VISA_PVV, pvv(pin)), (Capability.IBM_3624, ibm(pin))):
            for given, fact, answers in (
                (pin, f"a PIN of {len(pin)} digits matches", MATCHES),
                (wrong, f"a wrong one of {len(pin)} does not", MISMATCHES),
            ):
                yield pin_case(row, fact, reference, block_of(ISO_0, given), answers)


def formats() -> Iterator[Case]:
    """Every format: a right and a wrong PIN, another card's block, and what is no block."""
    for kind, row in READS.items():
        pin, size = PINS[0], 16 if kind is ISO_4 else 8
        block = block_of(kind, pin)
        yield pin_case(row, "a PIN matches", pvv(pin), block, MATCHES, kind=kind)
        yield pin_case(
            row, "a wrong PIN does not", pvv(WRONG_PINS[0]), block, MISMATCHES, kind=kind
        )
        twelve = block_of(kind, PINS[2])
        yield pin_case(row, "one of 12 digits matches", pvv(PINS[2]), twelve, MATCHES, kind=kind)
        if kind is not ISO_1:
            yield pin_case(
                row,
                "another card's block does not, though the PIN is the same",
                pvv(pin),
                block_of(kind, pin, pan=OTHER_PAN),
                IS_NOT_READ,
                kind=kind,
            )
        for fact, garbage in (
            ("zeros are no block", bytes(size)),
            ("noise is no block", bytes(range(7, 7 + size))),
            ("half a block is none", block[: size // 2]),
            ("a block and a half is none", block + block[: size // 2]),
            ("nothing is no block", b""),
        ):
            yield pin_case(row, fact, pvv(pin), garbage, IS_NOT_READ, kind=kind)
        if kind is not ISO_4:
            stale = block_of(kind, pin, key="zpk_next")
            yield pin_case(
                row, "under another zone's key it is none", pvv(pin), stale, IS_NOT_READ, kind=kind
            )


def translations() -> Iterator[Case]:
    """Every pair of formats, into another zone; never a bound block into format 1."""
    row, pin = Capability.TRANSLATE_PIN, PINS[1]
    for source, target in product(PinBlockFormat, repeat=2):
        needs = frozenset({row, READS[source], READS[target]})
        block = block_of(source, pin)
        if target is ISO_1 and source is not ISO_1:
            fact, answers = f"{source.value} → {target.value} is refused", REFUSES
        else:
            fact, answers = f"{source.value} → {target.value} keeps the PIN", carries(target, pin)
        yield Case(row, fact, needs, translating(source, target, block), answers, (PAN, pin))
    needs = frozenset({row, Capability.PIN_ISO_0})
    for fact, garbage in (("noise", bytes(range(8))), ("nothing", b"")):
        yield Case(
            row, f"{fact} is refused", needs, translating(ISO_0, ISO_0, garbage), REFUSES, (PAN,)
        )
    anothers = block_of(ISO_0, pin, pan=OTHER_PAN)
    yield Case(
        row,
        "another card's block never gives its PIN",
        needs,
        translating(ISO_0, ISO_0, anothers),
        lambda answer: REFUSES(answer) or not carries(ISO_0, pin)(answer),
        (PAN, pin),
    )


def target_of(kind: PinBlockFormat) -> str:
    """Name the key of the zone that a block goes to."""
    return "zpk_aes" if kind is ISO_4 else "zpk_next"


def carries(kind: PinBlockFormat, pin: str) -> Answer:
    """Judge whether a block of the other zone has this PIN for this PAN."""

    def has(answer: object) -> bool:
        if not isinstance(answer, bytes):
            return False
        try:
            return pin == oracle.pin_of(target_of(kind), kind, answer, pan=PAN)
        except ValueError:
            return False

    return has


def translating(
    source: PinBlockFormat, target: PinBlockFormat, block: bytes
) -> Callable[[Hsm], Awaitable[bytes]]:
    """Ask for a block under another zone's key."""

    async def ask(hsm: Hsm) -> bytes:
        return await hsm.translate_pin(
            from_key=REFS[zone_of(source)],
            from_format=source,
            to_key=REFS[target_of(target)],
            to_format=target,
            pin_block=block,
            pan=PAN,
        )

    return ask
