"""A message becomes a typed request once, or a `MessageError` that names the field."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs.spec import load
from switch.deadline import Deadline
from switch.stopwatch import Stopwatch
from switch.wire.message import Message, MessageError
from switch.wire.requests import AuthorizationRequest, Money
from tests.wire.strategies import values

SPEC = load("iso87-ascii")
PAN, OTHER_PAN = "4761739000000012", "4761739000000020"
TRACK_2 = "301220110385625"
TRACK_1 = "^DOE/JANE^301220110385625"
PIN_BLOCK, CVV2, ARQC = "0E0E74D9913BEEA8", "413", "8A7F3E2D1C0B9A88"

PURCHASE: Mapping[int, str] = {
    3: "000000", 4: "000000002500", 7: "1123120000", 11: "000001", 22: "051", 32: "476173",
    37: "000000000001", 41: "TERM0001", 49: "978",
}  # fmt: skip


def parse(
    fields: Mapping[int, str | None], mti: str = "0100", link: str = "demo"
) -> AuthorizationRequest:
    """Parse a purchase with these fields instead of, or beside, its own."""
    whole = {n: value for n, value in {**PURCHASE, **fields}.items() if value is not None}
    now = time.monotonic()
    return AuthorizationRequest.parse(
        Message(mti, whole),
        SPEC,
        link=link,
        deadline=Deadline(now, now + 1, now + 1),
        watch=Stopwatch(),
    )


# ---- the card ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "pan", "expiry"),
    [
        ({2: PAN},                                               PAN, None),
        ({2: PAN, 14: "2911"},                                   PAN, "2911"),
        ({35: f"{PAN}={TRACK_2}"},                               PAN, "3012"),
        ({35: f"{PAN}={TRACK_2}", 14: "2911"},                   PAN, "2911"),
        ({45: f"B{PAN}{TRACK_1}"},                               PAN, "3012"),
        ({2: PAN, 35: f"{PAN}={TRACK_2}"},                       PAN, "3012"),
        ({2: PAN, 45: f"B{PAN}{TRACK_1}"},                       PAN, "3012"),
        ({2: PAN, 35: f"{PAN}={TRACK_2}", 45: f"B{PAN}{TRACK_1}"}, PAN, "3012"),
    ],
)  # fmt: skip
def test_pan(fields: dict[int, str], pan: str, expiry: str | None) -> None:
    """The PAN is DE2, else the track's; the expiry is DE14, else the track's."""
    request = parse(fields)
    assert (pan, expiry) == (request.pan, request.expiry)


@pytest.mark.parametrize(
    ("fields", "problem", "field"),
    [
        ({},                                        "missing",            "pan"),
        ({2: OTHER_PAN, 35: f"{PAN}={TRACK_2}"},    "differs_from_track", "pan"),
        ({2: OTHER_PAN, 45: f"B{PAN}{TRACK_1}"},    "differs_from_track", "pan"),
        ({35: f"{PAN}{TRACK_2}"},                   "format", "track_2_data"),
        ({2: PAN, 35: f"{PAN}{TRACK_2}"},           "format", "track_2_data"),
        ({2: PAN, 35: f"{PAN}=30"},                 "format", "track_2_data"),
        ({45: f"A{PAN}{TRACK_1}"},                  "format", "track_1_data"),
        ({2: PAN, 14: "3000"},                      "format", "date_expiration"),
        ({2: PAN, 14: "3013"},                      "format", "date_expiration"),
        ({2: PAN, 14: "3099"},                      "format", "date_expiration"),
        ({35: f"{PAN}=3013201"},                    "format", "date_expiration"),
        ({35: f"{PAN}=3000201"},                    "format", "date_expiration"),
        ({2: PAN, 55: "9F26"},                      "format", "icc_data"),
        ({2: PAN, 55: "9F2608AABB"},                "format", "icc_data"),
        ({2: PAN, 55: "9F260280"},                  "format", "icc_data"),
        ({2: PAN, 55: "82023C0082023C00"},          "format", "icc_data"),
        ({2: PAN, 55: "820300"},                    "format", "icc_data"),
        ({2: PAN, 48: "9203"},                      "format", "additional_data_private"),
        ({2: PAN, 48: "9299413"},                   "format", "additional_data_private"),
        ({2: PAN, 48: "92034139203414"},            "format", "additional_data_private"),
        ({2: PAN, 48: "AB03413"},                   "format", "additional_data_private"),
        ({2: PAN, 3: "090000", 54: "0040978D00"},   "format", "additional_amounts"),
        ({2: PAN, 3: "090000", 54: "0040978X000000001000"}, "format", "additional_amounts"),
    ],
)  # fmt: skip
def test_unreadable(fields: dict[int, str | None], problem: str, field: str) -> None:
    """What cannot be read is named by its field, never by its value, and can still be answered."""
    with pytest.raises(MessageError) as raised:
        parse(fields)
    error = raised.value
    assert (problem, field) == (error.problem, error.field)
    assert error.readable is not None
    assert "000001" == error.readable.fields[11]
    assert error.__cause__ is None
    for secret in (PAN, OTHER_PAN, TRACK_2, "413"):
        assert secret not in f"{error} {error!r} {error.readable!r}"


# ---- the amount -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "transaction", "billing"),
    [
        ({},                                    Money(2_500, "978"), None),
        ({6: "000000002700", 51: "840"},        Money(2_500, "978"), Money(2_700, "840")),
        ({6: "000000002700"},                   Money(2_500, "978"), None),
        ({51: "840"},                           Money(2_500, "978"), None),
        ({4: "9" * 12},                         Money(999_999_999_999, "978"), None),
        ({49: "000"},                           Money(2_500, "000"), None),
        ({49: "EUR"},                           Money(2_500, "EUR"), None),
    ],
)  # fmt: skip
def test_money(fields: dict[int, str | None], transaction: Money, billing: Money | None) -> None:
    """Amounts are minor units of their currency, whatever it is; a billing amount needs both."""
    request = parse({2: PAN, **fields})
    assert (transaction, billing) == (request.transaction, request.billing)


@pytest.mark.parametrize(
    ("code", "amount", "kind"),
    [
        ("000000", 1, "purchase"),
        ("003000", 1, "purchase"),
        ("010000", 1, "cash"),
        ("090000", 1, "cashback"),
        ("200000", 1, "refund"),
        ("310000", 0, "inquiry"),
        ("310000", 1, "inquiry"),
        ("000000", 0, "verification"),
        ("010000", 0, "verification"),
        ("090000", 0, "verification"),
        ("200000", 0, "refund"),
        ("300000", 1, "unknown"),
        ("260000", 1, "credit"),
        ("280000", 1, "credit"),
        ("990000", 0, "unknown"),
    ],
)
def test_kind(code: str, amount: int, kind: str) -> None:
    """The first two digits of DE3 say what is asked; a debit of nothing asks for the card."""
    request = parse({2: PAN, 3: code, 4: f"{amount:012d}"})
    assert kind == request.kind


EUR_10, EUR_30, AVAILABLE = (
    "0040978D000000001000", "0040978D000000003000", "0002978C000000000100",
)  # fmt: skip


@pytest.mark.parametrize(
    ("code", "amounts", "cash"),
    [
        ("000000", None,               0),
        ("000000", EUR_10,             0),
        ("010000", None,               2_500),
        ("010000", EUR_10,             2_500),
        ("090000", EUR_10,             1_000),
        ("090000", AVAILABLE + EUR_10, 1_000),
        ("090000", EUR_30,             2_500),
        ("090000", None,               2_500),
        ("090000", AVAILABLE,          2_500),
        ("090000", "0040978D000000000000", 0),
    ],
)  # fmt: skip
def test_cash(code: str, amounts: str | None, cash: int) -> None:
    """Of a cashback what DE54 says is cash, at most all; where it does not say, all."""
    assert cash == parse({2: PAN, 3: code, 54: amounts}).cash_minor


def test_cash_in_another_currency() -> None:
    """The cash of a cashback is read in the transaction's currency; another's says nothing."""
    yen_10 = "0040392D000000000010"
    assert 2_500 == parse({2: PAN, 3: "090000", 54: yen_10}).cash_minor
    assert 1_000 == parse({2: PAN, 3: "090000", 54: yen_10 + EUR_10}).cash_minor


# ---- how it was read --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry_mode", "condition", "channel"),
    [
        ("012", None, "manual"),
        ("021", None, "stripe"),
        ("901", None, "stripe"),
        ("051", None, "chip"),
        ("951", None, "chip"),
        ("071", None, "contactless"),
        ("911", None, "contactless"),
        ("801", None, "stripe"),
        ("812", None, "ecommerce"),
        ("012", "59", "ecommerce"),
        ("051", "00", "chip"),
        ("999", None, "other"),
        (None,  None, "other"),
        (None,  "59", "ecommerce"),
    ],
)  # fmt: skip
def test_channel(entry_mode: str | None, condition: str | None, channel: str) -> None:
    """DE22 says how the card was read; DE25 may say that it was on the net."""
    assert channel == parse({2: PAN, 22: entry_mode, 25: condition}).channel


@pytest.mark.parametrize(
    ("fields", "number"),
    [
        ({},                                       "00"),
        ({23: "001"},                              "01"),
        ({55: "5F340102"},                         "02"),
        ({23: "001", 55: "5F340102"},              "02"),
        ({23: "001", 55: "82023C00"},              "01"),
    ],
)  # fmt: skip
def test_pan_sequence_number(fields: dict[int, str | None], number: str) -> None:
    """The chip's own word before DE23's: two digits."""
    assert number == parse({2: PAN, **fields}).pan_sequence_number


def test_secrets() -> None:
    """CVV2, PIN block and chip data are read from their fields."""
    request = parse({2: PAN, 48: f"9203{CVV2}", 52: PIN_BLOCK, 55: f"9F2608{ARQC}"})
    assert (CVV2, bytes.fromhex(PIN_BLOCK)) == (request.cvv2, request.pin_block)
    assert {"9F26": ARQC} == request.icc


def test_cavv() -> None:
    """A CAVV is its number's last four digits, its results and its code; other forms are none."""
    cavv = parse({2: PAN, 48: "43101108100439"}).cavv
    assert cavv is not None
    assert ("1108", "100", "439") == (cavv.number, cavv.results, cavv.code)
    assert parse({2: PAN, 48: f"9203{CVV2}"}).cavv is None
    for wrong in ("4309110810043", "431011081004X9", "4300"):
        with pytest.raises(MessageError, match="additional_data_private"):
            parse({2: PAN, 48: wrong})


def test_reprs() -> None:
    """A request shows no PAN, no track, no expiry, no PIN block, no code and no chip data."""
    request = parse(
        {
            2: PAN,
            14: "3012",
            35: f"{PAN}={TRACK_2}",
            48: f"9203{CVV2}",
            52: PIN_BLOCK,
            55: f"9F2608{ARQC}",
        }
    )
    shown = f"{request!r} {request.message!r} {request.track!r}"
    for secret in (PAN, TRACK_2, "3012", CVV2, PIN_BLOCK, ARQC, str(bytes.fromhex(PIN_BLOCK))):
        assert secret not in shown


# ---- the message key --------------------------------------------------------------------------

TOKEN = b"t" * 32


def key(fields: Mapping[int, str | None] | None = None, token: bytes = TOKEN, **how: Any) -> bytes:
    return parse({2: PAN, **(fields or {})}, **how).message_key(token)


@pytest.mark.parametrize(
    "other",
    [
        lambda: key(mti="0101"),
        lambda: key(link="another"),
        lambda: key({4: "000000002501"}),
        lambda: key({3: "010000"}),
        lambda: key({22: "901"}),
        lambda: key({2: None, 35: f"{PAN}={TRACK_2}"}),
    ],
)
def test_same_key(other: Any) -> None:
    """A repeat has its original's key: over any link, and whatever else it tells."""
    assert key() == other()


@pytest.mark.parametrize(
    "other",
    [
        lambda: key(mti="0200"),
        lambda: key(mti="0120"),
        lambda: key({7: "1123120001"}),
        lambda: key({11: "000002"}),
        lambda: key({32: "476174"}),
        lambda: key({37: "000000000002"}),
        lambda: key({41: "TERM0002"}),
        lambda: key(token=b"u" * 32),
    ],
)
def test_other_key(other: Any) -> None:
    """A message that differs in any part of the key is another one."""
    assert key() != other()


def test_key_parts_apart() -> None:
    """What stands at the end of one part cannot stand at the start of the next."""
    assert key({32: "4761", 11: "000001"}) != key({32: "476", 11: "000001"})
    assert key({37: "0000000000AB", 41: "TERM0001"}) != key({37: "0000000000A ", 41: "BTERM000"})
    assert 16 == len(key())


# ---- anything ---------------------------------------------------------------------------------

_USED = (2, 4, 6, 14, 18, 19, 22, 23, 25, 35, 42, 43, 45, 48, 49, 51, 52, 54, 55)
FIELDS = st.fixed_dictionaries(
    {3: values(SPEC.fields[3])},
    optional={number: values(SPEC.fields[number]) for number in _USED},
)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(FIELDS)
def test_anything(fields: dict[int, str]) -> None:
    """Whatever its fields hold, a message is a request or a `MessageError`."""
    try:
        request = parse({2: PAN, **fields})
    except MessageError:
        return
    assert request.cash_minor <= request.transaction.minor
    assert 16 == len(request.message_key(TOKEN))
