"""
Calls of SQS: several at once, each over in a known time, and every failure in our words.

A call has a thread of its own, which is waited for `ANSWER_SECONDS` at most: the time-outs of the
SDK are for one read, and a peer that sends a byte now and then would keep it for ever.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from switch.events.sink import SinkUnavailable

#: Seconds for a connection, for a read of it, and for a whole answer however it trickles.
CONNECT_SECONDS, READ_SECONDS, ANSWER_SECONDS = 2.0, 5.0, 15.0
#: How often the SDK asks, the first time included: one lost connection is not worth a word.
ATTEMPTS = 2
#: Calls at once, and connections that are kept for them.
CALLS_MAX = 4
#: Calls that nobody waits for any more and that are not over: with so many no other is made.
HUNG_MAX = 16

Answer = Mapping[str, Any]

#: An error's code comes from outside: nothing else of it is repeated.
_CODE = re.compile(r"[A-Za-z.]{1,80}", re.ASCII)


class SqsCalls:
    """A client of SQS, with the credentials of the default chain."""

    def __init__(self, *, region: str = "", endpoint_url: str = "") -> None:
        """Without a region, that of the environment; without an address, that of the region."""
        self._region = region or os.environ.get("AWS_REGION")
        self._endpoint_url = endpoint_url or None
        self._lock = threading.Lock()
        self._client: Any = None
        self._hung: list[_Call] = []

    def ask(
        self, operation: str, *asked: Mapping[str, Any], within: float | None = None
    ) -> Sequence[Answer | SinkUnavailable]:
        """Make a call for each, all at once; the answers in their order, or why there is none.

        They are waited for `ANSWER_SECONDS`, or so many.
        """
        seconds = ANSWER_SECONDS if within is None else within
        self._hung = [call for call in self._hung if call.is_alive()]
        if len(self._hung) >= HUNG_MAX:
            return [SinkUnavailable(f"sqs: {len(self._hung)} calls hang") for _ in asked]
        calls = [_Call(self._answered, operation, each) for each in asked]
        for call in calls:
            call.start()
        give_up = time.monotonic() + seconds
        for call in calls:
            call.join(max(0.0, give_up - time.monotonic()))
        self._hung += [call for call in calls if call.is_alive()]
        late = SinkUnavailable(f"sqs: no answer in {seconds:.0f} s")
        return [late if call.outcome is None else call.outcome for call in calls]

    def close(self) -> None:
        """Close what connections there are."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _answered(self, operation: str, asked: Mapping[str, Any]) -> Answer | SinkUnavailable:
        # Imported where it is used: it takes a quarter of a second, and most have no queue.
        from botocore import exceptions as told

        try:
            answer: Answer = getattr(self._connected(), operation)(**asked)
        except told.ClientError as error:
            return SinkUnavailable(f"sqs: {_refusal(error.response)}")
        except told.NoRegionError:
            return SinkUnavailable("sqs: no region: set events.region")
        except (told.NoCredentialsError, told.PartialCredentialsError):
            return SinkUnavailable("sqs: there are no AWS credentials")
        except Exception as error:  # noqa: BLE001 - a peer can make botocore raise anything
            # Its text is not told: there may be an address, a credential, a body in it.
            return SinkUnavailable(f"sqs: no answer ({type(error).__name__})")
        return answer

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
            max_pool_connections=CALLS_MAX,
            tcp_keepalive=True,
        )
        return boto3.session.Session(region_name=self._region).client(
            "sqs", endpoint_url=self._endpoint_url, config=config
        )


class _Call(threading.Thread):
    """A call and what came of it. The process does not wait for it at its end."""

    def __init__(
        self,
        answered: Callable[[str, Mapping[str, Any]], Answer | SinkUnavailable],
        operation: str,
        asked: Mapping[str, Any],
    ) -> None:
        super().__init__(name="sqs", daemon=True)
        self._work = partial(answered, operation, asked)
        self.outcome: Answer | SinkUnavailable | None = None

    def run(self) -> None:
        self.outcome = self._work()


def code_of(said: object) -> str:
    """An error's code as SQS writes them."""
    return said if isinstance(said, str) and _CODE.fullmatch(said) else "an error without a name"


def _refusal(response: Mapping[str, Any]) -> str:
    code = code_of(response.get("Error", {}).get("Code"))
    if code.endswith(("NonExistentQueue", "QueueDoesNotExist")):
        return "there is no such queue: events.queue_url"
    if code.startswith("AccessDenied"):
        return f"not allowed: the role's permissions ({code})"
    return code
