"""What the tests of events share: SQS, a door to it, a queue and the sink."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from switch.events import sqs_calls
from switch.events.sqs import SqsSink
from tests.events.sending import Told, sink_of, with_dead_letters
from tests.events.sqs_door import Queue, SqsDoor, moto_process, sqs_door
from tests.keys.kms_door import CREDENTIALS


@pytest.fixture(scope="session")
def moto() -> Iterator[tuple[str, int]]:
    """Moto's server."""
    with moto_process() as address:
        yield address


@pytest.fixture
def gate(moto: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[SqsDoor]:
    """A door to it, and credentials."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sqs_calls, "ATTEMPTS", 1)
    with sqs_door(moto) as one:
        yield one


@pytest.fixture
def told() -> Told:
    """What the sink told."""
    return []


@pytest.fixture
def queue(moto: tuple[str, int]) -> Queue:
    """A queue with a dead-letter queue."""
    return with_dead_letters(moto)


@pytest.fixture
def sink(gate: SqsDoor, queue: Queue, told: Told) -> Iterator[SqsSink]:
    """The sink, through the door."""
    one = sink_of(gate, queue.url, told)
    yield one
    one.close()
