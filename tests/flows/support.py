"""An issuer over a real ledger and an HSM that does as it is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson

from keys.hsm import (
    ArqcAnswer,
    CardCode,
    Cryptogram,
    HsmUnavailable,
    KeyRef,
    PinBlockFormat,
    Verdict,
)
from keys.vault import Vault
from specs.spec import Spec, load
from switch.deadline import Deadline
from switch.demo.program import read_program
from switch.flows.exchange import Exchange
from switch.flows.issuer import Issuer, PinZone
from switch.flows.router import Router
from switch.ledger.ledger import Ledger
from switch.wire.message import Message, decode, encode
from tests.ledger.support import PROGRAM, Books, number

SPEC = load("iso87-ascii")
PAN_FIRST = 4_761_739_000_000_000
ARPC = bytes.fromhex("A1A2A3A4")
CSU_APPROVED, CSU_DECLINED = "00820000", "00000000"
PIN_BLOCK = "0E0E74D9913BEEA8"


def icc(atc: int) -> str:
    """A whole cryptogram of version 18, as a chip brings it."""
    return (
        "9F2608AABBCCDDEEFF0011" "9F1007" "06011203A00000" "9F3704" "11223344"
        f"9F3602{atc:04X}" "9505" "0000008000" "9A03" "261123" "9C01" "00"
        "9F0206" "000000001000" "5F2A02" "0978" "82023C00" "9F1A02" "0276" "9F0306" "000000000000"
    )  # fmt: skip


Deed = Verdict | Exception | float
Events = list[tuple[str, dict[str, Any]]]


@dataclass
class ScriptedHsm:
    """Answers each question with the next line of its script; then with a match.

    A line is a verdict, an exception to raise, or seconds to sleep before a match.
    """

    is_inline: ClassVar = False

    arqc: list[Deed] = field(default_factory=list)
    code: list[Deed] = field(default_factory=list)
    pin: list[Deed] = field(default_factory=list)
    arpc_data: list[bytes] = field(default_factory=list)  #: what was to be answered, in order

    async def verify_arqc(self, _: KeyRef, __: Cryptogram, *, arpc_data: bytes) -> ArqcAnswer:
        self.arpc_data.append(arpc_data)
        verdict = await self._next(self.arqc)
        return ArqcAnswer(verdict, ARPC if verdict is Verdict.MATCH else None)

    async def verify_card_code(self, _: KeyRef, of: CardCode, **__: str) -> Verdict:
        return await self._next(self.code)

    async def verify_pin(self, _: object, **__: object) -> Verdict:
        return await self._next(self.pin)

    @staticmethod
    async def _next(script: list[Deed]) -> Verdict:
        deed = script.pop(0) if script else Verdict.MATCH
        if isinstance(deed, Exception):
            raise deed
        if isinstance(deed, float):
            await asyncio.sleep(deed)
            return Verdict.MATCH
        return deed

    def is_down(self) -> None:
        """From now on nothing is answered."""
        for script in (self.arqc, self.code, self.pin):
            script[:] = [HsmUnavailable() for _ in range(99)]


class DataKeys:
    """Keys of a vault that is worth nothing."""

    def token_keys(self) -> Mapping[int, bytes]:
        return {0: bytes(32)}

    def data_keys(self) -> Mapping[int, bytes]:
        return {0: bytes(32)}


@dataclass
class House:
    """A router of one link, with everything behind it."""

    router: Router
    books: Books
    ledger: Ledger
    hsm: ScriptedHsm
    vault: Vault
    told: Events  #: by the ledger and the router

    async def card(self, **how: Any) -> tuple[int, str]:
        """Issue a card; its account and its PAN."""
        account_id = await self.books.account(**how)
        pan = str(PAN_FIRST + account_id)
        await self.books.connection.execute(
            "INSERT INTO pan_tokens VALUES ($1, 0, $2, $2)", self.vault.pan_token(pan), account_id
        )
        return account_id, pan

    async def send(
        self,
        fields: Mapping[int, str],
        *,
        mti: str = "0100",
        answer_ms: int = 2_000,
        margin_ms: int = 20,
    ) -> Exchange:
        """Send a message and give what became of it."""
        deadline = Deadline.start(time.monotonic(), answer_ms, margin_ms)
        message = Message(mti, dict(sorted(fields.items())))
        return await self.router.exchange(encode(message, self.router.spec), deadline)

    async def answer(self, fields: Mapping[int, str], **how: Any) -> dict[int, str]:
        """The fields of the answer, as the sender reads them."""
        exchange = await self.send(fields, **how)
        assert exchange.answer is not None
        return dict(decode(exchange.answer, self.router.spec).fields)


async def open_house(
    ledger: Ledger,
    books: Books,
    told: Events,
    *,
    link: str = "demo",
    spec: Spec = SPEC,
    scheme: str | None = None,
    vault: Vault | None = None,
) -> House:
    """Build the flows over a ledger that is open; the scheme is the link's name where none is."""
    hsm, vault = ScriptedHsm(), vault or Vault(DataKeys())
    programs = {program.program_id: program for program in await ledger.programs()}
    issuer = Issuer(
        ledger=ledger,
        hsm=hsm,  # type: ignore[arg-type]  # the questions that authorizing asks, and no others
        vault=vault,
        programs=programs,
        pin_zones={link: PinZone(KeyRef("zpk", "5CA55B"), PinBlockFormat.ISO_0)},
        hsm_budget=0.1,
        schemes={link: scheme} if scheme else {},
    )
    return House(Router(link, spec, issuer, on_event=noting(told)), books, ledger, hsm, vault, told)


async def as_the_demo(books: Books, *, time_zone: str = "UTC") -> None:
    """Give the program of some books the settings of the demo's."""
    settings = read_program().program["settings"] | {"time_zone": time_zone}
    await books.connection.execute(
        "UPDATE programs SET settings = $1::jsonb, time_zone = $2 WHERE program_id = $3",
        orjson.dumps(settings).decode(),
        time_zone,
        PROGRAM,
    )


def noting(told: Events) -> Callable[..., None]:
    """What is told of events notes them there."""
    return lambda event, **about: told.append((event, about))


def purchase(pan: str, **changes: str | None) -> dict[int, str]:
    """A chip purchase of 10.00 EUR, whose counter rises; `_55=None` leaves a field out, `_3="…"`
    sets one.
    """
    one = number()
    own: dict[int, str | None] = {
        2: pan, 3: "000000", 4: "000000001000", 7: "1123120000", 11: f"{one % 1_000_000:06d}",
        19: "276", 22: "051", 32: "476173", 37: f"{one:012d}", 41: "TERM0001", 49: "978",
        55: icc(one % 0x10000),
    }  # fmt: skip
    own |= {int(name[1:]): value for name, value in changes.items()}
    return {field: value for field, value in own.items() if value is not None}
