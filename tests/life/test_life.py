"""Whatever messages come, in whatever order: the ledger does what docs/life.md says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.flows.support import House
from tests.life.driver import Disagreement, replay, shorten
from tests.life.steps import Again, Change, Expire, Send, Step, Unwind, sequences

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

STAND_IN: Any = {"mti": "0120", "has_code": True, "response": "00"}
ANOTHER: Any = {"number": 1, "has_rrn": False}

#: What once went wrong, or nearly did.
SEQUENCES: dict[str, Sequence[Step]] = {
    "one purchase is not held twice, though only its RRN tells": [
        Send(mti="0120", number=1, has_code=True, response="00"),
        Send(),
    ],
    "a posting is reversed once, by whatever messages": [
        Send(mti="0200"),
        Send(mti="0420", number=1, names=("0200", 0)),
        Send(mti="0420", number=2, names=("0200", 0)),
        Send(mti="0220", number=3, names=("0100", 9)),
        Send(mti="0420", number=4, names=("0220", 3), keep=40),
        Send(mti="0420", number=5, names=("0220", 3), keep=60),
        Send(mti="0420", number=6, names=("0220", 3)),
        Send(mti="0420", number=7, names=("0220", 3)),
    ],
    "a hold is reversed in parts, and never more than remains": [
        Send(),
        Send(mti="0400", number=1, names=("0100", 0), keep=60),
        Send(mti="0400", number=2, names=("0100", 0), keep=80),
        Send(mti="0220", number=3, names=("0100", 0), amount=50, is_final=False),
        Send(mti="0400", number=4, names=("0100", 0), keep=55),
        Send(mti="0400", number=5, names=("0100", 0)),
        Send(mti="0420", number=6, names=("0220", 3)),
    ],
    "a mark under a scheme id is met": [
        Send(**ANOTHER, **STAND_IN, has_scheme_id=True),
        Send(has_rrn=False, has_scheme_id=True),
    ],
    "a mark under a trace is met whatever the amount, also beside one under the RRN": [
        Send(**STAND_IN, amount=200),
        Send(amount=100),
    ],
    "a mark serves one original": [
        Send(**STAND_IN),
        Send(),
        Send(number=1),
    ],
    "a repeat of what was advised and then reversed is declined": [
        Send(**STAND_IN),
        Send(),
        Send(mti="0420", names=("0120", 0)),
        Again(),
    ],
    "another amount under the key of what was advised is no repeat": [
        Send(**STAND_IN),
        Send(),
        Send(amount=50),
    ],
    "an original that was reversed before it came is nobody's purchase": [
        Send(mti="0400", names=("0100", 0)),
        Send(),
        Send(**STAND_IN, number=1),
    ],
    "an advice by the RRN of a declined increment replaces the whole purchase": [
        Send(),
        Send(number=1, amount=1200, addition="1", names=("0100", 0)),
        Send(**STAND_IN, number=2),
    ],
    "a partial approval of an increment": [
        Send(),
        Send(number=1, amount=1200, addition="1", takes_less=True, names=("0100", 0)),
    ],
    "reversing an extension leaves the hold": [
        Send(),
        Send(number=1, amount=0, addition="2", names=("0100", 0)),
        Send(mti="0400", names=("0100", 1)),
    ],
    "an extension needs no billing amount": [
        Send(slot=2),
        Send(slot=2, number=1, amount=0, is_billed=False, addition="2", names=("0100", 0)),
    ],
    "what an advice answered does not extend its hold": [
        Send(**STAND_IN, amount=50),
        Send(card=2, slot=2),
        Send(amount=50, addition="1", names=("0100", 1)),
    ],
    "an inquiry is not completed": [Send(mti="0220", slot=3, kind="inquiry")],
    "no RRN and the same code are no clue": [
        Send(mti="0220", amount=200, has_rrn=False, has_code=True),
        Send(mti="0220", slot=1, has_rrn=False, has_code=True, is_final=False),
    ],
    "a reversal of an 0200 that its advice was before gives back what the advice posted": [
        Send(mti="0220", amount=300, names=("0200", 0)),
        Send(mti="0200", amount=300),
        Send(mti="0420", names=("0200", 0)),
    ],
    "a second advice of an 0200, found by scheme id, tells again what it came to": [
        Send(mti="0200", has_scheme_id=True),
        Send(mti="0220", number=1, amount=200, has_scheme_id=True),
        Send(mti="0220", number=2, amount=50, has_scheme_id=True),
    ],
    "what is to remain of an advised verification": [
        Send(amount=0),
        Send(**STAND_IN, number=1),
        Send(mti="0400", keep=30),
    ],
    "unknown cards are apart": [
        Send(**STAND_IN, card=3),
        Send(**STAND_IN, card=4, number=1),
    ],
    "a suspended advice is suspended once, though its original came": [
        Send(**STAND_IN, slot=2, is_billed=False),
        Send(slot=2, number=1),
        Again(mti="0120", slot=2),
    ],
    "an advice suspended for a closed account is suspended once, though its original came": [
        Change(what="account_closed"),
        Send(**STAND_IN),
        Send(),
        Again(mti="0120"),
    ],
    "a declined original without billing amount gives no rate": [
        Send(slot=2, is_billed=False),
        Send(**STAND_IN, slot=2, is_billed=False),
    ],
    "a reversal needs no billing amount to be remembered": [
        Send(mti="0400", slot=2, is_billed=False, names=("0100", 0)),
        Send(slot=2),
    ],
    "a reversal is remembered when the account was closed since": [
        Send(mti="0400", number=1, names=("0120", 0)),
        Change(what="account_closed"),
        Send(**STAND_IN),
    ],
    "a decline that was reversed is not advised any more": [
        Send(amount=1200),
        Send(mti="0400", names=("0100", 0)),
        Again(),
        Send(**STAND_IN, number=1),
    ],
    "reversing an advice that declined moves nothing": [
        Send(),
        Send(mti="0120", number=1, response="51"),
        Send(**STAND_IN, number=2),
        Send(mti="0420", names=("0120", 1)),
    ],
    "an advice does not take a completion's mark over": [
        Send(mti="0220", has_scheme_id=True, has_code=True),
        Send(mti="0120", number=1, has_scheme_id=True, has_code=True, response="05"),
        Send(mti="0200", amount=333, has_scheme_id=True),
    ],
    "an original answers as the last of its advices": [
        Send(mti="0120", response="05"),
        Send(**STAND_IN, number=1),
        Send(),
    ],
    "a reversal with a billing amount finds its advice that had none": [
        Send(**STAND_IN, slot=2, is_billed=False),
        Send(mti="0420", slot=2, names=("0120", 0)),
    ],
    "a cryptogram is good once, also one that was declined, and a repeat is its original": [
        Send(amount=1200, atc=5),
        Send(number=1, atc=5),
        Send(slot=1, atc=4),
        Send(slot=1, number=1, atc=5, amount=1200),
        Again(),
        Again(slot=1),
        Send(card=2, atc=5),
    ],
    "what was taken back has used its cryptogram up": [
        Send(atc=30),
        Unwind(),
        Again(),
        Send(number=1, atc=30),
        Send(number=2, atc=13),
    ],
    "an original that an advice answered has used its cryptogram up": [
        Send(**STAND_IN),
        Send(atc=1),
        Send(slot=1, atc=1),
    ],
    "an advice outlives the unwinding and the expiry": [
        Send(),
        Send(**STAND_IN, number=1),
        Unwind(),
        Expire(),
        Again(),
    ],
}


@pytest.mark.parametrize("steps", SEQUENCES.values(), ids=SEQUENCES)
async def test_sequence(house: House, steps: Sequence[Step]) -> None:
    """The ledger and the model agree on it."""
    await replay(house, steps)


@settings(
    deadline=None,
    derandomize=True,
    max_examples=240,
    phases=[Phase.generate],  # what fails is shortened below
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=sequences(5))
async def test_life(house: House, steps: Sequence[Step]) -> None:
    """The ledger and the model give the same answers and come to the same money."""
    try:
        await replay(house, steps)
    except Disagreement as error:
        raise await shorten(house, error) from None
