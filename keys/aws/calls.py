"""
One call of AWS, its answer and its failures, and the clients that make it.

Nothing of a call may get into a log or an exception: botocore's own exceptions carry requests and
answers, so they end here and are not chained, and its loggers say nothing below a warning.
"""

from __future__ import annotations

import hmac
import logging
import os
import re
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, NoRegionError

from keys.aws.question import HeldKey, Question
from keys.hsm import HsmRejected, HsmUnavailable

#: The service said that the question is wrong or not allowed; any other failure is no answer.
_REJECTIONS = frozenset(
    {"ValidationException", "AccessDeniedException", "ResourceNotFoundException"}
)

#: An error code as the service writes them: what else a peer may put there is not repeated.
_CODE = re.compile(r"[A-Za-z]{1,64}", re.ASCII)

#: Seconds. A read that ends at the budget would close a connection that is only slow, and pay a
#: TLS handshake for it: nobody waits for these threads, so they may take somewhat longer.
CONNECT_TIMEOUT_MIN = 1.0
READ_TIMEOUT_MIN = 0.5

#: At start, seconds and attempts for each call of the control plane, which allows five a second.
_CONTROL_TIMEOUT = 3.0
_CONTROL_ATTEMPTS = 6

_SDK_LOGGERS = ("boto3", "botocore", "urllib3")


class ParameterRefused(HsmRejected):
    """The service refused a parameter: of a PIN block, it may be that it is none."""


def connect(
    *,
    region: str | None,
    endpoint_url: str | None,
    control_endpoint_url: str | None,
    connections: int,
    budget: float,
) -> tuple[Any, list[Any]]:
    """
    Make a client of the control plane, and one of the data plane for each connection.

    They share credentials, of SDK's default chain. One client a thread has one connection, so
    that warming them all is certain. Raises `HsmRejected` where no region is known.
    """
    session = boto3.session.Session(region_name=region or os.environ.get("AWS_REGION"))
    data = Config(
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=1,
        connect_timeout=max(budget, CONNECT_TIMEOUT_MIN),
        read_timeout=max(budget, READ_TIMEOUT_MIN),
        parameter_validation=False,
        tcp_keepalive=True,
    )
    control = Config(
        retries={"total_max_attempts": _CONTROL_ATTEMPTS, "mode": "standard"},
        connect_timeout=_CONTROL_TIMEOUT,
        read_timeout=_CONTROL_TIMEOUT,
        parameter_validation=False,
    )
    try:
        keys = session.client(
            "payment-cryptography", config=control, endpoint_url=control_endpoint_url
        )
        clients = [
            session.client("payment-cryptography-data", config=data, endpoint_url=endpoint_url)
            for _ in range(connections)
        ]
    except NoRegionError:
        raise HsmRejected("aws: no region: set hsm.aws.region or AWS_REGION") from None
    hush()
    return keys, clients


def hush() -> None:
    """Keep the SDK's loggers from telling parameters, whatever level anybody sets for them."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.split(".")[0] in _SDK_LOGGERS and isinstance(logger, logging.Logger):
            logger.addFilter(_is_warning)


def _is_warning(record: logging.LogRecord) -> bool:
    """A filter of a logger holds where its level does not: for `boto3.set_stream_logger` too."""
    return record.levelno >= logging.WARNING


def call(client: Any, question: Question) -> Mapping[str, Any] | None:
    """
    Make one call; None where the service verified and says no.

    Raises `HsmRejected`, of it `ParameterRefused`, and `HsmUnavailable`; blocks.
    """
    answer = ask(
        client,
        question.operation,
        question.parameters,
        of=" ".join(repr(key.name) for key in question.keys.values()),
        reason=question.reason,
    )
    if answer is not None:
        for prefix, key in question.keys.items():
            _require_key(question.operation, answer, prefix, key)
    return answer


def ask(
    client: Any, operation: str, parameters: Mapping[str, Any], *, of: str, reason: str = ""
) -> Mapping[str, Any] | None:
    """Make a call about the keys named in `of`. Raises as `call` does, but compares no key."""
    failure: HsmRejected | HsmUnavailable | None
    try:
        answer = getattr(client, operation)(**parameters)
    except ClientError as error:
        if _is_no(error, reason):
            return None
        failure = _failure(error, f"aws: {operation} with {of}")
    # The SDK raises its own, urllib3's and the system's, all with values: none is an answer.
    except Exception as error:  # noqa: BLE001
        failure = HsmUnavailable(f"aws: {operation}: no answer: {type(error).__name__}")
    else:
        if isinstance(answer, Mapping):
            return answer
        failure = HsmUnavailable(f"aws: {operation}: the answer is none")
    # Raised out here, it has no context: what the SDK raised ends with this function.
    raise failure


def hex_of(question: Question, answer: Mapping[str, Any], name: str, size: int) -> bytes:
    """Read so many bytes out of an answer; without them it is none."""
    value = answer.get(name)
    try:
        read = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        read = b""
    if len(read) != size:
        raise HsmUnavailable(f"aws: {question.operation}: the answer has no {name} of its length")
    return read


def _is_no(error: ClientError, reason: str) -> bool:
    """Whether the service compared and found it wrong: its exception must say of what."""
    failed = error.response.get("Error", {}).get("Code") == "VerificationFailedException"
    return failed and reason != "" and error.response.get("Reason") == reason


def _failure(error: ClientError, what: str) -> HsmRejected | HsmUnavailable:
    code = error.response.get("Error", {}).get("Code")
    if not isinstance(code, str) or _CODE.fullmatch(code) is None:
        return HsmUnavailable(f"{what}: an error that is none of the service's")
    if code == "ValidationException":
        return ParameterRefused(f"{what}: {code}")
    if code in _REJECTIONS:
        return HsmRejected(f"{what}: {code}")
    return HsmUnavailable(f"{what}: {code}")


def _require_key(operation: str, answer: Mapping[str, Any], prefix: str, key: HeldKey) -> None:
    """Without the key that was asked for, with its check value, an answer is none."""
    arn, kcv = answer.get(f"{prefix}KeyArn"), answer.get(f"{prefix}KeyCheckValue")
    if arn != key.arn or not is_check_value(kcv, key.kcv):
        raise HsmUnavailable(f"aws: {operation}: the answer is not of key {key.name!r}")


def is_check_value(told: object, pinned: str) -> bool:
    """Whether a check value is the pinned one, in its first six digits: the service tells no more
    of an AES key.
    """
    if not isinstance(told, str) or not told.isascii():
        return False
    return hmac.compare_digest(told[:6].upper(), pinned[:6].upper())
