"""
Keys under a test LMK: the published variant LMK set, and a key block LMK of these tests.

The variant set stands in the manuals and in every public simulator; jPOS's wrapped test keys prove
it. A Thales key block is `S`, then a block with a header like TR-31's, whose version is `0` or `1`
and whose last two characters name the LMK. How its key and MAC are made is not published, so here
that part is TR-31 version D: the switch never looks into a block, only the peer does.
"""

from __future__ import annotations

import psec

#: LMK pairs by their number. Published, worthless.
LMK = {
    "04": bytes.fromhex("40404040404040405151515151515151"),
    "06": bytes.fromhex("61616161616161617070707070707070"),
    "14": bytes.fromhex("E0E0010101010101F1F1010101010101"),
    "16": bytes.fromhex("1C587F1C13924FEF0101010101010101"),
    "26": bytes.fromhex("16161616161616161919191919191919"),
    "28": bytes.fromhex("1A1A1A1A1A1A1A1A1C1C1C1C1C1C1C1C"),
    "36": bytes.fromhex("2F2F2F2F2F2F2F2F3131313131313131"),
}

#: LMK pair by the last two characters of a key type; the first is the variant.
_PAIRS = {
    "00": "04",
    "01": "06",
    "02": "14",
    "03": "16",
    "08": "26",
    "09": "28",
    "0D": "36",
}

#: What a variant puts over the first byte of an LMK pair's left half.
_VARIANTS = [0x00, 0xA6, 0x5A, 0x6A, 0xDE, 0x2B, 0x50, 0x74, 0x9C, 0xFA]

#: What a key scheme puts over the first byte of the right half, for each eight bytes of a key.
_SCHEMES = {"": [0x00], "U": [0xA6, 0x5A], "T": [0x6A, 0xDE, 0x2B]}

#: The key block LMK of these tests.
KEY_BLOCK_LMK = bytes.fromhex("88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6")


class KeyRefused(Exception):
    """The HSM refuses a key, with this error code."""


def wrap(key: bytes, pair: bytes, variant: int, scheme: str = "U") -> str:
    """Encipher a key under an LMK pair, its variant and a key scheme."""
    parts = [key[i : i + 8] for i in range(0, len(key), 8)]
    sealed = [
        psec.des.encrypt_tdes_ecb(under, part)
        for under, part in zip(_under(pair, variant, scheme), parts, strict=True)
    ]
    return scheme + b"".join(sealed).hex().upper()


def unwrap(text: str, pair: bytes, variant: int) -> bytes:
    """Decipher a key; refuse it where its parity is not odd, which no other LMK's key has."""
    scheme = text[0] if text[0] in "UT" else ""
    sealed = bytes.fromhex(text[len(scheme) :])
    parts = [sealed[i : i + 8] for i in range(0, len(sealed), 8)]
    key = b"".join(
        psec.des.decrypt_tdes_ecb(under, part)
        for under, part in zip(_under(pair, variant, scheme), parts, strict=True)
    )
    if psec.des.adjust_key_parity(key) != key:
        raise KeyRefused("10")
    return key


def wrap_as(key: bytes, key_type: str, scheme: str = "U") -> str:
    """Encipher a key, its parity made odd, as one of a key type."""
    pair, variant = LMK[_PAIRS[key_type[1:]]], int(key_type[0], 16)
    return wrap(psec.des.adjust_key_parity(key), pair, variant, scheme)


def unwrap_as(text: str, key_type: str) -> bytes:
    """Decipher a key as one of a key type."""
    if key_type[1:] not in _PAIRS:
        raise KeyRefused("28")
    return unwrap(text, LMK[_PAIRS[key_type[1:]]], int(key_type[0], 16))


def wrap_block(
    key: bytes, *, usage: str, algorithm: str, mode_of_use: str, lmk_id: str = "00"
) -> str:
    """Put a key in a key block as a Thales HSM writes its header."""
    header = psec.tr31.Header("D", usage, algorithm, mode_of_use, "00", "N")
    block = str(psec.tr31.wrap(KEY_BLOCK_LMK, header, key))
    return f"S1{block[1:14]}{lmk_id}{block[16:]}"


def unwrap_block(text: str) -> tuple[str, str, bytes]:
    """Open a key block: usage, algorithm, key; refuse one that is not whole."""
    try:
        header, key = psec.tr31.unwrap(KEY_BLOCK_LMK, f"D{text[2:15]}00{text[17:]}")
    except (psec.tr31.KeyBlockError, psec.tr31.HeaderError):
        raise KeyRefused("A4") from None
    return str(header.key_usage), str(header.algorithm), bytes(key)


def _under(pair: bytes, variant: int, scheme: str) -> list[bytes]:
    left = bytes([pair[0] ^ _VARIANTS[variant]]) + pair[1:8]
    return [left + bytes([pair[8] ^ over]) + pair[9:] for over in _SCHEMES[scheme]]
