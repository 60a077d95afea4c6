"""Zone keys that are exchanged over real sockets while PINs are verified (0800)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psec.des
import psec.tr31
import pytest

from keys.ceremony import Wanted, sealed
from keys.hsm import PinBlockFormat
from keys.keyfile import Key, read_kbpk
from keys.keyfile_writer import locked, put
from keys.software import issuing
from keys.software.key import TDES
from keys.software.parity import set_odd_parity
from switch.wire.message import Message, encode
from tests.client import Client, connected
from tests.faults.secrets_in import files_under
from tests.links.conftest import ANY_PORT
from tests.links.conftest import locked as account_locked
from tests.process import Switch, as_setting, command, eventually, running, until
from tests.traffic import (
    KEYS,
    ROOT,
    CardInHand,
    add_load_cards,
    change,
    code,
    load_card,
    purchase,
    stripe,
)
from tests.typed import typed

CARDS = 150
ZMK = bytes.fromhex("6E5D4C3B2A19080F1E2D3C4B5A697887")
ZMK_AES = bytes(range(60, 92))
#: Each with the zone master key, and the form in which keys come.
LINKS: dict[str, dict[str, object]] = {
    "block": {},
    "binary": {"dialect": "iso87-binary"},
    "aes": {"zone_master_key": "zmk_aes"},
    "cryptogram": {"dialect": "cryptogram"},
    "bad": {},
    "played": {},
    "short": {"zone_key_overlap_s": 0},
    "asking": {},
    "sending": {},
    "silent": {},
    "refusing": {},
    "narrow": {"in_flight_max": 1},
    "twins": {},
    "rotated": {"zone_master_key": ""},
}
_numbers = itertools.count(500_001)
_cards = itertools.count()


def links_of(folder: Path) -> dict[str, object]:
    """Settings of all links, with a key file of their own."""
    dialect = folder / "own_cryptogram.toml"
    text = (ROOT / "specs/iso87_ascii.toml").read_text()
    assert 'layout      = "key-block"' in text
    dialect.write_text(text.replace('layout      = "key-block"', 'layout      = "cryptogram"'))
    keys, kbpk = folder / "keys.toml", folder / "kbpk"
    shutil.copy(ROOT / "keys/dev/keys.toml", keys)
    shutil.copy(ROOT / "keys/dev/kbpk.dev", kbpk)
    for name, algorithm, material in (("zmk", "TDES", ZMK), ("zmk_aes", "AES-256", ZMK_AES)):
        made = sealed(bytearray(material), Wanted("K0", algorithm).header(), read_kbpk(kbpk))
        with locked(keys) as path:
            put(path, name, {"block": made.block, "kcv": made.kcv})
    given: dict[str, object] = {"hsm__keys": keys, "hsm__kbpk_file": kbpk, "log__level": "debug"}
    for number, (name, own) in enumerate(LINKS.items(), start=1):
        link: dict[str, object] = {
            "name": name, "listen": ANY_PORT, "answer_within_ms": 3000, "zone_master_key": "zmk",
            "file_update_answer_s": 1, **own,
        }  # fmt: skip
        if link.get("dialect") == "cryptogram":
            link["dialect"] = dialect
        given |= {f"links__{number}__{key}": value for key, value in link.items() if value != ""}
    return given


@pytest.fixture(scope="module")
def switch(quick_root: Path) -> Iterator[Switch]:
    """A switch with a zone master key for each link."""
    with tempfile.TemporaryDirectory(dir=quick_root) as name:
        folder = Path(name)
        with running(folder, **links_of(folder)) as started:
            add_load_cards(started.database_url, CARDS)
            yield started


@contextlib.asynccontextmanager
async def peer(switch: Switch, link: str) -> AsyncIterator[Client]:
    """A scheme that is connected."""
    dialect = str(LINKS.get(link, {}).get("dialect", "iso87-ascii"))
    if dialect == "cryptogram":
        dialect = "iso87-ascii"  # the wire is the same
    async with connected(switch.port(link), dialect=dialect) as client:
        yield client


def new_key() -> Key:
    """A zone PIN key that nobody had."""
    material = bytearray(secrets.token_bytes(16))
    set_odd_parity(material)
    return Key(bytes(material), usage="P0", algorithm=TDES, mode_of_use="B")


def wrapped(link: str, key: Key) -> str:
    """A key as the scheme behind a link sends it, by another implementation."""
    if link == "cryptogram":
        return str(psec.des.encrypt_tdes_ecb(ZMK, key.material).hex().upper())
    under, version = (ZMK_AES, "D") if link == "aes" else (ZMK, "B")
    header = psec.tr31.Header(version, "P0", "T", "B", "00", "N")
    return str(psec.tr31.KeyBlock(under, header).wrap(key.material))


def unwrapped(link: str, data: str) -> Key:
    """The key that we sent, as the scheme reads it."""
    text, kcv = data[:-6], data[-6:]
    if link == "cryptogram":
        material = psec.des.decrypt_tdes_ecb(ZMK, bytes.fromhex(text))
    else:
        material = psec.tr31.unwrap(ZMK_AES if link == "aes" else ZMK, text)[1]
    key = Key(material, usage="P0", algorithm=TDES, mode_of_use="B")
    assert key.kcv == kcv
    return key


def bringing(link: str, key: Key, *, kcv: str = "", network_code: str = "161") -> Message:
    """The 0800 that brings a key."""
    return change(about_keys(network_code), de_123=wrapped(link, key) + (kcv or key.kcv))


def about_keys(network_code: str) -> Message:
    """An 0800 of a number of its own."""
    stan = f"{next(_numbers):06d}"
    return Message("0800", {7: "1122120000", 11: stan, 70: network_code})


def card() -> CardInHand:
    """A card that no other test has."""
    return load_card(next(_cards))


def with_pin(one: CardInHand, key: Key, pin: str = "") -> Message:
    """A stripe purchase whose PIN block is under a zone key."""
    block = issuing.pin_block(
        key, pin_block_format=PinBlockFormat.ISO_0, pin=pin or one.pin, pan=one.pan
    )
    return change(stripe(one, pin=one.pin), de_52=block.hex().upper())


async def says(client: Client, key: Key, pin: str = "") -> str:
    """DE39 for a card's PIN under a zone key."""
    return code(await client.ask(with_pin(card(), key, pin)))


async def tries(switch: Switch, one: CardInHand) -> int:
    """How many wrong PINs a card has."""
    connection = await switch.connect()
    try:
        found: int = await connection.fetchval(
            "SELECT pin_tries FROM cards WHERE account_id = $1", one.account_id
        )
        return found
    finally:
        await connection.close()


async def at_desk(switch: Switch, *words: str) -> tuple[int, str]:
    """Type one of the commands about keys; its exit code and all that it says."""
    settings = switch.settings | {"database__url": as_setting(switch.database_url)}
    said = await asyncio.to_thread(typed, "keys", *words, settings=settings)
    return said.exit_code, said.output


async def told(client: Client, already: int) -> Message:
    """The next message that we are sent."""
    await client.received(already + 1)
    return client.answers[already]


def answer(client: Client, request: Message, response_code: str = "00", **more: str) -> None:
    """Answer a network management request."""
    echoed = {number: request.fields[number] for number in (7, 11, 70)}
    message = change(Message("0810", {**echoed, 39: response_code}), **more)
    client.write_frame(encode(Message("0810", dict(sorted(message.fields.items()))), client.spec))


@pytest.mark.parametrize("network_code", ["161", "101"])
@pytest.mark.parametrize("link", ["block", "binary", "aes", "cryptogram"])
async def test_a_scheme_brings_a_key(switch: Switch, link: str, network_code: str) -> None:
    """The new key is good with its answer, the one before is still good, and none costs a try."""
    key = new_key()
    async with peer(switch, link) as client:
        unknown = card()
        assert "55" == code(await client.ask(with_pin(unknown, key)))
        assert 0 == await tries(switch, unknown)
        answered = await client.ask(bringing(link, key, network_code=network_code))
        assert ("0810", "00", key.kcv) == (answered.mti, code(answered), answered.fields[123])
        assert {7, 11, 39, 70, 123} == set(answered.fields)
        assert "00" == await says(client, key)
        assert "00" == await says(client, KEYS["zpk"])
        wrong = card()
        assert "55" == code(await client.ask(with_pin(wrong, key, "9999")))
        assert 1 == await tries(switch, wrong)
    event = switch.wait_for("zone_key_taken", link=link, kcv=key.kcv)
    assert "info" == event["level"]


async def test_no_overlap(switch: Switch) -> None:
    """Where the overlap is none the key before ends at once."""
    key = new_key()
    async with peer(switch, "short") as client:
        assert "00" == code(await client.ask(bringing("short", key)))
        assert ("00", "55") == (await says(client, key), await says(client, KEYS["zpk"]))


@pytest.mark.parametrize(
    ("make", "answer_code"),
    [
        (lambda: bringing("bad", new_key(), kcv="000000"), "63"),
        (lambda: bringing("aes", new_key()), "63"),  # under another zone master key
        (lambda: bringing("cryptogram", new_key()), "30"),  # another layout
        (lambda: change(about_keys("161"), de_123="B0080P0TB00N0000"), "30"),
        (lambda: change(about_keys("161"), de_123="x"), "30"),
        (lambda: about_keys("161"), "30"),
    ],
    ids=["check value", "master key", "layout", "cut off", "nothing like it", "missing"],
)
async def test_keys_that_are_not_taken(switch: Switch, make: Any, answer_code: str) -> None:
    """A wrong or unreadable key is refused; the key before stays, and only its KCV is logged."""
    message = make()
    async with peer(switch, "bad") as client:
        answered = await client.ask(message)
        assert (answer_code, False) == (code(answered), 123 in answered.fields)
        assert "00" == await says(client, KEYS["zpk"])
    if answer_code == "63":
        event = switch.wait_for("zone_key_refused", link="bad")
        assert "warning" == event["level"]
        assert set(event) <= {"time", "level", "event", "link", "kcv", "problem", "logger"}
    assert not switch.lines("zone_key_taken", link="bad")


async def test_copies_and_records(switch: Switch) -> None:
    """A copy of a message gets its answer again; a recorded key does not become good again."""
    one, two = new_key(), new_key()
    async with peer(switch, "played") as client:
        first, second = bringing("played", one), bringing("played", two)
        assert "00" == code(await client.ask(first))
        copy = await client.ask(change(first, mti="0801"))
        assert ("00", one.kcv) == (code(copy), copy.fields[123])
        assert "00" == code(await client.ask(second))
        assert "00" == code(await client.ask(change(first, mti="0801")))
        replayed = Message("0800", {**first.fields, 11: about_keys("161").fields[11]})
        assert "63" == code(await client.ask(replayed))
        assert "00" == await says(client, two)
    # The log has a thread of its own, which may be behind the answers.
    until(lambda: len(switch.lines("zone_key_taken", link="played")) == 2, "the second key")
    assert two.kcv == switch.lines("zone_key_changed", link="played")[-1]["kcv"]


async def test_a_link_without_a_master_key(switch: Switch) -> None:
    """Where no zone master key is set a key is not supported, and the echo is."""
    async with peer(switch, "rotated") as client:
        for network_code in ("161", "101", "162"):
            message = change(about_keys(network_code), de_123="x")
            assert "12" == code(await client.ask(message))


async def test_a_scheme_asks_for_a_key(switch: Switch) -> None:
    """162 is answered, then a key is sent; it reads PINs before it is acknowledged, and after."""
    async with peer(switch, "asking") as client:
        assert "00" == code(await client.ask(about_keys("162")))
        request = await told(client, 1)
        assert ("0800", "161") == (request.mti, request.fields[70])
        key = unwrapped("asking", request.fields[123])
        assert "00" == await says(client, key)
        assert "00" == await says(client, KEYS["zpk"])
        answer(client, request, de_123=key.kcv)
        event = switch.wait_for("key_exchange_accepted", link="asking")
        assert (key.kcv, "00") == (event["kcv"], event["response_code"])
        assert "00" == await says(client, key)
    assert key.kcv == switch.wait_for("zone_key_changed", link="asking")["kcv"]


async def test_an_operator_has_a_key_sent(switch: Switch) -> None:
    """`switch keys exchange` in one process, 0800 out of another, 0810: the key is the link's."""

    why = ("--by", "tester", "--reason", "a test")
    done = await asyncio.to_thread(
        command, "keys", "exchange", "sending", *why,
        folder=switch.folder, settings=switch.settings,
    )  # fmt: skip
    assert (0, "") == (done.returncode, done.stderr)
    exit_code, said = await at_desk(switch, "exchange", "sending", *why)
    assert (1, True) == (exit_code, "is under way" in said)
    assert "not answered" in (await at_desk(switch, "show-zones"))[1]
    assert "no zone_master_key" in (await at_desk(switch, "exchange", "rotated", *why))[1]
    async with peer(switch, "sending") as client:
        request = await told(client, 0)
        key = unwrapped("sending", request.fields[123])
        answer(client, request)
        switch.wait_for("key_exchange_accepted", link="sending", kcv=key.kcv)
        assert "00" == await says(client, key)
    _, said = await at_desk(switch, "show-zones")
    (line,) = [row for row in said.splitlines() if key.kcv in row]
    assert ("sending", "zpk", "present", "switch") == tuple(
        word for word in line.split() if word in ("sending", "zpk", "present", "switch")
    )


async def test_a_scheme_that_does_not_answer(switch: Switch) -> None:
    """The same message goes again as 0801, and a late answer counts."""
    async with peer(switch, "silent") as client:
        assert "00" == code(await client.ask(about_keys("162")))
        first, again = await told(client, 1), await told(client, 2)
        assert ("0800", "0801", first.fields) == (first.mti, again.mti, again.fields)
        assert 1 == switch.lines("key_exchange_unanswered", link="silent")[0]["count"]
        assert not switch.lines("key_exchange_accepted", link="silent")
        answer(client, first)
        switch.wait_for("key_exchange_accepted", link="silent")


@pytest.mark.parametrize(
    ("response_code", "more"), [("05", {}), ("00", {"de_123": "000000"})], ids=["05", "other KCV"]
)
async def test_a_scheme_that_refuses(
    switch: Switch, response_code: str, more: dict[str, str]
) -> None:
    """A key that is refused, or answered with another check value, is read no more."""
    async with peer(switch, "refusing") as client:
        assert "00" == code(await client.ask(about_keys("162")))
        request = await told(client, 1)
        key = unwrapped("refusing", request.fields[123])
        assert "00" == await says(client, key)
        answer(client, request, response_code, **more)
        event = switch.wait_for("key_exchange_refused", link="refusing", kcv=key.kcv)
        assert "error" == event["level"]

        async def is_over() -> bool:
            return "55" == await says(client, key)

        await eventually(is_over)
        assert "00" == await says(client, KEYS["zpk"])


async def test_a_key_under_overload(switch: Switch) -> None:
    """A new key is not shed: without it no PIN could be read."""
    busy, key = card(), new_key()
    async with peer(switch, "narrow") as client:
        async with account_locked(switch, busy):
            waiting = client.send(purchase(busy))
            assert "91" == code(await client.ask(purchase(busy)))
            assert "00" == code(await client.ask(bringing("narrow", key)))
            assert not waiting.done()
        assert "00" == code(await waiting)
        assert "00" == await says(client, key)


async def test_another_process_of_the_link(switch: Switch, quick_path: Path) -> None:
    """A key that one process took is good in another of the same link, and after a restart."""
    twin = Switch(
        quick_path, **(switch.settings | {"database__url": as_setting(switch.database_url)})
    )
    key, next_key = new_key(), new_key()
    try:
        await asyncio.to_thread(twin.start)
        async with peer(switch, "twins") as here, peer(twin, "twins") as there:
            assert "00" == code(await here.ask(bringing("twins", key)))

            async def knows(client: Client, expected: Key) -> bool:
                return "00" == await says(client, expected)

            await eventually(lambda: knows(there, key))
            assert "00" == code(await there.ask(bringing("twins", next_key)))
            await eventually(lambda: knows(here, next_key))
            assert "00" == await says(here, key)
        assert 0 == await asyncio.to_thread(twin.stop)
        await asyncio.to_thread(twin.start)
        async with peer(twin, "twins") as there:
            assert "00" == await says(there, next_key)
    finally:
        twin.end()


async def test_an_operator_replaces_the_key(switch: Switch) -> None:
    """`switch keys rotate-zone`: a key of the key file takes over in the running switch."""
    key = new_key()
    keys, kbpk = (Path(str(switch.settings[f"hsm__{name}"])) for name in ("keys", "kbpk_file"))
    made = sealed(bytearray(key.material), Wanted("P0", "TDES").header(), read_kbpk(kbpk))
    with locked(keys) as path:
        put(path, "zpk_next", {"block": made.block, "kcv": made.kcv})

    async def rotate(*words: str) -> tuple[int, str]:
        return await at_desk(switch, "rotate-zone", *words, "--by", "tester", "--reason", "a test")

    for words, line in (
        (("nowhere", "zpk_next"), "there is no link"),
        (("rotated", "zpk_aes"), "must be a P0 TDES key"),
        (("rotated", "nothing"), "there is no key of this name"),
    ):
        exit_code, said = await rotate(*words)
        assert (1, True) == (exit_code, line in said)
    async with peer(switch, "rotated") as client:
        assert "55" == await says(client, key)
        exit_code, said = await rotate("rotated", "zpk_next", "--overlap", "30")
        assert (0, True) == (exit_code, f"KCV {key.kcv}; the one before is good for 30 s" in said)

        async def has_learned() -> bool:
            return "00" == await says(client, key)

        await eventually(has_learned)
        assert "00" == await says(client, KEYS["zpk"])
        exit_code, said = await rotate("rotated", "zpk_next")
        assert (1, True) == (exit_code, "is its zone key already" in said)
    connection = await switch.connect()
    try:
        (recorded,) = await connection.fetch(
            "SELECT operator, details -> 'became' ->> 'name', account_id"
            "  FROM operator_actions WHERE action = 'rotate_zone_key'"
        )
        assert ("tester", "zpk_next", None) == tuple(recorded)
    finally:
        await connection.close()


async def test_no_key_is_written_anywhere(switch: Switch) -> None:
    """No clear key stands under the folder; of what was sent under a master key no log has any."""
    key = new_key()
    async with peer(switch, "block") as client:
        message = bringing("block", key)
        assert "00" == code(await client.ask(message))
        assert "30" == code(await client.ask(change(about_keys("161"), de_123="B0080P0TB")))
    forms = [form for clear in (key.material, ZMK, ZMK_AES, KEYS["zpk"].material)
             for form in (clear, clear.hex().encode(), clear.hex().upper().encode())]  # fmt: skip
    files = {path: data for path, data in files_under(switch.folder) if path.name != "kbpk"}
    assert len(files) > 100
    assert [] == [path for path, data in files.items() if any(form in data for form in forms)]
    block = message.fields[123][:40].encode()
    for log in (switch.log_file, switch.error_file):
        assert block not in log.read_bytes()
