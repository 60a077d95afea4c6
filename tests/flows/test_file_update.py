"""A network is told of a card until it has answered, by a line that does as its script says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from switch.flows.file_update import FileUpdater, Network
from switch.ledger.file_updates import FileUpdate
from switch.wire.message import Message
from tests.flows.support import SPEC, House
from tests.ledger.support import number

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_SECONDS = 10.0
FILE_NAME = "E2"
SILENCE = None
BLOCK = "SELECT operator_set_card_status_v1('tester', 'a test', $1, $1, $2, $3)"
ROWS = """
SELECT action, status, state, attempts, stan, transmission_datetime, response_code,
       answered_at IS NOT NULL AS is_answered
  FROM file_updates WHERE account_id = $1 ORDER BY update_id
"""


@dataclass
class ScriptedLine:
    """Answers each request with the next DE39 of its script, then with 00; or keeps silent."""

    script: list[str | None] = field(default_factory=list)
    can_ask: bool = True
    asked: list[Message] = field(default_factory=list)
    late: list[Callable[[Message], None]] = field(default_factory=list)

    async def ask(
        self, request: Message, *, within: float, on_late: Callable[[Message], None]
    ) -> Message | None:
        assert within > 0
        self.asked.append(request)
        code = self.script.pop(0) if self.script else "00"
        await asyncio.sleep(0)
        if code is SILENCE:
            self.late.append(on_late)
            return None
        return answer_to(request, code)


def answer_to(request: Message, code: str) -> Message:
    """The 0312 of a network."""
    echoed = {number: request.fields[number] for number in (7, 11, 91, 101)}
    return Message("0312", dict(sorted({**echoed, 39: code}.items())))


class Office:
    """A card, the network that is to be told of it, and what operators were told."""

    def __init__(self, house: House, line: ScriptedLine) -> None:
        self.house = house
        self.line = line
        self.link = f"link {number()}"  # what other tests ask for is not this network's
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.account_id, self.pan = 0, ""
        self._came = asyncio.Event()

    def network(self) -> Network:
        """The network behind the link."""
        return Network(self.link, SPEC, self.line, FILE_NAME, 0.01)

    def note(self, event: str, **about: Any) -> None:
        """An operator's event."""
        self.told.append((event, about))
        self._came.set()

    async def happens(self, event: str, times: int = 1) -> dict[str, Any]:
        """Wait for an event, the n-th of its name."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(found := [about for name, about in self.told if name == event]) < times:
                self._came.clear()
                await self._came.wait()
        return found[times - 1]

    async def block(self, status: str = "lost") -> None:
        """An operator blocks the card."""
        await self.house.books.connection.execute(BLOCK, self.account_id, status, [self.link])

    async def rows(self) -> list[dict[str, Any]]:
        """What the ledger has of it."""
        rows = await self.house.books.connection.fetch(ROWS, self.account_id)
        return [dict(row) for row in rows]

    async def row(self) -> dict[str, Any]:
        """The only one."""
        (row,) = await self.rows()
        return row

    @asynccontextmanager
    async def open(self, *pauses: float) -> AsyncIterator[FileUpdater]:
        """The updater at work."""
        updater = FileUpdater(
            self.house.ledger.file_updates, self.house.vault, [self.network()],
            on_event=self.note, poll_seconds=0.01, pauses=pauses or (0.02,),
        )  # fmt: skip
        updater.start()
        try:
            yield updater
        finally:
            await updater.close()


async def office_of(house: House, *script: str | None) -> Office:
    """A card that can be blocked, beside a network that answers by a script."""
    office = Office(house, ScriptedLine(list(script)))
    office.account_id, office.pan = await house.card()
    token = house.vault.pan_token(office.pan)
    await house.books.connection.execute(
        "UPDATE cards SET pan_ciphertext = $2 WHERE account_id = $1",
        office.account_id,
        house.vault.seal(office.pan, context=token),
    )
    return office


# ---- what is sent -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "record"), [("lost", "41"), ("stolen", "43"), ("blocked", "62")]
)
async def test_a_block_is_told(house: House, status: str, record: str) -> None:
    """0302: PAN, add a record to the file, what to answer for the card. 0312 00: accepted."""
    office = await office_of(house)
    await office.block(status)
    async with office.open():
        event = await office.happens("file_update_accepted")
    (request,) = office.line.asked
    row = await office.row()
    assert ("0302", office.pan, "1", FILE_NAME, record) == (
        request.mti, *(request.fields[number] for number in (2, 91, 101, 120))
    )  # fmt: skip
    assert (request.fields[7], request.fields[11]) == (row["transmission_datetime"], row["stan"])
    assert ("accepted", 1, "00", True) == (
        row["state"], row["attempts"], row["response_code"], row["is_answered"]
    )  # fmt: skip
    assert event == {
        "link": office.link, "account_id": office.account_id, "stan": row["stan"], "state": status,
        "pan": f"{office.pan[:8]}****{office.pan[-4:]}", "response_code": "00",
    }  # fmt: skip


async def test_an_unblocking_is_told(house: House) -> None:
    """A card that is active again: the record is deleted; the network has no record of its own."""
    office = await office_of(house)
    await office.block()
    await office.block("active")
    async with office.open():
        await office.happens("file_update_accepted", 2)
    assert [("1", True), ("3", False)] == [
        (request.fields[91], 120 in request.fields) for request in office.line.asked
    ]


async def test_order(house: House) -> None:
    """What a network is told of a card goes in order: the next when the one before is answered."""
    office = await office_of(house, SILENCE, SILENCE, "00", "00")
    await office.block()
    await office.block("active")
    async with office.open():
        await office.happens("file_update_accepted", 2)
    assert [("0302", "1"), ("0303", "1"), ("0303", "1"), ("0302", "3")] == [
        (request.mti, request.fields[91]) for request in office.line.asked
    ]


# ---- what is answered -------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["24", "25", "27", "29", "30", "05", "12", "ZZ"])
async def test_a_refusal(house: House, code: str) -> None:
    """An answer that declines is told to operators, and is the end of it."""
    office = await office_of(house, code)
    await office.block()
    async with office.open() as updater:
        event = await office.happens("file_update_refused")
        await idle(updater)
    assert code == event["response_code"]
    assert ("refused", code) == ((row := await office.row())["state"], row["response_code"])
    assert 1 == len(office.line.asked)


@pytest.mark.parametrize("code", ["28", "91", "96"])
async def test_not_now(house: House, code: str) -> None:
    """A network that cannot now is told anew later: another message, with another STAN."""
    office = await office_of(house, code, "00")
    await office.block()
    async with office.open():
        assert code == (await office.happens("file_update_put_off"))["response_code"]
        await office.happens("file_update_accepted")
    first, second = office.line.asked
    assert ("0302", "0302") == (first.mti, second.mti)
    assert first.fields[11] != second.fields[11]
    assert "accepted" == (await office.row())["state"]


async def test_as_it_should_be(house: House) -> None:
    """A record that was there already, and one that was not there to delete, are as we want it."""
    office = await office_of(house, "26", "25")
    await office.block()
    await office.block("active")
    async with office.open():
        await office.happens("file_update_accepted", 2)
    assert ["accepted", "accepted"] == [row["state"] for row in await office.rows()]


# ---- no answer --------------------------------------------------------------------------------


async def test_repeats(house: House) -> None:
    """Without an answer the same message goes again as its repeat, and operators are told."""
    office = await office_of(house, SILENCE, SILENCE, "00")
    await office.block()
    async with office.open():
        assert 2 == (await office.happens("file_update_unanswered", 2))["count"]
        await office.happens("file_update_accepted")
    first, *repeats = office.line.asked
    assert ["0303", "0303"] == [repeat.mti for repeat in repeats]
    assert [first.fields] * 2 == [repeat.fields for repeat in repeats]
    assert 3 == (await office.row())["attempts"]


async def test_pauses(house: House) -> None:
    """Repeats go at the pauses in order, and then for ever at the last one."""
    office = await office_of(house)
    await office.block()
    updates, dues = house.ledger.file_updates, []
    for _ in range(4):
        assert 1 == len(await updates.claim(office.link, 9, [60.0, 600.0, 3_600.0]))
        assert not await updates.claim(office.link, 9, [60.0])
        dues.append(
            await house.books.connection.fetchval(
                "SELECT round(extract(epoch FROM next_at - clock_timestamp()) / 60)::int"
                "  FROM file_updates WHERE account_id = $1",
                office.account_id,
            )
        )
        await due_now(office)
    assert [1, 10, 60, 60] == dues


async def test_no_connection(house: House) -> None:
    """While nobody is connected nothing is tried, and what waits is counted."""
    office = await office_of(house)
    office.line.can_ask = False
    await office.block()
    async with office.open() as updater:
        await idle(updater)
        assert updater.unanswered >= 1
        assert ("waiting", 0) == ((row := await office.row())["state"], row["attempts"])
        office.line.can_ask = True
        await office.happens("file_update_accepted")
    assert ["0302"] == [request.mti for request in office.line.asked]


async def test_a_late_answer(house: House) -> None:
    """An answer that comes between two attempts is an answer: no repeat follows it."""
    office = await office_of(house, SILENCE)
    await office.block()
    async with office.open(3_600.0) as updater:
        await office.happens("file_update_unanswered")
        office.line.late[0](answer_to(office.line.asked[0], "00"))
        await office.happens("file_update_accepted")
        await due_now(office)
        await idle(updater)
    assert 1 == len(office.line.asked)


async def test_an_answer_of_long_ago(house: House) -> None:
    """An answer to what has meanwhile been told anew settles nothing."""
    office = await office_of(house, SILENCE, "91", SILENCE)
    await office.block()
    async with office.open() as updater:
        await office.happens("file_update_put_off")
        await office.happens("file_update_unanswered", 2)
        office.line.can_ask = False
        office.line.late[0](answer_to(office.line.asked[0], "05"))
        await idle(updater)
        assert "sent" == (await office.row())["state"]
        office.line.can_ask = True
        await office.happens("file_update_accepted")
    assert "file_update_refused" not in [name for name, _ in office.told]


async def test_an_answer_without_a_code(house: House) -> None:
    """A 0312 that has no DE39 is no answer."""
    office = await office_of(house)
    await office.block()
    real = office.line.ask

    async def without_code(request: Message, **how: Any) -> Message | None:
        office.line.ask = real  # type: ignore[method-assign]
        office.line.asked.append(request)
        return Message("0312", {7: request.fields[7], 11: request.fields[11]})

    office.line.ask = without_code  # type: ignore[method-assign]
    async with office.open():
        await office.happens("file_update_unanswered")
        await office.happens("file_update_accepted")
    assert ["0302", "0303"] == [request.mti for request in office.line.asked]


async def test_a_restart(house: House) -> None:
    """What an earlier process sent is sent again as its repeat: the same STAN and DE7."""
    office = await office_of(house, SILENCE)
    await office.block()
    async with office.open(3_600.0):
        await office.happens("file_update_unanswered")
    await due_now(office)
    async with office.open():
        await office.happens("file_update_accepted")
    first, again = office.line.asked
    assert ("0302", "0303", first.fields) == (first.mti, again.mti, again.fields)


# ---- others -----------------------------------------------------------------------------------


async def test_two_processes(house: House, shared_database: str) -> None:
    """What one process is taking, another leaves alone; what it has taken too."""
    offices = [await office_of(house) for _ in range(2)]
    link = offices[0].link
    for office in offices:
        office.link = link
        await office.block()
    connection = house.books.connection
    async with connection.transaction():
        claim = "SELECT account_id FROM claim_file_updates_v1($1, 1, '{60}')"
        mine = await connection.fetchval(claim, link)
        theirs = await house.ledger.file_updates.claim(link, 9, [60.0])
    assert {office.account_id for office in offices} == {mine, *(one.account_id for one in theirs)}
    assert 1 == len(theirs)
    assert not await house.ledger.file_updates.claim(link, 9, [60.0])


async def test_a_pan_that_does_not_open(house: House) -> None:
    """A card sealed under another key is told to operators; the other cards' updates go on."""
    broken, whole = await office_of(house), await office_of(house)
    whole.link = broken.link
    whole.told = broken.told
    await house.books.connection.execute(
        "UPDATE cards SET pan_ciphertext = '\\x00' WHERE account_id = $1", broken.account_id
    )
    for office in (broken, whole):
        await office.block()
    async with broken.open():
        event = await broken.happens("file_update_failed")
        await broken.happens("file_update_accepted")
    assert broken.pan not in str(event["error"])
    assert [whole.pan] == [request.fields[2] for request in broken.line.asked]


async def test_secrecy(house: House) -> None:
    """No event and no row has the PAN, whatever the network does."""
    office = await office_of(house, SILENCE, "91", "05")
    await office.block()
    async with office.open():
        await office.happens("file_update_refused")
    assert office.pan not in repr(office.told)
    row = await house.books.connection.fetchval(
        "SELECT u::text FROM file_updates AS u WHERE account_id = $1", office.account_id
    )
    assert office.pan not in row
    assert office.pan.encode().hex() not in row
    (update,) = await claimed_anew(office)
    assert update.pan_ciphertext.hex() not in repr(update).lower()


async def idle(updater: FileUpdater) -> None:
    """The updater has looked at least twice since."""
    looks = 0
    real = updater._updates.unanswered
    seen = asyncio.Event()

    async def counting() -> int:
        nonlocal looks
        looks += 1
        if looks > 2:
            seen.set()
        return await real()

    updater._updates.unanswered = counting  # type: ignore[method-assign]
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await seen.wait()
    finally:
        updater._updates.unanswered = real  # type: ignore[method-assign]


async def due_now(office: Office) -> None:
    """The pause is over."""
    await office.house.books.connection.execute(
        "UPDATE file_updates SET next_at = clock_timestamp() WHERE account_id = $1",
        office.account_id,
    )


async def claimed_anew(office: Office) -> list[FileUpdate]:
    """The same block, told once more."""
    await office.block()
    return await office.house.ledger.file_updates.claim(office.link, 1, [60.0])
