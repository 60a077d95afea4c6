"""
Write keys/dev/keys.toml: clear development keys, wrapped under the development KBPK.

    python -m keys.dev_blocks CLEAR.json … > keys/dev/keys.toml

Each file has an object `keys`: by logical name the `clear` key in hex, its
`usage` (a TR-31 usage and words), its `algorithm` (TDES, AES or HMAC and
words) and its pinned `kcv`. This is for keys that are published anyway.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from keys.keyfile import read_kbpk
from keys.software.key import AES, HMAC, TDES, check_values
from keys.software.keyblock import Header, wrap

KBPK_FILE = Path(__file__).parent / "dev" / "kbpk.dev"

_ALGORITHMS = {"TDES": TDES, "AES": AES, "HMAC": HMAC}

#: The least a key must be allowed for the switch to use it (TR-31 mode of use).
_MODES = {"C0": "V", "V1": "V", "V2": "V", "E0": "X", "P0": "B", "M3": "C", "M7": "C", "D0": "B"}

#: The hash of an HMAC key is bound to it: 21 is SHA-256 (X9.143, table 13).
_HMAC_SHA_256 = (("HM", "21"),)

#: Keys that are looked for by version, so that they can be replaced.
_VERSIONED = {"M7", "D0"}

_HEADING = """\
# Published development keys: worthless, and never for anything else.
# TR-31 key blocks, version D, under the key of kbpk.dev beside this file.
# README.md tells how this file is made.
"""


def main(paths: list[str]) -> None:
    """Print the key file of all keys in the files, in their order."""
    kbpk = read_kbpk(KBPK_FILE).material
    sys.stdout.write(_HEADING)
    for path in paths:
        for name, key in json.loads(Path(path).read_text())["keys"].items():
            sys.stdout.write(f"\n{_table(name, key, kbpk)}")


def _table(name: str, key: dict[str, Any], kbpk: bytes) -> str:
    usage, note = key["usage"].split(" ", 1)
    material = bytes.fromhex(key["clear"])
    header = Header(
        version="D",
        usage=usage,
        algorithm=_ALGORITHMS[key["algorithm"].replace(" ", "-").split("-")[0]],
        mode_of_use=_MODES[usage],
        key_version="01" if usage in _VERSIONED else "00",
        optional=_HMAC_SHA_256 if usage == "M7" else (),
    )
    if key["kcv"] not in check_values(header.algorithm, material):
        sys.exit(f"{name}: the pinned check value is not this key's")
    block = wrap(kbpk, header, material)
    return f'[{name}]\nblock = "{block}"\nkcv = "{key["kcv"]}"\nnote = "{note}"\n'


if __name__ == "__main__":
    main(sys.argv[1:])
