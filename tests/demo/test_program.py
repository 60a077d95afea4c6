"""The demo's values: cards that a checker outside agrees with, and nothing secret in a package."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
from psec.pin import generate_visa_pvv

from switch.demo.program import DemoCard, load_cards, load_pan, luhn_digit, read_program
from tests.traffic import KEYS, ROOT, SECRETS

DEMO = read_program()


def passes_luhn(pan: str) -> bool:
    """The check of ISO/IEC 7812-1, annex B, written for itself."""
    total = 0
    for place, digit in enumerate(map(int, reversed(pan))):
        total += digit if place % 2 == 0 else (digit * 2 - 9 if digit > 4 else digit * 2)
    return total % 10 == 0


def test_there_are_22_cards_on_21_accounts() -> None:
    """Two cards share an account, and every card has one."""
    accounts = {account.account_id for account in DEMO.accounts}
    assert (22, 21) == (len(DEMO.cards), len(accounts))
    assert accounts == {card.account_id for card in DEMO.cards}


def test_the_packaged_program_is_the_one_of_the_tests() -> None:
    """Cards, accounts and statuses are those whose secrets the tests know."""
    known = [
        (
            card["pan"], card["pan_sequence_number"], card["expiry"], card["service_code"],
            card["status"], card["pin_tries"],
            card.get("pvki", "") + card["pvv"] if card["pin_method"] == "visa_pvv"
            else card["pin_offset"],
        )
        for card in SECRETS["cards"]
    ]  # fmt: skip
    assert known == [
        (
            c.pan, c.sequence_number, c.expiry, c.service_code,
            c.status, c.pin_tries, c.pin_reference,
        )
        for c in DEMO.cards
    ]  # fmt: skip
    assert SECRETS["program"]["hold_hours"] == DEMO.program["settings"]["hold_hours"]
    assert [account["posted_minor"] for account in SECRETS["accounts"]] == [
        account.posted_minor for account in DEMO.accounts
    ]


def test_no_secret_is_packaged() -> None:
    """No clear key, PIN or card code stands in a file of the switch; keys are key blocks."""
    texts = [path for folder in ("switch", "specs", "keys") for path in (ROOT / folder).rglob("*")]
    packaged = "\n".join(
        path.read_text() for path in texts if path.suffix in (".json", ".toml", ".dev", ".md")
    ).upper()
    for key in SECRETS["keys"].values():
        assert key["clear"] not in packaged
    program = json.loads(files("switch.demo").joinpath("program.json").read_text())
    for card in program["cards"]:
        assert {"pin", "cvv", "icvv", "cvv2"}.isdisjoint(card)


@pytest.mark.parametrize("number", [0, 1, 9, 10, 99_999, 8_000_000])
def test_a_load_pan_passes_luhn(number: int) -> None:
    """PANs for load tests are valid, in the BIN, each its own."""
    pan = load_pan(number)
    assert re.fullmatch(r"47617390[0-9]{8}", pan)
    assert passes_luhn(pan)
    assert pan[-1] == luhn_digit(pan[:-1])


def test_every_demo_pan_passes_luhn() -> None:
    """The demo's PANs are valid, those of 19 digits too."""
    assert [] == [card.pan for card in DEMO.cards if not passes_luhn(card.pan)]


def test_load_cards_have_the_pin_1234() -> None:
    """An implementation that is not ours makes the same PIN verification values for 1234."""
    made = [card for _, card in load_cards(7, 5, KEYS["pvk"])]
    assert [load_pan(number) for number in range(7, 12)] == [card.pan for card in made]
    for card in made:
        theirs = generate_visa_pvv(KEYS["pvk"].material, "1", "1234", card.pan)
        assert f"1{theirs}" == card.pin_reference


def test_a_card_shows_no_pan() -> None:
    """The repr of a card names neither PAN nor PIN reference."""
    card = DEMO.cards[0]
    assert isinstance(card, DemoCard)
    assert card.pan not in repr(card)
    assert card.pin_reference not in repr(card)


def test_the_demo_folder_has_nothing_else() -> None:
    """What is published is a program, its loader, and what makes its messages and cards."""
    folder = Path(str(files("switch.demo")))
    names = {path.name for path in folder.iterdir()} - {"__pycache__"}
    pages = {"__init__.py", "cards_in_hand.py", "loader.py", "program.py", "remaking.py"}
    assert {*pages, "program.json"} == names
