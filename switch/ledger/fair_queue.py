"""A queue of several parties that take turns, whatever each of them brings."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """First come, first served within a party; one of each in turn."""

    def __init__(self) -> None:
        self._parties: OrderedDict[Hashable, deque[Item]] = OrderedDict()

    def __bool__(self) -> bool:
        """Whether something waits."""
        return bool(self._parties)

    def add(self, item: Item, party: Hashable) -> None:
        """Stand at the end of a party's own queue."""
        queue = self._parties.get(party)
        if queue is None:
            queue = self._parties[party] = deque()
        queue.append(item)

    def take(self) -> Item:
        """The next one of the party whose turn it is. Raises `KeyError` where nothing waits."""
        party, queue = self._parties.popitem(last=False)
        item = queue.popleft()
        if queue:
            self._parties[party] = queue
        return item
