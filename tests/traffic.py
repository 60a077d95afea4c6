"""Messages that cards would send: the demo's, and those for load tests, with their secrets."""

from __future__ import annotations

import asyncio
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from keys.hsm import (
    ArpcMethod,
    CardKeyDerivation,
    CryptogramScheme,
    PinBlockFormat,
    SessionKeyDerivation,
)
from keys.keyfile import Key, load, read_kbpk
from keys.padding import pad_method_2
from keys.software import issuing
from keys.vault import LocalDataKeys, Vault
from specs.tlv import decode_ber, encode_ber
from switch.demo import loader
from switch.demo.program import (
    LOAD_BIN,
    LOAD_EXPIRY,
    LOAD_PIN,
    LOAD_PVKI,
    LOAD_SERVICE_CODE,
    load_pan,
)
from switch.wire.message import Message

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden"
SECRETS: dict[str, Any] = json.loads((ROOT / "tests" / "demo_secrets.json").read_text())
KEYS: dict[str, Key] = load(ROOT / "keys/dev/keys.toml", read_kbpk(ROOT / "keys/dev/kbpk.dev"))

#: Cryptogram version 18, as the demo program has it.
CVN_18 = CryptogramScheme(
    CardKeyDerivation.OPTION_B, SessionKeyDerivation.COMMON, ArpcMethod.METHOD_2
)
#: What version 18 signs, in this order.
SIGNED = ("9F02", "9F03", "9F1A", "95", "5F2A", "9A", "9C", "9F37", "82", "9F36", "9F10")
ICVV_SERVICE_CODE = "999"

#: STANs are unique in a run, so that no message is taken for another's repeat.
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class CardInHand:
    """A card with what it and its holder know."""

    pan: str
    expiry: str = LOAD_EXPIRY
    service_code: str = LOAD_SERVICE_CODE
    pan_sequence_number: str = "01"
    pin: str = LOAD_PIN
    pvki: str = LOAD_PVKI
    cvv2: str = ""

    @property
    def account_id(self) -> int:
        """The account of a load card: its serial number."""
        return int(self.pan[len(LOAD_BIN) : -1])

    def track_2(self, *, service_code: str = "") -> str:
        """Track 2 of the stripe, or with service code 999 of the chip."""
        pvv = issuing.visa_pvv(KEYS["pvk"], pan=self.pan, pvki=self.pvki, pin=self.pin)
        code = issuing.card_code(
            KEYS["cvk"],
            pan=self.pan,
            expiry=self.expiry,
            service_code=service_code or self.service_code,
        )
        return f"{self.pan}={self.expiry}{self.service_code}{self.pvki}{pvv}{code}00"

    def pin_block(self, pin: str = "") -> str:
        """DE52 in format 0 under the demo link's zone key, hex."""
        block = issuing.pin_block(
            KEYS["zpk"], pin_block_format=PinBlockFormat.ISO_0, pin=pin or self.pin, pan=self.pan
        )
        return block.hex().upper()


def demo_card(name: str) -> CardInHand:
    """A card of the demo program by its name."""
    card = next(card for card in SECRETS["cards"] if card["name"] == name)
    names = ("pan", "expiry", "service_code", "pan_sequence_number", "pin", "cvv2")
    return CardInHand(**{key: card[key] for key in names})


def load_card(number: int) -> CardInHand:
    """The load card of that number, from 0."""
    return CardInHand(load_pan(number))


def add_load_cards(url: str, count: int) -> None:
    """Add load cards to a ledger, as `switch demo cards` does."""

    async def work() -> None:
        connection = await asyncpg.connect(url)
        try:
            vault = Vault(LocalDataKeys(KEYS["pan_token"], KEYS["pan_data"]))
            await loader.add_load_cards(
                connection, vault, KEYS["pvk"], count, progress=lambda _: None
            )
        finally:
            await connection.close()

    asyncio.run(work())


PLAIN = demo_card("plain debit card")


def echo() -> Message:
    """An echo test (0800/301)."""
    stan = f"{next(_numbers) % 1_000_000:06d}"
    return Message("0800", {7: "1122120000", 11: stan, 70: "301"})


def purchase(card: CardInHand, amount_minor: int = 100, **changed: str | None) -> Message:
    """A purchase whose card data were typed in: nothing but card and money is asked.

    Fields are changed as `de_22="901"`, and left out with None.
    """
    number = next(_numbers)
    fields: dict[int, str] = {
        2: card.pan,
        3: "000000",
        4: f"{amount_minor:012d}",
        7: "1122120000",
        11: f"{number % 1_000_000:06d}",
        12: "120000",
        13: "1122",
        14: card.expiry,
        18: "5411",
        19: "826",
        22: "012",
        25: "00",
        32: "476173",
        37: f"6326{number:08d}",
        41: "TERM0001",
        42: "MERCHANT0000001",
        43: "ACME STORE               LONDON       GB",
        49: "978",
    }
    return change(Message("0100", fields), **changed)


def stripe(card: CardInHand, amount_minor: int = 100, *, pin: str | None = None) -> Message:
    """A swiped card with its right CVV, and a PIN where one is given."""
    block = None if pin is None else card.pin_block(pin)
    return purchase(card, amount_minor, de_22="021", de_35=card.track_2(), de_52=block)


def chip(card: CardInHand, amount_minor: int = 100, *, pin: str | None = None) -> Message:
    """A dipped card with its right cryptogram and iCVV, and a PIN. Its counter rises."""
    message = purchase(card, amount_minor)
    counter = f"{int(message.fields[11]) % 0x10000:04X}"
    tags = {
        "9F27": "80", "9F10": "06011203A00000", "9F37": "1A2B5B3C", "9F36": counter,
        "95": "0000000000", "9A": "261122", "9C": "00", "9F02": f"{amount_minor:012d}",
        "5F2A": "0978", "82": "3C00", "9F1A": "0826", "9F03": "000000000000",
        "5F34": card.pan_sequence_number,
    }  # fmt: skip
    signed = bytes.fromhex("".join(tags[tag] for tag in SIGNED))
    arqc = issuing.arqc(
        KEYS["imk_ac"],
        CVN_18,
        pan=card.pan,
        pan_sequence_number=card.pan_sequence_number,
        atc=bytes.fromhex(tags["9F36"]),
        data=pad_method_2(signed),
    )
    return change(
        message,
        de_22="051",
        de_23=f"0{card.pan_sequence_number}",
        de_26="12",
        de_35=card.track_2(service_code=ICVV_SERVICE_CODE),
        de_52=card.pin_block(pin or card.pin),
        de_55=encode_ber({"9F26": arqc.hex().upper(), **tags}),
    )


def ecommerce(card: CardInHand, amount_minor: int = 100) -> Message:
    """A purchase on the net with its right CVV2."""
    return purchase(card, amount_minor, de_22="812", de_25="59", de_48=f"9203{card.cvv2}")


def change(message: Message, **changed: str | None) -> Message:
    """The message with some fields other (`de_4="…"`) or left out (None), and `mti` if given."""
    mti = changed.pop("mti", None) or message.mti
    fields = dict(message.fields)
    for name, value in changed.items():
        number = int(name.removeprefix("de_"))
        fields.pop(number, None)
        if value is not None:
            fields[number] = value
    return Message(mti, fields)


def code(answer: Message) -> str:
    """DE39 of an answer."""
    return answer.fields[39]


def tags(answer: Message) -> dict[str, str]:
    """DE55 of an answer by tag."""
    return decode_ber(answer.fields.get(55, ""))
