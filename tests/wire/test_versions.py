"""Where the versions of ISO 8583 differ: tables, and that nothing else than a refusal is raised."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.spec import load
from switch.deadline import Deadline
from switch.stopwatch import Stopwatch
from switch.wire.message import Message, MessageError
from switch.wire.originals import LaterRequest
from switch.wire.requests import AuthorizationRequest, Money
from switch.wire.values import Original
from switch.wire.versions import VERSIONS

ISO_93, CMF = "iso93-ascii", "cmf-2003"
_SHARED = {2: "4761739000000012", 3: "000000", 7: "1123120000", 32: "476173", 37: "1"}
PURCHASE: Mapping[str, Mapping[int, str]] = {
    ISO_93: {
        **_SHARED, 4: "000000002500", 11: "000001", 12: "261123120000", 24: "100",
        41: "TERM0001", 49: "978",
    },
    CMF: {
        **_SHARED, 4: "9782000000002500", 11: "000000000001", 12: "20261123120000", 24: "100",
        41: "TERM0001        ",
    },
}  # fmt: skip


def parse(
    dialect: str, fields: Mapping[int, str | None], what: str = "100"
) -> AuthorizationRequest:
    """Parse a purchase of that dialect with these fields instead of, or beside, its own."""
    changed = {**PURCHASE[dialect], **fields}
    spec, now = load(dialect), time.monotonic()
    return AuthorizationRequest.parse(
        Message(spec.version + what, {n: value for n, value in changed.items() if value}),
        spec,
        link="demo",
        deadline=Deadline(now, now + 1, now + 1),
        watch=Stopwatch(),
    )


def later(dialect: str, fields: Mapping[int, str | None]) -> LaterRequest:
    """The same as a reversal advice."""
    return LaterRequest.parse(parse(dialect, fields, "420"))


# ---- amounts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "fields", "transaction", "billing"),
    [
        (ISO_93, {},                                    Money(2_500, "978"), None),
        (ISO_93, {6: "000000002700", 51: "840"},        Money(2_500, "978"), Money(2_700, "840")),
        (CMF,    {},                                    Money(2_500, "978"), None),
        (CMF,    {4: "3920000000000025"},               Money(25, "392"),    None),
        (CMF,    {4: "4143000000025000"},               Money(25_000, "414"), None),
        (CMF,    {4: "0002000000002500"},               Money(2_500, "000"), None),
        (CMF,    {6: "8402000000002700"},               Money(2_500, "978"), Money(2_700, "840")),
    ],
)  # fmt: skip
def test_money(
    dialect: str, fields: dict[int, str | None], transaction: Money, billing: Money | None
) -> None:
    """In 1993 a currency stands in DE49 and DE51, in 2003 in the amount."""
    request = parse(dialect, fields)
    assert (transaction, billing) == (request.transaction, request.billing)


def test_decimals_that_are_not_the_currencys() -> None:
    """An amount whose decimals are not its currency's is refused, not booked a hundredfold."""
    with pytest.raises(MessageError, match="format: amount_transaction"):
        parse(CMF, {4: "9780000000002500"})


@pytest.mark.parametrize(
    ("version", "de_4", "de_54"),
    [
        ("0", "000000001000",     "0002978D000000001000"),
        ("1", "000000001000",     "0002978D000000001000"),
        ("2", "9782000000001000", "00029782D000000001000"),
    ],
)  # fmt: skip
def test_money_in_answers(version: str, de_4: str, de_54: str) -> None:
    """DE4 and DE54 of an answer are written as their version has them."""
    assert de_4 == VERSIONS[version].amount(Money(1_000, "978"))
    assert de_54 == VERSIONS[version].signed_amount("0002", Money(-1_000, "978"))


@pytest.mark.parametrize(
    ("dialect", "amounts"),
    [(ISO_93, "0040978D000000001000"), (CMF, "00409782D000000001000")],
)
def test_cash(dialect: str, amounts: str) -> None:
    """The cash in a purchase is read from DE54 as the version writes it."""
    assert 1_000 == parse(dialect, {3: "090000", 54: amounts}).cash_minor


# ---- the point of service ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "de_22", "channel", "is_stripe", "is_contactless_stripe"),
    [
        (ISO_93, "210101110001", "manual",      False, False),
        (ISO_93, "210101210001", "stripe",      True,  False),
        (ISO_93, "510101510001", "chip",        False, False),
        (ISO_93, "510101610001", "manual",      False, False),
        (ISO_93, "A10101A10001", "contactless", True,  True),
        (ISO_93, "M10101M10001", "contactless", False, False),
        (ISO_93, "000051600000", "ecommerce",   False, False),
        (ISO_93, "000051S00000", "ecommerce",   False, False),
        (ISO_93, "000000S00000", "other",       False, False),
        (CMF, "04" + "00" * 15,                 "manual",      False, False),
        (CMF, "10" + "00" * 15,                 "stripe",      True,  False),
        (CMF, "1028" + "00" * 14,               "stripe",      True,  False),
        (CMF, "20" + "00" * 15,                 "chip",        False, False),
        (CMF, "22" + "00" * 15,                 "contactless", False, False),
        (CMF, "12" + "00" * 15,                 "contactless", True,  True),
        (CMF, "04" + "00" * 7 + "10" + "00" * 7, "ecommerce",  False, False),
        (CMF, "04" + "00" * 7 + "20" + "00" * 7, "ecommerce",  False, False),
        (CMF, "40" + "00" * 15,                 "other",       False, False),
    ],
)  # fmt: skip
def test_reading(
    dialect: str, de_22: str, channel: str, is_stripe: bool, is_contactless_stripe: bool
) -> None:
    """How a card was read: by positions 5 and 7 in 1993, by bits in 2003."""
    request = parse(dialect, {22: de_22})
    assert channel == request.channel
    assert (is_stripe, is_contactless_stripe) == (request.is_stripe, request.is_contactless_stripe)


def test_what_is_kept_of_it() -> None:
    """Of sixteen bytes four are kept: all of them could hide a card number."""
    assert "20000000" == parse(CMF, {22: "20000000" + "4761739000000012" + "00" * 4}).entry_mode
    assert "510101510001" == parse(ISO_93, {22: "510101510001"}).entry_mode


@pytest.mark.parametrize("dialect", [ISO_93, CMF])
def test_fields_that_moved(dialect: str) -> None:
    """DE26 is the merchant's category; DE18 and DE25 are something else; 30 is an inquiry too."""
    request = parse(dialect, {18: "9999", 25: "59", 26: "5411", 3: "300000"})
    assert ("5411", "other", "inquiry") == (request.mcc, request.channel, request.kind)


# ---- originals and reversals ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "de_56", "original"),
    [
        (ISO_93, "1100" "000001" "261123120000" "06476173",
         Original("1100", "000001", "261123120000", "476173")),
        (ISO_93, "1100" "000001" "261123120000" "1100000476173",
         Original("1100", "000001", "261123120000", "476173")),
        (ISO_93, "1100" "000001" "261123120000" "00000476173",
         Original("1100", "000001", "261123120000", "476173")),
        (ISO_93, "1100" "000001" "261123120000", Original("1100", "000001", "261123120000", None)),
        (ISO_93, "0" * 35, None),
        (ISO_93, None, None),
        (CMF, "2100" "000000000001" "20261123120000" "476173",
         Original("2100", "000000000001", "20261123120000", "476173")),
        (CMF, "2100" "000000000001" "20261123120000" "00000476173",
         Original("2100", "000000000001", "20261123120000", "476173")),
        (CMF, "0" * 41, None),
    ],
)  # fmt: skip
def test_original(dialect: str, de_56: str | None, original: Original | None) -> None:
    """DE56 is MTI, STAN, local time, and an acquirer with or without its length."""
    assert original == later(dialect, {56: de_56}).original


@pytest.mark.parametrize("dialect", [ISO_93, CMF])
def test_the_original_is_found_by_its_trace(dialect: str) -> None:
    """What DE56 says of a message is the first half of its key, whenever it was sent."""
    asked = parse(dialect, {})
    again = parse(dialect, {7: "1124000000"})
    assert asked.message_key(b"token")[:8] == again.message_key(b"token")[:8]
    assert asked.message_key(b"token") != again.message_key(b"token")


@pytest.mark.parametrize(
    ("dialect", "fields", "money", "keep"),
    [
        (ISO_93, {24: "400"}, 2_500, None),
        (ISO_93, {24: "400", 30: "000000002500" + "0" * 12}, 2_500, None),
        (ISO_93, {24: "401", 4: "000000001000", 30: "000000002500" + "0" * 12}, 2_500, 1_000),
        (ISO_93, {24: "401", 4: "000000001000"}, 1_000, 1_000),
        (ISO_93, {24: "401", 4: "000000001000", 30: "0" * 24}, 1_000, 1_000),
        (CMF, {24: "401", 4: "9782000000001000", 30: "9782000000002500" + "0" * 16}, 2_500, 1_000),
        (CMF, {24: "401", 4: "9782000000001000", 30: "0" * 32}, 1_000, 1_000),
        (CMF, {24: "400", 4: "9782000000002500"}, 2_500, None),
    ],
)  # fmt: skip
def test_partial_reversals(
    dialect: str, fields: dict[int, str | None], money: int, keep: int | None
) -> None:
    """With DE24 401 DE4 is what remains and DE30 what was asked for; a billing amount says nothing
    then."""
    request = later(dialect, {**fields, 6: fields.get(4), 51: "978"})
    assert (money, keep) == (request.about.transaction.minor, request.keep_minor)
    assert keep is None or request.about.billing is None


def test_an_original_amount_in_another_currency() -> None:
    """DE30 in another currency than DE4 is refused."""
    with pytest.raises(MessageError, match="format: amounts_original"):
        later(CMF, {24: "401", 30: "8402000000002500" + "0" * 16})


ANY = st.text(alphabet="0123456789ABCDEF =Z", max_size=45)


@given(
    dialect=st.sampled_from([ISO_93, CMF]),
    fields=st.fixed_dictionaries(
        {24: st.sampled_from(["100", "400", "401"])},
        optional=dict.fromkeys((4, 6, 22, 30, 54, 56), ANY),
    ),
)
def test_anything(dialect: str, fields: dict[int, str]) -> None:
    """Amounts, point of service and originals are read, or refused by name."""
    with contextlib.suppress(MessageError):
        later(dialect, {3: "090000", **fields, 4: fields.get(4) or PURCHASE[dialect][4]})


@pytest.mark.parametrize("dialect", [ISO_93, CMF])
@pytest.mark.parametrize(
    ("number", "name"), [(4, "amount_transaction"), (56, "original_data_elements")]
)
def test_unreadable(dialect: str, number: int, name: str) -> None:
    """What cannot be read is named by its field, never by its value, and can still be answered."""
    with pytest.raises(MessageError, match=f"format: {name}") as raised:
        later(dialect, {number: "4761739000000012Z"})
    assert raised.value.readable is not None
    assert "4761739000000012" not in f"{raised.value!r}"
    assert raised.value.__cause__ is None
