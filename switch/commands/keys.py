"""Keys of the key file: looked at, made, put together of components, imported, exported."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from keys import ceremony
from keys.attributes import ALGORITHMS, EXPORTABILITY, USAGES, algorithm_of
from keys.ceremony import CeremonyRefused, Made, Wanted
from keys.keyfile import (
    Kbpk,
    Key,
    KeyEntry,
    KeyFileError,
    is_development,
    is_key_name,
    read_entries,
    read_kbpk,
    unwrap_entries,
)
from keys.keyfile_writer import locked, put
from keys.software.keyblock import KeyBlockError, read_header, unwrap
from switch.commands.base import Refusal
from switch.commands.ceremony_table import key_of_components
from switch.commands.keys_group import keys_group
from switch.commands.operator import at_desk, changing, looking
from switch.ledger.operators import Actor, Operators
from switch.settings import Settings

#: A block is at most 9999 characters (its length has four digits).
BLOCK_MAX = 9_999

_name_argument = click.argument("name")
_usage_option = click.option(
    "--usage", required=True, type=click.Choice(list(USAGES)), help="TR-31 key usage."
)
_algorithm_option = click.option(
    "--algorithm", required=True, type=click.Choice(list(ALGORITHMS)), help="And key length."
)
_mode_option = click.option("--mode", help="TR-31 mode of use; else the least that is needed.")
_exportable_option = click.option(
    "--exportable", "is_exportable", is_flag=True, help="It may be exported under another key."
)
_version_option = click.option(
    "--version", default="00", show_default=True, help="Key version, two characters."
)
_replace_option = click.option(
    "--replace", is_flag=True, help="Take the place of a key of this name."
)
_under_option = click.option(
    "--under", required=True, metavar="KEK", help="Name of the key encryption key, K0 or K1."
)
_note_option = click.option("--note", default="", help="For people: what the key is for.")


def wanted_options(function: Callable[..., None]) -> Callable[..., None]:
    """What a new key is to be."""
    for option in (
        _version_option, _exportable_option, _mode_option, _algorithm_option, _usage_option,
        _name_argument,
    ):  # fmt: skip
        function = option(function)
    return function


@keys_group.command()
@looking
def show(settings: Settings) -> None:
    """List the keys of the key file: what each is for, its check value, where it is.

    Where the key block protection key opens a block, its check value is computed too.

    Example: switch keys show
    """
    entries = _entries(settings)
    kbpk = _kbpk(settings)
    rows: list[tuple[str, ...]] = [
        ("name", "usage", "algorithm", "mode", "version", "export", "KCV", "where", "what")
    ]
    rows += [_row(entry, kbpk) for entry in entries.values()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


@keys_group.command()
@wanted_options
@_replace_option
@_note_option
@changing
def generate(
    settings: Settings, actor: Actor, name: str, replace: bool, note: str, **wanted: Any
) -> None:
    """Make a random key and add it to the key file, as a TR-31 block.

    Example: switch keys generate zpk_2 --usage P0 --algorithm TDES --reason "yearly change"
    """
    _require_place(settings, name, replace=replace)
    kbpk = _kbpk(settings)
    with refusing(name):
        made = ceremony.generate(Wanted(**wanted), kbpk)
    _keep(settings, actor, "generate_key", name, made, note=note, replace=replace)


@keys_group.command("import-components")
@wanted_options
@click.option("--components", "count", type=click.IntRange(2, 3), default=2, show_default=True,
              help="How many persons give one each.")  # fmt: skip
@_replace_option
@_note_option
@changing
def import_components(
    settings: Settings, actor: Actor, name: str, count: int, replace: bool, note: str, **wanted: Any
) -> None:
    """Put a key together of components that two or three persons type, each unseen by the others.

    Each component's check value is compared with its paper; the key's must be typed in, or nothing
    is written. Components are taken from no file and no command line: docs/keys.md.

    Example: switch keys import-components zmk --usage K0 --algorithm TDES --components 3 \
--reason "new zone"
    """
    _require_place(settings, name, replace=replace)
    kbpk = _kbpk(settings)
    _require_desk(settings)
    with refusing(name):
        made, custodians = key_of_components(name, Wanted(**wanted), count, kbpk)
    _keep(
        settings, actor, "import_key_components", name, made, note=note, replace=replace,
        about={"custodians": custodians},
    )  # fmt: skip


@keys_group.command("import")
@_name_argument
@_under_option
@click.option("--file", "path", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Where the block is; else it is read from standard input.")  # fmt: skip
@click.option("--kcv", "told", help="The check value that came with it: nothing is written where "
              "it is another.")  # fmt: skip
@_replace_option
@_note_option
@changing
def import_(
    settings: Settings, actor: Actor, name: str, under: str, path: Path | None, told: str | None,
    replace: bool, note: str,
) -> None:  # fmt: skip
    """Take in a key that comes as a TR-31 block (A, B, C, D) under a key encryption key.

    It stays what its header says. Example: switch keys import zpk_2 --under zmk --kcv 1A2B3C \
--reason "from the scheme" <block
    """
    _require_place(settings, name, replace=replace)
    kbpk = _kbpk(settings)
    above = _key(settings, under, kbpk)
    block = _read_block(path)
    with refusing(name):
        made = ceremony.import_block(block, above, kbpk)
        if told is not None and told.strip().upper() not in made.check_values:
            raise CeremonyRefused(f"its check value is {made.kcv}, not the one that was told")
    _keep(
        settings, actor, "import_key", name, made, note=note, replace=replace,
        about={"under": under},
    )  # fmt: skip


@keys_group.command()
@_name_argument
@_under_option
@click.option("--version", type=click.Choice(["B", "D"]), required=True,
              help="Of the block: B under a TDES key, D under an AES key.")  # fmt: skip
@changing
def export(settings: Settings, actor: Actor, name: str, under: str, version: str) -> None:
    """Write a key out as a TR-31 block under a key encryption key; its check value to stderr.

    A key whose header says N is not exportable. The block is a secret that is enciphered: it goes
    to standard output once it is recorded.

    Example: switch keys export zpk_2 --under zmk --version B --reason "to the scheme" >block
    """
    kbpk = _kbpk(settings)
    above, entry = _key(settings, under, kbpk), _entry(settings, name)
    with refusing(name):
        made = ceremony.export_block(_block_of(entry), above, kbpk, version=version)

    async def work(desk: Operators) -> None:
        became = {"name": name, "under": under, "block_version": version, **made.told}
        async with desk.recording(actor, "export_key", was=None, became=became):
            pass

    at_desk(settings, work)
    click.echo(made.block)
    click.echo(f"key {name}: KCV {made.kcv}, under {under}", err=True)


def _keep(
    settings: Settings,
    actor: Actor,
    action: str,
    name: str,
    made: Made,
    *,
    note: str,
    replace: bool,
    about: Mapping[str, object] | None = None,
) -> None:
    """Write a key into the key file and record that; neither without the other."""
    table = {"block": made.block, "kcv": made.kcv} | ({"note": note} if note else {})

    async def work(desk: Operators) -> KeyEntry | None:
        with locked(settings.hsm.keys) as path:
            old = read_entries(path).get(name)
            was = {"kcv": old.kcv, "usage": old.usage} if old else None
            became = {"name": name, **made.told, **(about or {})}
            async with desk.recording(actor, action, was=was, became=became):
                put(path, name, table, replace=replace)
        return old

    old: KeyEntry | None = at_desk(settings, work)
    instead = f", in place of {old.kcv}" if old else ""
    click.echo(f"key {name}: KCV {made.kcv}, {made.header.usage} {made.algorithm}{instead}")
    click.echo("a running switch knows it after its next start", err=True)


def _row(entry: KeyEntry, kbpk: Kbpk) -> tuple[str, ...]:
    """What may be seen of a key."""
    mode = export = "-"
    kcv, algorithm = entry.kcv, {"T": "TDES", "A": "AES", "H": "HMAC"}[entry.algorithm]
    if block := entry.places.get("block"):
        header = read_header(block)
        mode, export = header.mode_of_use, EXPORTABILITY[header.exportability]
        try:
            key = unwrap(kbpk.material, block)
        except KeyBlockError:
            kcv = f"{kcv} (block does not open)"
        else:
            algorithm = algorithm_of(key.algorithm, len(key.material))
            right = key.has_check_value(entry.kcv)
            kcv = f"{kcv} ok" if right else f"{kcv}, but is {key.kcv}"
    what = USAGES[entry.usage].words if entry.usage in USAGES else ""
    where = " ".join(entry.places)
    return entry.name, entry.usage, algorithm, mode, entry.version, export, kcv, where, what


def _entries(settings: Settings) -> dict[str, KeyEntry]:
    try:
        return read_entries(settings.hsm.keys)
    except KeyFileError as error:
        raise Refusal(str(error)) from None


def _kbpk(settings: Settings) -> Kbpk:
    try:
        kbpk = read_kbpk(settings.hsm.kbpk_file)
    except KeyFileError as error:
        raise Refusal(str(error)) from None
    if settings.hsm.production and is_development(kbpk):
        raise Refusal(f"{settings.hsm.kbpk_file}: is a published development key")
    return kbpk


def _entry(settings: Settings, name: str) -> KeyEntry:
    entry = _entries(settings).get(name)
    if entry is None:
        raise Refusal(f"{settings.hsm.keys}: there is no key of this name")
    return entry


def _block_of(entry: KeyEntry) -> str:
    if "block" not in entry.places:
        raise CeremonyRefused("it is in the HSM alone: export it there")
    return entry.places["block"]


def _key(settings: Settings, name: str, kbpk: Kbpk) -> Key:
    """The clear key of an entry that has a block."""
    entry = _entry(settings, name)
    with refusing(name):
        _block_of(entry)
    try:
        return unwrap_entries(settings.hsm.keys, {name: entry}, kbpk)[name]
    except KeyFileError as error:
        raise Refusal(str(error)) from None


def _require_place(settings: Settings, name: str, *, replace: bool) -> None:
    """Refuse before anybody types a component what the writer would refuse after."""
    if not is_key_name(name):
        raise Refusal("a key's name is made of letters, digits, '_', '.' and '-'")
    if (name in _entries(settings)) and not replace:
        raise Refusal(f"key {name}: is there already: give it another name, or --replace")


def _require_desk(settings: Settings) -> None:
    """Refuse before anybody opens an envelope what could not be recorded or written after."""

    async def work(_: Operators) -> None:
        with locked(settings.hsm.keys):
            pass

    at_desk(settings, work)


def _read_block(path: Path | None) -> str:
    try:
        data = sys.stdin.buffer.read(BLOCK_MAX + 2) if path is None else path.read_bytes()
        return data[: BLOCK_MAX + 2].decode("ascii").strip()
    except OSError as error:
        raise Refusal(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Refusal("the block is not text") from None


@contextlib.contextmanager
def refusing(name: str) -> Iterator[None]:
    """What a ceremony refuses is one line with the key's name."""
    try:
        yield
    except CeremonyRefused as error:
        raise Refusal(f"key {name}: {error}") from None
