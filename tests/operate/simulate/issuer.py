"""A small issuer that follows docs/life.md: what a scheme's books have to agree with."""

from __future__ import annotations

from dataclasses import dataclass, field

from switch.operate.simulate.desk import STAND_IN_CODE
from switch.operate.simulate.steps import Answer
from switch.wire import mti
from switch.wire.message import Message

APPROVED = Answer("00", "123456", frozenset({"approved"}), is_approval=True)
ACKNOWLEDGED = Answer("00", "", frozenset({"approved"}), is_approval=True)
DECLINED = Answer("05", "", frozenset({"reversed_before_original"}), is_approval=False)
UNAVAILABLE = Answer("91", "", frozenset({"unavailable"}), is_approval=False)
#: What a dialect calls a decline, by its reason.
CODES = {
    "insufficient_funds": "51", "pin_mismatch": "55", "no_card_record": "14", "lost": "41",
    "stolen": "43", "blocked": "62", "inactive": "78",
}  # fmt: skip


def declined(reason: str) -> Answer:
    """A decline for a reason."""
    return Answer(CODES[reason], "", frozenset({reason}), is_approval=False)


@dataclass
class Issuer:
    """What stands of each purchase, by RRN. It declines what it is told to decline."""

    declines: dict[str, str] = field(default_factory=dict)  #: reason, by RRN
    stands: dict[str, dict[str, int]] = field(default_factory=dict)  #: by STAN of what carries it
    answered: dict[tuple[str, str], Answer] = field(default_factory=dict)  #: by MTI and STAN
    reversed: set[str] = field(default_factory=set)  #: STANs
    advised: dict[str, bool] = field(default_factory=dict)  #: whether it was approved, by RRN

    def standing(self, rrn: str) -> int:
        """What stands of a purchase."""
        return sum(self.stands.get(rrn, {}).values())

    def receive(self, message: Message) -> Answer:
        """Take a message; a repeat gets what its original got and moves nothing."""
        key = self._key(message)
        if key not in self.answered:
            self.answered[key] = self._first(*key, message)
        return self.answered[key]

    def has_answer_to(self, message: Message) -> bool:
        """Whether it repeats one that came before."""
        return self._key(message) in self.answered

    @staticmethod
    def _key(message: Message) -> tuple[str, str]:
        return mti.without_repeat(message.mti), message.fields[11]

    def unwind(self, message: Message) -> None:
        """Take back an approval that came too late, unless an advice has spoken for it."""
        rrn, stan = message.fields[37], message.fields[11]
        key = self._key(message)
        if self.answered[key].is_approval and rrn not in self.advised:
            self.stands[rrn].pop(stan, None)
            self.answered[key] = DECLINED

    def _first(self, kind: str, stan: str, message: Message) -> Answer:
        fields = message.fields
        rrn, minor = fields[37], int(fields[4])
        stands = self.stands.setdefault(rrn, {})
        is_debit = not fields[3].startswith(("2", "3"))
        if kind in ("0100", "0200"):
            return self._decide(stan, rrn, minor if is_debit else 0, stands)
        original = fields.get(90, "")[4:10]
        if kind == "0120":
            self.advised[rrn] = is_yes = fields[39] == "00"
            stands.clear()
            stands |= {stan: minor} if is_yes and is_debit else {}
        elif kind == "0220" and fields[38] == STAND_IN_CODE and fields[3] != "000000":
            self.advised[rrn] = True
            stands.clear()
            stands |= {original: minor} if is_debit else {}
        elif kind == "0220":
            stands.clear()
            stands[stan] = minor
        else:
            keep = int(fields.get(95, "0" * 12)[:12])
            if original not in stands:  # by RRN and amount
                original = next((each for each, held in stands.items() if held == minor), original)
            if original in stands:
                stands[original] = min(keep, stands[original])
            if not keep:
                self.reversed.add(original)
        return ACKNOWLEDGED

    def _decide(self, stan: str, rrn: str, minor: int, stands: dict[str, int]) -> Answer:
        if stan in self.reversed:
            return DECLINED
        if rrn in self.advised:
            return APPROVED if self.advised[rrn] else DECLINED
        if rrn in self.declines:
            return declined(self.declines[rrn])
        stands[stan] = minor
        return APPROVED
