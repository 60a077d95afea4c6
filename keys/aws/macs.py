"""Message authentication codes for GenerateMac and VerifyMac."""

from __future__ import annotations

from dataclasses import dataclass

from keys.aws.question import HeldKey, Question, as_hex, require_bytes, require_use
from keys.hsm import MacAlgorithm
from keys.padding import pad_method_1
from keys.software.key import AES, TDES

#: Bytes of a message that one MAC may be over.
MAC_DATA_MAX = 4096

#: A message's authentication code may be cut, but not below this many bytes.
MAC_LENGTH_MIN = 4


@dataclass(frozen=True, slots=True)
class _Mac:
    algorithm: str  #: the service's name
    usage: str
    cipher: str
    length: int  #: bytes, uncut
    #: Lengths that VerifyMac takes, bytes; others are compared here with the whole one.
    verified: tuple[int, ...]


_MACS = {
    MacAlgorithm.ISO9797_1: _Mac("ISO9797_ALGORITHM1", "M1", TDES, 8, (4, 8)),
    MacAlgorithm.ISO9797_3: _Mac("ISO9797_ALGORITHM3", "M3", TDES, 8, (4, 8)),
    MacAlgorithm.AES_CMAC: _Mac("CMAC", "M6", AES, 16, (16,)),
    MacAlgorithm.TDES_CMAC: _Mac("CMAC", "M6", TDES, 8, (8,)),
}


def mac_length(algorithm: MacAlgorithm) -> int:
    """Bytes of a whole authentication code."""
    return _MACS[algorithm].length


def mac(key: HeldKey, data: bytes, *, algorithm: MacAlgorithm) -> Question:
    """Ask for a message's authentication code, whole."""
    described, parameters = _mac(key, data, algorithm)
    parameters["GenerationAttributes"] = {"Algorithm": described.algorithm}
    parameters["MacLength"] = described.length
    return Question("generate_mac", parameters, {"": key})


def mac_verification(
    key: HeldKey, data: bytes, given: bytes, *, algorithm: MacAlgorithm
) -> Question | None:
    """Ask whether an authentication code is right; None where the service verifies none so long."""
    described, parameters = _mac(key, data, algorithm)
    if len(given) not in described.verified:
        return None
    parameters["VerificationAttributes"] = {"Algorithm": described.algorithm}
    parameters["Mac"] = as_hex(given)
    parameters["MacLength"] = len(given)
    return Question("verify_mac", parameters, {"": key}, "INVALID_MAC")


def _mac(key: HeldKey, data: bytes, algorithm: MacAlgorithm) -> tuple[_Mac, dict[str, object]]:
    """The service pads as we do (method 1), or refuses what is not padded: so it is padded here."""
    described = _MACS[algorithm]
    require_use(key, "MACs", described.usage, described.cipher)
    padded = data if described.algorithm == "CMAC" else pad_method_1(data)
    require_bytes("data", padded, 1, MAC_DATA_MAX)
    return described, {"KeyIdentifier": key.arn, "MessageData": as_hex(padded)}
