"""Networks that are told of blocked cards over real sockets, and answer in every way."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from switch.wire.message import Message, encode
from tests.client import Client, connected
from tests.faults.secrets_in import secrets_of
from tests.links.conftest import ANY_PORT, locked
from tests.process import Switch, command, eventually, running
from tests.traffic import CardInHand, add_load_cards, code, echo, load_card, purchase

CARDS = 20
FILE_NAME = "CARDS.BLOCKED"
#: A link for each network; `demo` is told of nothing.
LINKS: dict[str, dict[str, object]] = {
    "accepting": {},
    "binary": {"dialect": "iso87-binary"},
    "declining": {},
    "silent": {},
    "slow": {},
    "leaving": {},
    "away": {},
    "twofold": {},
    "talkative": {},
    "narrow": {"in_flight_max": 1},
}
TOLD = {"file_updates": "true", "file_update_name": FILE_NAME, "file_update_answer_s": 1}


def settings(links: dict[str, dict[str, object]]) -> dict[str, object]:
    """Links whose networks are told."""
    given: dict[str, object] = {"log__level": "debug"}
    for number, (name, own) in enumerate(links.items(), start=1):
        link = {"name": name, "listen": ANY_PORT, "answer_within_ms": 3000, **TOLD, **own}
        given |= {f"links__{number}__{key}": value for key, value in link.items()}
    return given


@pytest.fixture(scope="module")
def telling(quick_root: Path) -> Iterator[Switch]:
    """A switch that tells the networks behind its links."""
    with (
        tempfile.TemporaryDirectory(dir=quick_root) as folder,
        running(Path(folder), **settings(LINKS)) as started,
    ):
        add_load_cards(started.database_url, CARDS)
        yield started


class Network:
    """A network's end of a connection."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._taken = 0

    async def told(self) -> Message:
        """The next message that we are sent."""
        self._taken += 1
        await self.client.received(self._taken)
        return self.client.answers[self._taken - 1]

    def answer(self, request: Message, code: str = "00") -> None:
        """Answer a file update."""
        echoed = {number: request.fields[number] for number in (7, 11, 91, 101)}
        answer = Message("0312", dict(sorted({**echoed, 39: code}.items())))
        self.client.write_frame(encode(answer, self.client.spec))


@contextlib.asynccontextmanager
async def network(switch: Switch, link: str) -> AsyncIterator[Network]:
    """A network that is connected."""
    dialect = str(LINKS.get(link, {}).get("dialect", "iso87-ascii"))
    async with connected(switch.port(link), dialect=dialect) as client:
        yield Network(client)


async def block(switch: Switch, card: CardInHand, link: str, status: str = "stolen") -> None:
    """An operator blocks a card, and wants one network told."""
    await query(
        switch,
        "SELECT operator_set_card_status_v1('tester', 'a test', account_id, card_id, $2, $3)"
        "  FROM cards WHERE account_id = $1",
        card.account_id,
        status,
        [link],
    )


async def state(switch: Switch, card: CardInHand) -> str:
    """What became of telling."""
    found: str = await query(
        switch,
        "SELECT state FROM file_updates WHERE account_id = $1 ORDER BY update_id DESC LIMIT 1",
        card.account_id,
    )
    return found


async def due_now(switch: Switch) -> None:
    """The pauses are over."""
    await query(switch, "UPDATE file_updates SET next_at = clock_timestamp()")


async def query(switch: Switch, statement: str, *values: Any) -> Any:
    """One value out of the switch's database."""
    connection = await switch.connect()
    try:
        return await connection.fetchval(statement, *values)
    finally:
        await connection.close()


@pytest.mark.parametrize(("link", "number"), [("accepting", 0), ("binary", 1)])
async def test_the_block_command_tells_the_network(telling: Switch, link: str, number: int) -> None:
    """`switch cards block` in one process, 0302 out of another, 0312: accepted, in each dialect."""
    card = load_card(number)
    async with network(telling, link) as peer:
        done = command(
            "cards", "block", "-", "--as", "lost", "--tell-network", link, "--reason", "a test",
            "--by", "tester", folder=telling.folder, settings=telling.settings, told=card.pan,
        )  # fmt: skip
        assert (0, "") == (done.returncode, done.stderr)
        request = await peer.told()
        assert "0302" == request.mti
        assert {2: card.pan, 91: "1", 101: FILE_NAME, 120: "41"} == {
            field: value for field, value in request.fields.items() if field not in (7, 11)
        }
        peer.answer(request)
        event = telling.wait_for("file_update_accepted", link=link)
    assert f"{card.pan[:8]}****{card.pan[-4:]}" == event["pan"]
    assert "accepted" == await state(telling, card)
    line = telling.wait_for("message", link=link, mti="0312")
    assert ("taken", request.fields[11]) == (line["outcome"], line["stan"])
    assert not telling.lines("unsolicited_response", link=link)


async def test_a_network_that_declines(telling: Switch) -> None:
    """A declined update is an error in the log, with the masked PAN at most."""
    card = load_card(2)
    async with network(telling, "declining") as peer:
        await block(telling, card, "declining")
        peer.answer(await peer.told(), "27")
        event = telling.wait_for("file_update_refused", link="declining")
    assert ("error", "27") == (event["level"], event["response_code"])
    assert "refused" == await state(telling, card)


async def test_a_network_that_does_not_answer(telling: Switch) -> None:
    """The update goes again as 0303, all else the same, and operators are told."""
    card = load_card(3)
    async with network(telling, "silent") as peer:
        await block(telling, card, "silent")
        first, second = await peer.told(), await peer.told()
        assert ("0302", "0303") == (first.mti, second.mti)
        assert first.fields == second.fields
        assert 1 == telling.wait_for("file_update_unanswered", link="silent")["count"]
        assert "sent" == await state(telling, card)
        peer.answer(second)
        telling.wait_for("file_update_accepted", link="silent")


async def test_a_network_that_answers_late(telling: Switch) -> None:
    """An answer after its time is logged as such, and taken."""
    card = load_card(4)
    async with network(telling, "slow") as peer:
        await block(telling, card, "slow")
        request = await peer.told()
        telling.wait_for("file_update_unanswered", link="slow")
        peer.answer(request)
        event = telling.wait_for("late_response", link="slow")
        assert ("0312", request.fields[11]) == (event["mti"], event["stan"])
        telling.wait_for("file_update_accepted", link="slow")
    assert "accepted" == await state(telling, card)
    assert not telling.lines("unsolicited_response", link="slow")


async def test_a_network_that_disconnects(telling: Switch) -> None:
    """One that leaves before it answers gets the repeat when it is back."""
    card = load_card(5)
    async with network(telling, "leaving") as peer:
        await block(telling, card, "leaving")
        first = await peer.told()
        await peer.client.reset()
    async with network(telling, "leaving") as peer:
        again = await peer.told()
        assert ("0303", first.fields) == (again.mti, again.fields)
        peer.answer(again)
        telling.wait_for("file_update_accepted", link="leaving")


async def test_a_network_that_is_away(telling: Switch) -> None:
    """While nobody is connected the update waits; it is then told as 0302, in the order asked."""
    card = load_card(6)
    await block(telling, card, "away")
    await block(telling, card, "away", "active")
    assert "waiting" == await state(telling, card)
    async with network(telling, "away") as peer:
        for action in ("1", "3"):
            request = await peer.told()
            assert ("0302", action) == (request.mti, request.fields[91])
            peer.answer(request)
        await eventually(lambda: accepted(telling, card))


async def accepted(switch: Switch, card: CardInHand) -> bool:
    return "accepted" == await state(switch, card)


async def test_an_answer_over_another_connection(telling: Switch) -> None:
    """A network with two connections may answer over the one that it was not asked on."""
    card = load_card(7)
    async with network(telling, "twofold") as one, network(telling, "twofold") as two:
        telling.wait_for("link_up", peer=two.client.address)
        await block(telling, card, "twofold")
        await eventually(lambda: came(one, two))
        asked, other = (one, two) if one.client.frames else (two, one)
        other.answer(await asked.told())
        telling.wait_for("file_update_accepted", link="twofold")


async def came(*networks: Network) -> bool:
    return any(each.client.frames for each in networks)


async def test_a_network_that_says_too_much(telling: Switch) -> None:
    """A second answer, and one to what nobody asked, are logged; the connection goes on."""
    card = load_card(8)
    async with network(telling, "talkative") as peer:
        await block(telling, card, "talkative")
        request = await peer.told()
        peer.answer(request)
        peer.answer(request, "27")
        telling.wait_for("late_response", link="talkative")
        peer.answer(Message("0302", {**request.fields, 11: "999999"}))
        telling.wait_for("unsolicited_response", link="talkative", mti="0312")
        assert "00" == code(await peer.client.ask(echo()))
        await eventually(lambda: accepted(telling, card))


async def test_an_answer_under_overload(telling: Switch) -> None:
    """Where in_flight_max requests wait, an answer to one of ours is taken all the same."""
    card, busy = load_card(9), load_card(10)
    async with network(telling, "narrow") as peer:
        await block(telling, card, "narrow")
        request = await peer.told()
        async with locked(telling, busy):
            waiting = peer.client.send(purchase(busy))
            assert "91" == code(await peer.client.ask(purchase(busy)))
            peer.answer(request)
            telling.wait_for("file_update_accepted", link="narrow")
            assert not waiting.done()
        assert "00" == code(await waiting)


async def test_a_kill(quick_root: Path) -> None:
    """What was sent before a kill -9 is sent again as 0303 with the same STAN and DE7.

    A stop does not wait for a network, and nothing that was written has a PAN.
    """
    card = load_card(11)
    with (
        tempfile.TemporaryDirectory(dir=quick_root) as folder,
        running(Path(folder), **settings({"net": {}})) as switch,
    ):
        await asyncio.to_thread(add_load_cards, switch.database_url, CARDS)
        async with network(switch, "net") as peer:
            await block(switch, card, "net")
            first = await peer.told()
            switch.kill()
        switch.start()
        await due_now(switch)
        async with network(switch, "net") as peer:
            again = await peer.told()
            assert ("0302", "0303", first.fields) == (first.mti, again.mti, again.fields)
            assert 0 == switch.stop()
        switch.start()
        await due_now(switch)
        async with network(switch, "net") as peer:
            peer.answer(await peer.told(), "05")
            switch.wait_for("file_update_refused", link="net")
        assert 0 == switch.stop()
        secrets = secrets_of([first, again], load_cards=CARDS)
        assert {} == secrets.found_under(switch.folder)
