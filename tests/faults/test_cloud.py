"""Events on SQS and keys under KMS, of real processes that are killed, and with both away."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from switch.demo.program import LOAD_BIN
from tests.client import connected
from tests.events.consuming import Consumer
from tests.events.sqs_door import moto_process, sqs_door
from tests.faults.cloud import Cloud, cloud
from tests.keys.kms_door import CREDENTIALS
from tests.process import COMMAND, environment, until
from tests.traffic import code, demo_card, purchase
from tests.typed import typed

CARDS = 60
#: Three minutes of a scheme in nine seconds: 90 customers.
SCHEME = ["--rate", "0.5", "--for", "3m", "--speed", "20", "--cards", str(CARDS), "--seed", "8"]
#: Cards whose accounts have money, and no limits.
PAYING = ("plain debit card", "credit card: 500.00 owed, limit 2000.00")


@pytest.fixture(scope="module")
def moto() -> Iterator[tuple[str, int]]:
    """Moto's server."""
    with moto_process() as address:
        yield address


@pytest.fixture
def here(
    moto: tuple[str, int], database: str, quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cloud]:
    """A switch with KMS and SQS, not started."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with cloud(moto, database, quick_path) as one:
        yield one


@pytest.mark.long
def test_balances_from_events_alone(here: Cloud) -> None:
    """A scheme plays; the consumer is killed in the middle, and then the switch. What the consumer
    has made of the events alone is what the accounts stand at, and the books are right.
    """
    here.switch.start()
    added = typed("demo", "cards", "--count", str(CARDS), settings=here.settings)
    assert 0 == added.exit_code, added.output
    consumer = Consumer(here.switch.folder, here.queue.url, "http://{}:{}".format(*here.moto))
    try:
        consumer.start()
        simulation = playing(here)
        for second, dies in ((2, consumer), (4, here.switch)):
            until(partial(has_played, here, second), f"second {second} of a simulation")
            dies.kill()
            dies.start()
        figures: dict[str, Any] = json.loads(simulation.communicate(timeout=60)[0])
        assert 0 == simulation.returncode, figures["notes"]
        assert figures["approvals"] > 20
        assert figures["lost"] > 0
        until(lambda: consumer.balances() == here.balances(), "the consumer's balances")
        until(lambda: here.queue.count == 0, "an empty queue")
        assert consumer.balances() == here.balances()
    finally:
        consumer.kill()
    assert 0 == here.dead_letters.count
    assert len(consumer.balances()) > CARDS
    audited = typed("audit", settings=here.settings)
    assert 0 == audited.exit_code, audited.output
    assert re.search(rf"{LOAD_BIN}\d{{8}}", json.dumps(here.sqs.batches)) is None


def playing(here: Cloud) -> subprocess.Popen[str]:
    """A scheme that plays against the switch, and compares its books with the ledger's."""
    address = f"127.0.0.1:{here.switch.port()}"
    with (here.switch.folder / "told.txt").open("w") as errors:
        return subprocess.Popen(
            [COMMAND, "simulate", address, *SCHEME, "--audit", "--json"],
            cwd=here.switch.folder,
            env=environment(here.settings),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )


def has_played(here: Cloud, second: int) -> bool:
    """Whether a simulation has told of its so many seconds."""
    return f"    {second} s" in (here.switch.folder / "told.txt").read_text()


def is_ready(here: Cloud) -> bool:
    """What the switch says to who asks whether it is."""
    with urlopen(f"http://{here.switch.settings['admin__listen']}/readyz") as answer:
        return bool(answer.read().strip() == b"ready")


@pytest.mark.long
async def test_sqs_and_kms_are_away(here: Cloud) -> None:
    """Silent, gone, throttling: decisions are made all the same, and the switch is ready; when SQS
    is back every event comes out, in order for each account.
    """
    here.switch.start()
    here.kms.behaviour = "hangs up"
    until(lambda: len(here.queue.taken()) > 0, "the events of the demo's accounts")
    asked: dict[str, list[str]] = {name: [] for name in PAYING}

    async def pay() -> None:
        async with connected(here.switch.port()) as client:
            for name in PAYING * 5:
                message = purchase(demo_card(name), 100)
                assert "00" == code(await client.ask(message))
                asked[name].append(message.fields[37])
        assert is_ready(here)

    port = here.sqs.server_address[1]
    here.sqs.behaviour = "is silent"
    await pay()
    until(lambda: len(here.sqs.asked) > 0, "a call that nobody answers")
    here.sqs.is_closing.set()
    here.sqs.shutdown()
    here.sqs.server_close()
    await pay()
    with sqs_door(here.moto, port) as back:
        back.behaviour = "RequestThrottled"
        await pay()
        until(lambda: "SendMessageBatch" in back.asked, "a call that is throttled")
        assert {} == came(here)
        back.behaviour = "answers"
        found: dict[str, list[str]] = {}

        def all_came() -> bool:
            for account, rrns in came(here).items():
                found.setdefault(account, []).extend(rrns)
            return sum(map(len, found.values())) >= sum(map(len, asked.values()))

        until(all_came, "all events")
    assert sorted(asked.values()) == sorted(found.values())
    assert 0 == here.switch.stop()


def came(here: Cloud) -> dict[str, list[str]]:
    """The RRNs that are in the queue, by account, in order."""
    found: dict[str, list[str]] = {}
    for message in here.queue.taken():
        event = json.loads(message["Body"])
        if "message" in event:
            found.setdefault(event["account"], []).append(event["message"]["rrn"])
    return found
