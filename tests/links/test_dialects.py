"""One card, the same purchase over a link of every dialect: each in its own terms."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from specs.spec import known
from specs.spec import load as load_spec
from switch.wire import mti
from switch.wire.message import Message
from tests.client import all_of, connected
from tests.process import Switch, running
from tests.traffic import (
    PLAIN,
    CardInHand,
    add_load_cards,
    change,
    chip,
    code,
    echo,
    ecommerce,
    load_card,
    purchase,
    stripe,
    tags,
)
from tests.versions import approved, code_of, in_terms_of, reversal

DIALECTS = known()
LATER = [name for name in DIALECTS if load_spec(name).version != "0"]


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
        add_load_cards(started.database_url, 2 * len(DIALECTS) + 1 + 2 * len(LATER))
        yield started


def card_of(dialect: str) -> CardInHand:
    """A card that no other dialect uses."""
    return load_card(DIALECTS.index(dialect))


def test_the_dialects() -> None:
    """Nine dialects are spoken on links."""
    assert DIALECTS == [
        "cmf-2003", "iso87-ascii", "iso87-binary", "iso87-binary-icc", "iso93-ascii",
        "iso93-binary", "mastercard-cis", "postilion", "visa-base1",
    ]  # fmt: skip


#: Where an answer says what became of a CVV2.
RESULTS = {"visa-base1": (44, "10"), "mastercard-cis": (48, "87")}


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_card_code_has_its_result(switch: Switch, dialect: str) -> None:
    """A CVV2 is read where the dialect has it, and the answer says whether it was right."""
    field, tag = RESULTS.get(dialect, (48, "87"))
    right = in_terms_of(dialect, ecommerce(PLAIN))
    wrong = in_terms_of(dialect, ecommerce(replace(PLAIN, cvv2="000")))
    async with connected(switch.port(dialect), dialect=dialect) as client:
        answers = await all_of([client.send(right), client.send(wrong)])
    mismatch = code_of(dialect, "card_code_mismatch")
    assert [approved(dialect, right.mti), mismatch] == [code(each) for each in answers]
    layout = load_spec(dialect).subfields[field]
    results = [layout.decode(each.fields[field]) for each in answers]
    assert ["M", "N"] == [each[tag] for each in results]
    if dialect == "mastercard-cis":
        assert "T" == results[0]["prefix"]


@pytest.mark.parametrize("dialect", ["iso87-ascii", "mastercard-cis", "visa-base1"])
async def test_less_is_approved_where_it_is_taken(switch: Switch, dialect: str) -> None:
    """Who says in its dialect's own way that it takes less is given what there is."""
    card = load_card(DIALECTS.index(dialect) + len(DIALECTS) + 1 + 2 * len(LATER))
    async with connected(switch.port(dialect), dialect=dialect) as client:
        asked = in_terms_of(dialect, purchase(card, 10**9, de_48="61011"))
        part = await client.ask(asked)
        all_or_nothing = await client.ask(in_terms_of(dialect, purchase(card, 10**9)))
    assert code_of(dialect, "approved_partial") == code(part)
    assert int(part.fields[4]) < 10**9
    entry = load_spec(dialect).subfields[54].decode(part.fields[54])["1"]
    assert {"1": "00", "2": "57", "3": "978", "4": "C", "5": f"{10**9:012d}"} == entry
    assert code_of(dialect, "insufficient_funds") == code(all_or_nothing)


@pytest.mark.parametrize(
    ("dialect", "numbers"),
    [
        ("visa-base1", {62: "40000000000000000123456789012345", 63: "8000000002"}),
        ("mastercard-cis", {63: "MCCABC123   "}),
    ],
)
async def test_the_schemes_own_number_comes_back(
    switch: Switch, dialect: str, numbers: dict[int, str]
) -> None:
    """Visa's transaction identifier and network, and Mastercard's reference, are echoed."""
    asked = in_terms_of(dialect, purchase(card_of(dialect)))
    asked = Message(asked.mti, dict(sorted({**asked.fields, **numbers}.items())))
    async with connected(switch.port(dialect), dialect=dialect) as client:
        answer = await client.ask(asked)
    assert "00" == code(answer)
    assert numbers == {number: answer.fields[number] for number in numbers}


async def test_visas_chip_data_are_a_dataset(switch: Switch) -> None:
    """Chip data that come in Visa's dataset 01 are read, and answered in it."""
    asked = in_terms_of("visa-base1", chip(card_of("visa-base1")))
    length = len(asked.fields[55]) // 2
    wrapped = change(asked, de_55=f"01{length:04X}{asked.fields[55]}")
    async with connected(switch.port("visa-base1"), dialect="visa-base1") as client:
        answer = await client.ask(wrapped)
    assert "00" == code(answer)
    chip_data = load_spec("visa-base1").subfields[55].decode(answer.fields[55])["01"]
    assert isinstance(chip_data, dict)
    assert str(chip_data["91"]).endswith("00820000")


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_cards_are_read(switch: Switch, dialect: str) -> None:
    """An echo, a chip with its cryptogram and a stripe with its PIN are approved; a wrong PIN is
    declined."""
    card = card_of(dialect)
    sent = [echo(), chip(card), stripe(card, pin=card.pin), stripe(card, pin="9999")]
    asked = [in_terms_of(dialect, message) for message in sent]
    async with connected(switch.port(dialect), dialect=dialect) as client:
        answers = await all_of([client.send(message) for message in asked])
    codes = [approved(dialect, message.mti) for message in asked]
    codes[-1] = code_of(dialect, "pin_mismatch")
    assert codes == [code(answer) for answer in answers]
    assert [mti.response(message.mti) for message in asked] == [each.mti for each in answers]
    assert tags(answers[1])["91"].endswith("00820000")  # the approving word to the chip


async def test_a_purchase_repeated_on_every_link(switch: Switch) -> None:
    """A repeat is one by its message, in whatever dialect of its version it comes: one approval a
    version, nine answers."""
    card = load_card(len(DIALECTS))
    messages = {version: chip(card) for version in "012"}
    approvals: dict[str, set[tuple[str, str]]] = {}
    for dialect in DIALECTS:
        version = load_spec(dialect).version
        known = approvals.setdefault(version, set())
        message = in_terms_of(dialect, messages[version])
        copy = change(message, mti=f"{version}101") if known else message
        async with connected(switch.port(dialect), dialect=dialect) as client:
            answer = await client.ask(copy)
        assert approved(dialect, copy.mti) == code(answer)
        known.add((answer.fields[38], tags(answer)["91"]))
    assert [1, 1, 1] == [len(known) for known in approvals.values()]


async def held(switch: Switch, card: CardInHand) -> int:
    """What is held of a load card's account."""
    connection = await switch.connect()
    try:
        return int(
            await connection.fetchval(
                "SELECT held_minor FROM accounts WHERE account_id = $1", card.account_id
            )
        )
    finally:
        await connection.close()


@pytest.mark.parametrize("dialect", LATER)
async def test_network_management(switch: Switch, dialect: str) -> None:
    """A scheme signs on, asks for an echo and signs off by DE24, with 804 and 800; what it does not
    say is not supported, and so is another version."""
    sent = [
        change(in_terms_of(dialect, echo()), mti=f"{load_spec(dialect).version}{kind}", de_24=what)
        for kind, what in (("804", "801"), ("804", "831"), ("800", "831"), ("804", "802"))
    ]
    unknown = change(in_terms_of(dialect, echo()), de_24="899")
    foreign = change(in_terms_of(dialect, echo()), mti="0800")
    async with connected(switch.port(dialect), dialect=dialect) as client:
        answers = await all_of([client.send(message) for message in sent])
        refused = await all_of([client.send(message) for message in (unknown, foreign)])
    assert [mti.response(message.mti) for message in sent] == [one.mti for one in answers]
    assert [approved(dialect, message.mti) for message in sent] == [code(one) for one in answers]
    assert [message.fields[24] for message in sent] == [one.fields[24] for one in answers]
    not_supported = code_of(dialect, "not_supported")
    assert [not_supported] * 2 == [code(one) for one in refused]


@pytest.mark.parametrize("dialect", LATER)
async def test_a_life(switch: Switch, dialect: str) -> None:
    """A purchase is held, reversed in part and then wholly by DE56; an advice is booked once."""
    card = load_card(len(DIALECTS) + 1 + LATER.index(dialect))
    bought = in_terms_of(dialect, purchase(card, 2_500))
    advised = change(in_terms_of(dialect, purchase(card, 300)), mti=f"{bought.mti[0]}120")
    steps = [
        (bought, 2_500),
        (change(bought, mti=f"{bought.mti[0]}101"), 2_500),
        (without_clues(reversal(bought, 900_001, to=1_000)), 1_000),
        (without_clues(reversal(bought, 900_002)), 0),
        (advised, 300),
        (change(advised, mti=f"{bought.mti[0]}121"), 300),
    ]
    async with connected(switch.port(dialect), dialect=dialect) as client:
        for message, expected in steps:
            answer = await client.ask(message)
            assert mti.response(message.mti) == answer.mti
            assert approved(dialect, message.mti) == code(answer)
            assert expected == await held(switch, card)


def without_clues(message: Message) -> Message:
    """With another RRN than its original: DE56 alone says what it is about."""
    return change(message, de_37="000000000000")


@pytest.mark.parametrize("dialect", LATER)
async def test_money_in_answers(switch: Switch, dialect: str) -> None:
    """A balance is in DE54, what was approved of more in DE4, as the version writes them."""
    card = load_card(len(DIALECTS) + 1 + len(LATER) + LATER.index(dialect))
    decimals = "2" if dialect == "cmf-2003" else ""
    inquiry = change(in_terms_of(dialect, purchase(card, 0)), de_3="310000")
    async with connected(switch.port(dialect), dialect=dialect) as client:
        balance = (await client.ask(inquiry)).fields[54]
        available = int(balance[-12:])
        asked = in_terms_of(dialect, purchase(card, available + 1, de_48="61011"))
        part = await client.ask(asked)
    assert balance == f"0002978{decimals}C{available:012d}"
    assert code_of(dialect, "approved_partial") == code(part)
    assert f"{available:012d}" == part.fields[4][-12:]
    assert asked.fields[4][:-12] == part.fields[4][:-12]
    assert f"0057978{decimals}C{available + 1:012d}" == part.fields[54]
