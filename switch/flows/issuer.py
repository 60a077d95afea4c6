"""What the flows work with: the ledger, the keys and the programs of one issuer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from keys.hsm import Hsm, KeyRef, PinBlockFormat
from keys.vault import Vault
from switch.deadline import Deadline
from switch.ledger.ledger import Ledger
from switch.rules.card import Card
from switch.rules.checks import Case
from switch.rules.program import Program
from switch.wire.requests import AuthorizationRequest


@dataclass(frozen=True, slots=True)
class PinZone:
    """How the PINs of one link are enciphered."""

    key: KeyRef
    block_format: PinBlockFormat


@dataclass(frozen=True, slots=True)
class Issuer:
    """Everything that a decision needs, built once."""

    ledger: Ledger
    hsm: Hsm
    vault: Vault
    programs: Mapping[int, Program]
    pin_zones: Mapping[str, PinZone]  #: by link
    hsm_budget: float  #: seconds that the HSM has for one message

    async def find_card(self, pan: str, deadline: Deadline) -> Card | None:
        """The card of a PAN, under the newest lookup key or, while one is replaced, the last."""
        for token in self.vault.lookup_tokens(pan):
            card = await self.ledger.find_card(token, deadline)
            if card is not None:
                return card
        return None

    def case(self, request: AuthorizationRequest, card: Card) -> Case:
        """A request beside its card and program, on the program's calendar day."""
        program = self.programs[card.program_id]
        return Case(request, card, program, datetime.now(program.time_zone).date())
