"""Builds everything in order and stops it in reverse. The only wiring."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from keys.guard import GuardedHsm, until_answered
from keys.hsm import Hsm
from keys.keyfile import KeyEntry, is_development, read_kbpk
from specs.spec import Spec
from switch.backends import backend_of, guarded
from switch.events.publisher import Publisher
from switch.events.sinks import check_sink, sink_of
from switch.events.thread import PublisherThread, in_loop
from switch.flows.file_update import FileUpdater, Network
from switch.flows.issuer import Issuer
from switch.flows.router import Router
from switch.gauges import (
    add_event_gauges,
    add_key_gauges,
    add_ledger_gauges,
    add_link_gauges,
    add_process_gauges,
    add_stand_in_gauges,
)
from switch.key_checks import check_links, check_programs
from switch.key_trials import try_keys
from switch.ledger.ledger import Ledger
from switch.ledger.stand_in_journal import StandInJournal
from switch.ledger.unwind import Journal
from switch.link_zones import mac_zones, pin_zones
from switch.links.door import doors_of
from switch.links.link import Link
from switch.log import configure, get_logger
from switch.log_writer import LogWriter
from switch.operate.events import Operator
from switch.operate.metrics import Metrics
from switch.prepare import (
    check_vault,
    database,
    load_demo_when_empty,
    make_ready,
    read_keys,
    read_specs,
    vault_of,
)
from switch.rules.program import Program
from switch.settings import Settings
from switch.zones import LinkKeys

#: Objects made and not freed before the youngest are looked at for cycles; Python says 700.
GARBAGE_THRESHOLD = 20_000
#: How long a stopping process waits for its database work, in seconds.
STOP_SECONDS = 5.0


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
    add_process_gauges(metrics, writer, settings.hsm.backend)
    try:
        async with contextlib.AsyncExitStack() as stack:
            started = asyncio.create_task(_start(settings, stack, operator, metrics, writer))
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


async def check(settings: Settings) -> None:
    """Raise what a start with these settings would be refused for, and touch nothing.

    Neither the database is asked nor an HSM that is elsewhere; where AWS KMS has vault keys, it is,
    and so is SQS where events go there.
    """
    keys, specs = read_keys(settings), read_specs(settings)
    doors_of(settings, on_event=lambda *_, **__: None)
    await vault_of(settings, keys)
    await check_sink(settings)
    hsm = backend_of(settings, keys)
    if hsm.is_inline:
        await hsm.open()
        check_links(settings, hsm, keys, specs)


async def _start(
    settings: Settings,
    stack: contextlib.AsyncExitStack,
    operator: Operator,
    metrics: Metrics,
    writer: LogWriter,
) -> None:
    keys, specs = read_keys(settings), read_specs(settings)
    doors = doors_of(settings, on_event=operator.event)
    vault = await vault_of(settings, keys, on_event=operator.event)
    hsm = guarded(settings, backend_of(settings, keys), operator, metrics)
    stack.push_async_callback(hsm.close)
    await hsm.open()
    check_links(settings, hsm, keys, specs)
    _warn_of_keys(settings, keys, operator)
    await check_sink(settings)
    url = await stack.enter_async_context(database(settings, operator, prepare=make_ready))
    await load_demo_when_empty(settings, url, vault)
    await check_vault(url, vault)

    ledger = Ledger(
        url,
        Journal(settings.unwind.journal),
        connections=settings.database.connections,
        batch_max=settings.database.batch_max,
        connect_timeout=settings.database.connect_timeout_ms / 1000,
        cards_kept=settings.database.cards_kept,
        one_account_per_call=settings.database.one_account_per_call,
        on_event=operator.event,
    )
    stack.push_async_callback(ledger.close, within=STOP_SECONDS)
    await ledger.open()
    programs = await ledger.programs()
    check_programs(settings, hsm, programs)
    _allow_stand_ins(settings, ledger, programs, operator)
    pins, macs = pin_zones(settings, keys), mac_zones(settings, keys)
    await until_answered(
        lambda: try_keys(hsm, programs, pins, macs), hsm.name, on_event=operator.event
    )

    issuer = Issuer(
        ledger=ledger,
        hsm=hsm,
        vault=vault,
        programs={program.program_id: program for program in programs},
        pin_zones=pins,
        hsm_budget=settings.hsm.budget_ms / 1000,
        mac_zones=macs,
        schemes={link.name: link.scheme or link.name for link in settings.links},
    )
    zone_keys = LinkKeys(settings, issuer, keys, specs, on_event=operator.event)
    await zone_keys.start()
    stack.push_async_callback(zone_keys.close)
    links = [
        Link(
            link,
            Router(
                link.name,
                specs[link.dialect],
                issuer,
                on_event=operator.event,
                key_exchanges=zone_keys.exchanges_of(link),
            ),
            issuer,
            on_exchange=operator.exchange,
            on_event=operator.event,
            door=doors[link.name],
        )
        for link in settings.links
    ]
    leaving = asyncio.Event()
    add_ledger_gauges(metrics, ledger)
    add_stand_in_gauges(metrics, ledger, programs)
    add_link_gauges(metrics, links, doors)
    add_key_gauges(metrics, hsm, pins)
    if settings.admin.listen:
        # Imported where it is used: a start without an admin port does not pay for HTTP.
        from switch import admin_port
        from switch.operate.admin.pulse import Watched

        watched = Watched(
            metrics,
            ledger,
            hsm,
            links=lambda: [link.described() for link in links],
            missing=lambda: _missing(ledger, hsm, is_leaving=leaving.is_set()),
            lines_lost=lambda: writer.log_dropped_total,
        )
        await admin_port.serve(stack, settings, watched, ledger.primary, on_event=operator.event)
    # It ends after the links: what they did last is told too.
    _publish(stack, settings, url, operator, metrics)
    stack.push_async_callback(_drain, links, leaving, settings.stop.drain_s)
    for link in links:
        await link.start()
    zone_keys.begin_sending(links)
    await _tell_networks(stack, issuer, links, specs, operator, metrics)
    # What was built lives as long as the process: the collector need not look at it again, and
    # messages leave few cycles, so that it need not look often.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)


def _allow_stand_ins(
    settings: Settings, ledger: Ledger, programs: Sequence[Program], operator: Operator
) -> None:
    """Where a program lets approvals be given without the database, and where some were left."""
    allowing = [program for program in programs if program.stand_in is not None]
    for program in allowing:
        operator.event("stand_in_allowed", name=program.name)
    if allowing or settings.stand_in.journal.exists():
        ledger.allow_stand_ins(StandInJournal(settings.stand_in.journal))


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
    updater = FileUpdater(
        issuer.ledger.file_updates, issuer.vault, networks, on_event=operator.event
    )
    metrics.gauge(
        "switch_file_updates_unanswered", "Card blocks that a network has not answered yet.",
        lambda: updater.unanswered,
    )  # fmt: skip
    if not networks:
        return
    updater.start()
    stack.push_async_callback(updater.close)


def _publish(
    stack: contextlib.AsyncExitStack,
    settings: Settings,
    url: str,
    operator: Operator,
    metrics: Metrics,
) -> None:
    """Take events to their sink, where there is one and no process of its own does it."""
    on_event = in_loop(operator.event)
    sink = sink_of(settings, on_event=on_event)
    publisher = None
    if sink is not None and settings.events.publisher == "inside":
        publisher = Publisher(url, sink, batch_max=settings.events.batch_max, on_event=on_event)
        thread = PublisherThread(publisher)
        thread.start()
        stack.push_async_callback(thread.stop, within=STOP_SECONDS)
    add_event_gauges(metrics, publisher)


def _warn_of_keys(settings: Settings, keys: Mapping[str, KeyEntry], operator: Operator) -> None:
    if settings.hsm.backend == "software":
        operator.event("software_hsm", problem="not PCI-capable: for development and tests only")
    opens_blocks = settings.hsm.backend == "software" or any(
        "block" in keys[name].places
        for name in (*settings.vault.token_keys, *settings.vault.data_keys)
    )
    if opens_blocks and is_development(read_kbpk(settings.hsm.kbpk_file)):
        path = Path(settings.hsm.kbpk_file)
        operator.event("development_keys", path=path.name, problem="published: worth nothing")


async def _drain(links: list[Link], leaving: asyncio.Event, drain_s: int) -> None:
    """Tell who sends us connections, and let them hear it. Then all links at once: a silent peer of
    one is not waited for by the others.
    """
    leaving.set()
    await asyncio.sleep(drain_s)
    await asyncio.gather(
        *(link.drain(within=link.settings.answer_within_ms / 1000) for link in links)
    )


def _missing(ledger: Ledger, hsm: Hsm, *, is_leaving: bool) -> list[str]:
    missing = [] if ledger.is_ready else ["database"]
    if isinstance(hsm, GuardedHsm) and hsm.is_down:
        missing.append("hsm")
    if is_leaving:
        missing.append("draining")
    return missing
