"""Messages with a MAC: what is right is decided, what is wrong is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from keys.hsm import MacAlgorithm
from switch.flows import authentication
from switch.wire.message import Message, encode
from tests.flows.authentic import (
    DIALECTS,
    SIZES,
    Authentic,
    advice,
    authentic,
    echo,
    last_byte_changed,
    oracle,
    plain,
    reversal_of,
    typed_in,
)
from tests.flows.support import House

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

ALGORITHMS = [
    (MacAlgorithm.ISO9797_1, 1),
    (MacAlgorithm.ISO9797_1, 2),
    (MacAlgorithm.ISO9797_3, 1),
    (MacAlgorithm.ISO9797_3, 2),
    (MacAlgorithm.AES_CMAC, 0),
    (MacAlgorithm.TDES_CMAC, 0),
]
BIT = 0x01


# ---- right ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("algorithm", "padding"), ALGORITHMS)
async def test_a_right_mac(
    one_house: House, algorithm: MacAlgorithm, padding: int, dialect: str
) -> None:
    """With DE64 and with DE128 a message is decided, and its answer's MAC is what others make."""
    account_id, pan = await one_house.card()
    async with authentic(one_house, algorithm, padding, dialect=dialect) as one:
        asked = typed_in(pan)
        answer = await one.ask(one.sealed(asked))
        assert ("0110", "00") == (answer.mti, answer.fields[39])
        assert 1_000 == await one_house.books.held(account_id)
        answer = await one.ask(one.sealed(reversal_of(asked)))
        assert ("0430", "00") == (answer.mti, answer.fields[39])
        assert 0 == await one_house.books.held(account_id)
        assert [] == one.events("mac_mismatch")
        assert all("mac_us" in exchange.watch.laps for exchange in await one.done(2))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("filling", ["zeros", "blanks"])
async def test_half_a_mac(one_house: House, dialect: str, filling: str) -> None:
    """Four bytes of it are enough, with zeros or blanks after them; the answer has eight."""
    _, pan = await one_house.card()
    async with authentic(one_house, dialect=dialect) as one:
        zero = b"0" if dialect == "iso87-ascii" else b"\0"
        size = SIZES[dialect] // 2
        rest = (zero if filling == "zeros" else b" ") * size
        answer = await one.ask(one.sealed(typed_in(pan))[:-size] + rest)
        assert "00" == answer.fields[39]


async def test_a_mac_under_the_key_before(one_house: House) -> None:
    """While one key replaces another both are right; the answer's MAC is under the newer."""
    _, pan = await one_house.card()
    before = oracle(MacAlgorithm.ISO9797_3, 1, "zak")
    async with authentic(one_house, keys=("zak_next", "zak")) as one:
        assert "00" == (await one.ask(one.sealed(typed_in(pan)))).fields[39]
        assert "00" == (await one.ask(one.sealed(typed_in(pan), before))).fields[39]
        never = oracle(MacAlgorithm.ISO9797_1, 1)
        assert "63" == (await one.ask(one.sealed(typed_in(pan), never))).fields[39]
        assert {"verify_mac": 5, "mac": 3} == one.hsm.asked


async def test_an_inline_hsm_costs_no_timer(
    one_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What answers without waiting is asked without asyncio."""
    _, pan = await one_house.card()
    async with authentic(one_house) as one:
        monkeypatch.setattr(authentication, "asyncio", None)
        assert "00" == (await one.ask(one.sealed(typed_in(pan)))).fields[39]


# ---- wrong ------------------------------------------------------------------------------------

#: How a right message is made a wrong one, and what operators are told is wrong with it; where
#: nothing is said, it depends on the bytes that happen to stand there.
WRONG: dict[str, tuple[Callable[[Authentic, Message], bytes], str]] = {
    "another code": (lambda one, message: last_byte_changed(one.sealed(message)), "wrong"),
    "of another key": (
        lambda one, message: one.sealed(message, oracle(MacAlgorithm.ISO9797_1, 1)), "wrong"),
    "of another padding": (
        lambda one, message: one.sealed(message, oracle(MacAlgorithm.ISO9797_3, 2)), "wrong"),
    "of another message": (
        lambda one, message: one.sealed(
            Message(message.mti, {**message.fields, 4: "000000002000"}))[: -SIZES[one.dialect]]
        + one.sealed(message)[-SIZES[one.dialect] :], "wrong"),
    "of its repeat": (
        lambda one, message: one.sealed(message)[: -SIZES[one.dialect]]
        + one.sealed(Message("0101", message.fields))[-SIZES[one.dialect] :], "wrong"),
    "of zeros": (lambda one, message: one.sealed(message, lambda _: bytes(8)), "wrong"),
    "none": (lambda one, message: encode(message, one.client.spec), "missing"),
    "cut short": (lambda one, message: one.sealed(message)[: -SIZES[one.dialect] // 2], ""),
    "not last": (lambda one, message: one.sealed(message) + b"00", ""),
    "DE64 beside a secondary bitmap": (
        lambda one, message: encode(
            Message(message.mti, {**message.fields, 64: "00" * 8, 70: "301"}), one.client.spec),
        "missing"),
}  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", WRONG)
async def test_a_wrong_mac(one_house: House, dialect: str, kind: str) -> None:
    """A request is refused with 63, in a message that has a MAC; nothing of it is written down."""
    make, problem = WRONG[kind]
    _, pan = await one_house.card()
    async with authentic(one_house, dialect=dialect) as one:
        before = await one.rows()
        message = typed_in(pan)
        answer = await one.ask(make(one, message))
        assert ("0110", "63") == (answer.mti, answer.fields[39])
        assert message.fields[11] == answer.fields[11]
        assert before == await one.rows()
        (told,) = one.events("mac_mismatch")
        assert ("0100", message.fields[11]) == (told["mti"], told["stan"])
        assert told["problem"] in ((problem,) if problem else ("wrong", "missing"))
        assert [] == one.events("fault") + one.events("message_error")
        # The same message with its right MAC is new.
        assert "00" == (await one.ask(one.sealed(message))).fields[39]


async def test_a_repeat_with_a_wrong_mac(one_house: House) -> None:
    """The MAC is looked at before the message key: a forged repeat learns nothing."""
    _, pan = await one_house.card()
    async with authentic(one_house) as one:
        asked = typed_in(pan)
        first = await one.ask(one.sealed(asked))
        repeat = Message("0101", asked.fields)
        forged = await one.ask(last_byte_changed(one.sealed(repeat)))
        assert "63" == forged.fields[39]
        assert 38 not in forged.fields
        assert first == await one.ask(one.sealed(repeat))


@pytest.mark.parametrize("make", [advice, lambda pan: reversal_of(typed_in(pan)),
    lambda pan: reversal_of(typed_in(pan), "0400"), lambda pan: typed_in(pan, mti="0220"),
    lambda pan: typed_in(pan, mti="0121", _39="00")], ids=["0120", "0420", "0400", "0220", "0121"],
)  # fmt: skip
async def test_what_already_happened(one_house: House, make: Callable[[str], Message]) -> None:
    """An advice or reversal with a wrong MAC is not answered; with the right one it is booked."""
    _, pan = await one_house.card()
    async with authentic(one_house) as one:
        before, message = await one.rows(), make(pan)
        exchange = await one.unanswered(last_byte_changed(one.sealed(message)))
        assert ("dropped", "MacMismatch") == (exchange.outcome, exchange.fault)
        await one.unanswered(encode(message, one.client.spec))
        assert ["wrong", "missing"] == [told["problem"] for told in one.events("mac_mismatch")]
        assert before == await one.rows()
        assert "00" == (await one.ask(one.sealed(message))).fields[39]
        assert before != await one.rows()


@pytest.mark.parametrize("mti", ["0180", "0190", "0620"])
async def test_what_is_only_told(one_house: House, mti: str) -> None:
    """An acknowledgement or administrative advice with a wrong MAC is dropped."""
    account_id, pan = await one_house.card()
    async with authentic(one_house) as one:
        asked = typed_in(pan)
        await one.ask(one.sealed(asked))
        before = await one.rows()
        await one.unanswered(last_byte_changed(one.sealed(Message(mti, asked.fields))))
        assert 1 == len(one.events("mac_mismatch"))
        assert before == await one.rows()
        assert 1_000 == await one_house.books.held(account_id)


async def test_a_negative_acknowledgement(one_house: House) -> None:
    """A 0190 with its right MAC takes back what it is about."""
    account_id, pan = await one_house.card()
    async with authentic(one_house) as one:
        asked = typed_in(pan)
        await one.ask(one.sealed(asked))
        await one.unanswered(one.sealed(Message("0190", asked.fields)))
        assert 0 == await one_house.books.held(account_id)


async def test_what_cannot_be_read(one_house: House) -> None:
    """A malformed message with its right MAC is answered 30; with a wrong one it is a forgery."""
    _, pan = await one_house.card()
    async with authentic(one_house) as one:
        message = typed_in(pan)
        good = one.sealed(message)[:-16]
        at = good.index(message.fields[41].encode())
        data = good[:at] + b"\x01" + good[at + 1 :]
        right = data + one.mac(data).hex().upper().encode()
        assert "30" == (await one.ask(right)).fields[39]
        assert ["terminal_id"] == [told["field"] for told in one.events("message_error")]
        assert "63" == (await one.ask(last_byte_changed(right))).fields[39]
        assert 1 == len(one.events("mac_mismatch"))


@pytest.mark.parametrize("payload", [b"GET / HTTP/1.1", b"0100", b"0100" + b"F" * 32, b"0810" * 9])
async def test_what_is_no_message(one_house: House, payload: bytes) -> None:
    """Bytes that tell no STAN are not answered, and the link goes on."""
    _, pan = await one_house.card()
    async with authentic(one_house) as one:
        await one.unanswered(payload)
        assert "00" == (await one.ask(one.sealed(typed_in(pan)))).fields[39]


async def test_what_we_do_not_do(one_house: House) -> None:
    """A request that we do not know is answered 12 where its MAC is right, else 63."""
    _, pan = await one_house.card()
    async with authentic(one_house) as one:
        message = typed_in(pan, mti="0600")
        assert "12" == (await one.ask(one.sealed(message))).fields[39]
        assert "63" == (await one.ask(last_byte_changed(one.sealed(message)))).fields[39]


async def test_nothing_secret_is_told(one_house: House) -> None:
    """What operators are told of a wrong MAC has no byte of the message but its STAN."""
    _, pan = await one_house.card()
    async with authentic(one_house) as one:
        payload = last_byte_changed(one.sealed(typed_in(pan)))
        await one.ask(payload)
        (told,) = one.events("mac_mismatch")
        assert {"link", "mti", "stan", "problem"} == told.keys()
        (exchange,) = await one.done()
        assert pan not in repr(exchange)
        assert payload[-16:].decode() not in repr(exchange)


async def test_a_link_without_a_key(one_house: House) -> None:
    """There a MAC is not looked at, not given back, and none is made."""
    _, pan = await one_house.card()
    fields = {**typed_in(pan).fields, 64: "0123456789ABCDEF"}
    answer = await one_house.answer(fields)
    assert "00" == answer[39]
    assert 64 not in answer


# ---- network messages ---------------------------------------------------------------------------


@pytest.mark.parametrize("on_network", [False, True])
async def test_network_messages(one_house: House, on_network: bool) -> None:
    """One that brings a MAC is held to it; one without is answered so where none is asked for."""
    async with authentic(one_house, on_network=on_network) as one:
        answer, has_mac = await plain(one, one.sealed(echo()))
        assert ("0810", "00", True) == (answer.mti, answer.fields[39], has_mac)
        answer, has_mac = await plain(one, last_byte_changed(one.sealed(echo())))
        assert ("0810", "63", True) == (answer.mti, answer.fields[39], has_mac)
        answer, has_mac = await plain(one, encode(echo(), one.client.spec))
        wanted = "63" if on_network else "00"
        assert ("0810", wanted, on_network) == (answer.mti, answer.fields[39], has_mac)
        problems = [told["problem"] for told in one.events("mac_mismatch")]
        assert (["wrong", "missing"] if on_network else ["wrong"]) == problems
