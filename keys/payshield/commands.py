"""
The host commands of a payShield that an authorization needs: their fields and their replies.

Pure functions: each gives a `Command` that holds the fields and how its reply is read. Keys are the
text that a command takes: 16 hex digits, `U` and 32, `T` and 48, or `S` and a key block.

Sources. Layouts of requests and replies: frames and field lists of ut-codec-payshield (Apache-2.0;
test/config/test.js, messages.json), and the RG7000/8000 host command pages, which say the same.
Echo and diagnostics: mszeu/PayShieldPressureTest. Nothing here was run against a device.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from keys.hsm import ArqcAnswer, HsmRejected, PinBlockFormat, Verdict
from keys.payshield.errors import Outcome
from keys.payshield.frame import Command, ReplyError

#: PIN block format codes of Thales for the formats of ISO 9564-1.
#: 48, format 4, is not here: how its account number stands in a command is not published.
PIN_BLOCK_FORMATS = {
    PinBlockFormat.ISO_0: "01",
    PinBlockFormat.ISO_1: "05",
    PinBlockFormat.ISO_3: "47",
}

#: The longest PIN; the commands that take it want it to be 12.
_PIN_LENGTH_MAX = "12"

#: Account digits that `N` stands for in PIN validation data.
_INSERTED = 5

#: Bytes of a MAC, and their code.
_MAC_SIZES = {4: "0", 8: "1"}
_MAC_MAX = 8

_HEX_6 = re.compile(rb"[0-9A-F]{6}")
_HEX_8 = re.compile(rb"[0-9A-F]{8}")
_HEX_16 = re.compile(rb"[0-9A-F]{16}")
_TRANSLATED = re.compile(rb"\d{2}([0-9A-F]{16})(\d{2})")
_DIAGNOSTICS = re.compile(rb"([0-9A-F]{16})([\x20-\x7e]{9})")

_VERDICTS = {
    Outcome.DONE: Verdict.MATCH,
    Outcome.MISMATCH: Verdict.MISMATCH,
    Outcome.UNREADABLE: Verdict.UNREADABLE,
}


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """What an HSM says of itself."""

    lmk_check_value: str  #: sixteen hex digits: another LMK has another
    firmware: str


def account_number(pan: str) -> str:
    """Give the twelve rightmost digits of a PAN before its check digit."""
    return pan[-13:-1].rjust(12, "0")


def echo(data: bytes) -> Command[None]:
    """B2: the HSM sends the data back. Length in four hex digits."""

    def read(_: Outcome, fields: bytes) -> None:
        if fields != data:
            raise ReplyError("an echo of something else")

    return Command("B2", f"{len(data):04X}".encode() + data, read)


def diagnostics() -> Command[Diagnostics]:
    """NC: the LMK's check value and the firmware."""

    def read(_: Outcome, fields: bytes) -> Diagnostics:
        lmk_check_value, firmware = _match(_DIAGNOSTICS, fields, "diagnostics").groups()
        return Diagnostics(lmk_check_value.decode(), firmware.decode())

    return Command("NC", b"", read)


def key_check_value(key: str, key_type: str) -> Command[str]:
    """
    BU: a key's check value, six hex digits.

    Key type code FF says that the key's type, three characters, stands after it; the length flag is
    0, 1 or 2 for a single, double or triple key, F for a key block; after `00`, reserved, 1 asks
    for six digits. Source: ut-codec-payshield, generateKeyCheckValue: four frames, one with a
    key block; nickntg ThalesSim parses the same.
    """
    flag = {"U": "1", "T": "2", "S": "F"}.get(key[0], "0")

    def read(_: Outcome, fields: bytes) -> str:
        return _match(_HEX_6, fields, "check value")[0].decode()

    return Command("BU", f"FF{flag}{key};{key_type};001".encode(), read)


def verify_cvv(
    key: str, *, code: str, pan: str, expiry: str, service_code: str
) -> Command[Verdict]:
    """CY: a CVV of three digits."""
    return Command("CY", f"{key}{code}{pan};{expiry}{service_code}".encode(), _verdict)


def verify_pvv(
    zone_key: str,
    pvk: str,
    *,
    pin_block: bytes,
    format_code: str,
    pan: str,
    pvki: str,
    pvv: str,
    terminal: bool = False,
) -> Command[Verdict]:
    """EC, or DC where the PIN is under a terminal's key: a Visa PIN verification value."""
    fields = f"{zone_key}{pvk}{_hex(pin_block)}{format_code}{account_number(pan)}{pvki}{pvv}"
    return Command("DC" if terminal else "EC", fields.encode(), _verdict)


def verify_offset(
    zone_key: str,
    pvk: str,
    *,
    pin_block: bytes,
    format_code: str,
    pan: str,
    offset: str,
    decimalization_table: str,
    validation_data: str,
    terminal: bool = False,
) -> Command[Verdict]:
    """EA, or DA where the PIN is under a terminal's key: an IBM 3624 offset.

    `validation_data` is the HSM's: twelve characters, see `inserted_validation_data`.
    """
    fields = (
        f"{zone_key}{pvk}{_PIN_LENGTH_MAX}{_hex(pin_block)}{format_code}{len(offset):02d}"
        f"{account_number(pan)}{decimalization_table}{validation_data}{offset:F<12}"
    )
    return Command("DA" if terminal else "EA", fields.encode(), _verdict)


def inserted_validation_data(validation_data: str, pan: str) -> str:
    """
    Write sixteen digits of validation data in twelve: `N` is where five account digits stand.

    The HSM puts the last five digits of the account number field in place of `N`. Raises
    `HsmRejected` where those five do not stand in the data: such data it cannot be given.
    """
    inserted = account_number(pan)[-_INSERTED:]
    at = validation_data.find(inserted)
    if at < 0:
        raise HsmRejected(
            "validation_data: a payShield needs the last five digits of the account number in it"
        )
    return f"{validation_data[:at]}N{validation_data[at + _INSERTED :]}".upper()


def translate_pin(
    from_key: str,
    to_key: str,
    *,
    pin_block: bytes,
    from_format: str,
    to_format: str,
    pan: str,
    terminal: bool = False,
) -> Command[bytes]:
    """CC, or CA from a terminal's key: a PIN block anew under a zone key. Formats are codes."""

    def read(_: Outcome, fields: bytes) -> bytes:
        block, written = _match(_TRANSLATED, fields, "PIN block").groups()
        if written != to_format.encode():
            raise ReplyError("a PIN block of another format")
        return bytes.fromhex(block.decode())

    fields = (
        f"{from_key}{to_key}{_PIN_LENGTH_MAX}{_hex(pin_block)}{from_format}{to_format}"
        f"{account_number(pan)}"
    )
    return Command("CA" if terminal else "CC", fields.encode(), read)


def verify_arqc_kq(
    key: str,
    *,
    scheme: str,
    pan: str,
    pan_sequence_number: str,
    atc: bytes,
    unpredictable_number: bytes,
    data: bytes,
    arqc: bytes,
    arc: bytes | None,
) -> Command[ArqcAnswer]:
    """
    KQ: an ARQC under the card's key (scheme 0, Visa) or M/Chip's session key (scheme 1).

    With an ARC, mode 1: its ARPC of method 1, under the card's key in both schemes; without, mode
    0. ATC and unpredictable number always stand there. Card keys are of option A. The HSM pads data
    with zeros only where it does not fill its blocks.
    """
    mode = "0" if arc is None else "1"
    card = bytes.fromhex(_digits_of_card(pan, pan_sequence_number)[-16:])
    head = f"{mode}{scheme}{key}".encode() + card + atc + unpredictable_number
    return Command("KQ", head + _transaction(data, arqc) + (arc or b""), _arqc(mode, 8))


def verify_arqc_kw(
    key: str,
    *,
    option_b: bool,
    pan: str,
    pan_sequence_number: str,
    atc: bytes,
    data: bytes,
    arqc: bytes,
    arc: bytes | None = None,
    csu: bytes | None = None,
    proprietary: bytes = b"",
) -> Command[ArqcAnswer]:
    """
    KW: an ARQC under EMV common session keys; scheme 2 for card keys of option A, 3 for option B.

    With an ARC, mode 1: its ARPC of method 1, eight bytes. With a CSU (four bytes) and up to eight
    proprietary bytes, mode 3: method 2, of which the first four of the reply's eight bytes are the
    ARPC. With neither, mode 0.
    """
    mode, tail, size = "0", b"", 0
    if arc is not None:
        mode, tail, size = "1", arc, 8
    elif csu is not None:
        mode, tail, size = "3", csu + f"{len(proprietary):X}".encode() + proprietary, 4
    digits = _digits_of_card(pan, pan_sequence_number)
    if option_b:
        packed = bytes.fromhex(digits)
        card = f"{len(packed):02d}".encode() + packed + b";"
    else:
        card = bytes.fromhex(digits[-16:])
    head = f"{mode}{'3' if option_b else '2'}{key}".encode() + card + atc
    return Command("KW", head + _transaction(data, arqc) + tail, _arqc(mode, size))


def generate_mac(
    key: str, key_type: str, data: bytes, *, algorithm: str, size: int = 8, text: bool = False
) -> Command[bytes]:
    """
    M6: a MAC of four or eight bytes over data that the HSM pads with zeros (padding method 1).

    Data are binary; as text, an HSM that is set to EBCDIC would convert them.
    """

    def read(_: Outcome, fields: bytes) -> bytes:
        mac = _match(_HEX_16 if size == _MAC_MAX else _HEX_8, fields, "MAC")[0]
        return bytes.fromhex(mac.decode())

    return Command("M6", _mac_fields(size, algorithm, key_type, key, data, text), read)


def verify_mac(
    key: str, key_type: str, data: bytes, mac: bytes, *, algorithm: str, text: bool = False
) -> Command[Verdict]:
    """M8: a MAC of four or eight bytes, otherwise as M6."""
    fields = _mac_fields(len(mac), algorithm, key_type, key, data, text) + _hex(mac).encode()
    return Command("M8", fields, _verdict)


def _mac_fields(
    size: int, algorithm: str, key_type: str, key: str, data: bytes, text: bool
) -> bytes:
    """Mode 0, the only block; input format; size; algorithm; padding 1; key; data."""
    codes = f"0{'2' if text else '0'}{_MAC_SIZES[size]}{algorithm}1"
    return f"{codes}{key_type}{key}{len(data):04X}".encode() + data


def _transaction(data: bytes, arqc: bytes) -> bytes:
    return f"{len(data):02X}".encode() + data + b";" + arqc


def _digits_of_card(pan: str, pan_sequence_number: str) -> str:
    """PAN and sequence number, at least sixteen digits and an even number of them."""
    digits = (pan + pan_sequence_number).rjust(16, "0")
    return digits.rjust(len(digits) + len(digits) % 2, "0")


def _arqc(mode: str, size: int) -> Callable[[Outcome, bytes], ArqcAnswer]:
    """Read KR or KX: eight bytes of which `size` are the ARPC; none in mode 0."""

    def read(outcome: Outcome, fields: bytes) -> ArqcAnswer:
        if outcome is not Outcome.DONE:
            # In the authorised state the HSM adds the right ARQC: it is looked at by nobody.
            if len(fields) not in (0, 8):
                raise ReplyError("more than a verdict")
            return ArqcAnswer(Verdict.MISMATCH)
        if len(fields) != (0 if mode == "0" else 8):
            raise ReplyError("an ARPC of another length")
        return ArqcAnswer(Verdict.MATCH, fields[:size] or None)

    return read


def _verdict(outcome: Outcome, fields: bytes) -> Verdict:
    if fields:
        raise ReplyError("more than a verdict")
    return _VERDICTS[outcome]


def _match(pattern: re.Pattern[bytes], fields: bytes, what: str) -> re.Match[bytes]:
    match = pattern.fullmatch(fields)
    if match is None:
        raise ReplyError(f"no {what} where one is due")
    return match


def _hex(block: bytes) -> str:
    return block.hex().upper()
