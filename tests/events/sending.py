"""Events to send, and what is found of them in a queue."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from typing import Any

from switch.events.event import Event
from switch.events.sink import SinkUnavailable
from switch.events.sqs import SqsSink
from tests.events.sqs_door import Queue, SqsDoor
from tests.keys.kms_door import REGION

#: What a sink told: names of events of the log, and their fields.
Told = list[tuple[str, dict[str, Any]]]

_numbers = count(1)


def with_dead_letters(moto: tuple[str, int]) -> Queue:
    """A queue that gives up after three tries."""
    policy = {"deadLetterTargetArn": Queue(moto).arn, "maxReceiveCount": 3}
    return Queue(moto, RedrivePolicy=json.dumps(policy))


def sink_of(gate: SqsDoor, url: str, told: Told, region: str = REGION) -> SqsSink:
    """A sink to a queue through a door."""
    return SqsSink(
        url,
        region=region,
        endpoint_url=gate.url,
        on_event=lambda name, /, **fields: told.append((name, fields)),
    )


def events_of(*accounts: str, size: int = 0) -> list[Event]:
    """An event for each of these accounts, in this order; `size` makes them long."""
    return [
        Event(
            event_id=f"{next(_numbers):012d}",
            account=account,
            type="authorization.approved",
            body=json.dumps({"version": 1, "note": "x" * size}).encode(),
        )
        for account in accounts
    ]


def ids(events: Sequence[Event]) -> list[str]:
    """Their ids."""
    return [event.event_id for event in events]


def published(sink: SqsSink, events: Sequence[Event], tries: int = 100) -> None:
    """Publish as the publisher does: the same stretch until all of it is out."""
    for _ in range(tries):
        try:
            sink.publish(events)
        except SinkUnavailable:
            continue
        return
    raise AssertionError(f"not out after {tries} tries")


def of(events: Sequence[Event], account: str) -> list[Event]:
    """Those of an account."""
    return [event for event in events if event.account == account]


def by_group(queue: Queue) -> dict[str, list[str]]:
    """The ids that are in a queue, by group."""
    found: dict[str, list[str]] = {}
    for message in queue.taken():
        attributes = message["Attributes"]
        found.setdefault(attributes["MessageGroupId"], []).append(
            attributes["MessageDeduplicationId"]
        )
    return found
