"""No key comes out of the token: not the ones it holds, not the ones it derives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, PKCS11Error

from keys.hsm import (
    ArpcMethod,
    CardKeyDerivation,
    Cryptogram,
    CryptogramScheme,
    SessionKeyDerivation,
    Verdict,
)
from keys.pkcs11 import Pkcs11Hsm
from tests.contract.keys import KEYS, REFS
from tests.hsm_pkcs11 import softhsm

CRYPTOGRAM = Cryptogram(
    CryptogramScheme(CardKeyDerivation.OPTION_A, SessionKeyDerivation.COMMON, ArpcMethod.METHOD_2),
    "4761739000000012",
    "00",
    bytes(2),
    bytes(16),
    bytes(8),
)


def all_keys(session: Any, *, only_derived: bool = False) -> list[Any]:
    """Every secret key that a session sees, of any session of the process."""
    only = {Attribute.TOKEN: False} if only_derived else {}
    return list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY, **only}))


def test_values_cannot_be_read() -> None:
    """Asked for a key's value, the token refuses, for every key that it holds."""
    with softhsm.raw_session(softhsm.FULL) as session:
        found = all_keys(session)
        assert {key[Attribute.LABEL] for key in found} == set(softhsm.objects(KEYS))
        for key in found:
            with pytest.raises(PKCS11Error):
                key[Attribute.VALUE]


@pytest.mark.parametrize("loosened", [{Attribute.EXTRACTABLE: True}, {Attribute.SENSITIVE: False}])
def test_no_key_can_be_loosened(loosened: dict[Attribute, bool]) -> None:
    """A key cannot be made readable afterwards, nor can a copy of it."""
    with softhsm.raw_session(softhsm.FULL) as session:
        for key in all_keys(session):
            ((attribute, value),) = loosened.items()
            with pytest.raises(PKCS11Error):
                key[attribute] = value
            with pytest.raises(PKCS11Error):
                key.copy({**loosened, Attribute.TOKEN: False})


def test_no_key_can_be_wrapped() -> None:
    """No key leaves the token under another key, even one that somebody makes for that."""
    with softhsm.raw_session(softhsm.FULL) as session:
        wrapping = session.generate_key(KeyType.AES, 256, template={Attribute.WRAP: True})
        for key in all_keys(session):
            if key.handle != wrapping.handle:
                with pytest.raises(PKCS11Error):
                    wrapping.wrap_key(key, mechanism=Mechanism.AES_KEY_WRAP)


async def test_derived_keys_are_secret_and_short_lived(
    hsm: Pkcs11Hsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Card and session keys are sensitive objects of the session, and destroyed after use."""
    calls = softhsm.calls()
    derive, seen = calls.derived, []

    @contextmanager
    def watched(session: int, key: int, data: bytes) -> Iterator[int]:
        with derive(session, key, data) as handle:
            seen.append(handle)
            yield handle

    with softhsm.raw_session(softhsm.FULL) as session:
        monkeypatch.setattr(calls, "derived", watched)
        encrypt, exposed = calls.encrypt_cbc, []

        def looking(own: int, key: int, blocks: bytes) -> bytes:
            for derived in all_keys(session, only_derived=True):
                flags = (Attribute.SENSITIVE, Attribute.EXTRACTABLE, Attribute.PRIVATE)
                exposed.append(tuple(derived[flag] for flag in flags))
                with pytest.raises(PKCS11Error):
                    derived[Attribute.VALUE]
            return encrypt(own, key, blocks)

        monkeypatch.setattr(calls, "encrypt_cbc", looking)
        answer = await hsm.verify_arqc(REFS["imk_ac"], CRYPTOGRAM, arpc_data=bytes(4))
        assert Verdict.MISMATCH is answer.verdict
        assert 3 == len(set(seen))
        assert [(True, False, True)] * 3 == exposed
        assert [] == all_keys(session, only_derived=True)
