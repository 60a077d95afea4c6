"""What comes back on a link: every answer, in any order, in the dialect and framing of the link."""

from __future__ import annotations

import asyncio

import pytest

from specs.spec import load as load_spec
from switch.wire import mti
from switch.wire.frame import Framing
from switch.wire.message import encode
from tests.client import all_of, connected
from tests.links.conftest import locked
from tests.process import Switch
from tests.traffic import (
    PLAIN,
    CardInHand,
    change,
    chip,
    code,
    demo_card,
    echo,
    ecommerce,
    purchase,
    stripe,
    tags,
)
from tests.wire.strategies import golden

#: Link → its dialect and framing.
LINKS = {
    "demo": ("iso87-ascii", "2-byte"),
    "binary": ("iso87-binary", "2-byte"),
    "inclusive": ("iso87-ascii", "2-byte-inclusive"),
    "ascii4": ("iso87-ascii", "4-ascii"),
    "ascii4-inclusive": ("iso87-ascii", "4-ascii-inclusive"),
}

every_link = pytest.mark.parametrize(("link", "dialect", "framing"),
    [(link, *how) for link, how in LINKS.items()], ids=LINKS)  # fmt: skip


@every_link
async def test_every_kind_of_card_use_is_approved_on_every_link(
    switch: Switch, cards: list[CardInHand], link: str, dialect: str, framing: str
) -> None:
    """A chip, a stripe with its PIN, CVV2 and an echo are approved in each dialect and framing."""
    card = cards[list(LINKS).index(link)]
    asked = [echo(), chip(card), stripe(card, pin=card.pin), ecommerce(PLAIN), purchase(card)]
    async with connected(switch.port(link), dialect=dialect, framing=framing) as client:
        answers = await all_of([client.send(message) for message in asked])
    assert ["00"] * len(asked) == [code(answer) for answer in answers]
    assert [mti.response(message.mti) for message in asked] == [each.mti for each in answers]
    assert tags(answers[1])["91"].endswith("00820000")  # the approving word to the chip


@every_link
async def test_an_answer_echoes_what_its_class_says(
    switch: Switch, cards: list[CardInHand], link: str, dialect: str, framing: str
) -> None:
    """An answer to a 0100 has the echoed fields of its request, DE38 and DE39, and no PAN."""
    asked = purchase(cards[9], de_33="12345", de_6="000000000100", de_51="978")
    async with connected(switch.port(link), dialect=dialect, framing=framing) as client:
        answer = await client.ask(asked)
    echoed = load_spec(dialect).classes["0100"].echoed
    wanted = {number: asked.fields[number] for number in echoed if number in asked.fields}
    assert {*wanted, 38, 39} == answer.fields.keys()
    assert wanted == {number: answer.fields[number] for number in wanted}


@pytest.mark.parametrize(("link", "name"), [("demo", "iso87_ascii"), ("binary", "iso87_binary")])
async def test_messages_of_another_implementation_are_answered(
    switch: Switch, link: str, name: str
) -> None:
    """Every golden request gets the answer of its own MTI and STAN, in its own dialect."""
    dialect, framing = LINKS[link]
    requests = [(message, data) for message, data in golden(name) if mti.is_request(message.mti)]
    assert requests
    async with connected(switch.port(link), dialect=dialect, framing=framing) as client:
        for message, data in requests:
            client.write_frame(data)
            await client.received(len(client.frames) + 1)
            answer = client.answers[-1]
            assert mti.response(message.mti) == answer.mti
            assert [message.fields[de] for de in (7, 11)] == [answer.fields[de] for de in (7, 11)]
            if mti.without_repeat(message.mti) == "0100":
                assert "14" == code(answer)  # cards that are not ours


async def test_answers_come_in_the_order_of_decisions(
    switch: Switch, cards: list[CardInHand]
) -> None:
    """A request that waits for its account does not hold up the answer to the next one."""
    async with connected(switch.port()) as client:
        async with locked(switch, cards[10]):
            first = client.send(purchase(cards[10]))
            second = await client.ask(purchase(cards[11]))
            assert "00" == code(second)
            assert not first.done()
        assert "00" == code(*await all_of([first]))


async def test_what_is_over_the_limit_is_answered_91_at_once(
    switch: Switch, cards: list[CardInHand]
) -> None:
    """Where in_flight_max requests wait, the next is answered 91, and holds nothing."""
    async with connected(switch.port("narrow")) as client:
        async with locked(switch, cards[12]):
            waiting = [client.send(purchase(cards[12])) for _ in range(2)]
            await asyncio.sleep(0.1)
            shed = await client.ask(purchase(cards[13]))
            assert ("91", "0110") == (code(shed), shed.mti)
            assert not any(answer.done() for answer in waiting)
        assert ["00", "00"] == [code(answer) for answer in await all_of(waiting)]
        assert "00" == code(await client.ask(purchase(cards[13])))
    connection = await switch.connect()
    assert 100 == await connection.fetchval(
        "SELECT held_minor FROM accounts WHERE account_id = $1", cards[13].account_id
    )
    await connection.close()


@pytest.mark.parametrize("link", ["demo", "ascii4"])
async def test_a_message_may_come_byte_by_byte(
    switch: Switch, cards: list[CardInHand], link: str
) -> None:
    """However its bytes are split, a message is answered once."""
    dialect, framing = LINKS[link]
    message = chip(cards[14])
    async with connected(switch.port(link), dialect=dialect, framing=framing) as client:
        for byte in Framing.parse(framing).frame(encode(message, client.spec)):
            client.write(bytes([byte]))
            await asyncio.sleep(0)
        await client.received(1)
        assert "00" == code(client.answers[0])
        assert "00" == code(await client.ask(echo()))
        assert 2 == len(client.answers)


async def test_one_write_may_bring_many_frames(switch: Switch, cards: list[CardInHand]) -> None:
    """A hundred messages in one write get a hundred answers, each its own."""
    asked = [purchase(card, number + 1) for number, card in enumerate(cards[20:120])]
    async with connected(switch.port()) as client:
        answers = await all_of(client.send_together(asked))
    assert ["00"] * 100 == [code(answer) for answer in answers]
    assert [each.fields[4] for each in asked] == [each.fields[4] for each in answers]


async def test_a_repeat_on_another_link_gets_the_same_answer(
    switch: Switch, cards: list[CardInHand]
) -> None:
    """A repeat is one by its message, whichever link and dialect it comes on."""
    asked = purchase(cards[15])
    async with (
        connected(switch.port()) as here,
        connected(switch.port("binary"), dialect="iso87-binary") as there,
    ):
        first = await here.ask(asked)
        again = await there.ask(change(asked, mti="0101"))
    assert "00" == code(first)
    assert first == again


async def test_simultaneous_copies_are_decided_once(
    switch: Switch, cards: list[CardInHand]
) -> None:
    """Two copies at once on two links get one answer and hold the money once."""
    asked = purchase(cards[16], 700)
    async with (
        connected(switch.port()) as one,
        connected(switch.port("inclusive"), framing="2-byte-inclusive") as other,
    ):
        first, second = await all_of([one.send(asked), other.send(asked)])
    assert first == second
    connection = await switch.connect()
    assert 700 == await connection.fetchval(
        "SELECT held_minor FROM accounts WHERE account_id = $1", cards[16].account_id
    )
    await connection.close()


async def test_copies_for_an_unknown_card_are_all_refused(switch: Switch) -> None:
    """Simultaneous copies for a card that is not ours are each answered 14."""
    stranger = CardInHand("4761739999999990")
    asked = purchase(stranger)
    async with connected(switch.port()) as one, connected(switch.port()) as other:
        answers = await all_of([client.send(asked) for client in (one, other)])
    assert ["14", "14"] == [code(answer) for answer in answers]


async def test_both_cards_of_an_account_see_one_balance(switch: Switch) -> None:
    """What one card of an account holds is gone for the other."""
    other = demo_card("second card of the plain debit account")
    async with connected(switch.port()) as client:
        before = await client.ask(purchase(other, 0, de_3="310000"))
        await client.ask(purchase(PLAIN, 500))
        after = await client.ask(purchase(other, 0, de_3="310000"))
    assert 500 == int(before.fields[54][8:]) - int(after.fields[54][8:])
