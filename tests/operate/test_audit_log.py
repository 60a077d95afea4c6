"""`switch audit --log`: what was answered and has no row is found, and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switch.operate.audit_log import audit_log, read_told
from switch.wire.message import Message
from tests.client import connected
from tests.process import as_setting, running, until
from tests.traffic import PLAIN, purchase
from tests.typed import typed

LINE = {
    "time": "2026-11-22T08:00:21.004Z", "level": "info", "event": "message", "link": "demo",
    "mti": "0100", "stan": "000003", "rrn": "632608000003", "pan": "476173******0012",
    "amount_minor": 2500, "currency": "978", "reason": "approved", "authorization_code": "330620",
    "effect": None, "repeat": False, "outcome": "sent",
}  # fmt: skip


def as_line(**changed: Any) -> bytes:
    """A line of the log."""
    return orjson.dumps(LINE | changed, option=orjson.OPT_APPEND_NEWLINE)


@pytest.mark.parametrize(
    ("changed", "is_told"),
    [
        ({}, True),
        ({"mti": "0420", "authorization_code": None, "effect": "reversed"}, True),
        ({"mti": "0220", "authorization_code": None, "effect": "posted"}, True),
        ({"mti": "0420", "authorization_code": None, "effect": "remembered"}, False),
        ({"amount_minor": 0}, False),
        ({"authorization_code": None, "reason": "insufficient_funds"}, False),
        ({"mti": "0800", "pan": None, "amount_minor": None, "authorization_code": None}, False),
        ({"repeat": True}, True),
        ({"repeat": True, "mti": "0121", "authorization_code": None}, True),
        ({"repeat": True, "mti": "0401", "authorization_code": None}, True),
        ({"repeat": True, "reason": "reversed", "authorization_code": None}, False),
        ({"repeat": True, "amount_minor": 0}, False),
        ({"repeat": True, "mti": "0801", "amount_minor": None}, False),
        ({"repeat": True, "outcome": "link_gone"}, False),
        ({"outcome": "late"}, False),
        ({"event": "fault"}, False),
    ],
)
def test_which_lines_tell_of_money(changed: dict[str, Any], *, is_told: bool) -> None:
    """Approvals and bookings whose answer was sent, also of those whose first copy had none."""
    assert is_told == bool(list(read_told([as_line(**changed)])))


@settings(deadline=None, derandomize=True)
@given(
    st.lists(
        st.binary()
        | st.sampled_from(
            [
                b"null",
                b"[1]",
                b'"a"',
                b"{}",
                as_line()[:40],
                b'{"event":"message","outcome":"sent","effect":"held"}',
            ]
        )
    )
)
def test_a_log_of_anything(lines: list[bytes]) -> None:
    """Half lines, other programs' lines and no lines at all tell of nothing."""
    assert [] == list(read_told(lines))


def test_a_line_for_people() -> None:
    """It says what somebody needs who must make it good, and no more of the PAN."""
    (told,) = read_told([as_line()])
    assert str(told) == (
        "2026-11-22 08:00:21Z  demo  0100  RRN 632608000003  476173******0012  25.00 EUR"
    )


async def test_what_is_gone(quick_path: Path) -> None:
    """All that a switch answered has its row; a row that is gone is named, and the exit code 1."""
    with running(quick_path) as switch:
        async with connected(switch.port()) as client:
            for _ in range(2):
                await client.send(purchase(PLAIN))
            repeated = purchase(PLAIN)
            for mti in ("0100", "0101"):
                await client.send(Message(mti, repeated.fields))
        until(lambda: len(switch.lines("message")) == 4, "the log's lines")
        first, _, third, again = switch.lines("message", reason="approved")
        assert again["repeat"]
        gone = {first["rrn"], third["rrn"]}
        settings = {"database__url": as_setting(switch.database_url)}
        words = ("audit", "--log", str(switch.log_file))
        said = await asyncio.to_thread(typed, *words, settings=settings)
        assert (0, "") == (said.exit_code, said.stderr)
        assert said.stdout.splitlines()[-1].split() == ["ok", "told", "4"]
        connection = await asyncpg.connect(switch.database_url)
        await connection.execute("DELETE FROM authorizations WHERE rrn = ANY ($1)", gone)
        await connection.close()
        with switch.log_file.open("rb") as log:
            finding, lost = await audit_log(switch.database_url, log)
        assert (4, 2) == (finding.checked, finding.wrong)  # the one that was repeated is one
        assert gone == {each.rrn for each in lost}
        said = await asyncio.to_thread(typed, *words, settings=settings)
        assert 1 == said.exit_code
        assert [str(each) for each in lost] == said.stdout.splitlines()[-2:]
