"""The demo's program, accounts and cards, as values ready for the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import orjson

from keys.software import issuing
from keys.software.key import Key

#: The cards for load tests: BIN, a serial of seven digits from this one, the check digit.
LOAD_BIN = "47617390"
LOAD_SERIAL_FIRST = 1_000_001
LOAD_PIN = "1234"
LOAD_SEQUENCE_NUMBER = "01"
LOAD_EXPIRY = "3012"
LOAD_SERVICE_CODE = "201"
LOAD_PVKI = "1"
LOAD_BALANCE_MINOR = 100_000_000
LOAD_CURRENCY = "978"

PROGRAM_ID = 1


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """An account with its opening balance, in minor units of its currency."""

    account_id: int
    reference: str
    currency: str
    posted_minor: int
    credit_limit_minor: int


@dataclass(frozen=True, slots=True)
class DemoCard:
    """A card with its one plastic, and what the ledger keeps of them."""

    account_id: int
    card_id: int
    pan: str = field(repr=False)
    sequence_number: str
    expiry: str
    service_code: str
    status: str
    pin_method: str
    pin_reference: str = field(repr=False)
    pin_tries: int
    channels_blocked: tuple[str, ...] = ()
    mcc_blocked: tuple[str, ...] = ()
    countries_allowed: tuple[str, ...] | None = None
    limits: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class DemoProgram:
    """All that `switch demo reset` loads."""

    program: dict[str, Any]
    accounts: tuple[DemoAccount, ...]
    cards: tuple[DemoCard, ...]


def read_program() -> DemoProgram:
    """The program that is packaged with the switch."""
    document = orjson.loads(files("switch.demo").joinpath("program.json").read_bytes())
    accounts = tuple(
        DemoAccount(
            number,
            row["account"],
            row["currency"],
            row["posted_minor"],
            row["credit_limit_minor"],
        )
        for number, row in enumerate(document["accounts"], start=1)
    )
    by_reference = {account.reference: account.account_id for account in accounts}
    cards = tuple(
        _card(number, by_reference[row["account"]], row)
        for number, row in enumerate(document["cards"], start=1)
    )
    return DemoProgram(document["program"], accounts, cards)


def _card(card_id: int, account_id: int, row: dict[str, Any]) -> DemoCard:
    controls = row.get("controls", {})
    countries = controls.get("countries_allowed")
    return DemoCard(
        account_id=account_id,
        card_id=card_id,
        pan=row["pan"],
        sequence_number=row["sequence_number"],
        expiry=row["expiry"],
        service_code=row["service_code"],
        status=row["status"],
        pin_method=row["pin_method"],
        pin_reference=row["pin_reference"],
        pin_tries=row["pin_tries"],
        channels_blocked=tuple(controls.get("channels_blocked", ())),
        mcc_blocked=tuple(controls.get("mcc_blocked", ())),
        countries_allowed=None if countries is None else tuple(countries),
        limits=tuple(row.get("limits", ())),
    )


def load_pan(number: int) -> str:
    """The PAN of the load card of that number, from 0."""
    payload = f"{LOAD_BIN}{LOAD_SERIAL_FIRST + number:07d}"
    return payload + luhn_digit(payload)


def luhn_digit(payload: str) -> str:
    """The check digit of ISO/IEC 7812-1, annex B."""
    digits = [int(digit) for digit in reversed(payload)]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[::2])
    return str(-(doubled + sum(digits[1::2])) % 10)


def load_cards(first: int, count: int, pvk: Key) -> Iterator[tuple[DemoAccount, DemoCard]]:
    """Load cards from the number `first` on, each with an account of its own.

    Their PIN values are made here because they are a demonstration's: an issuer
    makes them in an HSM.
    """
    for number in range(first, first + count):
        pan, serial = load_pan(number), LOAD_SERIAL_FIRST + number
        pvv = issuing.visa_pvv(pvk, pan=pan, pvki=LOAD_PVKI, pin=LOAD_PIN)
        yield (
            DemoAccount(serial, f"load-{serial}", LOAD_CURRENCY, LOAD_BALANCE_MINOR, 0),
            DemoCard(
                account_id=serial,
                card_id=serial,
                pan=pan,
                sequence_number=LOAD_SEQUENCE_NUMBER,
                expiry=LOAD_EXPIRY,
                service_code=LOAD_SERVICE_CODE,
                status="active",
                pin_method="visa_pvv",
                pin_reference=LOAD_PVKI + pvv,
                pin_tries=0,
            ),
        )
