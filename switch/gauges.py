"""What is known anyway and is read when Prometheus asks: links, ledger, HSM, keys, the process."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from operator import attrgetter

from keys.breaker import State as BreakerState
from keys.guard import GuardedHsm
from keys.hsm import Hsm
from switch.events.publisher import Publisher
from switch.flows.issuer import PinZone
from switch.ledger.ledger import Ledger
from switch.ledger.stand_ins import StandIns
from switch.links.door import Door
from switch.links.link import Link
from switch.links.state import State
from switch.log_writer import LogWriter
from switch.operate.metrics import Metrics
from switch.rules.program import Program

#: What the ledger's histograms tell apart: housekeeping and refusals are in nobody's way.
TIMED = ("decide", "find", "book")


def add_process_gauges(metrics: Metrics, writer: LogWriter, hsm: str) -> None:
    """Which version runs over which HSM, and what the log lost."""
    about = (version("iso8583-switch"), platform.python_version(), hsm)
    metrics.gauges(
        "switch_build_info", "1, with what runs.", ("version", "python", "hsm"),
        lambda: {about: 1},
    )  # fmt: skip
    metrics.counters(
        "switch_log_lines_lost", "Log lines that a stuck reader cost.", (),
        lambda: {(): writer.log_dropped_total},
    )  # fmt: skip
    metrics.counters(
        "switch_log_fields_refused", "Log fields that are not on the list of those allowed.", (),
        lambda: {(): writer.log_fields_dropped_total},
    )  # fmt: skip


def add_link_gauges(metrics: Metrics, links: Sequence[Link], doors: Mapping[str, Door]) -> None:
    """The state of each link, and what it is held to."""
    named = {link.settings.name: link for link in links}
    metrics.expect_links(named)
    metrics.gauges(
        "switch_link_state", "1 at the state that a link is in.", ("link", "state"),
        lambda: {
            (name, state): link.state.state is state
            for name, link in named.items() for state in State
        },
    )  # fmt: skip
    metrics.gauges(
        "switch_connections", "Peers that are connected.", ("link",),
        lambda: {(name,): link.connections for name, link in named.items()},
    )  # fmt: skip
    metrics.gauges(
        "switch_in_flight", "Messages that wait for their answer.", ("link",),
        lambda: {(name,): link.in_flight for name, link in named.items()},
    )  # fmt: skip
    metrics.gauges(
        "switch_in_flight_max", "Messages in flight beyond which requests are shed.", ("link",),
        lambda: {(name,): link.settings.in_flight_max for name, link in named.items()},
    )  # fmt: skip
    metrics.gauges(
        "switch_answer_within_seconds", "The time that an answer has.", ("link",),
        lambda: {(name,): link.settings.answer_within_ms / 1000 for name, link in named.items()},
    )  # fmt: skip
    metrics.gauges(
        "switch_last_echo_timestamp_seconds",
        "When an echo was last answered, by either side, in seconds since 1970.", ("link",),
        lambda: {
            (name,): link.last_echo.timestamp()
            for name, link in named.items() if link.last_echo is not None
        },
    )  # fmt: skip
    metrics.gauges(
        "switch_tls_certificate_expires_timestamp_seconds",
        "When a link's own certificate ends, in seconds since 1970.", ("link",),
        lambda: {
            (name,): door.tls.expires_at for name, door in doors.items() if door.tls is not None
        },
    )  # fmt: skip


def add_ledger_gauges(metrics: Metrics, ledger: Ledger) -> None:
    """Connections, calls to the database, kept cards, what is to be taken back."""
    metrics.gauge("switch_database_up", "1 while decisions can be made.", lambda: ledger.is_ready)
    metrics.gauges(
        "switch_database_connections", "Connections that stand, by what they are for.", ("call",),
        lambda: {(call,): batcher.lanes_ready for call, batcher in ledger.calls.items()},
    )  # fmt: skip
    metrics.gauges(
        "switch_ledger_calls_waiting", "Calls that wait for a connection.", ("call",),
        lambda: {(call,): batcher.waiting for call, batcher in ledger.calls.items()},
    )  # fmt: skip
    metrics.histograms(
        "switch_ledger_call_seconds", "From a batch of calls to its answers.", ("call",),
        lambda: {(call,): ledger.calls[call].seconds for call in TIMED},
    )  # fmt: skip
    metrics.histograms(
        "switch_ledger_batch_size", "How many calls share a transaction.", ("call",),
        lambda: {(call,): ledger.calls[call].sizes for call in TIMED},
    )  # fmt: skip
    metrics.counters(
        "switch_card_lookups", "Cards that were asked for, by where they were.", ("place",),
        lambda: {("memory",): ledger.found_kept, ("database",): ledger.found_anew},
    )  # fmt: skip
    metrics.gauge("switch_cards_kept", "Cards that are kept.", lambda: ledger.cards_kept)
    metrics.gauge(
        "switch_unwinds_pending", "Messages that wait to be taken back.", lambda: ledger.unwinding
    )


def add_event_gauges(metrics: Metrics, publisher: Publisher | None) -> None:
    """How far events are published, where a thread of this process does it."""
    publishers = [publisher] if publisher is not None else []
    metrics.counters(
        "switch_outbox_published", "Events that the sink has had from this process.", ("sink",),
        lambda: {(one.sink,): one.published for one in publishers},
    )  # fmt: skip
    metrics.counters(
        "switch_outbox_failures", "Attempts to publish that failed.", ("sink",),
        lambda: {(one.sink,): one.failures for one in publishers},
    )  # fmt: skip
    metrics.gauges(
        "switch_outbox_leader", "1 where this process is the one that publishes.", ("sink",),
        lambda: {(one.sink,): one.is_leader for one in publishers},
    )  # fmt: skip
    metrics.gauges(
        "switch_outbox_lag", "Events that wait to be published.", ("sink",),
        lambda: {(one.sink,): one.lag for one in publishers},
    )  # fmt: skip
    metrics.gauges(
        "switch_outbox_lag_seconds", "How long the oldest of them has waited.", ("sink",),
        lambda: {(one.sink,): one.lag_seconds for one in publishers},
    )  # fmt: skip


def add_stand_in_gauges(metrics: Metrics, ledger: Ledger, programs: Sequence[Program]) -> None:
    """What was approved while the database was away; nothing where no program allows it."""
    named = {program.program_id: program.name for program in programs}
    about = ("program", "currency")

    def told(of: Callable[[StandIns], Counter[tuple[int, str]]]) -> dict[tuple[str, ...], float]:
        counted = of(ledger.stand_ins).items() if ledger.stand_ins else ()
        return {(named[number], currency): value for (number, currency), value in counted}

    metrics.counters(
        "switch_stand_ins", "Approvals given while the database was away.", about,
        lambda: told(attrgetter("approved")),
    )  # fmt: skip
    metrics.counters(
        "switch_stand_in_minor_units", "What they were for, in minor units.", about,
        lambda: told(attrgetter("approved_minor")),
    )  # fmt: skip
    metrics.counters(
        "switch_stand_ins_forbidden", "Requests that a rule kept from such an approval.", ("rule",),
        lambda: {
            (rule,): count
            for rule, count in (ledger.stand_ins.forbidden if ledger.stand_ins else {}).items()
        },
    )  # fmt: skip
    metrics.gauge(
        "switch_stand_ins_pending", "Such approvals that the database has not got yet.",
        lambda: ledger.stand_ins.pending if ledger.stand_ins else 0,
    )  # fmt: skip


def add_key_gauges(metrics: Metrics, hsm: Hsm, zones: Mapping[str, PinZone]) -> None:
    """The HSM, where it may be away, and zone keys that took the place of the key file's."""
    guarded = [hsm] if isinstance(hsm, GuardedHsm) else []  # one that never waits has no breaker
    metrics.gauges(
        "switch_hsm_breaker", "1 at the state of the HSM's breaker.", ("state",),
        lambda: {(state,): one.state is state for one in guarded for state in BreakerState},
    )  # fmt: skip
    metrics.gauges(
        "switch_hsm_in_flight", "Questions that the HSM has.", (),
        lambda: {(): guarded[0].in_flight} if guarded else {},
    )  # fmt: skip
    metrics.gauges(
        "switch_zone_key_since_timestamp_seconds",
        "Since when a link has its zone PIN key, in seconds since 1970.", ("link",),
        lambda: {
            (link,): zone.keys[0].since
            for link, zone in zones.items() if zone.keys[0].since is not None
        },
    )  # fmt: skip
