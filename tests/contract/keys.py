"""The keys that every backend under test holds, in clear: published, made up for tests alone."""

from __future__ import annotations

from keys.hsm import KeyRef
from keys.keyfile import Key
from keys.software.key import AES, TDES

#: logical name, TR-31 usage, algorithm, mode of use, clear
_TABLE = [
    ("cvk",      "C0", TDES, "V", "A1C4E6B9D38F527A5E7C2FB0946D803E"),
    ("csck",     "C0", TDES, "V", "B0D1F2134AC5E6978897A6B5C4D3E2F1"),
    ("pvk",      "V2", TDES, "V", "32EF49C2708AB51F6DC8A7430E9B2F58"),
    ("pvk_ibm",  "V1", TDES, "V", "7A1CF29E04B3D6585245AB8C70E61FD3"),
    ("imk_ac",   "E0", TDES, "X", "9E15204313F7318ACB79B90BD986AD29"),
    ("imk_dcvv", "E6", TDES, "X", "8C6DA2B5E3F4016B7A9D4C2F1E0B8573"),
    ("imk_cvc3", "E4", TDES, "X", "64CE98A1B3D5F70216385A7C9EB0D2F4"),
    ("zpk",      "P0", TDES, "B", "5B37C8D9E0A4F2168C73DA29B5E60E4A"),
    ("zpk_next", "P0", TDES, "B", "1F2E3D4C5B6A798897A8B9CADBECFD0E"),
    ("zpk_aes",  "P0", AES,  "B", "0F1E2D3C4B5A69788796A5B4C3D2E1F0"),
    ("mak_1",    "M1", TDES, "C", "2C3D4E5F60718293A4B5C6D7E8F90A1B"),
    ("zak",      "M3", TDES, "C", "C2A86B0D4F9137E5D0B6498FE32C7A15"),
    ("mak_aes",  "M6", AES,  "C", "603DEB1015CA71BE2B73AEF0857D7781"),
    ("mak_tdes", "M6", TDES, "C", "4CF15134A2850DD58A3D10BA80570D38"),
    ("zmk",      "K0", TDES, "B", "6E5D4C3B2A19080F1E2D3C4B5A697887"),
]  # fmt: skip

#: By logical name. `material` is the clear key; a backend under test puts it where it keeps keys.
KEYS: dict[str, Key] = {
    name: Key(bytes.fromhex(clear), usage=usage, algorithm=algorithm, mode_of_use=mode)
    for name, usage, algorithm, mode, clear in _TABLE
}

#: The same as the switch asks for them.
REFS: dict[str, KeyRef] = {name: KeyRef(name, key.kcv) for name, key in KEYS.items()}
