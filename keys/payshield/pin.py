"""Which payShield command verifies a PIN, by its reference and the key that it is under."""

from __future__ import annotations

import re

from keys.hsm import HsmRejected, Ibm3624, PinBlockFormat, PinReference, Verdict, VisaPvv
from keys.payshield import commands as commands
from keys.payshield.frame import Command
from keys.payshield.keys import Keys, WrappedKey
from keys.software.digits import require_decimalization_table, require_digits

_PVV_LENGTH = 4
_HEX_16 = re.compile(r"[0-9A-Fa-f]{16}", re.ASCII)


def format_code(block_format: PinBlockFormat) -> str:
    """Give the HSM's code of a PIN block format; `HsmRejected` for one that it cannot be asked."""
    try:
        return commands.PIN_BLOCK_FORMATS[block_format]
    except KeyError:
        raise HsmRejected("pin_block_format: the payShield backend cannot read this one") from None


def pin_command(
    keys: Keys,
    reference: PinReference,
    zone: WrappedKey,
    *,
    pin_block: bytes,
    block_format: PinBlockFormat,
    pan: str,
) -> Command[Verdict]:
    """
    Give the command that compares a PIN: EC or EA, under a terminal's key DC or DA.

    Raises `HsmRejected` naming the key or the field of the reference that is wrong.
    """
    code = format_code(block_format)
    match reference:
        case VisaPvv():
            pvk = keys.find(reference.key, "V2")
            require_digits("pvki", reference.pvki, 1, 1)
            require_digits("pvv", reference.pvv, _PVV_LENGTH, _PVV_LENGTH)
            return commands.verify_pvv(
                zone.text,
                pvk.text,
                pin_block=pin_block,
                format_code=code,
                pan=pan,
                pvki=reference.pvki,
                pvv=reference.pvv,
                terminal=zone.is_terminal,
            )
        case Ibm3624():
            pvk = keys.find(reference.key, "V1")
            require_digits("offset", reference.offset, 4, 12)
            require_decimalization_table(reference.decimalization_table)
            if _HEX_16.fullmatch(reference.validation_data) is None:
                raise HsmRejected("validation_data: 16 hexadecimal digits are needed")
            return commands.verify_offset(
                zone.text,
                pvk.text,
                pin_block=pin_block,
                format_code=code,
                pan=pan,
                offset=reference.offset,
                decimalization_table=reference.decimalization_table,
                validation_data=commands.inserted_validation_data(reference.validation_data, pan),
                terminal=zone.is_terminal,
            )
