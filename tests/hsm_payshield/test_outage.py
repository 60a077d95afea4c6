"""An HSM that does not answer, or answers nonsense, is an outage: never a verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from keys.hsm import (
    ArpcMethod,
    CardKeyDerivation,
    CardVerificationValue,
    Cryptogram,
    CryptogramScheme,
    HsmRejected,
    HsmUnavailable,
    Ibm3624,
    MacAlgorithm,
    PinBlockFormat,
    SessionKeyDerivation,
    Verdict,
    VisaPvv,
)
from keys.payshield import PayShieldHsm
from tests.contract.keys import REFS
from tests.hsm_payshield import support
from tests.hsm_payshield.peer import LIES, Fault, Peer

PAN = "4540001234567890"
CVV = CardVerificationValue("2709", "101")
ISO_0, ISO_3 = PinBlockFormat.ISO_0, PinBlockFormat.ISO_3
ALG_3 = MacAlgorithm.ISO9797_3

Question = Callable[[PayShieldHsm], Awaitable[object]]


def pin(reference: VisaPvv | Ibm3624) -> Question:
    """Ask about a PIN."""
    return lambda hsm: hsm.verify_pin(
        reference,
        zone_key=REFS["zpk"],
        pin_block=bytes(8),
        pin_block_format=ISO_0,
        pan=PAN,
    )


def arqc(session_key: SessionKeyDerivation) -> Question:
    """Ask about a cryptogram."""
    scheme = CryptogramScheme(CardKeyDerivation.OPTION_A, session_key, ArpcMethod.METHOD_1)
    asked = Cryptogram(scheme, PAN, "01", bytes(2), bytes(8), bytes(8), bytes(4))
    return lambda hsm: hsm.verify_arqc(REFS["imk_ac"], asked, arpc_data=b"00")


#: A question by the command that it goes by.
QUESTIONS: dict[str, Question] = {
    "B2": lambda hsm: hsm.ping(),
    "CC": lambda hsm: hsm.translate_pin(
        from_key=REFS["zpk"],
        from_format=ISO_0,
        to_key=REFS["zpk_next"],
        to_format=ISO_3,
        pin_block=bytes(8),
        pan=PAN,
    ),
    "CY": lambda hsm: hsm.verify_card_code(REFS["cvk"], CVV, pan=PAN, code="123"),
    "EA": pin(Ibm3624(REFS["pvk_ibm"], "1234", "0123456789012345", f"{PAN[-13:-1]}FFFF")),
    "EC": pin(VisaPvv(REFS["pvk"], "1", "1234")),
    "KQ": arqc(SessionKeyDerivation.NONE),
    "KW": arqc(SessionKeyDerivation.COMMON),
    "M6": lambda hsm: hsm.mac(REFS["zak"], b"abc", algorithm=ALG_3),
    "M8": lambda hsm: hsm.verify_mac(REFS["zak"], b"abc", bytes(8), algorithm=ALG_3),
}

BY_COMMAND = pytest.mark.parametrize("command", QUESTIONS)
NOT_AN_HONEST_ANSWER = [*LIES, Fault.HANGS_UP, Fault.STOPS_MID_FRAME]
NO_ANSWER = [Fault.SILENT, Fault.STALLS_MID_FRAME]


async def asked_until_answered(hsm: PayShieldHsm) -> Verdict:
    """Ask until there is a verdict."""
    while True:
        try:
            return await hsm.verify_card_code(REFS["cvk"], CVV, pan=PAN, code="123")
        except HsmUnavailable:
            await asyncio.sleep(0.01)


@BY_COMMAND
@pytest.mark.parametrize("fault", NOT_AN_HONEST_ANSWER)
async def test_lies_are_an_outage(command: str, fault: Fault) -> None:
    """Garbage, another's header or code, too short, too long, twice, cut off: no verdict."""
    peer = Peer()
    async with support.opened(peer, connections=1) as hsm:
        peer.faults[command] = fault
        with pytest.raises(HsmUnavailable):
            await QUESTIONS[command](hsm)
        # That connection is given up, and the next question goes over another.
        peer.faults.clear()
        assert Verdict.MISMATCH is await asked_until_answered(hsm)


@BY_COMMAND
@pytest.mark.parametrize("fault", NO_ANSWER)
async def test_silence_is_an_outage(command: str, fault: Fault) -> None:
    """A peer that takes questions and does not answer them ends with the budget."""
    peer = Peer()
    async with support.opened(peer, connections=1, budget=support.SHORT_BUDGET) as hsm:
        peer.faults[command] = fault
        with pytest.raises(HsmUnavailable, match="in time"):
            await QUESTIONS[command](hsm)


@BY_COMMAND
async def test_slowness_is_an_outage(command: str) -> None:
    """An answer beyond the budget is none, and is not taken for the next question's."""
    peer = Peer()
    async with support.opened(peer, connections=1, budget=support.SHORT_BUDGET) as hsm:
        peer.delay = 0.4
        with pytest.raises(HsmUnavailable):
            await QUESTIONS[command](hsm)
        peer.delay = 0.0
        assert Verdict.MISMATCH is await asked_until_answered(hsm)


@BY_COMMAND
async def test_dead_hsm_is_an_outage(command: str) -> None:
    """When the HSM is gone every question is unavailable, and none waits for its budget's end."""
    peer = Peer()
    async with support.opened(peer, budget=60.0) as hsm:
        await peer.stop()
        for _ in range(5):
            with pytest.raises(HsmUnavailable):
                await QUESTIONS[command](hsm)


@pytest.mark.parametrize("error", ["12", "13", "33", "39", "40", "41", "42", "90", "91", "92"])
@BY_COMMAND
async def test_sick_hsm_is_an_outage(command: str, error: str) -> None:
    """An HSM that says that it is ill is unavailable, whatever was asked."""
    peer = Peer()
    async with support.opened(peer, connections=1) as hsm:
        peer.errors[command] = error
        with pytest.raises(HsmUnavailable, match=f"error {error}"):
            await QUESTIONS[command](hsm)


@pytest.mark.parametrize("error", ["10", "11", "15", "22", "23", "26", "27", "28", "29", "51"])
@BY_COMMAND
async def test_refusal_is_configuration(command: str, error: str) -> None:
    """Key, field and header errors are configuration; the connection is kept for the next."""
    peer = Peer()
    async with support.opened(peer, connections=1) as hsm:
        peer.errors[command] = error
        with pytest.raises(HsmRejected, match=f"{command}: error {error}"):
            await QUESTIONS[command](hsm)
        peer.errors.clear()
        assert Verdict.MISMATCH is await hsm.verify_card_code(REFS["cvk"], CVV, pan=PAN, code="123")
        assert 1 == peer.asked["NC"]


@pytest.mark.parametrize("error", ["67", "68", "69", "80", "A1", "A4", "A6", "B0", "BE"])
async def test_licence_and_key_block_errors_are_configuration(error: str) -> None:
    """Licences, disabled commands and formats, and key blocks are configuration."""
    peer = Peer()
    async with support.opened(peer) as hsm:
        peer.errors["EC"] = error
        with pytest.raises(HsmRejected, match=f"error {error}"):
            await QUESTIONS["EC"](hsm)


@pytest.mark.parametrize("command", ["EC", "EA"])
@pytest.mark.parametrize("error", ["20", "24"])
async def test_pin_block_errors_are_unreadable(command: str, error: str) -> None:
    """The two codes of a block that decodes to nonsense cost nobody a PIN try."""
    peer = Peer()
    async with support.opened(peer) as hsm:
        peer.errors[command] = error
        assert Verdict.UNREADABLE is await QUESTIONS[command](hsm)


async def test_pin_of_another_length_is_a_wrong_pin() -> None:
    """A PIN that was read, but has another length than the offset, is a mismatch."""
    peer = Peer()
    async with support.opened(peer) as hsm:
        peer.errors["EA"] = "81"
        assert Verdict.MISMATCH is await QUESTIONS["EA"](hsm)


@pytest.mark.parametrize("error", ["01", "02", "20", "24"])
@pytest.mark.parametrize("command", ["B2", "CC", "M6"])
async def test_verdicts_belong_to_verifying_commands(command: str, error: str) -> None:
    """Codes of a verdict are none where nothing was verified."""
    peer = Peer()
    async with support.opened(peer) as hsm:
        peer.errors[command] = error
        with pytest.raises((HsmUnavailable, HsmRejected)):
            await QUESTIONS[command](hsm)


async def test_restarted_hsm_is_used_again() -> None:
    """After a restart every connection is made anew, without anybody's doing."""
    peer = Peer()
    async with support.opened(peer, connections=3) as hsm:
        await peer.stop()
        with pytest.raises(HsmUnavailable):
            await hsm.ping()
        await peer.start()
        await peer.until_connected(3)
        assert Verdict.MISMATCH is await asked_until_answered(hsm)


async def test_connection_lost_at_rest_is_noticed_before_a_question() -> None:
    """A peer that closes connections at rest costs no question its answer."""
    peer = Peer()
    async with support.opened(peer, connections=1) as hsm:
        port = peer.port
        await peer.stop()
        again = await Peer(port=port).start()
        try:
            await again.until_connected(1)
            assert Verdict.MISMATCH is await hsm.verify_card_code(
                REFS["cvk"], CVV, pan=PAN, code="123"
            )
        finally:
            await again.stop()


async def test_one_of_two_hsms_is_dead() -> None:
    """With one of two HSMs dead it starts and answers; once that one is back both are asked."""
    dead, alive = Peer(), Peer()
    await dead.start()
    await dead.stop()
    async with support.started(alive):
        hsm = support.hsm_over(dead, alive, connections=2)
        await hsm.open()
        try:
            for _ in range(8):
                await hsm.ping()
            assert 8 == alive.asked["B2"]
            async with support.started(dead):
                await dead.until_connected(2)
                while not dead.asked["B2"]:
                    await hsm.ping()
        finally:
            await hsm.close()


async def test_one_of_two_hsms_dies() -> None:
    """When one of two HSMs dies the other goes on answering."""
    dying, alive = Peer(), Peer()
    async with support.opened(dying, alive, connections=2) as hsm:
        await dying.stop()
        await asked_until_answered(hsm)
        for _ in range(8):
            await hsm.ping()
        assert alive.asked["B2"] == 8


async def test_one_of_two_hsms_is_sick() -> None:
    """An HSM that lost its LMK is left alone until it greets properly again."""
    sick, well = Peer(), Peer()
    async with support.opened(sick, well, connections=1) as hsm:
        sick.errors["NC"] = sick.errors["CY"] = "13"
        await asked_until_answered(hsm)
        await asked_until_answered(hsm)
        asked = sick.asked["CY"]
        for _ in range(4):
            assert Verdict.MISMATCH is await asked_until_answered(hsm)
        assert asked == sick.asked["CY"]


async def test_closed_backend_is_unavailable() -> None:
    """After close, and before open, every question is unavailable; no connection is left."""
    peer = Peer()
    async with support.started(peer):
        hsm = support.hsm_over(peer)
        with pytest.raises(HsmUnavailable):
            await hsm.ping()
        await hsm.open()
        await hsm.close()
        await peer.until_connected(0)
        with pytest.raises(HsmUnavailable):
            await hsm.ping()
        with pytest.raises(HsmUnavailable):
            hsm.check(REFS["cvk"], "C0")
        await hsm.open()
        await hsm.ping()
        await hsm.close()
