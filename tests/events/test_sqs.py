"""The SQS sink: what a message is, what goes in one call, and order, whatever fails."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from switch.events.event import Event
from switch.events.sqs import BATCH_BYTES, SqsSink
from tests.events.sending import by_group, events_of, ids, of, published, sink_of
from tests.events.sqs_door import Queue, SqsDoor


def test_a_message_is_an_event(sink: SqsSink, queue: Queue) -> None:
    """Its body as it is, its account as the group, its id against duplicates, type and version."""
    (event,) = events_of("17")
    sink.publish([event])
    (message,) = queue.taken()
    assert event.body.decode() == message["Body"]
    assert "17" == message["Attributes"]["MessageGroupId"]
    assert event.event_id == message["Attributes"]["MessageDeduplicationId"]
    assert {"type": event.type, "version": "1"} == {
        name: value["StringValue"] for name, value in message["MessageAttributes"].items()
    }


def test_what_sqs_does_not_allow_in_a_text_is_escaped(sink: SqsSink, queue: Queue) -> None:
    """A body with a character that is none of XML's comes out as the same JSON."""
    (event,) = events_of("17")
    body = json.dumps({"version": 1, "name": "\uffff\ufffe\u0000é€😀"}, ensure_ascii=False)
    sink.publish([Event(event.event_id, event.account, event.type, body.encode())])
    (message,) = queue.taken()
    assert json.loads(body) == json.loads(message["Body"])
    assert not {"\ufffe", "\uffff"} & set(message["Body"])


def test_a_batch_has_one_event_an_account(sink: SqsSink, queue: Queue, gate: SqsDoor) -> None:
    """Ten messages a call at most, and the next event of an account after its earlier one."""
    events = events_of(*(str(number % 25) for number in range(60)), "0", "0")
    sink.publish(events)
    assert sorted(ids(events)) == sorted(queue.ids())
    for batch in gate.batches:
        assert len(batch) <= 10
        assert len(batch) == len({entry["MessageGroupId"] for entry in batch})
    assert [3, 3, 1, 1, 1] == waves(gate.batches)


def waves(batches: Sequence[Sequence[dict[str, Any]]]) -> list[int]:
    """How many batches went out together, by how often an account of theirs had been sent."""
    sent: dict[str, int] = {}
    found: dict[int, int] = {}
    for batch in batches:
        for entry in batch:
            sent[entry["MessageGroupId"]] = sent.get(entry["MessageGroupId"], 0) + 1
        wave = max(sent[entry["MessageGroupId"]] for entry in batch)
        found[wave] = found.get(wave, 0) + 1
    return [found[wave] for wave in sorted(found)]


def test_a_call_is_no_larger_than_sqs_takes(sink: SqsSink, queue: Queue, gate: SqsDoor) -> None:
    """Long events go in smaller batches, and one that is as long as may be goes alone."""
    events = events_of(*map(str, range(9)), size=BATCH_BYTES // 4)
    sink.publish(events)
    assert sorted(ids(events)) == sorted(queue.ids())
    assert [3, 3, 3] == [len(batch) for batch in gate.batches]


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    accounts=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=30),
    troubles=st.lists(
        st.sampled_from(["answers", "cuts", "hangs up", "is broken", "refuses", "forgets",
                         "RequestThrottled", "talks nonsense"]),
        max_size=8,
    ),
    unlucky=st.sets(st.sampled_from("abcdefgh")),
)  # fmt: skip
def test_order_and_completeness_survive_any_trouble(
    gate: SqsDoor, moto: tuple[str, int], accounts: list[str], troubles: list[str],
    unlucky: set[str],
) -> None:  # fmt: skip
    """Whatever fails in part, in whole, or only in the answer: all are there, once, in order."""
    gate.is_refused = lambda entry: entry["MessageGroupId"] in unlucky
    queue = Queue(moto)
    sink = sink_of(gate, queue.url, [])
    sink.check()
    gate.next_ones.extend(troubles)
    events = events_of(*accounts)
    published(sink, events)
    gate.next_ones.clear()
    sink.close()
    assert {account: ids(of(events, account)) for account in set(accounts)} == by_group(queue)
