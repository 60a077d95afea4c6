"""Each alert fires when what it is for happens, and none on a day in order."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from switch.operate.metrics import LOST
from tests.deploy import promtool, queries
from tests.deploy.promtool import Case, Series
from tests.deploy.queries import ERRORS, WARNINGS
from tests.traffic import ROOT

#: Things go wrong after so many minutes, and are looked at for so many more.
BEGINS = 20
MORE = 60
DAY = 86_400
A, B = 'job="switch",instance="a:8580"', 'job="switch",instance="b:8580"'
DEMO, OTHER = 'link="demo"', 'link="scheme-b"'


def steady(value: float) -> str:
    """The same all the time."""
    return f"{value}x{BEGINS + MORE}"


def then(before: float, after: float) -> str:
    """One value, and from the minute on another."""
    return f"{before}x{BEGINS} {after}x{MORE}"


def rises(before: float, after: float) -> str:
    """A counter: so much a minute, and from the minute on so much."""
    reached = before * BEGINS
    return f"0+{before}x{BEGINS} {reached + after}+{after}x{MORE}"


def states(on: str, link: str, values: dict[str, str]) -> dict[str, str]:
    """The states of a link at a process."""
    every = ("down", "connected", "signed_on", "signed_off", "draining")
    return {
        f'switch_link_state{{{on},{link},state="{state}"}}': values.get(state, steady(0))
        for state in every
    }


def answered(reason: str, mti: str = "0100") -> str:
    """Messages of the demo link that were answered with a reason."""
    labels = f'{A},{DEMO},mti="{mti}",reason="{reason}",outcome="sent"'
    return f"switch_messages_total{{{labels}}}"


def event(name: str) -> str:
    """The counter of an event."""
    return f'switch_events_total{{{A},event="{name}"}}'


def bucket(bound: str) -> str:
    """How many requests took no longer."""
    return f'switch_message_seconds_bucket{{{A},{DEMO},mti="0100",le="{bound}"}}'


def lost(outcome: str) -> str:
    """The counter of lost answers."""
    return f'switch_answers_lost_total{{{A},{DEMO},outcome="{outcome}"}}'


def breaker(state: str) -> str:
    """The HSM's breaker."""
    return f'switch_hsm_breaker{{{A},state="{state}"}}'


EXPIRES = f"switch_tls_certificate_expires_timestamp_seconds{{{A},{DEMO}}}"
SHED = f'switch_message_faults_total{{{A},{DEMO},fault="overload"}}'
STARTED = f"process_start_time_seconds{{{A}}}"
UP, DATABASE = f"up{{{A}}}", f"switch_database_up{{{A}}}"
UNWINDS = f"switch_unwinds_pending{{{A}}}"
UPDATES = f"switch_file_updates_unanswered{{{A}}}"
OUTBOX = f'switch_outbox_lag_seconds{{{A},sink="file"}}'
LINES = f"switch_log_lines_lost_total{{{A}}}"

SIGNED_ON, DOWN = {"signed_on": steady(1)}, {"down": then(0, 1), "signed_on": then(1, 0)}
SIGNED_OFF = {"signed_off": then(0, 1), "signed_on": then(1, 0)}

#: Two processes, two links; two requests a second on one of them, one in eleven declined.
HEALTHY = {
    **{f"up{{{on}}}": steady(1) for on in (A, B)},
    **{f"switch_database_up{{{on}}}": steady(1) for on in (A, B)},
    **states(A, DEMO, SIGNED_ON), **states(B, DEMO, SIGNED_ON),
    **states(A, OTHER, SIGNED_ON), **states(B, OTHER, SIGNED_ON),
    answered("approved"): rises(120, 120),
    answered("insufficient_funds"): rises(12, 12),
    answered("unavailable"): steady(0),
    answered("approved", "0420"): rises(1, 1),
    **{bucket(bound): rises(132, 132) for bound in ("0.01", "0.2", "0.25", "+Inf")},
    f"switch_answer_within_seconds{{{A},{DEMO}}}": steady(0.25),
    **{lost(outcome): steady(0) for outcome in LOST},
    SHED: steady(0), UNWINDS: steady(0), UPDATES: steady(0), LINES: steady(0), STARTED: steady(9),
    OUTBOX: steady(1),
    breaker("closed"): steady(1), breaker("open"): steady(0), breaker("half_open"): steady(0),
    EXPIRES: steady(90 * DAY),
    **{event(name): steady(0) for name in ERRORS | {"hsm_breaker", "pin_block_unreadable"}},
}  # fmt: skip


def case(name: str, series: Series, *fires: str, at: int = 15) -> Case:
    """What is unlike the healthy series, what that fires, and after how many minutes."""
    return Case(name, series, BEGINS + at, frozenset(fires))


CASES = (
    case("all is well", {}, at=MORE),
    case("a process is gone", {UP: then(1, 0)}, "SwitchDown"),
    case("nothing is scraped any more",
         {f"up{{{on}}}": f"1x{BEGINS} stale" for on in (A, B)}, "SwitchDown"),
    case("every link is down",
         {**states(A, DEMO, DOWN), **states(B, DEMO, DOWN), **states(A, OTHER, DOWN),
          **states(B, OTHER, DOWN)}, "SwitchNoLinkUp", "SwitchLinkDown"),
    case("one link is down at both processes",
         {**states(A, OTHER, DOWN), **states(B, OTHER, DOWN)}, "SwitchLinkDown"),
    case("it is down at one of them", states(A, OTHER, DOWN)),
    case("the scheme signed off",
         {**states(A, OTHER, SIGNED_OFF),
          **states(B, OTHER, SIGNED_OFF)}, "SwitchLinkSignedOff", at=20),
    case("nothing comes",
         {answered("approved"): rises(120, 0),
          answered("insufficient_funds"): rises(12, 0)}, "SwitchTrafficStopped"),
    case("nothing comes to who restarted meanwhile",
         {answered("approved"): f"0+60x{BEGINS} stale",
          answered("insufficient_funds"): f"0+6x{BEGINS} stale",
          answered("unavailable"): f"0x{BEGINS} stale"}, "SwitchTrafficStopped"),
    case("requests take as long as they may",
         {bucket(bound): rises(132, 0) for bound in ("0.01", "0.2")}, "SwitchSlow"),
    case("one in ten is answered 91", {answered("unavailable"): rises(0, 13)}, "SwitchUnavailable"),
    case("requests are shed", {SHED: rises(0, 1)}, "SwitchShedding"),
    case("one answer is late", {lost("late"): then(0, 1)}, "SwitchAnswersLate", at=5),
    case("a peer does not read", {lost("unread"): rises(0, 12)}, "SwitchAnswersLost"),
    case("most are declined",
         {answered("approved"): rises(120, 60),
          answered("insufficient_funds"): rises(12, 72)}, "SwitchDeclinesJumped", at=30),
    case("a tenth more is declined",
         {answered("approved"): rises(120, 106),
          answered("insufficient_funds"): rises(12, 26)}, at=30),
    case("the database is gone", {DATABASE: then(1, 0)}, "SwitchDatabaseDown"),
    case("the HSM is gone",
         {breaker("closed"): then(1, 0), breaker("open"): then(0, 1)}, "SwitchHsmDown"),
    case("the HSM comes and goes", {event("hsm_breaker"): rises(0, 1)}, "SwitchHsmUnsteady"),
    case("unwinding does not go on", {UNWINDS: then(0, 3)}, "SwitchUnwindsPending"),
    case("events are not published", {OUTBOX: then(1, 900)}, "SwitchEventsLate"),
    case("decisions take too long",
         {event("late_approval_unwound"): rises(0, 3)}, "SwitchApprovalsUnwound"),
    case("a network is not told", {UPDATES: then(0, 2)}, "SwitchFileUpdatesUnanswered", at=20),
    case("no hold is released", {event("sweep_failed"): rises(0, 1)}, "SwitchSweepFailed", at=30),
    case("the zone key is stale",
         {event("pin_block_unreadable"): rises(0, 9)}, "SwitchPinBlocksUnreadable"),
    case("the MAC key is stale", {event("mac_mismatch"): rises(0, 9)}, "SwitchMacMismatches"),
    case("a key exchange has no answer",
         {event("key_exchange_unanswered"): rises(0, 1)}, "SwitchKeyExchangeUnanswered"),
    case("a certificate ends in three weeks",
         {EXPIRES: then(90 * DAY, 21 * DAY)}, "SwitchCertificateExpiring"),
    case("a certificate ends tomorrow",
         {EXPIRES: then(90 * DAY, DAY)}, "SwitchCertificateExpiring", "SwitchCertificateExpires"),
    case("it starts again and again",
         {STARTED: f"9x{BEGINS} 3700 3800 3900x{MORE}"}, "SwitchRestartsOften"),
    case("nobody reads the log", {LINES: rises(0, 40)}, "SwitchLogLinesLost"),
    case("a peer is half open", {event("network_unanswered"): rises(0, 1)}, "SwitchPeerSilent"),
    case("a bug", {event("fault"): then(0, 1)}, "SwitchFault", at=5),
    case("one of each other error",
         {event(name): then(0, 1)
          for name in ERRORS - {"fault", "sweep_failed"}}, "SwitchError", at=5),
    case("single things that happen",
         {answered("unavailable"): then(0, 2), lost("unread"): then(0, 1),
          UP: f"1x{BEGINS} 0 1x{MORE}", DATABASE: f"1x{BEGINS} 0 1x{MORE}",
          UNWINDS: f"0x{BEGINS} 2 0x{MORE}", UPDATES: f"0x{BEGINS} 1 1 0x{MORE}",
          STARTED: then(9, 3700), **{event(name): then(0, 1) for name in WARNINGS}}, at=3),
)  # fmt: skip


@pytest.fixture
def promtool_is_there() -> None:
    """Skip where promtool is absent; where CI is set, fail."""
    reason = promtool.missing()
    if reason is not None and os.environ.get("CI"):
        pytest.fail(f"CI must have promtool: {reason}")
    elif reason is not None:
        pytest.skip(f"ALERTS ARE NOT TESTED HERE: {reason}")


@pytest.mark.usefixtures("promtool_is_there")
def test_the_rules_are_in_order() -> None:
    """Prometheus takes the rules, templates of annotations included."""
    assert "" == promtool.checked()


@pytest.mark.usefixtures("promtool_is_there")
def test_what_happens_fires_its_alerts_and_no_other(tmp_path: Path) -> None:
    """In each case exactly these alerts fire, and none before it began."""
    assert "" == promtool.failures(tmp_path, HEALTHY, CASES, BEGINS)


def test_every_alert_has_a_case() -> None:
    """There is no alert that was never seen to fire."""
    assert set(queries.alerts()) == set().union(*(one.fires for one in CASES))


def test_every_alert_says_what_to_do() -> None:
    """Severity, summary, description, and an entry with steps on the page of alerts."""
    page = (ROOT / "docs/alerts.md").read_text()
    entries = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL))
    assert set(entries) == set(queries.alerts())
    for name, alert in queries.alerts().items():
        severity = alert["labels"]["severity"]
        assert severity in ("page", "ticket"), name
        assert {"summary", "description", "runbook_url"} == set(alert["annotations"]), name
        assert f"docs/alerts.md#{name.lower()}" == alert["annotations"]["runbook_url"]
        assert entries[name].strip().startswith(f"*{severity}* · "), name
        assert re.search(r"^1\. ", entries[name], re.MULTILINE), name
