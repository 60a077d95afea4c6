"""What must be there before the switch serves: keys, dialects, a database that fits them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import asyncpg

from keys.hsm import HsmRejected, PinBlockFormat
from keys.keyfile import KeyFileError, is_development, load, read_kbpk
from keys.software.backend import SoftwareHsm
from keys.software.key import AES, Key
from keys.vault import LocalDataKeys, Vault, VaultError
from specs.spec import Spec, SpecError
from specs.spec import load as load_spec
from switch.demo import loader
from switch.flows.file_update import FILE_UPDATE
from switch.ledger.embedded import EmbeddedPostgres
from switch.ledger.embedded_files import EmbeddedError
from switch.ledger.ledger import PARTITION_MONTHS_AHEAD
from switch.ledger.migrate import MigrationError, migrate, pending
from switch.ledger.queries import QUERIES
from switch.ledger.unwind import JournalError
from switch.links.link import LinkError
from switch.operate.admin import AdminError
from switch.operate.events import Operator
from switch.rules.program import Program, ProgramError
from switch.settings import Settings, SettingsError
from switch.wire.frame import Framing

_PIN_BLOCK = 52

#: What refuses to start with one line and no traceback.
REFUSALS = (
    AdminError,
    loader.DemoError,
    EmbeddedError,
    HsmRejected,
    JournalError,
    KeyFileError,
    LinkError,
    MigrationError,
    ProgramError,
    SettingsError,
    SpecError,
    VaultError,
)


class StartError(Exception):
    """The switch cannot start: one line that says what to do."""


def read_keys(settings: Settings) -> dict[str, Key]:
    """The software HSM's keys. Raises `KeyFileError`; refuses published ones in production."""
    kbpk = read_kbpk(settings.hsm.kbpk_file)
    if settings.hsm.production and is_development(kbpk):
        raise settings.refusal("hsm.kbpk_file", "is a published development key: not in production")
    keys = load(settings.hsm.keys, kbpk)
    settings.check_keys(keys)
    return keys


def vault_of(settings: Settings, keys: Mapping[str, Key]) -> Vault:
    """The vault over its two keys."""
    return Vault(LocalDataKeys(keys[settings.vault.token_key], keys[settings.vault.data_key]))


def read_specs(settings: Settings) -> dict[str, Spec]:
    """The dialect of each link. Raises `SettingsError` where it or the framing is not known."""
    specs = {}
    for index, link in enumerate(settings.links):
        try:
            specs[link.dialect] = load_spec(link.dialect)
        except SpecError as error:
            raise settings.refusal(f"links[{index}].dialect", str(error)) from None
        spec = specs[link.dialect]
        if link.file_updates and not (spec.file_updates and FILE_UPDATE in spec.classes):
            raise settings.refusal(
                f"links[{index}].file_updates", f"{link.dialect} has no file update ({FILE_UPDATE})"
            )
        try:
            Framing.parse(link.framing, link.frame_max)
        except ValueError as error:
            raise settings.refusal(f"links[{index}].framing", str(error)) from None
    return specs


@contextlib.asynccontextmanager
async def database(
    settings: Settings,
    operator: Operator | None = None,
    *,
    prepare: Callable[[str], Awaitable[None]],
) -> AsyncIterator[str]:
    """The ledger's database once `prepare` is done with it: the embedded one, or a real one.

    The embedded one is started, watched where there is an operator to tell, and stopped.
    """
    if not settings.database.is_embedded:
        url = settings.database.url.get_secret_value()
        try:
            await prepare(url)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            where = settings.database.url_public
            raise StartError(f"database {where}: cannot be used: {reason}") from None
        except MigrationError as error:
            raise StartError(f"database {settings.database.url_public}: {error}") from None
        yield url
        return
    async with EmbeddedPostgres(settings.database.data_dir) as server:
        await prepare(server.url)
        watching = asyncio.create_task(server.watch(operator.event)) if operator else None
        try:
            yield server.url
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)


async def make_ready(url: str) -> None:
    """Bring the schema up to date where it is behind, and this month's partitions with it."""
    connection = await asyncpg.connect(url)
    try:
        if await pending(connection):
            await migrate(url)
        await connection.execute(QUERIES["make_partitions"], PARTITION_MONTHS_AHEAD)
    finally:
        await connection.close()


async def load_demo_when_empty(settings: Settings, url: str, vault: Vault) -> None:
    """A first start has cards to try: the demo's, where settings let it and nothing is there."""
    if settings.hsm.production or not settings.demo.load_when_empty:
        return
    connection = await asyncpg.connect(url)
    try:
        if await loader.is_empty(connection):
            await loader.reset(connection, vault)
    finally:
        await connection.close()


#: The TR-31 usage of a program's keys, in the order of `ProgramKeys.all` (X9.143, table 6).
PROGRAM_USAGES = ("C0", "V2", "V1", "E0")
ZONE_USAGE = "P0"


def check_keys(hsm: SoftwareHsm, keys: Mapping[str, Key], programs: list[Program]) -> None:
    """Refuse a program whose keys are missing, other than pinned, or made for something else."""
    for program in programs:
        for reference, usage in zip(program.keys.all(), PROGRAM_USAGES, strict=True):
            try:
                hsm.check(reference)
            except HsmRejected as error:
                raise StartError(f"program {program.name!r}: {error}") from None
            if keys[reference.name].usage != usage:
                raise StartError(f"program {program.name!r}: key {reference.name} is not {usage}")


def check_zones(settings: Settings, keys: Mapping[str, Key], specs: Mapping[str, Spec]) -> None:
    """Refuse a link whose PIN blocks could never be deciphered with its key."""
    for index, link in enumerate(settings.links):
        key, block_format = keys[link.zone_pin_key], PinBlockFormat(link.pin_block_format)
        is_aes = block_format is PinBlockFormat.ISO_4
        if key.usage != ZONE_USAGE or (key.algorithm == AES) != is_aes:
            cipher = "AES" if is_aes else "TDES"
            raise settings.refusal(
                f"links[{index}].zone_pin_key",
                f"must be a {ZONE_USAGE} {cipher} key for pin_block_format {block_format.value}",
            )
        if specs[link.dialect].fields[_PIN_BLOCK].length < (16 if is_aes else 8):
            raise settings.refusal(
                f"links[{index}].pin_block_format", f"does not fit DE52 of {link.dialect}"
            )


async def check_vault(url: str, vault: Vault) -> None:
    """Refuse vault keys under which this database's cards could not be found."""
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(QUERIES["any_card"])
    finally:
        await connection.close()
    if row is None:
        return
    token: bytes = row["pan_token"]
    try:
        is_ours = token in vault.lookup_tokens(vault.open(row["pan_ciphertext"], context=token))
    except VaultError:
        is_ours = False
    if not is_ours:
        raise StartError(
            "vault: the cards of this database are under another token_key or data_key"
        )
