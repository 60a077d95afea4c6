"""Files of rules: what they say, and what is refused in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from switch.operate.trial import Rules, RulesError, read_rules

WHOLE = """
programs = ["demo"]
currency = "978"

[[limits]]
scope = "cash"
period = "day"
amount = 300.10
count = 3

[[limits]]
scope = "all"
period = "month"
remove = true

[controls]
block_channels = ["ecommerce", "cash"]
allow_mccs = ["7995"]
countries = "all"
"""

REFUSED = [
    ("limit = 1", "limit: unknown key"),
    ('programs = ["a"]\ncards = [1]', "programs and cards: give one of them"),
    ('programs = "demo"', "programs: must be a list"),
    ('cards = ["17"]', "cards[0]: must be a whole number"),
    ("cards = [0]", "cards[0]: must be 1 to 9223372036854775807"),
    ('currency = "eur"', "currency: must be the three digits of an ISO 4217 currency, like 978"),
    ("limits = 3", "limits: must be a list"),
    ("cards = []", "cards: must name one at least; without it, every card is meant"),
    ("programs = []", "programs: must name one at least; without it, every card is meant"),
    ("[[limits]]", "limits[0].scope: is required"),
    ('[[limits]]\nscope = "web"\nperiod = "day"\ncount = 1',
     "limits[0].scope: must be 'all', 'purchase', 'cash', 'ecommerce' or 'contactless'"),
    ('[[limits]]\nscope = "all"\nperiod = "day"',
     "limits[0]: give amount, count or both; or remove = true"),
    ('[[limits]]\nscope = "all"\nperiod = "day"\ncount = 1\nremove = true',
     "limits[0]: give amount, count or both; or remove = true"),
    ('[[limits]]\nscope = "all"\nperiod = "day"\ncount = -1',
     "limits[0].count: must be 0 to 2147483647"),
    ('[[limits]]\nscope = "all"\nperiod = "day"\ncount = 1.5',
     "limits[0].count: must be a whole number"),
    ('[[limits]]\nscope = "all"\nperiod = "transaction"\ncount = 1',
     "limits[0]: a transaction is one debit: give amount, and no count"),
    ('[[limits]]\nscope = "all"\nperiod = "day"\ncount = 1\n' * 2,
     "limits: all day stands there twice"),
    ('[[limits]]\nscope = "all"\nperiod = "day"\namounts = 1', "limits[0].amounts: unknown key"),
    ("controls = 1", "controls: must be a table"),
    ('[controls]\nblock_channels = ["web"]',
     "controls.block_channels[0]: must be one of chip, contactless, stripe, manual, ecommerce, "
     "other, cash"),
    ('[controls]\nblock_mccs = ["79"]',
     "controls.block_mccs[0]: must be four digits, like 7995"),
    ('[controls]\nblock_mccs = ["7995"]\nallow_mccs = ["7995"]',
     "controls: 7995: blocked and allowed at once"),
    ('[controls]\ncountries = ["DE"]',
     "controls.countries[0]: must be the three digits of an ISO 3166 country, like 276"),
    ("[controls]\ncountries = []", 'controls.countries: must name one at least, or be "all"'),
    ("scope", "is not TOML: Expected '=' after a key in a key/value pair (at end of document)"),
]  # fmt: skip

AMOUNT = '[[limits]]\nscope = "all"\nperiod = "day"\namount = '

#: What is no amount in any currency.
NO_AMOUNTS = [
    ("-3", "limits[0].amount: must not be negative"),
    ("-3.50", "limits[0].amount: must not be negative"),
    ('"-3"', "limits[0].amount: must not be negative"),
    ('"3 EUR"', "limits[0].amount: must be digits with at most one point, like 25.00"),
    ("nan", "limits[0].amount: must be digits with at most one point, like 25.00"),
    ("inf", "limits[0].amount: must be digits with at most one point, like 25.00"),
    ("1e3", "limits[0].amount: must be digits with at most one point, like 25.00"),
    ('"3."', "limits[0].amount: must be digits with at most one point, like 25.00"),
    ("0.0001", "limits[0].amount: has more decimals than any currency"),
    ("1" + "0" * 15, "limits[0].amount: is larger than any amount that is kept"),
    ("1" * 5_000, "a number in it is too large"),
    ("true", "limits[0].amount: must be an amount, like 25.00"),
    ("[3]", "limits[0].amount: must be an amount, like 25.00"),
    ("2026-11-22", "limits[0].amount: must be an amount, like 25.00"),
]

#: What is none in euros.
AMOUNTS = [
    ("300.001", "limits[0].amount: has more decimals than the 2 of its currency"),
    ("1" + "0" * 13, "limits[0].amount: is larger than any amount that is kept"),
]


def read(folder: Path, text: str) -> Rules:
    """Rules as a file tells them."""
    path = folder / "rules.toml"
    path.write_text(text)
    return read_rules(path)


def test_a_whole_file(tmp_path: Path) -> None:
    """Limits become minor units of the currency they are for; what is not given stays open."""
    rules = read(tmp_path, WHOLE)
    assert ("demo",) == rules.programs
    assert [
        {"currency": "978", "scope": "cash", "period": "day", "amount_minor": 30_010, "count": 3,
         "removes": False},
        {"currency": "978", "scope": "all", "period": "month", "amount_minor": None, "count": None,
         "removes": True},
    ] == rules.minor_limits(["978"])  # fmt: skip
    assert rules.controls is not None
    assert {
        "channels_blocked": ("ecommerce", "cash"), "channels_allowed": (),
        "mcc_blocked": (), "mcc_allowed": ("7995",),
        "sets_countries": True, "countries_allowed": None,
    } == rules.controls.as_stored()  # fmt: skip


@pytest.mark.parametrize(("text", "says"), REFUSED, ids=[says for _, says in REFUSED])
def test_what_is_refused(tmp_path: Path, text: str, says: str) -> None:
    """One line names the file, the key and what it must be."""
    with pytest.raises(RulesError) as refused:
        read(tmp_path, text)
    assert f"{tmp_path / 'rules.toml'}: {says}" == str(refused.value)


@pytest.mark.parametrize(
    ("amount", "says"), NO_AMOUNTS, ids=[amount[:20] for amount, _ in NO_AMOUNTS]
)
def test_amounts_in_no_currency(tmp_path: Path, amount: str, says: str) -> None:
    """They are refused when the file is read."""
    with pytest.raises(RulesError) as refused:
        read(tmp_path, AMOUNT + amount)
    assert f"{tmp_path / 'rules.toml'}: {says}" == str(refused.value)


@pytest.mark.parametrize(("amount", "says"), AMOUNTS, ids=[amount for amount, _ in AMOUNTS])
def test_amounts_that_are_none(tmp_path: Path, amount: str, says: str) -> None:
    """An amount must be one in the currency of the accounts."""
    rules = read(tmp_path, AMOUNT + amount)
    with pytest.raises(RulesError) as refused:
        rules.minor_limits(["978"])
    assert says == str(refused.value)


def test_an_amount_in_several_currencies(tmp_path: Path) -> None:
    """300.00 EUR is not 300 yen: which is meant must be said. A count may be for all."""
    rules = read(tmp_path, '[[limits]]\nscope = "all"\nperiod = "day"\namount = 300\n')
    with pytest.raises(RulesError, match=r"several currencies \(392, 978\): say which one"):
        rules.minor_limits(["392", "978"])
    rules = read(tmp_path, '[[limits]]\nscope = "all"\nperiod = "day"\ncount = 3\n')
    assert [("392", 3), ("978", 3)] == [
        (one["currency"], one["count"]) for one in rules.minor_limits(["392", "978"])
    ]


def test_what_is_no_file(tmp_path: Path) -> None:
    """What is not there, or is no text, is refused in one line too."""
    with pytest.raises(RulesError, match="cannot be read: No such file or directory"):
        read_rules(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(RulesError, match="must be UTF-8"):
        read_rules(tmp_path / "bytes.toml")
