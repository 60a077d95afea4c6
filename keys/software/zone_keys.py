"""
Zone PIN keys that come and go while the switch runs, under a zone master key.

Two forms: a TR-31 block, which says what the key is for and cannot be changed unseen; and the older
cryptogram, the TDES key in ECB, which anybody who can write on the line may put together of pieces
of others: only its check value tells.
"""

from __future__ import annotations

import secrets

from keys.attributes import KEY_ENCRYPTION, AttributeProblem, require_protection, require_sound
from keys.hsm import HsmRejected
from keys.keyfile import Kbpk
from keys.software import tdes
from keys.software.key import AES, TDES, Key
from keys.software.keyblock import KEY_SIZES, Header, KeyBlockError, unwrap, wrap
from keys.software.parity import set_odd_parity
from keys.zone_keys import OfferedZoneKey, StoredZoneKey, ZoneKeyForm

USAGE = "P0"
#: Modes of use with which PIN blocks can be read.
_READING = "BDN"
#: Modes of use of a zone master key that opens, and that encloses.
_OPENING, _ENCLOSING = "BDN", "BEN"
#: Bytes of a new TDES key; a new AES key is as long as its zone master key.
_TDES_SIZE = 16


def opened(wrapped: str, under: Key, *, form: ZoneKeyForm, algorithm: str) -> Key:
    """The PIN key that came under a zone master key. Raises `HsmRejected`, without a value."""
    _require_master(under, _OPENING, form)
    try:
        if form is ZoneKeyForm.KEY_BLOCK:
            key = unwrap(under.material, wrapped)
        else:
            clear = tdes.decryptor(under.material)(bytes.fromhex(wrapped))
            if len(clear) not in KEY_SIZES[TDES]:
                raise HsmRejected("zone key: 16 or 24 bytes are needed")
            key = Key(clear, usage=USAGE, algorithm=TDES, mode_of_use="B")
        require_sound(key.algorithm, key.material)
    except KeyBlockError as error:
        raise HsmRejected(f"zone key: {error}") from None
    except AttributeProblem as error:
        raise HsmRejected(f"zone key: {error}") from None
    except ValueError:
        raise HsmRejected("zone key: whole blocks in hexadecimal are needed") from None
    _require_use(key)
    if key.algorithm != algorithm:
        raise HsmRejected("zone key: it is not for the cipher of the link's PIN blocks")
    return key


def stored(key: Key, kbpk: Kbpk | None) -> StoredZoneKey:
    """The key as this backend keeps it: a block under its own protection key."""
    header = Header("D", USAGE, key.algorithm, key.mode_of_use, key.version)
    try:
        block = wrap(_of(kbpk).material, header, key.material)
    except KeyBlockError as error:
        raise HsmRejected(f"zone key: {error}") from None
    return StoredZoneKey(block, key.kcv)


def restored(block: str, kbpk: Kbpk | None, *, kcv: str) -> Key:
    """The key of such a block. Raises `HsmRejected` where it is none, or another."""
    try:
        key = unwrap(_of(kbpk).material, block)
    except KeyBlockError as error:
        raise HsmRejected(f"zone key: {error}") from None
    _require_use(key)
    if not key.has_check_value(kcv):
        raise HsmRejected("zone key: its check value is not the pinned one")
    return key


def made(under: Key, kbpk: Kbpk | None, *, form: ZoneKeyForm, algorithm: str) -> OfferedZoneKey:
    """A random key, for both sides. Raises `HsmRejected` where the master key does not fit."""
    _require_master(under, _ENCLOSING, form)
    size = _TDES_SIZE if algorithm == TDES else len(under.material)
    material = bytearray(secrets.token_bytes(size))
    if algorithm == TDES:
        set_odd_parity(material)
    key = Key(bytes(material), usage=USAGE, algorithm=algorithm, mode_of_use="B")
    try:
        require_sound(algorithm, material)
        require_protection(
            "the zone master key", (under.algorithm, len(under.material)), (algorithm, size)
        )
        wrapped = _wrapped(key, under, form)
    except (KeyBlockError, AttributeProblem) as error:
        raise HsmRejected(f"zone key: {error}") from None
    return OfferedZoneKey(stored(key, kbpk), wrapped)


def _wrapped(key: Key, under: Key, form: ZoneKeyForm) -> str:
    if form is ZoneKeyForm.CRYPTOGRAM:
        if key.algorithm != TDES:
            raise HsmRejected("zone key: a cryptogram holds a TDES key")
        return tdes.encryptor(under.material)(key.material).hex().upper()
    version = "D" if under.algorithm == AES else "B"
    return wrap(under.material, Header(version, USAGE, key.algorithm, "B"), key.material)


def _require_master(under: Key, modes: str, form: ZoneKeyForm) -> None:
    if under.usage not in KEY_ENCRYPTION or under.mode_of_use not in modes:
        raise HsmRejected("zone master key: not to be used for this")
    if form is ZoneKeyForm.CRYPTOGRAM and under.algorithm != TDES:
        raise HsmRejected("zone master key: a cryptogram is under a TDES key")


def _require_use(key: Key) -> None:
    if key.usage != USAGE or key.mode_of_use not in _READING:
        raise HsmRejected("zone key: it is not for reading PIN blocks")


def _of(kbpk: Kbpk | None) -> Kbpk:
    if kbpk is None:
        raise HsmRejected("the software backend has no key block protection key for zone keys")
    return kbpk
