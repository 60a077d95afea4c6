"""What the flows work with: the ledger, the keys and the programs of one issuer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from keys.hsm import Hsm, KeyRef, MacAlgorithm, PinBlockFormat
from keys.vault import Vault
from switch.days import today
from switch.ledger.ledger import Ledger
from switch.rules.card import Card, suspense_card
from switch.rules.checks import Case
from switch.rules.program import Program
from switch.wire.requests import AuthorizationRequest


@dataclass(frozen=True, slots=True)
class ZoneKey:
    """A key under which a link's PIN blocks may come."""

    ref: KeyRef
    ends_at: float | None = None  #: by the monotonic clock; none: until another takes its place
    since: float | None = None  #: seconds since 1970; none: as long as the key file has it

    @property
    def about(self) -> tuple[KeyRef, int | None]:
        """What makes it another: readings of one end differ by less than a second."""
        return self.ref, None if self.ends_at is None else round(self.ends_at)


#: Asked where a PIN block is unreadable under all keys: whether there are others by now.
LookAgain = Callable[["PinZone", Sequence[ZoneKey], float], Awaitable[bool]]


async def _nothing_else(_: PinZone, __: Sequence[ZoneKey], ___: float) -> bool:
    return False


class PinZone:
    """How the PINs of one link are enciphered. Its keys are replaced as a whole."""

    __slots__ = ("block_format", "keys", "look_again")

    def __init__(self, key: KeyRef, block_format: PinBlockFormat) -> None:
        """With one key, that of the key file."""
        self.block_format = block_format
        self.keys: tuple[ZoneKey, ...] = (ZoneKey(key),)  #: the newest first, never none
        self.look_again: LookAgain = _nothing_else

    @property
    def key(self) -> KeyRef:
        """The newest key."""
        return self.keys[0].ref


@dataclass(frozen=True, slots=True)
class MacZone:
    """How the messages of one link are authenticated."""

    keys: tuple[KeyRef, ...]  #: a MAC under any of them is right; the first makes ours
    algorithm: MacAlgorithm
    pad: Callable[[bytes], bytes]  #: to the blocks of the algorithm
    on_network: bool  #: network messages must have a MAC too


@dataclass(frozen=True, slots=True)
class Issuer:
    """Everything that a decision needs, built once."""

    ledger: Ledger
    hsm: Hsm
    vault: Vault
    programs: Mapping[int, Program]
    pin_zones: Mapping[str, PinZone]  #: by link
    hsm_budget: float  #: seconds that the HSM has for one message
    mac_zones: Mapping[str, MacZone] = field(default_factory=dict)  #: by link, where it has a key
    schemes: Mapping[str, str] = field(default_factory=dict)  #: by link, where not its name

    async def find_card(self, request: AuthorizationRequest, *, anew: bool = True) -> Card | None:
        """The card of a request's PAN, under whichever live lookup key it has its token.

        Not `anew`: as it was found before, where it was; a decision will tell if it has changed.
        """
        tokens = self.vault.lookup_tokens(request.pan)
        kept = None if anew else self.ledger.kept_card(tokens)
        return kept or await self.ledger.find_card(tokens, request.deadline, link=request.link)

    def scheme(self, link: str) -> str:
        """Whose settlement account a link's postings are against."""
        return self.schemes.get(link, link)

    def suspense(self, request: AuthorizationRequest, card: Card | None) -> Card:
        """What stands for a card whose account cannot take a booking: the suspense account of
        its program and of the message's currency.
        """
        program_id = self._program_of(request.pan) if card is None else card.program_id
        token = self.vault.lasting_token(request.pan) if card is None else card.key_token
        return suspense_card(program_id, request.transaction.currency, token)

    def _program_of(self, pan: str) -> int:
        """The program with the PAN's BIN, the longest first; else the first program."""
        fits = [
            (len(bin_), program.program_id)
            for program in self.programs.values()
            for bin_ in program.bins
            if pan.startswith(bin_)
        ]
        return max(fits)[1] if fits else min(self.programs)

    def case(self, request: AuthorizationRequest, card: Card) -> Case:
        """A request beside its card and program, on the program's calendar day."""
        program = self.programs[card.program_id]
        return Case(request, card, program, today(program.time_zone))
