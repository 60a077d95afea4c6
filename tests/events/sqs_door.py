"""SQS on 127.0.0.1: moto's server in a process of its own, behind a door that can do more harm."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import boto3

from tests.keys.kms_door import CREDENTIALS, REGION, KmsDoor, Visitor, opened
from tests.process import free_port, until

#: What a test's queue is, where it says nothing else: encrypted, and not waited for.
ENCRYPTED = {"SqsManagedSseEnabled": "true"}

_numbers = count(1)


@contextlib.contextmanager
def moto_process() -> Iterator[tuple[str, int]]:
    """Moto's server, for any service: its host and port."""
    address = "127.0.0.1", free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", address[0], "-p", str(address[1])],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: _listens(address), "moto")
        yield address
    finally:
        process.kill()
        process.wait()


def _listens(address: tuple[str, int]) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(address, 1.0):
        return True
    return False


def client_of(moto: tuple[str, int], service: str = "sqs") -> Any:
    """A client of moto itself, for the test's own eyes."""
    return boto3.session.Session(
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=REGION,
    ).client(service, endpoint_url="http://{}:{}".format(*moto))


class Queue:
    """A queue of moto's, as the test sees it."""

    def __init__(self, moto: tuple[str, int], *, is_fifo: bool = True, **attributes: str) -> None:
        self.sqs = client_of(moto)
        kind = {"FifoQueue": "true"} if is_fifo else {}
        made = self.sqs.create_queue(
            QueueName=f"test-{next(_numbers)}" + (".fifo" if is_fifo else ""),
            Attributes=kind | ENCRYPTED | attributes,
        )
        self.url: str = made["QueueUrl"]

    @property
    def arn(self) -> str:
        """What a redrive policy calls it."""
        asked = {"QueueUrl": self.url, "AttributeNames": ["QueueArn"]}
        arn: str = self.sqs.get_queue_attributes(**asked)["Attributes"]["QueueArn"]
        return arn

    @property
    def count(self) -> int:
        """Messages in it, those that somebody works on included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        return sum(int(found["Attributes"][name]) for name in names)

    def send(self, body: str, *, group: str, once: str) -> None:
        """Put a message in; `once` is its deduplication id."""
        self.sqs.send_message(
            QueueUrl=self.url, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=once
        )

    def taken(self) -> list[dict[str, Any]]:
        """Take all messages out, in the order they come."""
        messages: list[dict[str, Any]] = []
        while came := self.sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            AttributeNames=["All"],
        ).get("Messages"):
            messages += came
            entries = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                for number, message in enumerate(came)
            ]
            self.sqs.delete_message_batch(QueueUrl=self.url, Entries=entries)
        return messages

    def ids(self) -> list[str]:
        """Take all messages out: their deduplication ids."""
        return [message["Attributes"]["MessageDeduplicationId"] for message in self.taken()]


class SqsDoor(KmsDoor):
    """Passes calls on, or does what `next_ones`, then `behaviour` say.

    Besides what a KMS door can: `cuts` passes the call on and hangs up without the answer;
    `refuses` takes out those entries of a batch that `is_refused` names, and says `refusal` of
    them; `forgets` takes them out and says nothing of them.
    """

    def __init__(self, moto: tuple[str, int], port: int = 0) -> None:
        super().__init__(moto, port, SqsVisitor)
        self.next_ones: deque[str] = deque()
        self.of_operation: dict[str, str] = {}  #: what some operations get, whatever else is due
        self.is_refused: Callable[[dict[str, Any]], bool] = lambda _: True
        self.refusal: dict[str, Any] = {"SenderFault": False, "Code": "InternalError"}
        self.batches: list[list[dict[str, Any]]] = []  #: entries of what was sent, in order


class SqsVisitor(Visitor):
    """A call at the door."""

    server: SqsDoor

    def due(self, operation: str, body: bytes) -> str:
        """What this call gets; what is sent is noted."""
        if operation == "SendMessageBatch":
            self.server.batches.append(json.loads(body)["Entries"])
        if operation in self.server.of_operation:
            return self.server.of_operation[operation]
        if self.server.next_ones:
            return self.server.next_ones.popleft()
        return self.server.behaviour

    def act(self, behaviour: str, body: bytes) -> None:
        """Do it."""
        match behaviour:
            case "cuts":
                self.passed_on(body)
                self.close_connection = True
            case "refuses" | "forgets" if b'"Entries"' in body:
                self._take_out(json.loads(body), is_told=behaviour == "refuses")
            case "refuses" | "forgets":
                self.say(*self.passed_on(body))
            case _:
                super().act(behaviour, body)

    def _take_out(self, asked: dict[str, Any], *, is_told: bool) -> None:
        entries = asked["Entries"]
        asked["Entries"] = [each for each in entries if not self.server.is_refused(each)]
        refused = [each for each in entries if self.server.is_refused(each)]
        answer: dict[str, Any] = {}
        if asked["Entries"]:
            answer = json.loads(self.passed_on(json.dumps(asked).encode())[1])
        if is_told:
            answer["Failed"] = [{"Id": each["Id"]} | self.server.refusal for each in refused]
        self.say(200, json.dumps(answer).encode())


@contextlib.contextmanager
def sqs_door(moto: tuple[str, int], port: int = 0) -> Iterator[SqsDoor]:
    """A door to it, open."""
    with opened(SqsDoor(moto, port)) as one:
        yield one
