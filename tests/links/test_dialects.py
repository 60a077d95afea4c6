"""One card, the same purchase over a link of every dialect of 1987: each in its own terms."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from specs.spec import known
from specs.spec import load as load_spec
from switch.flows.router import ROUTES
from switch.wire import mti
from switch.wire.message import Message
from tests.client import all_of, connected
from tests.process import Switch, running
from tests.traffic import (
    CardInHand,
    add_load_cards,
    change,
    chip,
    code,
    echo,
    load_card,
    stripe,
    tags,
)

DIALECTS = [name for name in known() if load_spec(name).classes.keys() & ROUTES.keys()]


@pytest.fixture(scope="module")
def switch(quick_root: Path) -> Iterator[Switch]:
    """A switch with a link of each dialect beside `demo`."""
    given: dict[str, object] = {}
    for number, name in enumerate(DIALECTS, start=1):
        link = {"name": name, "dialect": name, "listen": "127.0.0.1:0", "answer_within_ms": 3000}
        given |= {f"links__{number}__{key}": value for key, value in link.items()}
    with (
        tempfile.TemporaryDirectory(dir=quick_root) as folder,
        running(Path(folder), **given) as started,
    ):
        add_load_cards(started.database_url, len(DIALECTS) + 1)
        yield started


def in_terms_of(dialect: str, message: Message) -> Message:
    """The same where the dialect says it otherwise: an entry mode of four digits."""
    entry_mode = message.fields.get(22)
    is_long = entry_mode is not None and load_spec(dialect).fields[22].length == 4
    return change(message, de_22=f"{entry_mode}0") if is_long else message


def card_of(dialect: str) -> CardInHand:
    """A card that no other dialect uses."""
    return load_card(DIALECTS.index(dialect))


def test_the_dialects() -> None:
    """Six dialects are spoken on links."""
    assert DIALECTS == [
        "iso87-ascii", "iso87-binary", "iso87-binary-icc", "mastercard-cis", "postilion",
        "visa-base1",
    ]  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_cards_are_read(switch: Switch, dialect: str) -> None:
    """An echo, a chip with its cryptogram and a stripe with its PIN are approved; a wrong PIN is
    declined."""
    card = card_of(dialect)
    sent = [echo(), chip(card), stripe(card, pin=card.pin), stripe(card, pin="9999")]
    asked = [in_terms_of(dialect, message) for message in sent]
    async with connected(switch.port(dialect), dialect=dialect) as client:
        answers = await all_of([client.send(message) for message in asked])
    assert ["00", "00", "00", "55"] == [code(answer) for answer in answers]
    assert [mti.response(message.mti) for message in asked] == [each.mti for each in answers]
    assert tags(answers[1])["91"].endswith("00820000")  # the approving word to the chip


async def test_a_purchase_repeated_on_every_link(switch: Switch) -> None:
    """A repeat is one by its message, in whatever dialect it comes: one approval, six answers."""
    message = chip(load_card(len(DIALECTS)))
    approvals = set()
    for number, dialect in enumerate(DIALECTS):
        copy = in_terms_of(dialect, Message("0101" if number else "0100", message.fields))
        async with connected(switch.port(dialect), dialect=dialect) as client:
            answer = await client.ask(copy)
        approvals.add((code(answer), answer.fields[38], tags(answer)["91"]))
    assert 1 == len(approvals)
    assert "00" == approvals.pop()[0]
