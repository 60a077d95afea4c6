"""`switch keys vault-generate` and `retokenize` as an operator types them, beside real switches."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from keys import keyfile
from tests.client import connected
from tests.conftest import PostgresServer
from tests.desk import WHY, Desk, demo_desk
from tests.flows.later import repeat, reversal
from tests.keys.kms_door import ALIAS, CREDENTIALS, REGION, door, moto_kms
from tests.process import Switch, as_setting, environment, eventually, running
from tests.traffic import PLAIN, ROOT, add_load_cards, code, load_card, purchase
from tests.typed import typed

CARDS = 22  #: the demo's
OLD_TOKEN, OLD_DATA = '["pan_token"]', '["pan_data"]'
BOTH = {
    "vault__token_keys": '["pan_token", "pan_token_02"]',
    "vault__data_keys": '["pan_data", "pan_data_02"]',
}
NEW = {"vault__token_keys": '["pan_token_02"]', "vault__data_keys": '["pan_data_02"]'}


@pytest.fixture
def desk(migrated_server: PostgresServer) -> Iterator[Desk]:
    """A database of the test's own with the demo in it."""
    yield from demo_desk(migrated_server)


def key_file_in(folder: Path) -> Path:
    """The development keys, and new ones for the vault as the command prints them."""
    made = [
        typed("keys", "vault-generate", f"pan_{kind}_02", "--kind", kind, "--version", "02").stdout
        for kind in ("token", "data")
    ]
    path = folder / "keys.toml"
    path.write_text("\n".join([(ROOT / "keys/dev/keys.toml").read_text(), *made]))
    return path


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """Such a file."""
    return key_file_in(tmp_path)


@pytest.fixture
def both(key_file: Path) -> dict[str, Any]:
    """Settings with the old keys and the new ones."""
    return {"hsm__keys": key_file, **BOTH}


@pytest.fixture
def new(key_file: Path) -> dict[str, Any]:
    """Settings with the new keys alone."""
    return {"hsm__keys": key_file, **NEW}


# vault-generate


@pytest.mark.parametrize(
    ("kind", "usage", "algorithm", "mode"), [("data", "D0", "A", "B"), ("token", "M7", "H", "C")]
)
def test_a_new_key_block(
    desk: Desk, tmp_path: Path, kind: str, usage: str, algorithm: str, mode: str
) -> None:
    """It is a table of the key file: its block opens under the settings' protection key."""
    said = desk.done(f"keys vault-generate pan_x --kind {kind} --version 07")
    path = tmp_path / "keys.toml"
    path.write_text(said)
    kbpk = keyfile.read_kbpk(ROOT / "keys/dev/kbpk.dev")
    (key,) = keyfile.load(path, kbpk).values()
    assert (usage, algorithm, mode, "07", 32) == (
        key.usage, key.algorithm, key.mode_of_use, key.version, len(key.material),
    )  # fmt: skip
    assert key.material.hex() not in said.lower()
    assert said != desk.done(f"keys vault-generate pan_x --kind {kind} --version 07")


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        ("pan.x --kind data --version 01",                  "letters, digits"),
        ("pan_x --kind data --version 1",                   "--version"),
        ("pan_x --kind zone --version 01",                  "--kind"),
        ("pan_x --kind data",                               "--version"),
        ("pan_x --kind data --version 01 --kms-key 'a b'",  "--kms-key"),
    ],
)  # fmt: skip
def test_what_is_no_key(desk: Desk, words: str, refusal: str) -> None:
    """A name, kind, version or KMS key that cannot be is refused in one line."""
    assert refusal in desk.refused(f"keys vault-generate {words}")


def test_keys_of_kms(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KMS generates them, and the vault works with them; without KMS a command is refused."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with moto_kms() as moto, door(moto) as gate:
        there = {"vault__kms_region": REGION, "vault__kms_endpoint_url": gate.url}
        made = [
            desk.done(
                f"keys vault-generate pan_{kind}_02 --kind {kind} --version 02 --kms-key {ALIAS}",
                **there,
            )
            for kind in ("token", "data")
        ]
        table = tomllib.loads(made[1])["pan_data_02"]
        assert ("D0", "A", "02") == (table["usage"], table["algorithm"], table["version"])
        path = tmp_path / "keys.toml"
        path.write_text((ROOT / "keys/dev/keys.toml").read_text() + "\n" + "\n".join(made))
        settings: dict[str, Any] = {"hsm__keys": path, **there}
        said = desk.type("keys retokenize", *WHY, **settings, **BOTH)
        assert (0, f"{CARDS} cards are brought under") == (said.exit_code, said.stdout[:26])
        assert "card          1  " in desk.done("cards show -", told=PLAIN.pan, **settings, **NEW)

        gate.behaviour = "AccessDeniedException"
        line = desk.refused("cards show -", told=PLAIN.pan, **settings, **NEW)
        assert line == "switch: pan_token_02: KMS refuses: AccessDeniedException\n"
        gate.behaviour = "is broken"
        for words in ("cards show -", "keys retokenize", "demo reset --all"):
            why = WHY if words.startswith("keys") else ()
            line = desk.refused(words, *why, told=PLAIN.pan, **settings, **NEW)
            assert line.startswith("switch: pan_token_02: KMS: ")
        assert "KMS" in desk.refused(
            f"keys vault-generate pan_x --kind data --version 03 --kms-key {ALIAS}", **there
        )


# retokenize


def test_cards_come_under_the_new_keys(
    desk: Desk, both: dict[str, Any], new: dict[str, Any]
) -> None:
    """It says how many, and which keys may go; again, it changes nothing. It is recorded."""
    said = desk.type("keys retokenize", *WHY, **both)
    assert (0, f"cards: {CARDS} of {CARDS}\n") == (said.exit_code, said.stderr)
    rest = (
        "pan_token may be removed from vault.token_keys\n"
        "pan_data may be removed from vault.data_keys\n"
    )
    assert f"{CARDS} cards are brought under pan_token_02 and pan_data_02\n{rest}" == said.stdout
    again = "all cards are under pan_token_02 and pan_data_02 already: nothing is changed\n"
    assert again + rest == desk.done("keys retokenize", *WHY, **both)
    acts = desk.rows("SELECT operator, reason, action, account_id, details FROM operator_actions")
    assert [("alice", WHY[1], action, None) for action in ("retokenize_begun", "retokenize")] == [
        act[:4] for act in acts
    ]
    became = json.loads(acts[1][4])["became"]
    assert {"token_version": 2, "data_version": 2, "cards": CARDS} == became
    assert "card          1  " in desk.done("cards show -", told=PLAIN.pan, **new)
    assert "under other token_keys" in desk.refused("cards show -", told=PLAIN.pan)
    assert "operators have worked" in desk.refused("demo reset", **new)
    assert "22 demo cards" in desk.done("demo reset --all", **new)


def test_what_retokenize_asks_for(desk: Desk, key_file: Path, new: dict[str, Any]) -> None:
    """Without a reason, without the old keys, or with foreign ones nothing is done."""
    assert "--reason" in desk.refused("keys retokenize")
    assert "under other token_keys" in desk.refused("keys retokenize", *WHY, **new)
    foreign = {**new, "vault__data_keys": '["pan_data", "pan_data_02"]'}
    assert "under other token_keys" in desk.refused("keys retokenize", *WHY, **foreign)
    assert [(1, CARDS)] == desk.rows("SELECT min(token_version), count(*) FROM pan_tokens")
    assert [] == desk.rows("SELECT * FROM operator_actions")


def retokenizing(url: str, folder: Path, settings: dict[str, Any]) -> subprocess.Popen[bytes]:
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "switch", "keys", "retokenize", "--by", "alice", *WHY],
        cwd=folder,
        env=environment({"database__url": as_setting(url), **settings})
        | {"PYTHONPATH": os.fspath(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_killed_in_the_middle(
    desk: Desk, tmp_path: Path, both: dict[str, Any], new: dict[str, Any]
) -> None:
    """What was done stays, every card is whole, and a second run does the rest."""
    add_load_cards(desk.url, 3_000)

    async def killed() -> list[int]:
        connection = await asyncpg.connect(desk.url)
        try:
            async with connection.transaction():
                await connection.execute(
                    "SELECT FROM cards WHERE card_id > 1001500 FOR NO KEY UPDATE"
                )
                process = retokenizing(desk.url, tmp_path, both)
                count = "SELECT count(*) FROM pan_tokens WHERE token_version = 2"

                async def is_in_the_middle() -> bool:
                    return bool(await connection.fetchval(count) >= 1_000)

                await eventually(is_in_the_middle)
                process.send_signal(signal.SIGKILL)
                process.communicate()
            done = await connection.fetchval(count)
            whole = await connection.fetchval(
                "SELECT count(*) FROM pan_tokens JOIN cards USING (account_id, card_id)"
                " WHERE token_version = get_byte(pan_ciphertext, 0)"
            )
            return [process.returncode, done, whole]
        finally:
            await connection.close()

    code_, done, whole = asyncio.run(killed())
    assert (-signal.SIGKILL, 3_000 + CARDS) == (code_, whole)
    assert 1_000 <= done < 3_000
    for number in (0, 2_999):
        desk.done("cards show -", told=load_card(number).pan, **both)
    assert "under other token_keys" in desk.refused("cards show -", told=PLAIN.pan, **new)
    said = desk.type("keys retokenize", *WHY, **both)
    assert said.stdout.startswith(f"{3_000 + CARDS - done} cards are brought under")
    for number in (0, 2_999):
        desk.done("cards show -", told=load_card(number).pan, **new)


async def test_beside_two_switches(tmp_path: Path, quick_path: Path) -> None:
    """Two switches with both keys go on deciding meanwhile; one with the new key knows it all."""
    keys = key_file_in(tmp_path)
    one, other, last = (quick_path / name for name in ("one", "other", "last"))
    for folder in (one, other, last):
        folder.mkdir()
    with running(one) as first:
        url = first.database_url
        await asyncio.to_thread(add_load_cards, url, 2_000)
        cards = [load_card(number) for number in range(0, 2_000, 100)]
        async with connected(first.port()) as client:
            asked = [purchase(card, 100) for card in cards]
            answers = [await client.ask(message) for message in asked]
        assert {"00"} == {code(answer) for answer in answers}
        first.stop()  # its Postgres with it: the next one starts that again

    both: dict[str, Any] = {"hsm__keys": keys, **BOTH}
    with (
        running(one, **both) as first,
        running(other, database__url=url, **both) as second,
    ):
        async with connected(first.port()) as client, connected(second.port()) as another:
            process = retokenizing(url, tmp_path, both)
            turns = 0
            while process.poll() is None or turns < 2:
                for number, (message, answer) in enumerate(zip(asked, answers, strict=True)):
                    again = await (client, another)[number % 2].ask(repeat(message))
                    assert ("00", answer.fields[38]) == (code(again), again.fields[38])
                turns += 1
            assert (0, True) == (
                process.returncode, process.communicate()[0].startswith(b"2022 cards are brought")
            )  # fmt: skip
        with running(last, database__url=url, hsm__keys=keys, **NEW) as third:
            async with connected(third.port()) as client:
                for message, answer in zip(asked[:10], answers, strict=False):
                    again = await client.ask(repeat(message))
                    assert ("00", answer.fields[38]) == (code(again), again.fields[38])
                for message in asked:
                    assert "00" == code(await client.ask(reversal(message)))
        connection = await asyncpg.connect(url)
        held = await connection.fetchval("SELECT sum(held_minor) FROM accounts")
        decided = await connection.fetchval(
            "SELECT count(*) FROM authorizations WHERE mti IN ('0100', '0101')"
        )
        await connection.close()
        assert (0, len(cards)) == (held, decided)
        late = Switch(last, database__url=url)
        late.start(wait=False)
        assert 1 == late.wait()
        assert "under other token_keys" in late.error_file.read_text()
