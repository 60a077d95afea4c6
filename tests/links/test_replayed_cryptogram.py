"""A real cryptogram that somebody sends again, over whatever connection."""

from __future__ import annotations

from collections import Counter

from tests.client import all_of, connected
from tests.process import Switch, until
from tests.traffic import CardInHand, change, chip, code, purchase, tags


async def test_copies_over_several_connections(switch: Switch, cards: list[CardInHand]) -> None:
    """Of copies under different STANs, over three links at once, exactly one is approved, and the
    log tells why the others were not."""
    card = cards[90]
    first = chip(card)
    stans = [purchase(card).fields[11] for _ in range(6)]
    copies = [change(first, de_11=stan, de_37=f"6327{int(stan):08d}") for stan in stans]
    async with (
        connected(switch.port("demo")) as one,
        connected(switch.port("binary"), dialect="iso87-binary") as two,
        connected(switch.port("inclusive"), framing="2-byte-inclusive") as three,
    ):
        clients = [one, two, three] * 2
        sent = [client.send(copy) for client, copy in zip(clients, copies, strict=True)]
        answers = await all_of(sent)
        assert {"00": 1, "82": 5} == Counter(map(code, answers))
        assert 1 == sum("91" in tags(answer) for answer in answers)
        assert "00" == code(await one.ask(chip(card)))  # the next of the chip itself
    connection = await switch.connect()
    held = await connection.fetchval(
        "SELECT held_minor FROM accounts WHERE account_id = $1", card.account_id
    )
    await connection.close()
    assert 200 == held

    def reasons() -> Counter[str]:
        lines = [line for line in switch.lines("message") if line["stan"] in stans]
        return Counter(line["reason"] for line in lines)

    until(lambda: reasons().total() == len(stans), "the log lines")
    assert {"approved": 1, "cryptogram_replayed": 5} == reasons()


async def test_a_log_line_tells_of_the_chip(switch: Switch, cards: list[CardInHand]) -> None:
    """TVR and CVR stand in the line by their names, and null where there was no chip."""
    dipped, typed = chip(cards[91]), purchase(cards[91])
    async with connected(switch.port()) as client:
        for message in (dipped, typed):
            assert "00" == code(await client.ask(message))

    def told(stan: str) -> list[tuple[str | None, str | None]]:
        return [(line["tvr"], line["cvr"]) for line in switch.lines("message", stan=stan)]

    until(lambda: bool(told(typed.fields[11])), "the log lines")
    assert [("", "second_not_requested first_arqc")] == told(dipped.fields[11])
    assert [(None, None)] == told(typed.fields[11])
