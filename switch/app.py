"""Builds everything in order and stops it in reverse. The only wiring."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import asyncpg

from keys.hsm import HsmRejected, KeyRef, PinBlockFormat
from keys.keyfile import KeyFileError, is_development, load, read_kbpk
from keys.software.backend import SoftwareHsm
from keys.software.key import AES, Key
from keys.vault import LocalDataKeys, Vault, VaultError
from specs.spec import Spec, SpecError
from specs.spec import load as load_spec
from switch.demo import loader
from switch.flows.file_update import FILE_UPDATE, FileUpdater, Network
from switch.flows.issuer import Issuer, PinZone
from switch.flows.router import Router
from switch.ledger.embedded import EmbeddedPostgres
from switch.ledger.embedded_files import EmbeddedError
from switch.ledger.ledger import PARTITION_MONTHS_AHEAD, Ledger
from switch.ledger.migrate import MigrationError, migrate, pending
from switch.ledger.queries import QUERIES
from switch.ledger.unwind import Journal, JournalError
from switch.links.link import Link, LinkError
from switch.log import configure, get_logger
from switch.operate.admin import Admin, AdminError
from switch.operate.events import Operator
from switch.operate.metrics import Metrics
from switch.rules.program import Program, ProgramError
from switch.settings import Settings, SettingsError
from switch.wire.frame import Framing

_PIN_BLOCK = 52
#: Objects made and not freed before the youngest are looked at for cycles; Python says 700.
GARBAGE_THRESHOLD = 20_000
#: How long a stopping process waits for its database work, in seconds.
STOP_SECONDS = 5.0

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


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; then finish what is in flight and stop what was started."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    writer = configure(settings.log.level, settings.log.queue_max)
    log = get_logger("switch")
    metrics = Metrics()
    operator = Operator(log, metrics)
    metrics.gauge(
        "switch_log_lines_lost", "Log lines that a stuck reader cost.",
        lambda: writer.log_dropped_total,
    )  # fmt: skip
    try:
        async with contextlib.AsyncExitStack() as stack:
            started = asyncio.create_task(_start(settings, stack, operator, metrics))
            stopped = asyncio.create_task(stopping.wait())
            await asyncio.wait({started, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not started.done():  # Ctrl-C while starting
                started.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await started
                log.info("started", url=settings.database.url_public)
                await stopped
            log.info("stopping")
        log.info("stopped")
    finally:
        writer.stop()


async def _start(
    settings: Settings, stack: contextlib.AsyncExitStack, operator: Operator, metrics: Metrics
) -> None:
    keys, specs = read_keys(settings), read_specs(settings)
    vault = vault_of(settings, keys)
    _check_zones(settings, keys, specs)
    _warn_of_keys(settings, operator)
    url = await stack.enter_async_context(database(settings, operator, prepare=make_ready))
    await load_demo_when_empty(settings, url, vault)
    await check_vault(url, vault)

    ledger = Ledger(
        url,
        Journal(settings.unwind.journal),
        connections=settings.database.connections,
        batch_max=settings.database.batch_max,
        connect_timeout=settings.database.connect_timeout_ms / 1000,
        on_event=operator.event,
    )
    stack.push_async_callback(ledger.close, within=STOP_SECONDS)
    await ledger.open()
    hsm = SoftwareHsm(keys)
    stack.push_async_callback(hsm.close)
    programs = await ledger.programs()
    _check_keys(hsm, keys, programs)

    issuer = Issuer(
        ledger=ledger,
        hsm=hsm,
        vault=vault,
        programs={program.program_id: program for program in programs},
        pin_zones={
            link.name: PinZone(
                KeyRef(link.zone_pin_key, keys[link.zone_pin_key].kcv),
                PinBlockFormat(link.pin_block_format),
            )
            for link in settings.links
        },
        hsm_budget=settings.hsm.budget_ms / 1000,
        schemes={link.name: link.scheme or link.name for link in settings.links},
    )
    links = [
        Link(
            link,
            Router(link.name, specs[link.dialect], issuer, on_event=operator.event),
            issuer,
            on_exchange=operator.exchange,
            on_event=operator.event,
        )
        for link in settings.links
    ]
    _gauges(metrics, ledger, links)
    if settings.admin.listen:
        admin = Admin(settings.admin.listen, metrics, lambda: _missing(ledger, links))
        await admin.start()
        stack.push_async_callback(admin.stop)
    for link in links:
        stack.push_async_callback(link.drain, within=link.settings.answer_within_ms / 1000)
    for link in links:
        await link.listen()
    await _tell_networks(stack, issuer, links, specs, operator, metrics)
    # What was built lives as long as the process: the collector need not look at it again, and
    # messages leave few cycles, so that it need not look often.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)


async def _tell_networks(
    stack: contextlib.AsyncExitStack,
    issuer: Issuer,
    links: list[Link],
    specs: Mapping[str, Spec],
    operator: Operator,
    metrics: Metrics,
) -> None:
    """Tell the networks behind those links of blocked cards that are configured for it."""
    networks = [
        Network(
            link.settings.name,
            specs[link.settings.dialect],
            link,
            link.settings.file_update_name,
            link.settings.file_update_answer_s,
        )
        for link in links
        if link.settings.file_updates
    ]
    if not networks:
        return
    updater = FileUpdater(
        issuer.ledger.file_updates, issuer.vault, networks, on_event=operator.event
    )
    metrics.gauge(
        "switch_file_updates_unanswered", "Card blocks that a network has not answered yet.",
        lambda: updater.unanswered,
    )  # fmt: skip
    updater.start()
    stack.push_async_callback(updater.close)


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


def _check_keys(hsm: SoftwareHsm, keys: Mapping[str, Key], programs: list[Program]) -> None:
    """Refuse a program whose keys are missing, other than pinned, or made for something else."""
    for program in programs:
        for reference, usage in zip(program.keys.all(), PROGRAM_USAGES, strict=True):
            try:
                hsm.check(reference)
            except HsmRejected as error:
                raise StartError(f"program {program.name!r}: {error}") from None
            if keys[reference.name].usage != usage:
                raise StartError(f"program {program.name!r}: key {reference.name} is not {usage}")


def _check_zones(settings: Settings, keys: Mapping[str, Key], specs: Mapping[str, Spec]) -> None:
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


def _warn_of_keys(settings: Settings, operator: Operator) -> None:
    operator.event("software_hsm", problem="not PCI-capable: for development and tests only")
    if is_development(read_kbpk(settings.hsm.kbpk_file)):
        path = Path(settings.hsm.kbpk_file)
        operator.event("development_keys", path=path.name, problem="published: worth nothing")


def _missing(ledger: Ledger, links: list[Link]) -> list[str]:
    missing = [] if ledger.is_ready else ["database"]
    if any(link.is_draining for link in links):
        missing.append("draining")
    return missing


def _gauges(metrics: Metrics, ledger: Ledger, links: list[Link]) -> None:
    metrics.gauge(
        "switch_in_flight", "Messages that wait for their answer.",
        lambda: sum(link.in_flight for link in links),
    )  # fmt: skip
    metrics.gauge(
        "switch_connections", "Peers that are connected.",
        lambda: sum(link.connections for link in links),
    )  # fmt: skip
    metrics.gauge(
        "switch_unwinds_pending", "Messages that wait to be taken back.",
        lambda: ledger.unwinding,
    )  # fmt: skip
    metrics.gauge(
        "switch_decisions_waiting", "Decisions that wait for a database connection.",
        lambda: ledger.waiting,
    )  # fmt: skip
