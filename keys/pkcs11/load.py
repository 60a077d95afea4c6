"""
Put the keys of a key file into a PKCS#11 token, for a trial or a migration.

    python -m keys.pkcs11.load --module LIBRARY --token LABEL --pin-file FILE \\
        --keys keys.toml --kbpk-file FILE >> keys.toml

Every key that has both a block and a label (`pkcs11`) is unwrapped here, in clear for a moment, and
created in the token as one that cannot be read again. So this is for test keys, or for a machine
that may see real ones: a ceremony with the token vendor's own tools is the way of production, and
`needed_attributes` and docs/hsm-pkcs11.md say what its keys must be.

Keys whose first half is used alone are created a second time as that half; the key file's tables
for these, with their check values, go to standard output unless they stand in it already.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from pkcs11 import Attribute, KeyType, ObjectClass, PKCS11Error

from keys.hsm import HsmRejected, HsmUnavailable
from keys.keyfile import KeyEntry, KeyFileError, read_entries, read_kbpk, unwrap_entries
from keys.pkcs11.calls import load
from keys.pkcs11.codes import CryptokiError
from keys.pkcs11.keys import HALF, has_half, needed_attributes
from keys.pkcs11.token import handle_of
from keys.software.key import AES, TDES, Key
from keys.software.tdes import double_length

_USES = (
    Attribute.ENCRYPT,
    Attribute.DECRYPT,
    Attribute.SIGN,
    Attribute.VERIFY,
    Attribute.WRAP,
    Attribute.UNWRAP,
    Attribute.DERIVE,
)


def key_template(label: str, key: Key) -> dict[Attribute, Any]:
    """What `C_CreateObject` is told of a key: allowed what its usage needs and nothing else."""
    needed = needed_attributes(key.usage, key.algorithm)
    key_type, value = _shaped(key)
    return {
        Attribute.CLASS: ObjectClass.SECRET_KEY,
        Attribute.KEY_TYPE: key_type,
        Attribute.LABEL: label,
        Attribute.TOKEN: True,
        Attribute.PRIVATE: True,
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
        Attribute.MODIFIABLE: False,
        **{use: use in needed for use in _USES},
        Attribute.VALUE: value,
    }


def half_of(key: Key) -> Key:
    """The first half of a TDES key, twice. Raises `ValueError` unless it is of double length."""
    first, _ = double_length(key.material)
    return Key(first * 2, usage=key.usage, algorithm=key.algorithm, mode_of_use=key.mode_of_use)


def objects_of(entry: KeyEntry, key: Key) -> Iterator[tuple[str, Key]]:
    """The labels and keys that stand in the token for one key of the key file."""
    label = entry.places["pkcs11"]
    yield label, key
    if has_half(entry):
        yield label + HALF, half_of(key)


def _shaped(key: Key) -> tuple[KeyType, bytes]:
    """The type that a token gives a key; K1‖K2‖K1 is of double length."""
    if key.algorithm == AES:
        return KeyType.AES, key.material
    if key.algorithm != TDES:
        raise HsmRejected(f"algorithm {key.algorithm} is not for a token")
    try:
        return KeyType.DES2, b"".join(double_length(key.material))
    except ValueError:
        return KeyType.DES3, key.material


def create(session: Any, objects: Mapping[str, Key]) -> None:
    """Create keys by label, all new. Raises `HsmRejected` naming a label that is taken."""
    for label in objects:
        if next(iter(session.get_objects({Attribute.LABEL: label})), None) is not None:
            raise HsmRejected(f"label {label!r}: the token has it already; nothing was created")
    for label, key in objects.items():
        session.create_object(key_template(label, key))


def half_table(name: str, label: str, half: Key) -> str:
    """The key file's table of the half of a key of this name."""
    # A JSON string of printing ASCII is a TOML string.
    return (
        f'\n["{name}{HALF}"]\npkcs11 = {json.dumps(label)}\nusage = "{half.usage}"\n'
        f'algorithm = "{half.algorithm}"\nkcv = "{half.kcv}"\nnote = "its first half, twice"\n'
    )


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--module", required=True, help="The PKCS#11 library, a file.")
@click.option("--token", required=True, help="The token's label.")
@click.option("--pin-file", type=Path, required=True, help="The user PIN, on one line.")
@click.option("--keys", "key_file", type=Path, required=True, help="The key file.")
@click.option("--kbpk-file", type=Path, required=True, help="The key of its blocks.")
def main(module: str, token: str, pin_file: Path, key_file: Path, kbpk_file: Path) -> None:
    """Create the keys, and print the tables that the key file lacks."""
    try:
        entries = read_entries(key_file)
        keys = unwrap_entries(key_file, entries, read_kbpk(kbpk_file))
        ours = {n: key for n, key in keys.items() if "pkcs11" in entries[n].places}
        objects, tables = {}, []
        for name, whole in ours.items():
            for label, key in objects_of(entries[name], whole):
                objects[label] = key
                if not _is_pinned(entries, label, key):
                    tables.append(half_table(name, label, key))
        _create_in(module, token, pin_file.read_text("utf-8").strip(), objects)
    except (CryptokiError, PKCS11Error) as error:
        sys.exit(f"token {token!r}: {str(error) or type(error).__name__}")
    except (OSError, ValueError, HsmRejected, HsmUnavailable) as error:
        sys.exit(f"{error}")
    for label, key in objects.items():
        click.echo(f"{label}: created, {key.usage}, check value {key.kcv}", err=True)
    click.echo("".join(tables), nl=False)


def _is_pinned(entries: Mapping[str, KeyEntry], label: str, key: Key) -> bool:
    """Whether the key file has this label; raises `KeyFileError` where it pins another key."""
    for name, entry in entries.items():
        if entry.places.get("pkcs11") == label:
            if not key.has_check_value(entry.kcv):
                raise KeyFileError(f"{name}: kcv is {key.kcv}, but {entry.kcv} is pinned")
            return True
    return False


def _create_in(module: str, token: str, pin: str, objects: Mapping[str, Key]) -> None:
    library = load(module)
    session = library.get_token(token_label=token).open(rw=True)
    try:
        library.calls.login(handle_of(session), pin)
        create(session, objects)
    finally:
        session.close()


if __name__ == "__main__":
    main()
