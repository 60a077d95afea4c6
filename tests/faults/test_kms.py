"""A KMS that is away, silent, or refuses, when a real switch starts, and after it has started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client import connected
from tests.keys.kms_door import ALIAS, CREDENTIALS, REGION, door, moto_kms
from tests.process import Switch, as_setting, free_port
from tests.traffic import PLAIN, ROOT, code, purchase
from tests.typed import typed


@pytest.fixture
def waiting(
    database: str, tmp_path: Path, quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Switch, tuple[str, int], int]]:
    """A switch whose data key is wrapped by a KMS that is not there yet, and where it will be."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    port = free_port()
    with moto_kms() as moto:
        with door(moto) as gate:
            there = {"vault__kms_region": REGION, "vault__kms_endpoint_url": gate.url}
            words = f"keys vault-generate pan_data_02 --kind data --version 02 --kms-key {ALIAS}"
            made = typed(*words.split(), settings=there).stdout
        keys = tmp_path / "keys.toml"
        keys.write_text((ROOT / "keys/dev/keys.toml").read_text() + "\n" + made)
        switch = Switch(
            quick_path,
            hsm__keys=keys,
            database__url=as_setting(database),
            vault__data_keys='["pan_data", "pan_data_02"]',
            vault__kms_region=REGION,
            vault__kms_endpoint_url=f"http://127.0.0.1:{port}",
        )
        try:
            yield switch, moto, port
        finally:
            switch.end()


async def test_a_switch_waits_for_kms_and_goes_on_without(
    waiting: tuple[Switch, tuple[str, int], int],
) -> None:
    """A start says why it waits, serves when KMS answers, and never needs it again."""
    switch, moto, port = waiting
    switch.start(wait=False)
    line = switch.wait_for("vault_waiting")
    assert ("warning", 1.0) == (line["level"], line["seconds"])
    assert line["problem"].startswith("pan_data_02: KMS: no answer")
    assert [] == switch.lines("started")
    with door(moto, port):
        switch.wait_for("started")
    async with connected(switch.port()) as client:
        assert "00" == code(await client.ask(purchase(PLAIN, 100)))
    assert 0 == switch.stop()


def test_a_switch_that_waits_can_be_stopped(
    waiting: tuple[Switch, tuple[str, int], int],
) -> None:
    """One whose KMS takes the question and is silent ends when it is told to."""
    switch, moto, port = waiting
    with door(moto, port) as gate:
        gate.behaviour = "is silent"
        switch.start(wait=False)
        line = switch.wait_for("vault_waiting")
        assert "ReadTimeoutError" in line["problem"]
        assert 0 == switch.stop()


@pytest.mark.parametrize(
    ("behaviour", "refusal"),
    [
        ("AccessDeniedException", "pan_data_02: KMS refuses: AccessDeniedException"),
        ("lies", "is pinned"),
    ],
)
def test_a_switch_that_is_denied_does_not_start(
    waiting: tuple[Switch, tuple[str, int], int], behaviour: str, refusal: str
) -> None:
    """Denied, or given another key: one line, exit code 1, nothing waited for."""
    switch, moto, port = waiting
    with door(moto, port) as gate:
        gate.behaviour = behaviour
        switch.start(wait=False)
        assert 1 == switch.wait()
    line = switch.error_file.read_text()
    assert refusal in line
    assert 1 == line.count("\n")
    assert [] == switch.lines("vault_waiting")
