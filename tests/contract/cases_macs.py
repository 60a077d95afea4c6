"""Message authentication codes: made, whole, cut and wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from keys.hsm import Capability, Hsm, MacAlgorithm, Verdict
from keys.padding import pad_method_2
from tests.contract import oracle
from tests.contract.asking import MATCHES, MISMATCHES, Case, one_of
from tests.contract.keys import REFS

ALGORITHMS = {
    MacAlgorithm.ISO9797_1: (Capability.MAC_ISO9797_1, "mak_1"),
    MacAlgorithm.ISO9797_3: (Capability.MAC_ISO9797_3, "zak"),
    MacAlgorithm.AES_CMAC: (Capability.MAC_AES_CMAC, "mak_aes"),
    MacAlgorithm.TDES_CMAC: (Capability.MAC_TDES_CMAC, "mak_tdes"),
}

#: Of one block, of many, and not of whole ones. Bytes of every value are in the second.
MESSAGES = {
    "8 bytes": b"08008220",
    "256 bytes": bytes(range(256)),
    "131 bytes": bytes(reversed(range(125, 256))),
    "a padded message": pad_method_2(b"0800822000000000000004000000000000001128"),
}


def making(key: str, data: bytes, algorithm: MacAlgorithm) -> Callable[[Hsm], Awaitable[bytes]]:
    """Ask for a code."""

    async def ask(hsm: Hsm) -> bytes:
        return await hsm.mac(REFS[key], data, algorithm=algorithm)

    return ask


def verifying(
    key: str, data: bytes, mac: bytes, algorithm: MacAlgorithm
) -> Callable[[Hsm], Awaitable[Verdict]]:
    """Ask whether a code is right."""

    async def ask(hsm: Hsm) -> Verdict:
        return await hsm.verify_mac(REFS[key], data, mac, algorithm=algorithm)

    return ask


def codes() -> Iterator[Case]:
    """Every algorithm: made whole; verified whole and cut, but never below four bytes."""
    for algorithm, (row, key) in ALGORITHMS.items():
        needs = frozenset({row})
        for name, data in MESSAGES.items():
            mac = oracle.mac(algorithm, key, data)
            fact = f"that of {name} is made"
            yield Case(row, fact, needs, making(key, data, algorithm), one_of(mac))
            for length in (len(mac), 4):
                ask = verifying(key, data, mac[:length], algorithm)
                yield Case(row, f"{length} bytes of that of {name} match", needs, ask, MATCHES)
        data = MESSAGES["131 bytes"]
        mac = oracle.mac(algorithm, key, data)
        for fact, given in (
            ("the last bit off does not match", mac[:-1] + bytes([mac[-1] ^ 1])),
            ("four wrong bytes do not", bytes([mac[0] ^ 1]) + mac[1:4]),
            ("three bytes prove nothing", mac[:3]),
            ("nothing proves nothing", b""),
            ("a byte too many does not match", mac + b"\0"),
        ):
            yield Case(row, fact, needs, verifying(key, data, given, algorithm), MISMATCHES)
        ask = verifying(key, data + b"\1", mac, algorithm)
        yield Case(row, "of another message it does not match", needs, ask, MISMATCHES)
