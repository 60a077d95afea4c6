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
    """Keys by their logical name, given and learned, until they are let go."""

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
            prepared.put(name, prepared.ready(name, key))
        self._prepared.append(prepared)
        return prepared

    def learn(self, name: str, key: Key) -> None:
        """Take a key that came later, in place of one of its name, for all that it may be used for.

        Raises `HsmRejected` for one that cannot be prepared, and then nothing has changed.
        """
        self.require_open()
        ready = [prepared.ready(name, key) for prepared in self._prepared]
        self.forget(name)
        self._keys[name] = key
        for prepared, of_it in zip(self._prepared, ready, strict=True):
            prepared.put(name, of_it)

    def forget(self, name: str) -> None:
        """Let go of one key; nothing where there is none."""
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
        for name in list(self._keys):
            self.forget(name)


class Prepared(Generic[T]):
    """The keys of one use, ready for it."""

    def __init__(self, ring: KeyRing, use: Use, prepare: Callable[[bytes], T]) -> None:
        self._use = use
        self._prepare = prepare
        self._ring = ring
        self._by_name: dict[str, T] = {}

    def find(self, ref: KeyRef) -> T:
        """Find a prepared key; raise `HsmRejected` for one that has not this use."""
        self._ring.find(ref)
        try:
            return self._by_name[ref.name]
        except KeyError:
            raise HsmRejected(f"key {ref.name!r}: not to be used for {self._use.purpose}") from None

    def ready(self, name: str, key: Key) -> T | None:
        """Prepare a key, or give None where it has not this use; raise `HsmRejected` naming one
        that cannot be prepared.
        """
        if not self._use.allows(key):
            return None
        try:
            return self._prepare(key.material)
        except ValueError as error:
            raise HsmRejected(f"key {name!r}: {error}") from None

    def put(self, name: str, ready: T | None) -> None:
        """Keep what was prepared."""
        if ready is not None:
            self._by_name[name] = ready

    def drop(self, name: str) -> None:
        """Let go of one key."""
        self._by_name.pop(name, None)
