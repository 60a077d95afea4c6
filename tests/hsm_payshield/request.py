"""A request as the peer reads it: field after field, as an HSM does."""

from __future__ import annotations

from dataclasses import dataclass

import psec

from tests.hsm_payshield.lmk import KeyRefused, unwrap_as, unwrap_block


class Refused(Exception):
    """The HSM answers with this error code alone."""


@dataclass(slots=True)
class Request:
    """The fields of a command that are still to be read."""

    rest: bytes
    has_key_blocks: bool

    def take(self, count: int) -> bytes:
        """Take bytes; error 15 where there are not as many."""
        taken, self.rest = self.rest[:count], self.rest[count:]
        if len(taken) != count:
            raise Refused("15")
        return taken

    def text(self, count: int) -> str:
        """Take characters."""
        return self.take(count).decode("latin-1")

    def digits(self, count: int) -> str:
        """Take decimal digits."""
        taken = self.text(count)
        if not taken.isdigit():
            raise Refused("15")
        return taken

    def hex(self, count: int) -> bytes:
        """Take hexadecimal digits, upper case as the HSM wants them."""
        taken = self.text(count)
        if taken != taken.upper():
            raise Refused("15")
        try:
            return bytes.fromhex(taken)
        except ValueError:
            raise Refused("15") from None

    def until(self, delimiter: bytes) -> str:
        """Take all before a delimiter, and the delimiter."""
        taken, found, self.rest = self.rest.partition(delimiter)
        if not found:
            raise Refused("15")
        return taken.decode("latin-1")

    def expect(self, literal: bytes) -> None:
        """Take what must stand here."""
        if self.take(len(literal)) != literal:
            raise Refused("15")

    def key_text(self) -> str:
        """Take a key, by its scheme."""
        first = self.rest[:1]
        if first == b"S":
            size = int(self.rest[2:6])
            return self.text(1 + size)
        return self.text({b"U": 33, b"T": 49}.get(first, 16))

    def key(self, key_type: str, usages: str, parity_error: str = "10") -> bytes:
        """Take a key and open it: as one of a key type, or of these TR-31 usages."""
        text = self.key_text()
        try:
            return self.opened(text, key_type, usages)
        except KeyRefused as refused:
            code = str(refused)
            raise Refused(parity_error if code == "10" else code) from None

    def opened(self, text: str, key_type: str, usages: str) -> bytes:
        """Open a key; an LMK scheme other than the HSM's is refused."""
        if (text[0] == "S") is not self.has_key_blocks:
            raise KeyRefused("A1" if text[0] == "S" else "26")
        if not self.has_key_blocks:
            return unwrap_as(text, key_type)
        usage, _, key = unwrap_block(text)
        if usage not in usages.split():
            raise KeyRefused("A6")
        return key


def decode_pin(key: bytes, block: bytes, code: str, account: str) -> str:
    """Give the PIN of an enciphered block; 20 or 24 where it is none."""
    clear = psec.des.decrypt_tdes_ecb(key, block)
    pan = account + "0"
    try:
        match code:
            case "01":
                return str(psec.pinblock.decode_pinblock_iso_0(clear, pan))
            case "47":
                return str(psec.pinblock.decode_pinblock_iso_3(clear, pan))
            case "05":
                return _decode_iso_1(clear)
    except ValueError as error:
        raise Refused("24" if "length" in str(error) else "20") from None
    raise Refused("23")


def encode_pin(key: bytes, pin: str, code: str, account: str) -> bytes:
    """Make an enciphered block."""
    pan = account + "0"
    match code:
        case "01":
            clear = psec.pinblock.encode_pinblock_iso_0(pin, pan)
        case "47":
            clear = psec.pinblock.encode_pinblock_iso_3(pin, pan)
        case "05":
            clear = bytes.fromhex(f"1{len(pin):X}{pin}".ljust(16, "7"))
        case _:
            raise Refused("23")
    return bytes(psec.des.encrypt_tdes_ecb(key, clear))


def _decode_iso_1(clear: bytes) -> str:
    nibbles = clear.hex()
    length = int(nibbles[1], 16)
    pin = nibbles[2 : 2 + length]
    if nibbles[0] != "1":
        raise ValueError("control field")
    if not 4 <= length <= 12:
        raise ValueError("PIN length")
    if not pin.isdigit():
        raise ValueError("PIN digits")
    return pin
