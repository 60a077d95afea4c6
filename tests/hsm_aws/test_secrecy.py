"""No PIN block, PAN, code or cryptogram in a log or an exception, however loud the SDK is made."""

from __future__ import annotations

import asyncio
import io
import logging
import traceback

import boto3
import pytest

from keys.aws import AwsHsm
from keys.hsm import HsmRejected, HsmUnavailable, PinBlockFormat, Verdict
from tests.hsm_aws import cards
from tests.hsm_aws.operations import Refused
from tests.hsm_aws.rig import Rig
from tests.hsm_aws.test_outages import ALL, ask_arqc, ask_code, ask_pin

BLOCK = cards.pin_block(PinBlockFormat.ISO_0).hex().upper()


def secrets() -> set[str]:
    """All that was asked with, as it went over the wire."""
    made, _, arpc = cards.cryptogram(cards.SCHEMES[0])
    values = [made.arqc.hex(), made.data.hex(), arpc.hex(), BLOCK.lower()]
    return {cards.PAN, *values, *(value.upper() for value in values)}


async def test_loggers_of_the_sdk(mended: Rig) -> None:
    """At level DEBUG, set before the start and after it, no logger tells what was asked."""
    told = io.StringIO()
    handler = logging.StreamHandler(told)
    root, botocore = logging.getLogger(), logging.getLogger("botocore")
    levels = {logger: logger.level for logger in (root, botocore)}
    root.addHandler(handler)
    hsm = mended.backend()
    try:
        root.setLevel(logging.DEBUG)
        botocore.setLevel(logging.DEBUG)
        await hsm.open()
        for name in list(logging.root.manager.loggerDict):
            if name.startswith(("botocore", "urllib3")):
                logging.getLogger(name).setLevel(logging.DEBUG)
        boto3.set_stream_logger("", logging.DEBUG)
        logging.getLogger("tests.here").debug("the handler hears")
        assert Verdict.MATCH is await ask_code(hsm)
        assert Verdict.MATCH is await ask_pin(hsm)
        await ask_arqc(hsm)
        mended.data.lie = "garbage"
        for ask in ALL:
            with pytest.raises(HsmUnavailable):
                await ask(hsm)
    finally:
        await hsm.close()
        for logger, level in levels.items():
            logger.setLevel(level)
        root.handlers = [h for h in root.handlers if type(h) is not logging.StreamHandler]
    text = told.getvalue()
    assert "the handler hears" in text
    assert not {secret for secret in secrets() if secret in text}
    assert cards.CODES["cvv"][3] not in {word.strip("\"',:") for word in text.split()}


@pytest.mark.parametrize("lie", ["garbage", "truncated", "other-key", "no-code", "nothing"])
async def test_exceptions(hsm: AwsHsm, mended: Rig, lie: str) -> None:
    """An outage's whole chain, contexts too, ends with our own exceptions and has no values."""
    mended.data.lie = lie
    for ask in ALL[:5]:
        await _is_silent(ask, hsm)


@pytest.mark.parametrize(
    "code", ["ValidationException", "AccessDeniedException", "ThrottlingException"]
)
async def test_messages_of_the_service(hsm: AwsHsm, mended: Rig, code: str) -> None:
    """What the service writes into its message is not repeated: it may be the value."""
    mended.data.refusal = Refused(code, message=f"bad value {cards.PAN} {BLOCK}")
    for ask in ALL[:5]:
        if ask is ask_pin and code == "ValidationException":
            assert Verdict.UNREADABLE is await ask_pin(hsm)
            continue
        await _is_silent(ask, hsm)


async def test_dead(hsm: AwsHsm, mended: Rig) -> None:
    """The SDK's exceptions carry the request: none of them is chained to ours."""
    mended.data.stop()
    for ask in ALL[:5]:
        await _is_silent(ask, hsm)


async def test_questions_do_not_show(hsm: AwsHsm) -> None:
    """The text of a question has no parameters."""
    question = hsm._ping
    assert question is not None
    assert "PrimaryAccountNumber" in question.parameters
    assert "PrimaryAccountNumber" not in repr(question)
    await asyncio.sleep(0)


async def _is_silent(ask: object, hsm: AwsHsm) -> None:
    with pytest.raises((HsmUnavailable, HsmRejected)) as failed:
        await ask(hsm)  # type: ignore[operator]
    seen: BaseException | None = failed.value
    text = "".join(traceback.format_exception(failed.value))
    while seen is not None:
        assert not type(seen).__module__.startswith(("boto", "urllib3", "http"))
        text += f"{seen!r}"
        seen = seen.__cause__ or seen.__context__
    assert not {secret for secret in secrets() if secret in text}
