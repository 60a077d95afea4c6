"""What must be there before the switch serves: keys, dialects, a database that fits them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

import asyncpg

from keys.attributes import KEY_ENCRYPTION
from keys.hsm import Capability, Hsm, HsmRejected, MacAlgorithm, PinBlockFormat
from keys.keyfile import (
    KeyEntry,
    KeyFileError,
    is_development,
    read_entries,
    read_kbpk,
    unwrap_entries,
)
from keys.kms import Kms, KmsRejected, KmsUnavailable, answered
from keys.software.key import AES, TDES, Key
from keys.vault import LocalDataKeys, Vault, VaultError
from keys.zone_keys import ZoneKeyForm
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
from switch.rules.program import KEY_USAGES, Program, ProgramError
from switch.settings import Link, Settings, SettingsError
from switch.wire.frame import Framing
from switch.wire.mac import can_carry_mac

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


ZONE_USAGE = "P0"
#: What a link's MAC key must be for, and what its HSM must be able to do (X9.143, table 6).
_MACS = {
    MacAlgorithm.ISO9797_1: ("M1", TDES, Capability.MAC_ISO9797_1),
    MacAlgorithm.ISO9797_3: ("M3", TDES, Capability.MAC_ISO9797_3),
    MacAlgorithm.AES_CMAC: ("M6", AES, Capability.MAC_AES_CMAC),
    MacAlgorithm.TDES_CMAC: ("M6", TDES, Capability.MAC_TDES_CMAC),
}
_PIN_BLOCKS = {
    PinBlockFormat.ISO_0: Capability.PIN_ISO_0,
    PinBlockFormat.ISO_1: Capability.PIN_ISO_1,
    PinBlockFormat.ISO_3: Capability.PIN_ISO_3,
    PinBlockFormat.ISO_4: Capability.PIN_ISO_4,
}


def check_programs(hsm: Hsm, programs: Iterable[Program]) -> None:
    """Refuse a program whose keys are missing, other than pinned, or made for something else, and
    one that needs what this HSM cannot do.
    """
    for program in programs:
        for use, ref in program.keys.uses().items():
            try:
                hsm.check(ref, *KEY_USAGES[use])
            except HsmRejected as error:
                raise StartError(f"program {program.name!r}: {error}") from None
        if missing := program.needs() - hsm.capabilities:
            raise StartError(
                f"program {program.name!r}: the {hsm.name} backend cannot do "
                f"{', '.join(sorted(missing))}"
            )


def check_links(
    settings: Settings,
    hsm: Hsm,
    entries: Mapping[str, KeyEntry],
    specs: Mapping[str, Spec],
) -> None:
    """Refuse a link whose PIN blocks could never be deciphered with its key, or whose messages
    never authenticated. An HSM that verifies no PINs needs no zone key.
    """
    with_pins = bool(hsm.capabilities & {Capability.VISA_PVV, Capability.IBM_3624})
    for index, link in enumerate(settings.links):
        here = f"links[{index}]"
        block_format = PinBlockFormat(link.pin_block_format)
        if with_pins:
            _check_zone_key(settings, here, hsm, entries[link.zone_pin_key], block_format)
        is_aes = block_format is PinBlockFormat.ISO_4
        if specs[link.dialect].fields[_PIN_BLOCK].length < (16 if is_aes else 8):
            raise settings.refusal(
                f"{here}.pin_block_format", f"does not fit DE52 of {link.dialect}"
            )
        if link.zone_master_key:
            check_zone_master(settings, here, hsm, entries, specs[link.dialect], link)
        if link.mac_key:
            if not can_carry_mac(specs[link.dialect]):
                raise settings.refusal(f"{here}.mac_key", f"{link.dialect} has no room for a MAC")
            usage, cipher, capability = _MACS[MacAlgorithm(link.mac_algorithm)]
            if entries[link.mac_key].algorithm != cipher:
                word = "an AES" if cipher == AES else "a TDES"
                raise settings.refusal(
                    f"{here}.mac_key", f"must be {word} key for {link.mac_algorithm}"
                )
            _check_key(settings, f"{here}.mac_key", hsm, entries[link.mac_key], usage)
            _check_capability(settings, f"{here}.mac_algorithm", hsm, capability)


def _check_zone_key(
    settings: Settings, here: str, hsm: Hsm, entry: KeyEntry, block_format: PinBlockFormat
) -> None:
    is_aes = block_format is PinBlockFormat.ISO_4
    if entry.usage != ZONE_USAGE or (entry.algorithm == AES) != is_aes:
        cipher = "AES" if is_aes else "TDES"
        raise settings.refusal(
            f"{here}.zone_pin_key",
            f"must be a {ZONE_USAGE} {cipher} key for pin_block_format {block_format.value}",
        )
    _check_key(settings, f"{here}.zone_pin_key", hsm, entry, ZONE_USAGE)
    _check_capability(settings, f"{here}.pin_block_format", hsm, _PIN_BLOCKS[block_format])


def check_zone_master(
    settings: Settings,
    here: str,
    hsm: Hsm,
    entries: Mapping[str, KeyEntry],
    spec: Spec,
    link: Link,
) -> None:
    """Refuse a zone master key under which no zone key could come."""
    setting, entry = f"{here}.zone_master_key", entries[link.zone_master_key]
    if spec.key_exchange is None:
        raise settings.refusal(setting, f"{link.dialect} has no key_exchange")
    _check_capability(settings, setting, hsm, Capability.IMPORT_ZONE_KEY)
    _check_key(settings, setting, hsm, entry, *KEY_ENCRYPTION)
    if spec.key_exchange.layout == ZoneKeyForm.CRYPTOGRAM and entry.algorithm != TDES:
        raise settings.refusal(
            setting, f"must be a TDES key for the key_exchange of {link.dialect}"
        )
    if entries[link.zone_pin_key].algorithm != TDES and entry.algorithm == TDES:
        raise settings.refusal(setting, "is weaker than the AES keys that it would protect")


def _check_key(settings: Settings, setting: str, hsm: Hsm, entry: KeyEntry, *usages: str) -> None:
    try:
        hsm.check(entry.ref, *usages)
    except HsmRejected as error:
        raise settings.refusal(setting, str(error)) from None


def _check_capability(settings: Settings, setting: str, hsm: Hsm, needed: Capability) -> None:
    if needed not in hsm.capabilities:
        raise settings.refusal(setting, f"the {hsm.name} backend cannot do {needed.value}")


async def check_vault(url: str, vault: Vault) -> None:
    """Refuse vault keys under which this database's cards could not be found.

    One card of each version of the token key is looked at: while cards are brought under a new
    key, those that are not yet need the old one.
    """
    connection = await asyncpg.connect(url)
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
