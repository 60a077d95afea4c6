"""Digits: what a field must be made of, and how a cryptogram becomes decimal."""

from __future__ import annotations

from keys.hsm import HsmRejected

#: Different digits that a decimalization table must have, and how often each may stand in it.
DECIMALIZATION_DIGITS_MIN, DECIMALIZATION_REPEATS_MAX = 8, 4

#: Letters stand for 0-5 where a block does not hold digits enough.
_LETTERS_TO_DIGITS = bytes.maketrans(b"abcdef", b"012345")


def are_digits(text: str, low: int, high: int) -> bool:
    """Whether `text` is `low` to `high` decimal digits of ASCII and nothing else."""
    return low <= len(text) <= high and text.isascii() and text.isdigit()


def require_digits(field: str, text: str, low: int, high: int) -> None:
    """Raise `HsmRejected`, naming the field alone, unless it is `low` to `high` digits."""
    if not are_digits(text, low, high):
        wanted = f"{low}" if low == high else f"{low} to {high}"
        raise HsmRejected(f"{field}: {wanted} digits are needed")


def require_decimalization_table(table: str) -> None:
    """Raise `HsmRejected` for a table that would make a PIN easy to guess.

    Eight different digits at least, and none more than four times: with fewer a handful of guesses
    would do (Bond and Zielinski, UCAM-CL-TR-560). Thales HSMs ask for the same.
    """
    require_digits("decimalization_table", table, 16, 16)
    counts = [table.count(digit) for digit in set(table)]
    if len(counts) < DECIMALIZATION_DIGITS_MIN or max(counts) > DECIMALIZATION_REPEATS_MAX:
        raise HsmRejected("decimalization_table: too few different digits: PINs could be guessed")


def require_pan(pan: str) -> None:
    """Raise `HsmRejected` unless the PAN has the 12 to 19 digits that every formula here needs."""
    require_digits("pan", pan, 12, 19)


def decimalize(block: bytes, count: int) -> str:
    """
    Take `count` decimal digits out of a block: its digits first, then its letters less ten.

    One rule for CVV, PVV and EMV option B (Visa PIN security; EMV Book 2, A1.4.2).
    """
    nibbles = block.hex().encode()
    digits = nibbles.translate(None, b"abcdef")
    if len(digits) < count:
        digits += nibbles.translate(_LETTERS_TO_DIGITS, b"0123456789")
    return digits[:count].decode()


def xor(left: bytes, right: bytes) -> bytes:
    """XOR two byte strings of one length."""
    size = len(left)
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(size, "big")
