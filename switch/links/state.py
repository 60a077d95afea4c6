"""The state of a link, without I/O: what happens to it goes in, what it is now comes out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What a link is to those who watch it. It answers in every state but `down`."""

    DOWN = "down"  #: nobody is connected
    CONNECTED = "connected"  #: somebody is, and no sign-on was accepted yet
    SIGNED_ON = "signed_on"
    SIGNED_OFF = "signed_off"
    DRAINING = "draining"  #: the switch is stopping; it stays so to the end


class Happening(StrEnum):
    """What can happen to a link."""

    CONNECTED = "connected"  #: one more connection
    LOST = "lost"  #: one less
    SIGNED_ON = "signed_on"  #: a sign-on was accepted: theirs by us, or ours by them
    SIGNED_OFF = "signed_off"
    DRAINING = "draining"


#: States of a link that has connections, by what happens. What is not here changes nothing: a
#: sign-on that is accepted after the last connection went, or while the switch stops.
_NEXT = {
    (State.DOWN, Happening.CONNECTED): State.CONNECTED,
    (State.CONNECTED, Happening.SIGNED_ON): State.SIGNED_ON,
    (State.CONNECTED, Happening.SIGNED_OFF): State.SIGNED_OFF,
    (State.SIGNED_ON, Happening.SIGNED_OFF): State.SIGNED_OFF,
    (State.SIGNED_OFF, Happening.SIGNED_ON): State.SIGNED_ON,
}


@dataclass(frozen=True, slots=True)
class LinkState:
    """A link's state. Its connections share it: schemes sign on stations, not sockets."""

    state: State = State.DOWN
    connections: int = 0

    def after(self, happening: Happening) -> LinkState:
        """What it is once that happened."""
        step = {Happening.CONNECTED: 1, Happening.LOST: -1}.get(happening, 0)
        connections = max(0, self.connections + step)
        return LinkState(self._next(happening, connections), connections)

    def _next(self, happening: Happening, connections: int) -> State:
        if State.DRAINING in (self.state, happening):
            return State.DRAINING
        if happening is Happening.LOST and not connections:
            return State.DOWN
        return _NEXT.get((self.state, happening), self.state)
