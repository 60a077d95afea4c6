"""Sessions of a token: opened, logged in, with every key found, checked and ready to be used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from pkcs11 import (
    Attribute,
    KeyType,
    Mechanism,
    MultipleTokensReturned,
    NoSuchToken,
    ObjectClass,
    PKCS11Error,
    Session,
)

from keys.hsm import HsmRejected, HsmUnavailable
from keys.keyfile import KeyEntry
from keys.pkcs11.calls import Calls, Library, is_loaded, load
from keys.pkcs11.codes import CryptokiError
from keys.pkcs11.keys import (
    HALF,
    KEY_TYPES,
    TokenKey,
    has_half,
    needed_attributes,
    needed_mechanisms,
)


@dataclass(frozen=True, slots=True)
class TokenSession:
    """One session of the token, for one thread at a time, with its keys by logical name."""

    library: Library
    session: Session
    handle: int  #: of the session, as calls take it
    keys: Mapping[str, TokenKey] = field(default_factory=dict)

    @property
    def calls(self) -> Calls:
        """The calls of this session's library."""
        return self.library.calls

    def probe(self) -> None:
        """Use the session and, where there is one, a key: a token may lose either."""
        self.calls.probe(self.handle)
        for key in self.keys.values():
            _check_value(self, key.algorithm, key.handle)
            return

    def close(self) -> None:
        """Close the session, and let a token that is away be away."""
        # It was opened without a PIN, so python-pkcs11 logs nobody out.
        with self.library.guard:
            self.library.sessions -= 1
            with suppress(PKCS11Error):
                self.session.close()


@dataclass(slots=True)
class Token:
    """A token by its label, and how to get a session of it."""

    module: str
    label: str
    pin: str = field(repr=False)
    entries: Mapping[str, KeyEntry]
    _refused: str = field(default="", init=False)

    def open_session(self) -> TokenSession:
        """
        Open a session, log in, find and check every key. Blocks.

        Raises `HsmUnavailable` where the token is away, `HsmRejected` where it is not what the
        settings and the key file say. A PIN that was refused once is never tried again: the token
        would lock itself.
        """
        try:
            library = load(self.module)
            with library.guard:
                opened = self._opened(library)
        except (OSError, CryptokiError, PKCS11Error) as error:
            raise self._meaning(error) from None
        try:
            return replace(opened, keys=self._checked_keys(opened))
        except BaseException as error:
            opened.close()
            if isinstance(error, CryptokiError | PKCS11Error):
                raise self._meaning(error) from None
            raise

    def _opened(self, library: Library) -> TokenSession:
        """Open a session and log in. Where neither is possible, the library starts anew."""
        try:
            session = library.get_token(token_label=self.label).open()
            try:
                self._log_in(library.calls, handle_of(session))
            except BaseException:
                with suppress(PKCS11Error):
                    session.close()
                raise
        except (CryptokiError, PKCS11Error):
            library.restart()
            raise
        library.sessions += 1
        return TokenSession(library, session, handle_of(session))

    def _meaning(self, error: Exception) -> HsmUnavailable | HsmRejected:
        """What an error of the library means. Its text is a code or a class, never a value."""
        token = f"token {self.label!r}"
        match error:
            case NoSuchToken():
                return HsmUnavailable(f"{token}: there is none of this label")
            case MultipleTokensReturned():
                return HsmRejected(f"{token}: several have this label")
            case OSError() | PKCS11Error() if not is_loaded(self.module):
                return HsmRejected(f"module {self.module}: is no PKCS#11 library that can be used")
        return unavailable(token, error)

    def _log_in(self, calls: Calls, session: int) -> None:
        if self._refused:
            raise HsmRejected(self._refused)
        try:
            calls.login(session, self.pin)
        except CryptokiError as error:
            if error.is_pin_refusal:
                self._refused = f"token {self.label!r}: refuses the user PIN: {error}"
                raise HsmRejected(self._refused) from None
            raise

    def _checked_keys(self, opened: TokenSession) -> dict[str, TokenKey]:
        """Find and check every key, naming the first that is not what it should be."""
        offered = offered_mechanisms(opened.session)
        for name, entry in self.entries.items():
            lacking = needed_mechanisms(entry.usage, entry.algorithm) - offered
            if lacking:
                raise HsmRejected(f"key {name!r}: the token has no CKM_{_named(lacking, 'CKM_')}")
        found = {
            entry.places["pkcs11"]: _checked_key(opened, entry) for entry in self.entries.values()
        }
        keys = {}
        for name, entry in self.entries.items():
            label = entry.places["pkcs11"]
            handle, kcv = found[label]
            half, _ = found[label + HALF] if has_half(entry) else (0, "")
            keys[name] = TokenKey(entry.usage, entry.algorithm, kcv, handle, half)
        return keys


def unavailable(what: str, error: Exception) -> HsmUnavailable | HsmRejected:
    """An error of the library as the `Hsm` protocol tells it: an outage unless it says no."""
    if isinstance(error, CryptokiError):
        kind = HsmRejected if error.is_rejection else HsmUnavailable
        return kind(f"{what}: {error}")
    return HsmUnavailable(f"{what}: {type(error).__name__}")


def offered_mechanisms(session: Session) -> set[Mechanism]:
    """What the session's token can do."""
    return set(session.token.slot.get_mechanisms())


def _checked_key(opened: TokenSession, entry: KeyEntry) -> tuple[int, str]:
    """Find one key; give its handle and its check value in full."""
    label = entry.places["pkcs11"]
    where = f"key {entry.name!r}"
    template = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: label}
    found: list[Any] = list(opened.session.get_objects(template))
    if len(found) != 1:
        many = "several keys have" if found else "no key has"
        raise HsmRejected(f"{where}: {many} the label {label!r} in the token")
    key = found[0]
    _require_key_type(where, entry, key[Attribute.KEY_TYPE])
    _require_secret(where, key)
    lacking = [a for a in needed_attributes(entry.usage, entry.algorithm) if not key[a]]
    if lacking:
        raise HsmRejected(f"{where}: CKA_{_named(lacking, 'CKA_')} must be true")
    try:
        kcv = _check_value(opened, entry.algorithm, handle_of(key))
    except CryptokiError as error:
        raise unavailable(where, error) from None
    if entry.kcv not in {kcv, kcv[:6]}:
        raise HsmRejected(f"{where}: its check value is {kcv[:6]}, but {entry.kcv} is pinned")
    return handle_of(key), kcv


def _named(lacking: Iterable[Attribute | Mechanism], prefix: str) -> str:
    return f" and {prefix}".join(sorted(each.name for each in lacking))


def _require_key_type(where: str, entry: KeyEntry, key_type: KeyType) -> None:
    allowed = KEY_TYPES[entry.algorithm]
    if key_type not in allowed:
        names = " or ".join(sorted(f"CKK_{allowed_type.name}" for allowed_type in allowed))
        raise HsmRejected(f"{where}: CKA_KEY_TYPE must be {names}")


def _require_secret(where: str, key: Any) -> None:
    """Refuse a key that somebody could read, or use without having logged in."""
    if key[Attribute.EXTRACTABLE]:
        raise HsmRejected(f"{where}: CKA_EXTRACTABLE must be false")
    if not key[Attribute.SENSITIVE]:
        raise HsmRejected(f"{where}: CKA_SENSITIVE must be true")
    if not key[Attribute.PRIVATE]:
        raise HsmRejected(f"{where}: CKA_PRIVATE must be true")


def _check_value(opened: TokenSession, algorithm: str, key: int) -> str:
    """Make a check value in the token, as `keys.software.key.check_values` does in software."""
    calls, session = opened.calls, opened.handle
    if algorithm == "T":
        return calls.encrypt_ecb(session, key, bytes(8))[:3].hex().upper()
    return calls.sign(session, Mechanism.AES_CMAC, key, bytes(16), 16)[:5].hex().upper()


def handle_of(thing: Any) -> int:
    """The handle of a session or key of python-pkcs11, which its types do not tell of."""
    return int(thing.handle)
