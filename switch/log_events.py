"""
What a log line may be about: every event by name, with its level and its fields.

info is what happens; a warning is for an operator to look at; an error is somebody's fault, or
money at risk. docs/logs.md says of each what it means and what to do.
"""

from __future__ import annotations

from typing import NamedTuple

from switch.log_fields import FIELDS, CanonicalFields


class Event(NamedTuple):
    """One kind of line."""

    level: str  #: info, warning or error
    fields: str  #: their names, with spaces between; a line may lack some


#: Names that the log writes by itself stand here too: a message's line, what a library says, lines
#: that were lost, and what was given as an event and is none.
EVENTS: dict[str, Event] = {
    # the process
    "started": Event("info", "url"),
    "stopping": Event("info", ""),
    "stopped": Event("info", ""),
    "fault": Event("error", "link peer error traceback"),
    "library_message": Event("warning", "library problem error traceback"),
    "log_lines_lost": Event("warning", "count"),
    "unnamed": Event("info", " ".join(FIELDS)),
    # links
    "link_listening": Event("info", "link host port"),
    "link_up": Event("info", "link peer"),
    "link_down": Event("info", "link peer"),
    "link_state": Event("info", "link state count"),
    "dial_failed": Event("warning", "link problem count seconds"),
    "sign_on_refused": Event("error", "link peer response_code"),
    "network_unanswered": Event("warning", "link peer problem count"),
    "connection_refused": Event("warning", "link peer problem count"),
    "peer_not_reading": Event("warning", "link peer seconds"),
    "idle_timeout": Event("warning", "link peer seconds"),
    "frame_timeout": Event("warning", "link peer seconds"),
    "tls_refused": Event("warning", "link peer problem certificate"),
    "tls_broken": Event("warning", "link peer problem"),
    "tls_reloaded": Event("info", "link path"),
    "tls_reload_failed": Event("error", "link problem"),
    "tls_certificate_expiring": Event("warning", "link path problem seconds"),
    # messages
    "message": Event("info", " ".join(CanonicalFields.__annotations__)),
    "frame_error": Event("warning", "link peer problem offset"),
    "message_error": Event("warning", "link peer field problem offset length"),
    "message_rejected": Event("warning", "link peer problem"),
    "unsolicited_response": Event("warning", "link mti"),
    "late_response": Event("warning", "link mti stan"),
    "mac_mismatch": Event("warning", "link mti stan problem"),
    "mac_not_made": Event("warning", "link mti"),
    "pin_block_unreadable": Event("warning", "link"),
    "shedding": Event("warning", "link problem"),
    "shedding_ended": Event("info", "link count seconds"),
    "booking_unanswered": Event("warning", "link count"),
    # the ledger
    "database_down": Event("warning", ""),
    "database_up": Event("info", ""),
    "database_moved": Event("warning", ""),
    "database_died": Event("warning", ""),
    "database_restarted": Event("info", "seconds"),
    "database_restart_failed": Event("error", "problem"),
    "late_approval_unwound": Event("warning", "account_id state"),
    "late_request_settled": Event("warning", "account_id state"),
    "unwind_failed": Event("error", "error"),
    "stand_in_allowed": Event("warning", "name"),
    "stand_in_posted": Event("info", "account_id state"),
    "stand_in_failed": Event("error", "error"),
    "stand_ins_unreadable": Event("warning", "count"),
    "untold_not_noted": Event("warning", "account_id"),
    "sweep_failed": Event("error", "error"),
    "holds_expired": Event("info", "count"),
    # events
    "events_stopped": Event("warning", "name problem"),
    "events_going": Event("info", "name seconds"),
    "event_refused": Event("error", "name problem"),
    "events_without_dead_letters": Event("warning", ""),
    # blocked cards
    "file_update_accepted": Event("info", "link account_id pan stan state response_code"),
    "file_update_put_off": Event("warning", "link account_id pan stan state response_code"),
    "file_update_refused": Event("error", "link account_id pan stan state response_code"),
    "file_update_unanswered": Event("warning", "link account_id pan stan state count"),
    "file_update_failed": Event("error", "link error traceback"),
    # the admin port
    "admin_fault": Event("error", "error traceback"),
    "admin_refused": Event("warning", "peer problem"),
    # the HSM, the vault and keys
    "software_hsm": Event("warning", "problem"),
    "development_keys": Event("warning", "path problem"),
    "hsm_waiting": Event("warning", "backend problem seconds"),
    "hsm_breaker": Event("info", "backend state count"),
    "vault_waiting": Event("warning", "problem seconds"),
    "zone_key_taken": Event("info", "link kcv"),
    "zone_key_changed": Event("info", "link name kcv"),
    "zone_key_refused": Event("warning", "link kcv problem"),
    "zone_key_unusable": Event("warning", "link name kcv problem"),
    "zone_keys_failed": Event("error", "error traceback"),
    "key_exchange_asked": Event("info", "link"),
    "key_exchange_accepted": Event("info", "link stan kcv response_code problem"),
    "key_exchange_refused": Event("error", "link stan kcv response_code problem"),
    "key_exchange_unanswered": Event("warning", "link stan kcv count"),
    "key_exchange_failed": Event("error", "link error traceback"),
}

#: States that are to be looked at, where entering another one is only what happens.
WARNED_STATES = frozenset({("hsm_breaker", "open"), ("link_state", "down")})

#: Lines that the log writes by itself: they are no events that somebody tells it.
OF_THE_LOG = frozenset({"message", "library_message", "log_lines_lost", "unnamed"})

#: Events that are to be looked at, in some state at least.
NOTABLE = (
    frozenset(name for name, event in EVENTS.items() if event.level != "info") - OF_THE_LOG
) | {name for name, _ in WARNED_STATES}


def level_of(name: str, state: object = None) -> str:
    """The level of an event that entered a state, or of one without; unlisted ones are warnings."""
    if (name, state) in WARNED_STATES:
        return "warning"
    return EVENTS[name].level if name in EVENTS else "warning"
