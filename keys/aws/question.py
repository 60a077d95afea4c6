"""
A question to AWS Payment Cryptography: which operation, with which parameters. No I/O.

Names, patterns and lengths in this package are those of the service's own model
(payment-cryptography-data, 2022-02-03). What the model leaves open is said in docs/hsm-aws.md.
Shapes are checked before the SDK sees them, for its own check would put values into its exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from keys.hsm import HsmRejected
from keys.software.key import TDES


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key of the key file as the service holds it."""

    name: str
    arn: str  #: of the key itself: an alias may be given to another
    kcv: str  #: six hexadecimal digits
    usage: str  #: two characters of TR-31
    algorithm: str  #: T, A or H


@dataclass(frozen=True, slots=True)
class Question:
    """One call of the data plane."""

    operation: str  #: as the SDK's method is called
    parameters: Mapping[str, object] = field(repr=False)
    #: Whose ARN and check value the answer must bear, by the prefix of those fields.
    keys: Mapping[str, HeldKey]
    #: With which a VerificationFailedException says no; empty where nothing is verified.
    reason: str = ""


def require_use(key: HeldKey, purpose: str, usage: str, algorithm: str = TDES) -> None:
    """Raise `HsmRejected` unless the key is of this TR-31 usage and cipher."""
    if (key.usage, key.algorithm) != (usage, algorithm):
        raise HsmRejected(f"key {key.name!r}: not to be used for {purpose}")


def require_bytes(name: str, value: bytes, low: int, high: int) -> None:
    """Raise `HsmRejected`, naming the field alone, unless it has `low` to `high` bytes."""
    if not low <= len(value) <= high:
        wanted = f"{low}" if low == high else f"{low} to {high}"
        raise HsmRejected(f"{name}: {wanted} bytes are needed")


def as_hex(value: bytes) -> str:
    """Bytes as the service reads and writes them."""
    return value.hex().upper()
