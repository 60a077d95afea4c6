"""Acknowledgements and administrative advices on a real connection."""

from __future__ import annotations

from switch.wire.message import Message, encode
from tests.client import connected
from tests.process import Switch
from tests.traffic import CardInHand, change, code, echo, purchase


async def test_an_administrative_advice(switch: Switch) -> None:
    """0620 is answered 0630 with 00, and has its line in the log."""
    advice = Message("0620", {7: "1122120000", 11: "620001", 32: "476173"})
    async with connected(switch.port()) as client:
        answer = await client.ask(advice)
    assert ("0630", {**advice.fields, 39: "00"}) == (answer.mti, dict(answer.fields))
    line = switch.wait_for("message", mti="0620", stan="620001")
    assert ("approved", "00", "sent") == tuple(
        line[field] for field in ("reason", "response_code", "outcome")
    )


async def test_acknowledgements(switch: Switch, cards: list[CardInHand]) -> None:
    """0180 and 0190 are not answered; a 0190 gives back what its 0100 held, and says so."""
    one, other = purchase(cards[150]), purchase(cards[150])
    async with connected(switch.port()) as client:
        assert ["00", "00"] == [code(await client.ask(each)) for each in (one, other)]
        for mti, request in (("0180", one), ("0190", other)):
            client.write_frame(encode(change(request, mti=mti), client.spec))
        line = switch.wait_for("message", mti="0190", stan=other.fields[11])
        assert ("unanswered", "reversed") == (line["outcome"], line["effect"])
        assert "unanswered" == switch.wait_for("message", mti="0180")["outcome"]
        assert "00" == code(await client.ask(echo()))
        assert ["0110", "0110", "0810"] == [answer.mti for answer in client.answers]
    connection = await switch.connect()
    assert 100 == await connection.fetchval(
        "SELECT held_minor FROM accounts WHERE account_id = $1", cards[150].account_id
    )
    await connection.close()
