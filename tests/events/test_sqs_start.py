"""What a start, and `switch check`, make of the queue that the settings name."""

from __future__ import annotations

from typing import Any

import pytest

from switch.events import sinks
from tests.events.sqs_door import Queue, SqsDoor
from tests.keys.kms_door import REGION
from tests.typed import typed


def settings_of(gate: SqsDoor, url: str) -> dict[str, object]:
    """Those of events on a queue."""
    return {
        "events__sink": "sqs",
        "events__queue_url": url,
        "events__region": REGION,
        "events__endpoint_url": gate.url,
    }


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ({"is_fifo": False}, "is not a FIFO queue"),
        ({"SqsManagedSseEnabled": "false"}, "the queue is not encrypted"),
    ],
)
def test_a_queue_that_events_must_not_go_to_refuses_the_start(
    gate: SqsDoor, moto: tuple[str, int], kind: dict[str, Any], reason: str
) -> None:
    """In one line that names the setting and where it was set."""
    said = typed("check", settings=settings_of(gate, Queue(moto, **kind).url))
    assert (1, "") == (said.exit_code, said.stdout)
    line = f"switch: SWITCH_EVENTS__QUEUE_URL: events.queue_url: {reason}\n"
    assert line == said.stderr


@pytest.mark.parametrize("behaviour", ["answers", "AccessDenied", "hangs up", "is silent"])
def test_a_queue_of_which_nothing_is_known_refuses_nothing(
    gate: SqsDoor, queue: Queue, behaviour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decisions need no SQS: one that denies, is gone or is silent keeps nobody from serving."""
    monkeypatch.setattr(sinks, "CHECK_SECONDS", 3 if behaviour == "is silent" else 30)
    gate.behaviour = behaviour
    said = typed("check", settings=settings_of(gate, queue.url))
    assert 0 == said.exit_code, said.output
    assert ["GetQueueAttributes"] == gate.asked
