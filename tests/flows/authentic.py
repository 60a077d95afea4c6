"""A link whose messages are authenticated, and its peer, whose MACs psec makes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import psec
import pytest

from keys.hsm import Hsm, HsmUnavailable, KeyRef, MacAlgorithm
from keys.keyfile import Key
from keys.padding import pad_method_1, pad_method_2
from keys.software.backend import SoftwareHsm
from keys.software.key import TDES
from specs.spec import load as load_spec
from switch.flows.exchange import Exchange
from switch.flows.issuer import Issuer, MacZone
from switch.flows.router import Router
from switch.links.link import Link
from switch.settings import Address
from switch.settings import Link as LinkSettings
from switch.wire.message import Message, decode, encode
from tests.client import Client, connected
from tests.contract.keys import KEYS as CONTRACT
from tests.flows.support import Events, House, noting, purchase
from tests.ledger.support import number
from tests.process import eventually

#: Dialects with a MAC in text and in bytes.
DIALECTS = ["iso87-ascii", "iso87-binary"]

#: The contract's keys, and one that is to replace `zak`.
KEYS = CONTRACT | {
    "zak_next": Key(
        bytes.fromhex("1C2B3A4958677685F4E3D2C1B0AF9E8D"),
        usage="M3", algorithm=TDES, mode_of_use="C",
    )
}  # fmt: skip
REFS = {name: KeyRef(name, key.kcv) for name, key in KEYS.items()}

Mac = Callable[[bytes], bytes]
#: algorithm → the key of the tests for it
MAC_KEYS = {
    MacAlgorithm.ISO9797_1: "mak_1",
    MacAlgorithm.ISO9797_3: "zak",
    MacAlgorithm.AES_CMAC: "mak_aes",
    MacAlgorithm.TDES_CMAC: "mak_tdes",
}
PADDINGS = {1: pad_method_1, 2: pad_method_2}
#: Bytes of DE64 and DE128 on the wire.
SIZES = {"iso87-ascii": 16, "iso87-binary": 8}

_links = itertools.count(1)


def oracle(algorithm: MacAlgorithm, padding: int, key: str = "") -> Mac:
    """The same MAC as others make it."""
    clear = KEYS[key or MAC_KEYS[algorithm]].material
    match algorithm:
        case MacAlgorithm.ISO9797_1:
            return lambda data: psec.mac.generate_cbc_mac(clear, data, padding)
        case MacAlgorithm.ISO9797_3:
            return lambda data: psec.mac.generate_retail_mac(clear[:8], clear[8:], data, padding)
        case MacAlgorithm.AES_CMAC:
            return cmac(lambda block: psec.aes.encrypt_aes_ecb(clear, block), 16, 0x87)
    return cmac(lambda block: psec.des.encrypt_tdes_ecb(clear, block), 8, 0x1B)


def cmac(encrypt: Mac, size: int, polynomial: int) -> Mac:
    """CMAC, NIST SP 800-38B, over psec's block ciphers: psec itself has none."""

    def doubled(subkey: int) -> int:
        carry = subkey >> (8 * size - 1)
        return (subkey << 1) % (1 << 8 * size) ^ polynomial * carry

    def mac(data: bytes) -> bytes:
        subkey = doubled(int.from_bytes(encrypt(bytes(size))))
        if not data or len(data) % size:
            subkey = doubled(subkey)
            data = (data + b"\x80").ljust(-(-(len(data) + 1) // size) * size, b"\0")
        state = 0
        blocks = [data[at : at + size] for at in range(0, len(data), size)]
        for place, block in enumerate(blocks, start=1):
            mixed = state ^ int.from_bytes(block) ^ (subkey if place == len(blocks) else 0)
            state = int.from_bytes(encrypt(mixed.to_bytes(size)))
        return state.to_bytes(size)

    return mac


async def asleep() -> None:
    """An HSM that never answers."""
    await asyncio.sleep(3600)


async def gone() -> None:
    """An HSM that is not there."""
    raise HsmUnavailable


@dataclass
class MoodyHsm:
    """A software HSM that counts its questions, some of which go wrong."""

    hsm: SoftwareHsm
    is_inline: bool
    asked: Counter[str] = field(default_factory=Counter)
    faults: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        question = getattr(self.hsm, name)

        async def ask(*values: Any, **named: Any) -> Any:
            self.asked[name] += 1
            if name in self.faults:
                await self.faults[name]()
            return await question(*values, **named)

        return ask


@dataclass
class Authentic:
    """A link with a MAC key, and the end of its peer."""

    house: House
    hsm: MoodyHsm
    link: Link
    client: Client
    told: Events
    exchanges: list[Exchange]
    mac: Mac
    dialect: str

    def sealed(self, message: Message, mac: Mac | None = None) -> bytes:
        """A message as its sender makes it, with its MAC at its end."""
        spec = load_spec(self.dialect)
        last = 128 if max(message.fields) > 64 else 64
        width = spec.fields[last].length
        whole = encode(Message(message.mti, {**message.fields, last: "00" * width}), spec)
        data = whole[: -SIZES[self.dialect]]
        value = (mac or self.mac)(data)[:width]
        is_hex = spec.fields[last].encoding == "hex"
        return data + (value.hex().upper().encode() if is_hex else value)

    def send(self, payload: bytes) -> None:
        """Send bytes."""
        self.client.write_frame(payload)

    async def ask(self, payload: bytes) -> Message:
        """Send bytes, and give the answer, whose MAC is right."""
        self.send(payload)
        return await self.answer()

    async def answer(self) -> Message:
        """The next answer: its MAC is right, and is not given."""
        message, has_mac = await self.raw_answer()
        assert has_mac
        return message

    async def raw_answer(self) -> tuple[Message, bool]:
        """The next answer, and whether it had a MAC, which is right then."""
        payload = await self.frame()
        message = decode(payload, load_spec(self.dialect))
        fields = dict(message.fields)
        brought = fields.pop(128, None) or fields.pop(64, None)
        if brought is not None:
            assert self.mac(payload[: -SIZES[self.dialect]])[:8].hex().upper() == brought
        return Message(message.mti, fields), brought is not None

    async def frame(self) -> bytes:
        """The next frame that came."""
        await self.client.received(1)
        self.client.answers.pop(0)
        return self.client.frames.pop(0)

    async def done(self, count: int = 1) -> list[Exchange]:
        """Wait until so many messages are done with, and give the last of them."""
        await eventually(lambda: self._are_done(count))
        return self.exchanges[-count:]

    async def _are_done(self, count: int) -> bool:
        return len(self.exchanges) >= count

    async def unanswered(self, payload: bytes) -> Exchange:
        """Send bytes to which nothing comes back; what became of them."""
        before, frames = len(self.exchanges), len(self.client.frames)
        self.send(payload)
        (exchange,) = (await self.done(before + 1))[before:]
        await asyncio.sleep(0)
        assert exchange.answer is None
        assert frames == len(self.client.frames)
        return exchange

    async def rows(self) -> dict[str, int]:
        """How many rows every table has."""
        connection = self.house.books.connection
        names = await connection.fetch(
            "SELECT relname FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        return {
            name: await connection.fetchval(f'SELECT count(*) FROM "{name}"') for (name,) in names
        }

    def events(self, name: str) -> list[dict[str, Any]]:
        """What operators were told by this name."""
        return [about for event, about in self.told if event == name]


@contextlib.asynccontextmanager
async def authentic(
    house: House,
    algorithm: MacAlgorithm = MacAlgorithm.ISO9797_3,
    padding: int = 1,
    *,
    dialect: str = "iso87-ascii",
    on_network: bool = False,
    is_inline: bool = True,
    keys: tuple[str, ...] = (),
    hsm_budget: float = 0.1,
    **settings: Any,
) -> AsyncIterator[Authentic]:
    """A link of a house, on a socket, and one peer of it."""
    name = f"mac-{next(_links)}"
    told: Events = []
    exchanges: list[Exchange] = []
    hsm = MoodyHsm(SoftwareHsm(KEYS), is_inline)
    is_cmac = algorithm in (MacAlgorithm.AES_CMAC, MacAlgorithm.TDES_CMAC)
    zone = MacZone(
        keys=tuple(REFS[key] for key in keys or (MAC_KEYS[algorithm],)),
        algorithm=algorithm,
        pad=bytes if is_cmac else PADDINGS[padding],
        on_network=on_network,
    )
    known: Issuer = house.router._issuer
    issuer = dataclasses.replace(
        known, hsm=cast("Hsm", hsm), mac_zones={name: zone}, hsm_budget=hsm_budget
    )
    router = Router(name, load_spec(dialect), issuer, on_event=noting(told))
    link = Link(
        LinkSettings(
            name=name, listen=Address("127.0.0.1", 0), **{"answer_within_ms": 2000, **settings}
        ),
        router,
        issuer,
        on_exchange=exchanges.append,
        on_event=noting(told),
    )
    await link.listen()
    port = next(about["port"] for event, about in told if event == "link_listening")
    try:
        async with connected(port, dialect=dialect) as client:
            mac = oracle(algorithm, padding, keys[0] if keys else "")
            yield Authentic(house, hsm, link, client, told, exchanges, mac, dialect)
    finally:
        await link.drain(within=5)


def echo(stan: str = "") -> Message:
    """A network message that asks for nothing but an answer."""
    return Message("0800", {7: "1123120000", 11: stan or f"{number() % 1_000_000:06d}", 70: "301"})


def last_byte_changed(payload: bytes) -> bytes:
    """Another code: in either dialect its last byte is another hex digit or byte."""
    last = b"1" if payload.endswith(b"0") else b"0"
    return payload[:-1] + last


#: What an HSM that does not answer does.
Fault = Callable[[], Awaitable[None]]
faulty = pytest.mark.parametrize("fault", [asleep, gone])


def typed_in(pan: str, *, mti: str = "0100", **changes: str | None) -> Message:
    """A purchase of 10.00 EUR whose card data were typed in: no HSM is asked but for its MAC."""
    given: dict[str, str | None] = {"_22": "012", "_55": None, **changes}
    return Message(mti, purchase(pan, **given))


def advice(pan: str) -> Message:
    """A stand-in advice of an approved purchase."""
    return typed_in(pan, mti="0120", _39="00")


def reversal_of(message: Message, mti: str = "0420") -> Message:
    """The reversal of a purchase; its DE90 needs a secondary bitmap."""
    fields = message.fields
    original = f"0100{fields[11]}{fields[7]}{fields[32]:0>11}{'':0>11}"
    return Message(mti, {**fields, 11: f"{number() % 1_000_000:06d}", 90: original})


async def plain(one: Authentic, payload: bytes) -> tuple[Message, bool]:
    """What is answered to bytes as they are, and whether that has a MAC."""
    one.send(payload)
    return await one.raw_answer()


async def holds(house: House, account_id: int, minor: int) -> bool:
    """Whether just this is held."""
    return minor == await house.books.held(account_id)
