"""PIN verification: the Visa PIN verification value and the IBM 3624 offset."""

from __future__ import annotations

from keys.software.digits import decimalize
from keys.software.tdes import BlockTransform

#: A PIN verification value has four digits, made from the PIN's first four.
PVV_LENGTH = 4


def visa_pvv(encrypt: BlockTransform, *, pan: str, pvki: str, pin: str) -> str:
    """
    Make the PIN verification value of a PIN.

    The eleven rightmost digits of the PAN before its check digit, the key index
    and the PIN's leftmost four digits are one block; its encryption is read as
    decimal (Visa PIN security, PVV method).
    """
    block = bytes.fromhex(pan[-12:-1] + pvki + pin[:PVV_LENGTH])
    return decimalize(encrypt(block), PVV_LENGTH)


def ibm3624_natural_pin(
    encrypt: BlockTransform, *, validation_data: str, decimalization_table: str, length: int
) -> str:
    """
    Make the PIN that IBM 3624 derives from the account, `length` digits of it.

    The encrypted validation data, each of its hex digits looked up in the table
    (z/OS ICSF, "3624 PIN generation algorithm").
    """
    encrypted = encrypt(bytes.fromhex(validation_data)).hex()
    return "".join(decimalization_table[int(digit, 16)] for digit in encrypted[:length])


def ibm3624_offset(natural_pin: str, pin: str, *, length: int) -> str:
    """Subtract, digit by digit modulo ten, and keep the rightmost `length` digits."""
    return "".join(str((int(p) - int(n)) % 10) for p, n in zip(pin, natural_pin, strict=True))[
        -length:
    ]
