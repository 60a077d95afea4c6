"""
What is asked once at start, with made-up values: every question that a message could bring.

A key may be there, be the pinned one and say that it is for this, and the HSM may refuse it all the
same: a mode of use, a permission, a pair of choices that it does not know. That is found out here
and refuses the start, not by the first cardholder.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import product

from keys.hsm import (
    ArpcMethod,
    CardCode,
    CardVerificationValue,
    Cryptogram,
    Cvc3,
    DynamicCvv,
    Hsm,
    HsmRejected,
    Ibm3624,
    PinBlockFormat,
    PinReference,
    Verdict,
    VisaPvv,
)
from switch.flows.issuer import MacZone, PinZone
from switch.prepare import StartError
from switch.rules.program import Program
from switch.wire.mac import LENGTH_MAX

#: Nobody's: no issuer has the first digit.
_PAN, _LONG_PAN = "0" * 16, "0" * 19
_EXPIRY, _SERVICE_CODE, _CODE = "0001", "000", "000"
_PAN_SEQUENCE_NUMBER, _ATC, _UNPREDICTABLE_NUMBER = "00", b"\0\1", bytes(4)
_TRACK = bytes.fromhex(_PAN + "D" + _EXPIRY + _SERVICE_CODE + "0" * 8)
#: Something to make a MAC over: an MTI, as every message begins.
_MESSAGE = b"0800"

Question = Callable[[], Awaitable[object]]


async def try_keys(
    hsm: Hsm,
    programs: Iterable[Program],
    pin_zones: Mapping[str, PinZone],
    mac_zones: Mapping[str, MacZone],
) -> None:
    """Ask every question once. Raises `StartError` naming what the HSM refuses, and
    `HsmUnavailable` where it does not answer.
    """
    for program in programs:
        questions = [*_card_codes(hsm, program), *_cryptograms(hsm, program)]
        questions += _pins(hsm, program, pin_zones.values())
        for question in questions:
            try:
                await question()
            except HsmRejected as error:
                raise StartError(f"program {program.name!r}: {error}") from None
    for link, zone in mac_zones.items():
        try:
            await _try_mac(hsm, zone)
        except HsmRejected as error:
            raise StartError(f"link {link!r}: {error}") from None


def _card_codes(hsm: Hsm, program: Program) -> Iterator[Question]:
    made_of: dict[str, CardCode] = {
        "card_code": CardVerificationValue(_EXPIRY, _SERVICE_CODE),
        "cavv": CardVerificationValue(_EXPIRY, _SERVICE_CODE),
        "dcvv": DynamicCvv(_PAN_SEQUENCE_NUMBER, _EXPIRY, _SERVICE_CODE, "0001"),
        "cvc3": Cvc3(_PAN_SEQUENCE_NUMBER, _ATC, _UNPREDICTABLE_NUMBER, _TRACK),
    }
    for use, key in program.keys.uses().items():
        if of := made_of.get(use):
            yield partial(hsm.verify_card_code, key, of, pan=_PAN, code=_CODE)


def _cryptograms(hsm: Hsm, program: Program) -> Iterator[Question]:
    key = program.keys.cryptogram
    if key is None:
        return
    # Option B differs from A for long PANs alone.
    for scheme, pan in product(program.cryptograms.values(), (_PAN, _LONG_PAN)):
        made_up = Cryptogram(
            scheme=scheme,
            pan=pan,
            pan_sequence_number=_PAN_SEQUENCE_NUMBER,
            atc=_ATC,
            data=bytes(16),
            arqc=bytes(8),
            unpredictable_number=_UNPREDICTABLE_NUMBER,
        )
        data = b"00" if scheme.arpc is ArpcMethod.METHOD_1 else program.csu_approved
        yield partial(hsm.verify_arqc, key, made_up, arpc_data=data)


def _pins(hsm: Hsm, program: Program, zones: Iterable[PinZone]) -> Iterator[Question]:
    references: list[PinReference] = []
    if program.keys.visa_pvv is not None:
        references.append(VisaPvv(program.keys.visa_pvv, pvki="1", pvv="0000"))
    if program.keys.ibm3624 is not None:
        references.append(
            Ibm3624(
                program.keys.ibm3624,
                offset="0000",
                decimalization_table=program.ibm_decimalization_table,
                validation_data=_PAN[-13:-1].ljust(16, "F"),
            )
        )
    for zone in zones:
        is_aes = zone.block_format is PinBlockFormat.ISO_4
        for reference in references:
            yield partial(
                hsm.verify_pin,
                reference,
                zone_key=zone.key,
                pin_block=bytes(16 if is_aes else 8),
                pin_block_format=zone.block_format,
                pan=_PAN,
            )


async def _try_mac(hsm: Hsm, zone: MacZone) -> None:
    """A key must both make a MAC and verify one of a message's length."""
    data, key = zone.pad(_MESSAGE), zone.keys[0]
    mac = await hsm.mac(key, data, algorithm=zone.algorithm)
    verdict = await hsm.verify_mac(key, data, mac[:LENGTH_MAX], algorithm=zone.algorithm)
    if verdict is not Verdict.MATCH:
        raise HsmRejected(f"the {hsm.name} backend does not verify what it made with {key.name!r}")
