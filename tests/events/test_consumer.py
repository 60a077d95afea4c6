"""The sample consumer counts every event once, whatever comes twice and whoever dies when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.events.consuming import Consumer
from tests.events.sqs_door import Queue, SqsDoor, sqs_door
from tests.process import until

#: How long SQS waits for a consumer before another one gets the message, seconds.
VISIBILITY = "1"


@pytest.fixture
def gate(moto: tuple[str, int]) -> Iterator[SqsDoor]:
    """A door to moto."""
    with sqs_door(moto) as one:
        yield one


def event(number: int, account: str, posted: int, held: int, came_to: tuple[int, int]) -> str:
    """An event that moved money, and what the account came to."""
    return json.dumps(
        {
            "version": 1,
            "event_id": f"{number:020d}",
            "account": account,
            "money": {
                "posted_change_minor": posted,
                "held_change_minor": held,
                "posted_minor": came_to[0],
                "held_minor": came_to[1],
                "credit_limit_minor": 100 * number,
            },
        }
    )


def test_an_event_counts_once(gate: SqsDoor, moto: tuple[str, int], tmp_path: Path) -> None:
    """What is there twice, comes to another consumer because its first one hangs, or again because
    that one was killed between its commit and the deletion: it counts once, and the queue empties.
    """
    queue = Queue(moto, VisibilityTimeout=VISIBILITY)
    first = event(1, "a", 5000, 0, (5000, 0))
    for body, account, once in (
        (first, "a", "1"),
        (event(2, "a", 0, 700, (5000, 700)), "a", "2"),
        (first, "a", "1 again, out of the window"),
        (event(3, "b", -30, 0, (-30, 0)), "b", "3"),
        (json.dumps({"version": 1, "event_id": "4", "account": "b"}), "b", "4"),
    ):
        queue.send(body, group=account, once=once)
    right = {"a": (5000, 700, 200), "b": (-30, 0, 300)}

    gate.of_operation["DeleteMessageBatch"] = "is silent"
    hanging = Consumer(tmp_path, queue.url, gate.url)
    other = Consumer(tmp_path, queue.url, gate.url)
    try:
        hanging.start()
        until(lambda: "DeleteMessageBatch" in gate.asked, "the deletion")
        assert right["a"] == hanging.balances()["a"]
        hanging.kill()
        assert queue.count > 0
        del gate.of_operation["DeleteMessageBatch"]
        other.start()
        until(lambda: queue.count == 0, "the end of the queue")
        assert right == other.balances()
    finally:
        hanging.kill()
        other.kill()
    assert "has not been here" not in hanging.told.read_text()


def test_what_cannot_be_read_goes_to_the_dead_letters(
    moto: tuple[str, int], gate: SqsDoor, tmp_path: Path
) -> None:
    """After the queue's number of deliveries; its account goes on, and what is missing is told;
    when the message comes back mended, the sums are right.
    """
    dead = Queue(moto)
    policy = {"deadLetterTargetArn": dead.arn, "maxReceiveCount": 2}
    queue = Queue(moto, RedrivePolicy=json.dumps(policy), VisibilityTimeout=VISIBILITY)
    unreadable = ["4761739000000012", json.dumps({"version": 99, "event_id": "2", "account": "a"})]
    for number, body in enumerate(unreadable):
        queue.send(body, group="a", once=f"unreadable {number}")
    queue.send(event(3, "a", 100, 0, (600, 0)), group="a", once="3")

    consumer = Consumer(tmp_path, queue.url, gate.url)
    try:
        consumer.start()
        until(lambda: dead.count == 2 and queue.count == 0, "the dead letters")
        assert {"a": (100, 0, 300)} == consumer.balances()
        assert "account a: an earlier event has not been here" in consumer.told.read_text()
        assert "4761739000000012" not in consumer.told.read_text()
        queue.send(event(2, "a", 500, 0, (500, 0)), group="a", once="2")
        until(lambda: consumer.balances() == {"a": (600, 0, 300)}, "the missing event")
    finally:
        consumer.kill()
