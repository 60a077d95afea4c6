"""
The keys of the software HSM, each kept to what its TR-31 header allows.

A key is prepared once for every use that its header names, and is found only there: asked for
anything else, it is refused, as an HSM would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from keys.hsm import HsmRejected, HsmUnavailable, KeyRef
from keys.software.key import Key

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Use:
    """What a key's TR-31 header must say for one operation."""

    purpose: str  #: in words, for an error
    usages: frozenset[str]  #: any of these key usages, two characters each
    algorithm: str
    modes: str  #: any of these modes of use, one character each

    def allows(self, key: Key) -> bool:
        """Whether the key's header names this use."""
        return (
            key.usage in self.usages
            and key.algorithm == self.algorithm
            and key.mode_of_use in self.modes
        )


class KeyRing:
    """Keys by their logical name, until they are let go."""

    def __init__(self, keys: Mapping[str, Key]) -> None:
        self._keys = dict(keys)
        self._prepared: list[Prepared[Any]] = []
        self.is_open = True

    def find(self, ref: KeyRef) -> Key:
        """Find a key with the check value that is pinned for it.

        Raises `HsmRejected` where there is none, `HsmUnavailable` after `close`.
        """
        key = self._keys.get(ref.name)
        if key is None:
            self.require_open()
            raise HsmRejected(f"key {ref.name!r}: there is none of this name")
        if not key.has_check_value(ref.kcv):
            raise HsmRejected(f"key {ref.name!r}: its check value is not the pinned one")
        return key

    def prepare(self, use: Use, prepare: Callable[[bytes], T]) -> Prepared[T]:
        """Prepare every key that may be used so; raise `HsmRejected` naming one that cannot."""
        prepared = Prepared(self, use, prepare)
        for name, key in self._keys.items():
            prepared.add(name, key)
        self._prepared.append(prepared)
        return prepared

    def learn(self, name: str, key: Key) -> None:
        """Take a key that comes later, for every use that its header names."""
        for prepared in self._prepared:
            prepared.add(name, key)
        self._keys[name] = key

    def forget(self, name: str) -> None:
        """Let go of a key that was learned."""
        self._keys.pop(name, None)
        for prepared in self._prepared:
            prepared.drop(name)

    def require_open(self) -> None:
        """Raise `HsmUnavailable` after `close`."""
        if not self.is_open:
            raise HsmUnavailable("the software HSM is closed")

    def close(self) -> None:
        """Let go of the keys and of all that was prepared of them."""
        self.is_open = False
        self._keys.clear()
        for prepared in self._prepared:
            prepared.clear()


class Prepared(Generic[T]):
    """The keys of one use, ready for it."""

    def __init__(self, ring: KeyRing, use: Use, prepare: Callable[[bytes], T]) -> None:
        self._ring = ring
        self._use = use
        self._prepare = prepare
        self._by_name: dict[str, T] = {}

    def add(self, name: str, key: Key) -> None:
        """Prepare a key if it may be used so; raise `HsmRejected` naming one that cannot be."""
        if self._use.allows(key):
            try:
                self._by_name[name] = self._prepare(key.material)
            except ValueError as error:
                raise HsmRejected(f"key {name!r}: {error}") from None

    def drop(self, name: str) -> None:
        """Let go of one."""
        self._by_name.pop(name, None)

    def clear(self) -> None:
        """Let go of all."""
        self._by_name.clear()

    def find(self, ref: KeyRef) -> T:
        """Find a prepared key; raise `HsmRejected` for one that has not this use."""
        self._ring.find(ref)
        try:
            return self._by_name[ref.name]
        except KeyError:
            raise HsmRejected(f"key {ref.name!r}: not to be used for {self._use.purpose}") from None
