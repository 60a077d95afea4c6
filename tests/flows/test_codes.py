"""DE39 of an answer is that of its request's day, and says what was approved."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from keys.hsm import Verdict
from specs.codes import ResponseCodes
from switch import days
from tests.flows.support import SPEC, House, open_house, purchase

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def coded(house: House, **rows: tuple[tuple[date, str], ...]) -> House:
    """The same house whose dialect has these rows."""
    codes = ResponseCodes({**SPEC.response_codes.rows, **rows})
    return await open_house(
        house.ledger, house.books, [], spec=replace(SPEC, response_codes=codes), vault=house.vault
    )


async def test_a_repeat_after_a_changeover(house: House) -> None:
    """What was sent before a scheme changed a code is answered by the old one, repeats too."""
    today = days.today()
    yesterday = today - timedelta(days=1)
    house = await coded(house, insufficient_funds=((date.min, "05"), (today, "51")))
    _, pan = await house.card()
    before = purchase(pan, _4="000099999999", _7=f"{yesterday:%m%d}235959")
    after = purchase(pan, _4="000099999999", _7=f"{today:%m%d}000001")
    assert ["05", "05", "51"] == [(await house.answer(one))[39] for one in (before, before, after)]


async def test_verification(house: House) -> None:
    """A verified account is answered 85, a repeat too, and the chip is answered over 85."""
    house = await coded(house, approved_verification=((date.min, "85"),))
    _, pan = await house.card()
    asked = purchase(pan, _4="000000000000")
    first = await house.answer(asked)
    assert "85" == first[39]
    assert first == await house.answer(asked)
    assert "00" == (await house.answer(purchase(pan)))[39]
    house.hsm.arqc.append(Verdict.MISMATCH)
    assert "82" == (await house.answer(purchase(pan, _4="000000000000")))[39]


async def test_soft_decline(house: House) -> None:
    """E-commerce that shows no strong authentication is declined softly, and holds nothing."""
    issuer = house.router._issuer
    programs = {
        number: replace(program, strong_authentication_from_minor=1_000)
        for number, program in issuer.programs.items()
    }
    house.router._issuer = replace(issuer, programs=programs)
    account_id, pan = await house.card()
    net: dict[str, str | None] = {"_22": "812", "_55": None, "_14": "9912", "_48": "9203123"}
    assert "1A" == (await house.answer(purchase(pan, **net)))[39]
    assert 0 == await house.books.held(account_id)
    assert "00" == (await house.answer(purchase(pan, **net, _4="000000000999")))[39]
