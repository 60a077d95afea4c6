"""The model by itself: the demo's day, and the sentences of docs/life.md one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.life.model import Answer, Model
from tests.life.money import Account, Card, Row
from tests.life.reading import read
from tests.life.steps import Send

DAY = Path(__file__).parent.parent / "golden" / "scenario.jsonl"
PANS = ("4761739000000012", "4761739000000020", "4761739000000228")


def demo() -> list[dict[str, Any]]:
    """The demo's messages of low balances, reversals, advices and completions."""
    lines = [orjson.loads(line) for line in DAY.read_bytes().splitlines()]
    return [line for line in lines if 20 <= line["id"] <= 31 or 62 <= line["id"] <= 71]


def test_demo_day() -> None:
    """The model answers the demo's messages as the demo expects, to the last balance."""
    # The third account has two holds of 15.00 from before.
    accounts = [Account("", posted=posted) for posted in (100_000, 1_000, 97_000)]
    model = Model({pan: Card(pan, own) for pan, own in zip(PANS, accounts, strict=True)})
    codes: dict[int, str] = {}
    for line in demo():
        fields = {int(number): value for number, value in line["fields"].items()}
        if fields.get(38, "").startswith("from"):
            fields[38] = codes[int(fields[38].split()[1])]
        answer, row = model.receive(read(line["mti"], fields))
        assert line["expect"]["39"] == answer.response_code, line["note"]
        if answer.available is not None:
            assert line["expect"]["54"] == f"0002978C{answer.available:012d}"
        if row:
            codes[line["id"]] = row.code = row.code or f"{line['id']:06d}"
    assert [(100_000, 0), (1_000, 1_000), (83_765, 0)] == [
        (account.posted, account.held) for account in accounts
    ]


class Play:
    """One card with 10.00 on its account."""

    def __init__(self) -> None:
        self.account = Account("", posted=1_000)
        self.model = Model({"1": Card("1", self.account)})

    def send(self, **how: Any) -> tuple[Answer, Row | None]:
        """Send a message as a step has it."""
        step = Send(**how)
        return self.model.receive(read(step.mti, step.fields(1, "1", "CODE01")))

    @property
    def stands(self) -> tuple[int, int]:
        """What is posted and held."""
        return self.account.posted, self.account.held


@pytest.mark.parametrize(
    ("messages", "posted", "held"),
    [
        ([{"amount": 300}], 1_000, 300),
        ([{"amount": 300}, {"amount": 300}], 1_000, 300),
        ([{"amount": 1_200}], 1_000, 0),
        ([{"amount": 1_200, "takes_less": True}], 1_000, 1_000),
        ([{"mti": "0200", "amount": 300}], 700, 0),
        ([{"mti": "0200", "kind": "refund"}], 1_100, 0),
        ([{"kind": "refund"}], 1_000, 0),
        # A completion: final, not final, above the hold, a second one, one of nothing.
        ([{"amount": 300}, {"mti": "0220", "amount": 200, "names": ("0100", 0)}], 800, 0),
        ([{"amount": 300}, {"mti": "0220", "names": ("0100", 0), "is_final": False}], 900, 200),
        ([{}, {"mti": "0220", "amount": 1_200, "names": ("0100", 0)}], -200, 0),
        ([{}, *[{"mti": "0220", "number": n, "names": ("0100", 0)} for n in (0, 1)]], 800, 0),
        ([{}, {"mti": "0220", "amount": 0, "names": ("0100", 0)}], 1_000, 0),
        # A financial advice tells what its 0200 came to.
        ([{"mti": "0200"}, {"mti": "0220", "amount": 50, "names": ("0200", 0)}], 950, 0),
        # A reversal: whole, partial, of an increment alone, of what is completed, before all.
        ([{"amount": 300}, {"mti": "0400", "names": ("0100", 0)}], 1_000, 0),
        ([{"amount": 300}, {"mti": "0400", "names": ("0100", 0), "keep": 100}], 1_000, 100),
        ([{"amount": 300}, {"mti": "0400"}], 1_000, 0),
        ([{"mti": "0200"}, {"mti": "0400", "names": ("0200", 0), "keep": 40}], 960, 0),
        (
            [
                {"amount": 300},
                {"number": 1, "addition": "1", "names": ("0100", 0)},
                {"mti": "0400", "names": ("0100", 1)},
            ],
            1_000,
            300,
        ),
        (
            [{}, {"mti": "0220", "names": ("0100", 0)}, {"mti": "0400", "names": ("0100", 0)}],
            900,
            0,
        ),
        ([{"mti": "0400", "names": ("0100", 0)}, {}], 1_000, 0),
        # An advice: alone, over our hold, over our decline, declined, after its reversal.
        ([{"mti": "0120", "response": "00", "amount": 1_200}], 1_000, 1_200),
        ([{}, {"mti": "0120", "response": "00", "amount": 300}], 1_000, 300),
        ([{"amount": 1_200}, {"mti": "0120", "response": "00", "amount": 300}], 1_000, 300),
        ([{}, {"mti": "0120", "response": "05"}], 1_000, 0),
        ([{"mti": "0400", "names": ("0120", 0)}, {"mti": "0120", "response": "00"}], 1_000, 0),
        # An advice or completion before its original.
        ([{"mti": "0120", "response": "00"}, {}], 1_000, 100),
        ([{"mti": "0220", "names": ("0100", 0)}, {}], 900, 0),
    ],
)
def test_money(messages: list[dict[str, Any]], posted: int, held: int) -> None:
    """What messages of one buying do to an account of 10.00."""
    play = Play()
    for message in messages:
        play.send(**message)
    assert (posted, held) == play.stands


def test_completed_late() -> None:
    """A hold that expired is posted in full by its completion."""
    play = Play()
    _, row = play.send(amount=300)
    assert row is not None
    play.model.expire(row)
    assert (1_000, 0) == play.stands
    play.send(mti="0220", amount=300, names=("0100", 0))
    assert (700, 0) == play.stands


@pytest.mark.parametrize(("between", "held"), [([], 0), ([{"mti": "0120", "response": "00"}], 100)])
def test_unwound(between: list[dict[str, Any]], held: int) -> None:
    """Unwinding takes a hold back, but for one that an advice has confirmed meanwhile."""
    play = Play()
    _, row = play.send()
    assert row is not None
    for message in between:
        play.send(**message)
    play.model.unwind(row)
    assert (1_000, held) == play.stands
    assert "05" == play.send()[0].response_code
