"""SQS throttles, refuses, cuts, is silent, is not the queue it should be: what the sink does."""

from __future__ import annotations

from typing import Any

import pytest

from switch.events import sqs_calls
from switch.events.sink import SinkUnavailable
from switch.events.sqs import QueueRefused, SqsSink
from switch.events.sqs_calls import HUNG_MAX
from tests.events.sending import Told, by_group, events_of, ids, of, sink_of
from tests.events.sqs_door import Queue, SqsDoor
from tests.keys.kms_door import CREDENTIALS, SAID


@pytest.mark.parametrize("how", ["refuses", "forgets"])
def test_what_is_not_taken_holds_up_its_account_alone(
    sink: SqsSink, queue: Queue, gate: SqsDoor, how: str
) -> None:
    """Of a batch that is taken in part the others go on; the next try sends what is missing."""
    events = events_of("a", "b", "a", "c", "b")
    gate.behaviour, gate.is_refused = how, lambda entry: entry["MessageGroupId"] == "a"
    with pytest.raises(SinkUnavailable, match="1 events not taken"):
        sink.publish(events)
    assert {"b": ids(of(events, "b")), "c": ids(of(events, "c"))} == by_group(queue)
    gate.behaviour = "answers"
    sink.publish(events)
    assert {"a": ids(of(events, "a"))} == by_group(queue)


def test_a_sender_s_fault_is_told_each_time(
    sink: SqsSink, queue: Queue, gate: SqsDoor, told: Told
) -> None:
    """What SQS will not have is named by its id, tried again, and never dropped."""
    events = events_of("a", "b", "a")
    gate.behaviour, gate.is_refused = "refuses", lambda entry: entry["MessageGroupId"] == "a"
    gate.refusal = {"SenderFault": True, "Code": "InvalidParameterValue", "Message": SAID}
    for tries in (1, 2):
        with pytest.raises(SinkUnavailable, match="InvalidParameterValue") as caught:
            sink.publish(events)
        assert SAID not in str(caught.value)
        fields = {"name": events[0].event_id, "problem": "InvalidParameterValue"}
        assert [("event_refused", fields)] * tries == told
    gate.behaviour = "answers"
    sink.publish(events)
    assert sorted(ids(events)) == sorted(queue.ids())


def test_throttling_of_an_entry_is_nobody_s_fault(sink: SqsSink, gate: SqsDoor, told: Told) -> None:
    """It is tried again without a word about the event."""
    gate.behaviour = "refuses"
    gate.refusal = {"SenderFault": True, "Code": "RequestThrottled"}
    with pytest.raises(SinkUnavailable, match="RequestThrottled"):
        sink.publish(events_of("a"))
    assert [] == told


@pytest.mark.parametrize(
    ("behaviour", "problem"),
    [
        ("RequestThrottled", "sqs: RequestThrottled"),
        ("ThrottlingException", "sqs: ThrottlingException"),
        ("KMS.ThrottlingException", "sqs: KMS.ThrottlingException"),
        ("AccessDenied", "sqs: not allowed: the role's permissions (AccessDenied)"),
        ("InvalidClientTokenId", "sqs: InvalidClientTokenId"),
        ("AWS.SimpleQueueService.NonExistentQueue", "sqs: there is no such queue"),
        ("4761739000000012", "sqs: an error without a name"),
        ("is broken", "sqs: "),
        ("hangs up", "sqs: no answer (ConnectionClosedError)"),
        ("talks nonsense", "no word of it"),
        ("says nothing", "no word of it"),
    ],
)
def test_a_failure_is_told_in_our_words(
    sink: SqsSink, queue: Queue, gate: SqsDoor, behaviour: str, problem: str
) -> None:
    """By its kind; nothing that the other side says is repeated, nothing of an event told."""
    events = events_of("a")
    sink.check()
    gate.behaviour = behaviour
    with pytest.raises(SinkUnavailable) as caught:
        sink.publish(events)
    assert problem in str(caught.value)
    assert SAID not in str(caught.value)
    assert events[0].event_id not in str(caught.value)
    assert caught.value.__cause__ is None
    gate.behaviour = "answers"
    sink.publish(events)
    assert ids(events) == queue.ids()


@pytest.mark.parametrize("behaviour", ["is silent", "drips"])
def test_what_never_answers_is_not_waited_for(
    sink: SqsSink, queue: Queue, gate: SqsDoor, behaviour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silent queue, or one that sends a byte now and then, is left after a known time; and where
    many calls hang no more are made until they are over.
    """
    events = events_of("a")
    sink.check()
    gate.behaviour = behaviour
    monkeypatch.setattr(sqs_calls, "ANSWER_SECONDS", 0.01)
    for _ in range(HUNG_MAX):
        with pytest.raises(SinkUnavailable, match="no answer in"):
            sink.publish(events)
    asked = len(gate.asked)
    with pytest.raises(SinkUnavailable, match=f"{HUNG_MAX} calls hang"):
        sink.publish(events)
    assert asked == len(gate.asked) <= HUNG_MAX + 1


def test_a_read_time_out_is_bounded(
    gate: SqsDoor, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue that takes the call and is silent: the SDK's own time-out, and then it goes on."""
    monkeypatch.setattr(sqs_calls, "READ_SECONDS", 0.2)
    sink = sink_of(gate, queue.url, [])
    events = events_of("a")
    gate.next_ones.append("is silent")
    with pytest.raises(SinkUnavailable, match="ReadTimeoutError"):
        sink.publish(events)
    sink.publish(events)
    assert ids(events) == queue.ids()
    sink.close()


def test_one_lost_connection_is_not_worth_a_word(
    gate: SqsDoor, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call is made once more, and where the first got in it is not there twice."""
    monkeypatch.setattr(sqs_calls, "ATTEMPTS", 2)
    sink = sink_of(gate, queue.url, [])
    sink.check()
    gate.next_ones.append("cuts")
    events = events_of("a", "b")
    sink.publish(events)
    assert sorted(ids(events)) == sorted(queue.ids())
    assert 2 == len(gate.batches)
    sink.close()


def test_later_than_the_window_an_event_is_there_twice(
    sink: SqsSink, queue: Queue, gate: SqsDoor
) -> None:
    """SQS no longer knows what came in with a lost answer: consumers must go by the id."""
    events = events_of("a")
    sink.check()
    gate.next_ones.append("cuts")
    with pytest.raises(SinkUnavailable):
        sink.publish(events)
    assert ids(events) == queue.ids()  # taken and deleted: as moto sees it, out of the window
    sink.publish(events)
    assert ids(events) == queue.ids()


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ({"is_fifo": False}, "is not a FIFO queue"),
        ({"SqsManagedSseEnabled": "false"}, "the queue is not encrypted"),
    ],
)
def test_a_queue_that_events_must_not_go_to(
    gate: SqsDoor, moto: tuple[str, int], kind: dict[str, Any], problem: str
) -> None:
    """One without order, or in clear, is refused at the look at it and by every publish."""
    sink = sink_of(gate, Queue(moto, **kind).url, [])
    refused = f"sqs: events.queue_url: .*{problem}"
    with pytest.raises(QueueRefused, match=refused):
        sink.check()
    with pytest.raises(QueueRefused, match=refused):
        sink.publish(events_of("a"))
    assert [] == gate.batches
    sink.close()


def test_a_queue_under_a_kms_key_is_encrypted(gate: SqsDoor, moto: tuple[str, int]) -> None:
    """With a key of one's own SQS' own encryption is off."""
    queue = Queue(moto, SqsManagedSseEnabled="false", KmsMasterKeyId="alias/events")
    sink = sink_of(gate, queue.url, [])
    sink.check()
    sink.close()


def test_a_queue_without_dead_letters_is_told_once(gate: SqsDoor, moto: tuple[str, int]) -> None:
    """A message that no consumer can read would come for ever."""
    told: Told = []
    sink = sink_of(gate, Queue(moto).url, told)
    for _ in range(2):
        sink.publish(events_of("a"))
    assert [("events_without_dead_letters", {})] == told
    sink.close()


def test_without_credentials_or_region_it_says_so(
    gate: SqsDoor, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line that names the setting."""
    sink = sink_of(gate, queue.url, [], region="")
    with pytest.raises(SinkUnavailable, match=r"sqs: no region: set events\.region"):
        sink.check()
    sink.close()
    for name in CREDENTIALS:
        if "ACCESS" in name:
            monkeypatch.delenv(name)
    sink = sink_of(gate, queue.url, [])
    with pytest.raises(SinkUnavailable, match="sqs: there are no AWS credentials"):
        sink.check()
    sink.close()
