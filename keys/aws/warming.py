"""
What is asked at start, and to learn whether the service is there: questions about made-up values.

Every key is asked with once, so that a missing permission shows before the first cardholder. What
the service says of the made-up values does not matter; that it says it does.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

from keys.aws import card_codes, cryptograms, macs, pins
from keys.aws.calls import ParameterRefused, call
from keys.aws.pool import START_TIMEOUT, Pool
from keys.aws.question import HeldKey, Question
from keys.hsm import (
    ArpcMethod,
    CardKeyDerivation,
    CardVerificationValue,
    Cryptogram,
    CryptogramScheme,
    Cvc3,
    DynamicCvv,
    HsmUnavailable,
    Ibm3624,
    KeyRef,
    MacAlgorithm,
    PinBlockFormat,
    SessionKeyDerivation,
    VisaPvv,
)
from keys.software.key import AES, TDES

#: Nobody's: no issuer has this number.
_PAN = "0" * 16

#: A first call meets a cold service, and may take longer than any other.
_ATTEMPTS = 3

_SCHEME = CryptogramScheme(
    CardKeyDerivation.OPTION_A, SessionKeyDerivation.COMMON, ArpcMethod.METHOD_1
)


def questions(keys: Iterable[HeldKey]) -> list[Question]:
    """One question for each key that any can be asked with."""
    held = list(keys)
    zones = [key for key in held if key.usage == "P0"]
    asked = [_question(key, zones) for key in held]
    return [question for question in asked if question is not None]


async def warm(pool: Pool, asked: Sequence[Question], connections: int) -> None:
    """
    Ask one question over each connection at once, then those that are left.

    Raises `HsmRejected` where the service refuses to use a key, and `HsmUnavailable` where it does
    not answer, again.
    """
    works = [partial(reach, question=asked[i % len(asked)]) for i in range(connections)]
    await _again(partial(pool.on_each, works))
    for question in asked[connections:]:
        await _again(partial(pool.run, partial(reach, question=question), START_TIMEOUT))


async def _again(ask: Callable[[], Awaitable[None]]) -> None:
    for left in reversed(range(_ATTEMPTS)):
        try:
            await ask()
        except HsmUnavailable:
            if not left:
                raise
        else:
            return


def reach(client: Any, question: Question) -> None:
    """Ask, and be content with any answer about the values. Raises as `call` does; blocks."""
    try:
        call(client, question)
    except ParameterRefused:
        return


def _question(key: HeldKey, zones: list[HeldKey]) -> Question | None:
    match key.usage, key.algorithm:
        case "C0", "T":
            return card_codes.card_code(
                key, CardVerificationValue("0000", "000"), pan=_PAN, code="000"
            )
        case "E6", "T":
            return card_codes.card_code(
                key, DynamicCvv("00", "0000", "000", "0000"), pan=_PAN, code="000"
            )
        case "E4", "T":
            return card_codes.card_code(
                key, Cvc3("00", bytes(2), bytes(4), bytes(16)), pan=_PAN, code="000"
            )
        case "E0", "T":
            return cryptograms.cryptogram(
                key, Cryptogram(_SCHEME, _PAN, "00", bytes(2), bytes(8), bytes(8)), arpc_data=b"00"
            )
        case (("V1" | "V2"), "T"):
            return _pin(key, zones)
        case "P0", ("T" | "A"):
            return pins.pin_block_reading(
                key, pin_block=_block(key), pin_block_format=_format(key), pan=_PAN
            )
    return _mac(key)


def _pin(key: HeldKey, zones: list[HeldKey]) -> Question | None:
    """A PIN is verified under two keys: without a zone's there is nothing to ask."""
    if not zones:
        return None
    zone = zones[0]
    ref = KeyRef(key.name, key.kcv)
    reference = (
        VisaPvv(ref, "1", "0000")
        if key.usage == "V2"
        else Ibm3624(ref, "0000", "0123456789012345", "0" * 16)
    )
    return pins.pin(
        reference, key, zone, pin_block=_block(zone), pin_block_format=_format(zone), pan=_PAN
    )


def _mac(key: HeldKey) -> Question | None:
    algorithms = {
        ("M1", TDES): MacAlgorithm.ISO9797_1,
        ("M3", TDES): MacAlgorithm.ISO9797_3,
        ("M6", AES): MacAlgorithm.AES_CMAC,
        ("M6", TDES): MacAlgorithm.TDES_CMAC,
    }
    algorithm = algorithms.get((key.usage, key.algorithm))
    if algorithm is None:
        return None
    return macs.mac_verification(
        key, bytes(8), bytes(macs.mac_length(algorithm)), algorithm=algorithm
    )


def _format(zone: HeldKey) -> PinBlockFormat:
    return PinBlockFormat.ISO_4 if zone.algorithm == AES else PinBlockFormat.ISO_0


def _block(zone: HeldKey) -> bytes:
    """Deciphered, chance is no PIN block."""
    return secrets.token_bytes(pins.PIN_BLOCK_SIZES[_format(zone)])
