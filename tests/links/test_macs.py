"""A real switch with links that have a MAC key, as settings make them."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import orjson
import psec
import pytest

from keys.hsm import KeyRef, MacAlgorithm
from keys.keyfile import Key, read_entries
from keys.padding import pad_method_1
from keys.software.backend import SoftwareHsm
from keys.software.key import TDES
from specs.spec import load as load_spec
from switch.flows.issuer import MacZone
from switch.key_trials import try_keys
from switch.link_zones import mac_zones
from switch.prepare import StartError
from switch.settings import Settings
from switch.wire.message import Message, decode, encode
from tests.client import Client, connected
from tests.links.conftest import ANY_PORT
from tests.process import Switch, running
from tests.traffic import KEYS, PLAIN, ROOT, chip, code, echo, purchase
from tests.typed import typed

#: link → its settings, the padding, and the bytes of a MAC on the wire
LINKS: dict[str, tuple[dict[str, object], int, int]] = {
    "mac": ({}, 1, 16),
    "strict": (
        {"dialect": "iso87-binary", "mac_padding": "method-2", "mac_network": "true"}, 2, 8),
}  # fmt: skip


@pytest.fixture(scope="module")
def authentic(quick_root: Path) -> Iterator[Switch]:
    """A switch with two links that have a MAC key; `demo` has none."""
    settings: dict[str, object] = {"log__level": "debug"}
    for number, (name, (own, _, _)) in enumerate(LINKS.items(), start=1):
        link = {"name": name, "listen": ANY_PORT, "answer_within_ms": 3000, "mac_key": "zak", **own}
        settings |= {f"links__{number}__{key}": value for key, value in link.items()}
    with (
        tempfile.TemporaryDirectory(dir=quick_root) as folder,
        running(Path(folder), **settings) as started,
    ):
        yield started


def mac(data: bytes, padding: int) -> bytes:
    """The code as others make it."""
    key = KEYS["zak"].material
    made: bytes = psec.mac.generate_retail_mac(key[:8], key[8:], data, padding)
    return made


def sealed(message: Message, link: str, dialect: str) -> bytes:
    """A message as the network sends it."""
    _, padding, size = LINKS[link]
    last = 128 if max(message.fields) > 64 else 64
    data = encode(Message(message.mti, {**message.fields, last: "0" * 16}), load_spec(dialect))
    made = mac(data[:-size], padding)
    return data[:-size] + (made if size == 8 else made.hex().upper().encode())


async def answer(client: Client, link: str, payload: bytes) -> Message:
    """Send bytes; the answer, whose code is right."""
    _, padding, size = LINKS[link]
    count = len(client.frames)
    client.write_frame(payload)
    frame = (await client.received(count + 1))[count]
    message = decode(frame, client.spec)
    brought = message.fields.get(128) or message.fields[64]
    assert mac(frame[:-size], padding).hex().upper() == brought
    return message


@pytest.mark.parametrize("link", LINKS)
async def test_a_link_with_a_key(authentic: Switch, link: str) -> None:
    """A chip and PIN purchase is approved, a changed one refused, and no code is in the log."""
    dialect = str(LINKS[link][0].get("dialect", "iso87-ascii"))
    async with connected(authentic.port(link), dialect=dialect) as client:
        right = sealed(chip(PLAIN), link, dialect)
        first = await answer(client, link, right)
        assert "00" == code(first)
        message = purchase(PLAIN)
        forged = sealed(Message("0100", {**message.fields, 4: "000000000001"}), link, dialect)
        payload = sealed(message, link, dialect)
        size = LINKS[link][2]
        refused = await answer(client, link, payload[:-size] + forged[-size:])
        assert ("0110", "63") == (refused.mti, code(refused))
        assert "00" == code(await answer(client, link, sealed(echo(), link, dialect)))
    event = authentic.wait_for("mac_mismatch", link=link)
    assert ("warning", "wrong", "0100", message.fields[11]) == tuple(
        event[name] for name in ("level", "problem", "mti", "stan")
    )
    line = authentic.wait_for("message", link=link, stan=message.fields[11])
    assert ("mac_mismatch", "63", "sent") == tuple(
        line[name] for name in ("reason", "response_code", "outcome")
    )
    assert "mac_us" in authentic.wait_for("message", link=link, reason="approved", mti="0100")
    log = authentic.log_file.read_text().upper()
    for secret in (PLAIN.pan, first.fields.get(64), first.fields.get(128)):
        assert secret is None or secret.upper() not in log


async def test_a_link_without_a_key_beside_them(authentic: Switch) -> None:
    """A link's key is its own: another's messages need no code."""
    async with connected(authentic.port("demo")) as client:
        answered = await client.ask(purchase(PLAIN))
    assert "00" == code(answered)
    assert not {64, 128} & answered.fields.keys()


@pytest.mark.parametrize(
    ("algorithm", "padding", "padded"),
    [
        ("iso9797-1-alg1", "method-1", "313233343536373839" + "00" * 7),
        ("iso9797-1-alg3", "method-2", "31323334353637383980" + "00" * 6),
        ("aes-cmac", "method-2", "313233343536373839"),
        ("tdes-cmac", "method-1", "313233343536373839"),
    ],
)
def test_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str, padding: str, padded: str
) -> None:
    """The ISO algorithms pad as settings say, CMAC not at all; a link without a key has no zone."""
    monkeypatch.delenv("SWITCH_CONFIG", raising=False)
    (tmp_path / "switch.toml").write_text(
        '[[links]]\nname = "a"\nlisten = "127.0.0.1:0"\nmac_key = "zak"\nmac_network = true\n'
        f'mac_algorithm = "{algorithm}"\nmac_padding = "{padding}"\n'
        '[[links]]\nname = "b"\nlisten = "127.0.0.1:0"\n'
    )
    zones = mac_zones(
        Settings.load(tmp_path / "switch.toml"), read_entries(ROOT / "keys/dev/keys.toml")
    )
    assert ["a"] == list(zones)
    zone = zones["a"]
    assert (MacAlgorithm(algorithm), True) == (zone.algorithm, zone.on_network)
    assert [("zak", KEYS["zak"].kcv)] == [(key.name, key.kcv) for key in zone.keys]
    assert padded == zone.pad(b"123456789").hex()


@pytest.mark.parametrize(("mode", "starts"), [("C", True), ("N", True), ("G", False), ("V", False)])
async def test_a_key_that_does_half(mode: str, starts: bool) -> None:
    """A key that may only make MACs, or only verify them, refuses the start by its name."""
    key = Key(KEYS["zak"].material, usage="M3", algorithm=TDES, mode_of_use=mode)
    zone = MacZone((KeyRef("half", key.kcv),), MacAlgorithm.ISO9797_3, pad_method_1, False)
    refused = contextlib.nullcontext() if starts else pytest.raises(StartError, match="link 'a': ")
    with refused:
        await try_keys(SoftwareHsm({"half": key}), [], {}, {"a": zone})


@pytest.mark.parametrize("link", LINKS)
def test_a_recording_is_played_with_new_codes(authentic: Switch, link: str, tmp_path: Path) -> None:
    """`switch replay --fresh` makes the MAC of each new message anew, as the link wants it."""
    own, padding, _ = LINKS[link]
    dialect = str(own.get("dialect", "iso87-ascii"))
    recorded = tmp_path / "recorded.hex"
    messages = (echo(), purchase(PLAIN), chip(PLAIN))
    recorded.write_text("".join(f"{sealed(m, link, dialect).hex()}\n" for m in messages))
    words = ["--to", f"127.0.0.1:{authentic.port(link)}", "--dialect", dialect, "--json"]
    said = typed("replay", str(recorded), "--fresh", "--repeat", "2", "--atc-from", "40000", *words)
    codes = orjson.loads(said.stdout)["response_codes"]
    # Padded by method 2 they are not known for right, and are left as they were.
    assert codes == ({"00": 6} if padding == 1 else {"63": 6})
