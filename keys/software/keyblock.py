"""
TR-31 key blocks (ANSI X9.143; ISO 20038): a key, bound to what it may be used for.

    D0144C0TV00N0000 ‖ optional blocks ‖ enciphered length, key and padding ‖ MAC

Versions B and D derive their two keys from the key block protection key with
CMAC, under TDES and AES. Versions A and C make them as variants of it; they are
read for those who still have such blocks, and never written.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from keys.software.key import AES as AES_KEY
from keys.software.key import HMAC as HMAC_KEY
from keys.software.key import TDES as TDES_KEY
from keys.software.key import Key
from keys.software.mac import Mac, aes_cmac, iso9797_algorithm_1, tdes_cmac
from keys.software.tdes import AES_BLOCK, DES_BLOCK, widen

#: Bytes a key may have. Anything else in a block is damage, not a key.
KEY_SIZES = {TDES_KEY: (16, 24), AES_KEY: (16, 24, 32), HMAC_KEY: tuple(range(16, 129))}

#: Characters of a header before its optional blocks.
HEADER_SIZE = 16

_HEADER = re.compile(
    r"(?P<version>[ABCD])(?P<size>\d{4})(?P<usage>[A-Z]\d|\d\d)(?P<algorithm>[A-Z])"
    r"(?P<mode>[A-Z])(?P<key_version>[0-9A-Za-z]{2})(?P<export>[ENS])(?P<optional>\d\d)[0-2]0",
    re.ASCII,
)
_OPTIONAL = re.compile(r"([0-9A-Z]{2})([0-9A-F]{2})", re.ASCII)
_HEX = re.compile(r"(?:[0-9A-F]{2})+", re.ASCII)


class KeyBlockError(ValueError):
    """The key block cannot be read: the message names the part, never what is in it."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a key is for. Characters are those of the standard."""

    version: str  #: of the block: A, B, C or D
    usage: str
    algorithm: str
    mode_of_use: str
    key_version: str = "00"
    exportability: str = "N"
    optional: tuple[tuple[str, str], ...] = ()  #: blocks by their two-character name


@dataclass(frozen=True, slots=True)
class _Binding:
    """One version's way to encipher and authenticate."""

    cipher: Callable[[bytes], BlockCipherAlgorithm]
    block: int
    mac_size: int
    kbpk_sizes: tuple[int, ...]
    derive: Callable[[bytes], tuple[bytes, bytes]]  #: encryption key, authentication key
    mac: Callable[[bytes], Mac]
    over_clear: bool  #: whether the MAC is over the clear payload, and its IV


def _variants(kbpk: bytes) -> tuple[bytes, bytes]:
    """Make the keys of versions A and C: the protection key XOR `E…` and `M…`."""
    return bytes(b ^ 0x45 for b in kbpk), bytes(b ^ 0x4D for b in kbpk)


def _derived(kbpk: bytes, mac: Mac, algorithm: int, step: int) -> tuple[bytes, bytes]:
    """
    Derive both keys with CMAC over counter, purpose, algorithm and length in bits.

    Source: X9.143, 5.3.2.1 and 5.3.2.3; NIST SP 800-108 in counter mode.
    """
    size = len(kbpk)
    tail = b"\0" + algorithm.to_bytes(2, "big") + (size * 8).to_bytes(2, "big")

    def derive(purpose: int) -> bytes:
        counters = range(1, -(-size // step) + 1)
        blocks = (mac(bytes([counter]) + purpose.to_bytes(2, "big") + tail) for counter in counters)
        return b"".join(blocks)[:size]

    return derive(0), derive(1)


def _derive_b(kbpk: bytes) -> tuple[bytes, bytes]:
    return _derived(kbpk, tdes_cmac(kbpk), {16: 0, 24: 1}[len(kbpk)], DES_BLOCK)


def _derive_d(kbpk: bytes) -> tuple[bytes, bytes]:
    return _derived(kbpk, aes_cmac(kbpk), {16: 2, 24: 3, 32: 4}[len(kbpk)], AES_BLOCK)


def _tdes(key: bytes) -> BlockCipherAlgorithm:
    return TripleDES(widen(key))


_VARIANT = _Binding(_tdes, DES_BLOCK, 4, (16, 24), _variants, iso9797_algorithm_1, over_clear=False)
_BINDINGS = {
    "A": _VARIANT,
    "B": _Binding(_tdes, DES_BLOCK, 8, (16, 24), _derive_b, tdes_cmac, over_clear=True),
    "C": _VARIANT,
    "D": _Binding(AES, AES_BLOCK, 16, (16, 24, 32), _derive_d, aes_cmac, over_clear=True),
}


def read_header(block: str) -> Header:
    """Read what a key block says of its key, unproven; raise `KeyBlockError` where it says nothing.

    Only `unwrap` proves that the header belongs to the key.
    """
    return _parse_header(block)[0]


def unwrap(kbpk: bytes, block: str) -> Key:
    """Read a key block of version A, B, C or D; raise `KeyBlockError` where it is not whole."""
    header, size = _parse_header(block)
    binding = _binding(header.version, kbpk)
    if _HEX.fullmatch(block, size) is None:
        raise KeyBlockError("key block: not hexadecimal after its header")
    body = bytes.fromhex(block[size:])
    sealed, mac = body[: -binding.mac_size], body[-binding.mac_size :]
    if not sealed or len(sealed) % binding.block or len(mac) != binding.mac_size:
        raise KeyBlockError("key block: wrong length after its header")
    head = block[:size].encode()
    encryption_key, authentication_key = binding.derive(kbpk)
    iv = mac if binding.over_clear else head[:DES_BLOCK]
    decryptor = Cipher(binding.cipher(encryption_key), modes.CBC(iv)).decryptor()
    clear = decryptor.update(sealed) + decryptor.finalize()
    expected = binding.mac(authentication_key)(head + (clear if binding.over_clear else sealed))
    if not hmac.compare_digest(expected[: binding.mac_size], mac):
        raise KeyBlockError("key block: not made under this protection key, or changed since")
    return Key(
        _key_of(clear, header.algorithm),
        usage=header.usage,
        algorithm=header.algorithm,
        mode_of_use=header.mode_of_use,
        version=header.key_version,
    )


def wrap(kbpk: bytes, header: Header, material: bytes) -> str:
    """
    Make a key block of version B or D; raise `KeyBlockError` where it cannot be.

    Random padding brings every key to its algorithm's greatest length (HMAC: to
    32 bytes), so that a block does not tell how long the key in it is.
    """
    if header.version not in ("B", "D"):
        raise KeyBlockError("key block: only versions B and D are written")
    if header.version == "B" and header.algorithm != TDES_KEY:
        raise KeyBlockError("key block: version B is too weak for keys other than TDES")
    binding = _binding(header.version, kbpk)
    if len(material) not in KEY_SIZES.get(header.algorithm, ()):
        raise KeyBlockError("key block: no such algorithm, or a key length that it has not")
    greatest = 24 if header.algorithm == TDES_KEY else 32
    payload = (len(material) * 8).to_bytes(2, "big") + material
    size = 2 + max(greatest, len(material))
    size += -size % binding.block
    payload += secrets.token_bytes(size - len(payload))
    optional, count = _write_optional(header.optional, binding.block)
    total = HEADER_SIZE + len(optional) + 2 * (size + binding.mac_size)
    head = (
        f"{header.version}{total:04}{header.usage}{header.algorithm}{header.mode_of_use}"
        f"{header.key_version}{header.exportability}{count:02}00{optional}"
    )
    if _parse_header(head, total)[1] != len(head):
        raise KeyBlockError("key block: header")
    encryption_key, authentication_key = binding.derive(kbpk)
    mac = binding.mac(authentication_key)(head.encode() + payload)
    encryptor = Cipher(binding.cipher(encryption_key), modes.CBC(mac)).encryptor()
    sealed = encryptor.update(payload) + encryptor.finalize()
    return head + (sealed + mac).hex().upper()


def _binding(version: str, kbpk: bytes) -> _Binding:
    binding = _BINDINGS[version]
    if len(kbpk) not in binding.kbpk_sizes:
        raise KeyBlockError(f"key block: version {version} needs another kind of protection key")
    return binding


def _key_of(clear: bytes, algorithm: str) -> bytes:
    """Take the key out of a clear payload: its length in bits, the key, padding."""
    size, odd_bits = divmod(int.from_bytes(clear[:2], "big"), 8)
    if odd_bits or size > len(clear) - 2 or size not in KEY_SIZES[algorithm]:
        raise KeyBlockError("key block: a key length that its algorithm has not")
    return clear[2 : 2 + size]


def _parse_header(block: str, size: int | None = None) -> tuple[Header, int]:
    """Read a header and its length; `size` is the block's, where `block` is only its start."""
    match = _HEADER.match(block)
    if match is None or not block.isascii():
        raise KeyBlockError("key block: header")
    if int(match["size"]) != (len(block) if size is None else size):
        raise KeyBlockError("key block: its length is not what its header says")
    if match["algorithm"] not in KEY_SIZES:
        raise KeyBlockError("key block: an algorithm that is not TDES, AES or HMAC")
    optional, end = _parse_optional(block, int(match["optional"]))
    header = Header(
        version=match["version"],
        usage=match["usage"],
        algorithm=match["algorithm"],
        mode_of_use=match["mode"],
        key_version=match["key_version"],
        exportability=match["export"],
        optional=optional,
    )
    if (end - HEADER_SIZE) % _BINDINGS[header.version].block:
        raise KeyBlockError("key block: optional blocks")
    return header, end


def _parse_optional(block: str, count: int) -> tuple[tuple[tuple[str, str], ...], int]:
    """Read optional blocks: name, length in hex (its own five or more extended), value."""
    found: list[tuple[str, str]] = []
    start = HEADER_SIZE
    for _ in range(count):
        match = _OPTIONAL.match(block, start)
        if match is None:
            raise KeyBlockError("key block: optional blocks")
        size, value_at = int(match[2], 16), start + 4
        if size == 0:  # extended: two digits say how many digits of length follow
            extended = re.compile(r"02([0-9A-F]{4})", re.ASCII).match(block, value_at)
            if extended is None:
                raise KeyBlockError("key block: optional blocks")
            size, value_at = int(extended[1], 16), value_at + 6
        end = start + size
        if end < value_at or end > len(block):
            raise KeyBlockError("key block: optional blocks")
        found.append((match[1], block[value_at:end]))
        start = end
    return tuple(found), start


def _write_optional(blocks: tuple[tuple[str, str], ...], block_size: int) -> tuple[str, int]:
    """Write optional blocks, and a padding block PB where they would not fill cipher blocks."""
    text = "".join(f"{name}{len(value) + 4:02X}{value}" for name, value in blocks)
    gap = -len(text) % block_size
    if gap == 0:
        return text, len(blocks)
    if gap < 4:
        gap += block_size
    return f"{text}PB{gap:02X}{'0' * (gap - 4)}", len(blocks) + 1
