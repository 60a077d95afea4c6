"""The links of a simulation: each with its own STANs, one connection at a time, or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from switch.operate.replay.moments import numbers
from switch.operate.replay.peers import Peer

STANS = 10**6


@dataclass(slots=True, eq=False)
class Line:
    """One link of the scheme."""

    place: int
    address: str
    stans: Iterator[int] = field(repr=False)
    peer: Peer | None = None
    is_signed_on: bool = False
    is_cut: bool = False  #: by the scheme itself, and not by the other side

    @classmethod
    def all_of(cls, addresses: Sequence[str], count: int, stan_from: int) -> list[Line]:
        """So many links to each address. Their STANs begin far apart, so that two messages of one
        moment have two of them.
        """
        places = [address for address in addresses for _ in range(count)]
        step = STANS // len(places)
        return [
            cls(place, address, numbers(stan_from + place * step, STANS))
            for place, address in enumerate(places)
        ]

    @property
    def is_up(self) -> bool:
        """Whether messages may go over it."""
        return self.peer is not None and self.is_signed_on
