"""What must be there before the switch serves: keys, dialects, a database that fits them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import asyncpg

from keys.hsm import HsmRejected
from keys.keyfile import (
    KeyEntry,
    KeyFileError,
    is_development,
    read_entries,
    read_kbpk,
    unwrap_entries,
)
from keys.kms import Kms, KmsRejected, KmsUnavailable, answered
from keys.software.key import Key
from keys.vault import LocalDataKeys, Vault, VaultError
from specs.spec import Spec, SpecError
from specs.spec import load as load_spec
from switch.demo import loader
from switch.flows.file_update import FILE_UPDATE
from switch.ledger.embedded import EmbeddedPostgres, running_url
from switch.ledger.embedded_files import EmbeddedError
from switch.ledger.ledger import PARTITION_MONTHS_AHEAD, program_of
from switch.ledger.migrate import MigrationError, migrate, pending
from switch.ledger.primary import connect
from switch.ledger.queries import QUERIES
from switch.ledger.unwind import JournalError
from switch.links.format import format_of
from switch.links.link import LinkError
from switch.links.session import try_requests
from switch.operate.admin_error import AdminError
from switch.operate.events import Operator
from switch.rules.program import Program, ProgramError
from switch.rules.reason import Reason
from switch.settings import Settings, SettingsError
from switch.wire.versions import VERSIONS

_PIN_BLOCK = 52

#: What refuses to start with one line and no traceback.
REFUSALS = (
    AdminError,
    loader.DemoError,
    EmbeddedError,
    HsmRejected,
    JournalError,
    KeyFileError,
    KmsRejected,
    KmsUnavailable,
    LinkError,
    MigrationError,
    ProgramError,
    SettingsError,
    SpecError,
    VaultError,
)


OnEvent = Callable[..., None]

#: The first and the longest pause before KMS is asked again, in seconds.
KMS_PAUSE_FIRST, KMS_PAUSE_MOST = 1.0, 30.0


class StartError(Exception):
    """The switch cannot start: one line that says what to do."""


def read_keys(settings: Settings) -> dict[str, KeyEntry]:
    """What the key file says of every key. Raises `KeyFileError`, or refuses a setting that names
    a key which is not there.
    """
    entries = read_entries(settings.hsm.keys)
    settings.check_keys(entries)
    return entries


async def vault_of(
    settings: Settings, entries: Mapping[str, KeyEntry], *, on_event: OnEvent | None = None
) -> Vault:
    """The vault over its keys: key blocks, and what KMS opens.

    A KMS that does not answer is waited for where there is somebody to tell of it; else it is
    refused, as is every other obstacle.
    """
    names = dict.fromkeys((*settings.vault.token_keys, *settings.vault.data_keys))
    wrapped = [name for name in names if "kms" in entries[name].places]
    blocks = [name for name in names if name not in wrapped]
    keys = list(open_blocks(settings, entries, *blocks).values()) if blocks else []
    if len(keys) < len(blocks):
        missing = next(name for name in blocks if "block" not in entries[name].places)
        raise KeyFileError(f"{settings.hsm.keys}: {missing}: the vault needs its block, or kms")
    kms = Kms(region=settings.vault.kms_region, endpoint_url=settings.vault.kms_endpoint_url)
    try:
        for name in wrapped:
            keys.append(await _opened(kms, entries[name], on_event))
    finally:
        kms.close()
    return Vault(LocalDataKeys(*keys))


async def _opened(kms: Kms, entry: KeyEntry, on_event: OnEvent | None) -> Key:
    """A key as KMS gives it, however long that takes where there is somebody to tell."""
    pause = KMS_PAUSE_FIRST
    while True:
        try:
            return await answered(entry.name, lambda: kms.decrypt(entry))
        except KmsUnavailable as error:
            if on_event is None:
                raise
            on_event("vault_waiting", problem=str(error), seconds=pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, KMS_PAUSE_MOST)


def open_blocks(settings: Settings, entries: Mapping[str, KeyEntry], *names: str) -> dict[str, Key]:
    """The clear keys of some key blocks, of all where none is named.

    Raises `KeyFileError`; refuses blocks under the published protection key in production.
    """
    kbpk = read_kbpk(settings.hsm.kbpk_file)
    if settings.hsm.production and is_development(kbpk):
        raise settings.refusal("hsm.kbpk_file", "is a published development key: not in production")
    some = {name: entries[name] for name in names} if names else entries
    return unwrap_entries(settings.hsm.keys, some, kbpk)


def read_specs(settings: Settings) -> dict[str, Spec]:
    """The dialect of each link. Raises `SettingsError` where it or the framing is not known."""
    specs = {}
    for index, link in enumerate(settings.links):
        try:
            specs[link.dialect] = load_spec(link.dialect)
        except SpecError as error:
            raise settings.refusal(f"links[{index}].dialect", str(error)) from None
        spec = specs[link.dialect]
        if spec.version not in VERSIONS:
            raise settings.refusal(
                f"links[{index}].dialect",
                f"{link.dialect} is of MTIs {spec.version}xxx: links answer those of "
                f"{', '.join(f'{version}xxx' for version in VERSIONS)} alone",
            )
        if missing := {reason.value for reason in Reason} - spec.response_codes.rows.keys():
            raise settings.refusal(
                f"links[{index}].dialect",
                f"{link.dialect} has no response code for {', '.join(sorted(missing))}",
            )
        if link.file_updates and not (spec.file_updates and FILE_UPDATE in spec.classes):
            raise settings.refusal(
                f"links[{index}].file_updates", f"{link.dialect} has no file update ({FILE_UPDATE})"
            )
        try:
            format_of(link)
        except ValueError as error:
            raise settings.refusal(f"links[{index}].framing", str(error)) from None
        try:
            try_requests(link, spec)
        except ValueError as error:
            raise settings.refusal(f"links[{index}].network_fields", str(error)) from None
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


async def programs_there(settings: Settings) -> list[Program]:
    """The programs of the database, for who only looks: none where it does not answer. Nothing is
    started for that. Raises `ProgramError` where one cannot be used.
    """
    if settings.database.is_embedded:
        url = running_url(settings.database.data_dir)
    else:
        url = settings.database.url.get_secret_value()
    if url is None:
        return []
    try:
        connection = await connect(url, timeout=settings.database.connect_timeout_ms / 1000)
        try:
            rows = await connection.fetch(QUERIES["programs"])
        finally:
            await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return []
    return [program_of(row) for row in rows]


async def make_ready(url: str) -> None:
    """Bring the schema up to date where it is behind, and this month's partitions with it."""
    connection = await connect(url)
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
    connection = await connect(url)
    try:
        if await loader.is_empty(connection):
            await loader.load(connection, vault)
    finally:
        await connection.close()


async def check_vault(url: str, vault: Vault) -> None:
    """Refuse vault keys under which this database's cards could not be found.

    One card of each version of the token key is looked at: while cards are brought under a new
    key, those that are not yet need the old one.
    """
    connection = await connect(url)
    try:
        rows = await connection.fetch(QUERIES["card_of_each_version"])
    finally:
        await connection.close()
    for row in rows:
        token: bytes = row["pan_token"]
        try:
            is_ours = token in vault.lookup_tokens(vault.open(row["pan_ciphertext"], context=token))
        except VaultError:
            is_ours = False
        if not is_ours:
            raise StartError(
                "vault: cards of this database are under other token_keys or data_keys"
            )
