"""The state of a link as a table: what happens → what it is then."""

from __future__ import annotations

import pytest

from switch.links.state import Happening, LinkState, State

CONNECTED, LOST, ON, OFF, DRAINING = (
    Happening.CONNECTED,
    Happening.LOST,
    Happening.SIGNED_ON,
    Happening.SIGNED_OFF,
    Happening.DRAINING,
)

STORIES = [
    # what happens, in order                       the state, the connections
    ([], State.DOWN, 0),
    ([CONNECTED], State.CONNECTED, 1),
    ([CONNECTED, CONNECTED], State.CONNECTED, 2),
    ([CONNECTED, LOST], State.DOWN, 0),
    ([CONNECTED, CONNECTED, LOST], State.CONNECTED, 1),
    ([CONNECTED, ON], State.SIGNED_ON, 1),
    ([CONNECTED, ON, ON], State.SIGNED_ON, 1),
    ([CONNECTED, ON, CONNECTED], State.SIGNED_ON, 2),
    ([CONNECTED, ON, CONNECTED, LOST], State.SIGNED_ON, 1),
    ([CONNECTED, ON, LOST], State.DOWN, 0),
    ([CONNECTED, ON, LOST, CONNECTED], State.CONNECTED, 1),
    ([CONNECTED, OFF], State.SIGNED_OFF, 1),
    ([CONNECTED, ON, OFF], State.SIGNED_OFF, 1),
    ([CONNECTED, ON, OFF, CONNECTED], State.SIGNED_OFF, 2),
    ([CONNECTED, ON, OFF, ON], State.SIGNED_ON, 1),
    ([CONNECTED, ON, OFF, LOST], State.DOWN, 0),
    ([ON], State.DOWN, 0),  # accepted after the connection went
    ([OFF], State.DOWN, 0),
    ([LOST], State.DOWN, 0),
    ([DRAINING], State.DRAINING, 0),
    ([CONNECTED, ON, DRAINING], State.DRAINING, 1),
    ([CONNECTED, DRAINING, ON], State.DRAINING, 1),
    ([CONNECTED, DRAINING, OFF], State.DRAINING, 1),
    ([CONNECTED, DRAINING, LOST], State.DRAINING, 0),
    ([CONNECTED, DRAINING, LOST, CONNECTED], State.DRAINING, 1),
]


@pytest.mark.parametrize(("story", "state", "connections"), STORIES)
def test_the_state_after(story: list[Happening], state: State, connections: int) -> None:
    """What happened to a link says what it is."""
    link = LinkState()
    for happening in story:
        link = link.after(happening)
    assert LinkState(state, connections) == link


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("happening", Happening)
def test_nothing_is_undefined(state: State, happening: Happening) -> None:
    """Every happening is taken in every state, and a link is down exactly where nobody is there."""
    after = LinkState(state, 0 if state is State.DOWN else 1).after(happening)
    if after.state is not State.DRAINING:
        assert (after.state is State.DOWN) == (after.connections == 0)
