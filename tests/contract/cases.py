"""All that is asked of every backend that can answer it."""

from __future__ import annotations

from itertools import chain

from tests.contract import (
    cases_cards,
    cases_emv,
    cases_keys,
    cases_macs,
    cases_pins,
    cases_zone_keys,
)
from tests.contract.asking import Case

CASES: list[Case] = list(
    chain(
        cases_cards.static_codes(),
        cases_cards.dynamic_codes(),
        cases_pins.formats(),
        cases_pins.references(),
        cases_pins.translations(),
        cases_emv.card_keys(),
        cases_emv.session_keys(),
        cases_emv.answers(),
        cases_macs.codes(),
        cases_keys.checks(),
        cases_keys.questions(),
        cases_zone_keys.zone_keys(),
    )
)
