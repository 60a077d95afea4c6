"""A chip's counter, as docs/emv.md says what is good of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Chip:
    """The counters of right cryptograms that were seen, and how far another may be from them."""

    behind: int = 16
    ahead: int | None = None
    seen: set[int] = field(default_factory=set)

    def present(self, atc: int) -> str | None:
        """What speaks against a right cryptogram with this counter; else it is seen."""
        highest = max(self.seen, default=None)
        if highest is not None:
            is_too_far = self.ahead is not None and atc - highest > self.ahead
            if is_too_far or highest - atc > self.behind:
                return "atc_out_of_window"
            if atc in self.seen:
                return "cryptogram_replayed"
        self.seen.add(atc)
        return None
