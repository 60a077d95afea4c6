"""
Events on an SQS FIFO queue: a message each, its group the account, deduplicated by the event's id.

Order. A batch may be taken in part, so no batch, and no two batches on their way at once, hold two
events of one account: its next one goes when the one before is known to be in. What is refused
holds up its account within the stretch, and the next stretch until it is in.

At least once. SQS forgets a deduplication id after five minutes: what is sent again later than that
is there twice, and consumers go by the event's id.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import orjson

from switch.events.event import Event
from switch.events.sink import SinkUnavailable
from switch.events.sqs_calls import CALLS_MAX, Answer, SqsCalls, code_of

#: What SQS takes in one call: messages, and bytes of their bodies and attributes. By now it takes
#: 1 MiB; this is what it took everywhere before.
BATCH_EVENTS, BATCH_BYTES = 10, 262_144
#: What the attributes of a message come to at most, bytes.
ATTRIBUTE_BYTES = 256

#: Not allowed in a message (XML 1.0), and the only such that JSON has other than as an escape.
_ESCAPES = {0xFFFE: "\\ufffe", 0xFFFF: "\\uffff"}

OnEvent = Callable[..., None]


class QueueRefused(SinkUnavailable):
    """The queue is one that events must not go to: waiting does not help, its settings do."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"sqs: events.queue_url: {reason}")
        self.reason = reason


class SqsSink:
    """An SQS FIFO queue. See `switch.events.sink.Sink`."""

    name = "sqs"

    def __init__(
        self, queue_url: str, *, region: str = "", endpoint_url: str = "", on_event: OnEvent
    ) -> None:
        """`on_event` is told of what nobody waits for, from the thread that publishes."""
        self._queue_url = queue_url
        self._sqs = SqsCalls(region=region, endpoint_url=endpoint_url)
        self._on_event = on_event
        self._is_checked = False
        self._out: set[str] = set()  # of a stretch that was not wholly out, by id

    def check(self, *, within: float | None = None) -> None:
        """Look at the queue; an answer is waited for so many seconds, else as ever.

        Raises `QueueRefused` where it is not FIFO or not encrypted, `SinkUnavailable` where SQS
        does not tell.
        """
        (answer,) = self._sqs.ask(
            "get_queue_attributes",
            {"QueueUrl": self._queue_url, "AttributeNames": ["All"]},
            within=within,
        )
        if isinstance(answer, SinkUnavailable):
            raise answer
        found = answer.get("Attributes", {})
        if not _is_true(found.get("FifoQueue")):
            raise QueueRefused("is not a FIFO queue")
        if not _is_true(found.get("SqsManagedSseEnabled")) and not found.get("KmsMasterKeyId"):
            raise QueueRefused("the queue is not encrypted")
        if not found.get("RedrivePolicy"):
            self._on_event("events_without_dead_letters")
        self._is_checked = True

    def publish(self, events: Sequence[Event]) -> None:
        """Send what of them is not known to be in the queue. See `Sink.publish`."""
        if not self._is_checked:
            self.check()
        self._out &= {event.event_id for event in events}
        waiting = _by_account(event for event in events if event.event_id not in self._out)
        problems: list[str] = []
        while waiting:
            batches = list(_batches(waiting))
            answers = self._sqs.ask("send_message_batch", *map(self._asked, batches))
            for event, problem in chain.from_iterable(map(self._outcomes, batches, answers)):
                behind = waiting[event.account]
                if problem:
                    problems.append(problem)
                else:
                    self._out.add(behind.popleft().event_id)
                if problem or not behind:
                    del waiting[event.account]
            for answer in answers:
                if isinstance(answer, SinkUnavailable):
                    raise answer
        if problems:
            raise SinkUnavailable(f"sqs: {len(problems)} events not taken: {problems[0]}")

    def close(self) -> None:
        """Close its connections."""
        self._sqs.close()

    def _asked(self, batch: Sequence[Event]) -> dict[str, Any]:
        return {
            "QueueUrl": self._queue_url,
            "Entries": [_entry(number, event) for number, event in enumerate(batch)],
        }

    def _outcomes(
        self, batch: Sequence[Event], answer: Answer | SinkUnavailable
    ) -> Iterator[tuple[Event, str]]:
        """Each event with what is wrong with it; empty: it is in the queue."""
        if isinstance(answer, SinkUnavailable):
            yield from ((event, str(answer)) for event in batch)
            return
        taken = {entry["Id"] for entry in answer.get("Successful", ())}
        failed = {entry["Id"]: entry for entry in answer.get("Failed", ())}
        for number, event in enumerate(batch):
            entry = failed.get(str(number))
            if entry is None:
                yield event, "" if str(number) in taken else "no word of it"
                continue
            problem = code_of(entry.get("Code"))
            if entry.get("SenderFault") and "throttl" not in problem.lower():
                self._on_event("event_refused", name=event.event_id, problem=problem)
            yield event, problem


def _by_account(events: Iterable[Event]) -> dict[str, deque[Event]]:
    waiting: dict[str, deque[Event]] = {}
    for event in events:
        waiting.setdefault(event.account, deque()).append(event)
    return waiting


def _batches(waiting: dict[str, deque[Event]]) -> Iterator[list[Event]]:
    """The next event of each account, in batches that SQS takes, `CALLS_MAX` of them at most."""
    heads = deque(events[0] for events in waiting.values())
    for _ in range(CALLS_MAX):
        batch: list[Event] = []
        size = 0
        while heads and len(batch) < BATCH_EVENTS:
            size += len(heads[0].body) + ATTRIBUTE_BYTES
            if batch and size > BATCH_BYTES:
                break
            batch.append(heads.popleft())
        if batch:
            yield batch


def _entry(number: int, event: Event) -> dict[str, Any]:
    version = str(orjson.loads(event.body)["version"])
    return {
        "Id": str(number),
        "MessageBody": event.body.decode().translate(_ESCAPES),
        "MessageGroupId": event.account,
        "MessageDeduplicationId": event.event_id,
        "MessageAttributes": {
            "type": {"DataType": "String", "StringValue": event.type},
            "version": {"DataType": "Number", "StringValue": version},
        },
    }


def _is_true(said: object) -> bool:
    return str(said).lower() == "true"
