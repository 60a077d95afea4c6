"""A token that goes away: an outage, never a mismatch, and used again when it is back."""

from __future__ import annotations

import asyncio
import ctypes
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keys.hsm import CardVerificationValue, HsmRejected, HsmUnavailable, MacAlgorithm, Verdict
from keys.pkcs11 import Pkcs11Hsm
from keys.pkcs11.codes import CryptokiError
from keys.software import issuing
from tests.contract.keys import KEYS, REFS
from tests.hsm_pkcs11 import softhsm
from tests.hsm_pkcs11.test_secrecy import CRYPTOGRAM, all_keys

PAN = "4761739000000012"
WORDS = CardVerificationValue("3012", "201")
CODE = issuing.card_code(KEYS["cvk"], pan=PAN, expiry="3012", service_code="201")

#: Where C_CloseAllSessions stands among a library's functions.
CLOSE_ALL_SESSIONS = 14


async def ask(hsm: Pkcs11Hsm) -> Verdict:
    """Ask about a right card code."""
    return await hsm.verify_card_code(REFS["cvk"], WORDS, pan=PAN, code=CODE)


async def said(hsm: Pkcs11Hsm) -> Verdict | Exception:
    """What a right card code is told, whatever it is."""
    try:
        return await ask(hsm)
    except (HsmUnavailable, HsmRejected) as error:
        return error


async def until_it_says(hsm: Pkcs11Hsm, kind: type) -> str:
    """Ask until the answer is of this kind; the time limit ends what never comes."""
    async with asyncio.timeout(60):
        while not isinstance(answer := await said(hsm), kind):  # noqa: ASYNC110 - it is a poll
            await asyncio.sleep(0.02)
    return str(getattr(answer, "value", answer))


def returning(code: int) -> Callable[..., int]:
    """A PKCS#11 function that does nothing and returns this."""
    return lambda *_: code


async def test_sessions_closed_behind_its_back(hsm: Pkcs11Hsm) -> None:
    """Sessions that somebody closed cost at most a question each, and are opened again."""
    with softhsm.raw_session(softhsm.FULL) as session:
        slot = int(session.token.slot.slot_id)
    close_all = softhsm.calls()._function(CLOSE_ALL_SESSIONS, ctypes.c_ulong)
    assert 0 == close_all(slot)
    with pytest.raises(HsmUnavailable, match="CKR_SESSION_HANDLE_INVALID"):
        await ask(hsm)
    assert "match" == await until_it_says(hsm, Verdict)
    assert [Verdict.MATCH] * 20 == await asyncio.gather(*(ask(hsm) for _ in range(20)))


#: an outage by its code
OUTAGES = {
    0x05: "CKR_GENERAL_ERROR",
    0x30: "CKR_DEVICE_ERROR",
    0x32: "CKR_DEVICE_REMOVED",
    0xB0: "CKR_SESSION_CLOSED",
    0xE0: "CKR_TOKEN_NOT_PRESENT",
    0x101: "CKR_USER_NOT_LOGGED_IN",
    0x80000001: "PKCS#11 code 0x80000001",
}


@pytest.mark.parametrize(("code", "name"), OUTAGES.items())
async def test_an_outage_is_no_mismatch(
    code: int, name: str, hsm: Pkcs11Hsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a token says when it fails, it is an outage; afterwards it is used again."""
    with monkeypatch.context() as broken:
        broken.setattr(softhsm.calls(), "_encrypt", returning(code))
        with pytest.raises(HsmUnavailable, match=f"token: {name}$") as caught:
            await ask(hsm)
        assert caught.value.__cause__ is None
        for _ in range(5):
            with pytest.raises(HsmUnavailable):
                await ask(hsm)
        with pytest.raises(HsmUnavailable):
            await hsm.ping()
    assert "match" == await until_it_says(hsm, Verdict)


async def test_while_it_is_away_questions_are_refused_at_once(
    hsm: Pkcs11Hsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no session left, a question does not wait for one: it is told why there is none."""
    with monkeypatch.context() as broken:
        broken.setattr(softhsm.calls(), "_encrypt_init", returning(0xE0))
        for _ in range(10):
            with pytest.raises(HsmUnavailable):
                await ask(hsm)
            await asyncio.sleep(0.02)
        with pytest.raises(HsmUnavailable, match="CKR_TOKEN_NOT_PRESENT"):
            await ask(hsm)
    assert "match" == await until_it_says(hsm, Verdict)


#: a refusal by its code
REFUSALS = {
    0x63: "CKR_KEY_TYPE_INCONSISTENT",
    0x68: "CKR_KEY_FUNCTION_NOT_PERMITTED",
    0x70: "CKR_MECHANISM_INVALID",
}


@pytest.mark.parametrize(("code", "name"), REFUSALS.items())
async def test_a_refusal_is_configuration(
    code: int, name: str, hsm: Pkcs11Hsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mechanism that the token has not is no outage, and costs no session."""
    with monkeypatch.context() as broken:
        broken.setattr(softhsm.calls(), "_sign_init", returning(code))
        with pytest.raises(HsmRejected, match=f"token: {name}$"):
            await hsm.mac(REFS["mak_aes"], b"", algorithm=MacAlgorithm.AES_CMAC)
    assert Verdict.MATCH is await ask(hsm)


async def test_a_derivation_that_breaks_is_an_outage(
    hsm: Pkcs11Hsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that goes away in the middle of a cryptogram leaves no key and no verdict."""
    with monkeypatch.context() as broken:
        broken.setattr(softhsm.calls(), "encrypt_cbc", breaking)
        with pytest.raises(HsmUnavailable):
            await hsm.verify_arqc(REFS["imk_ac"], CRYPTOGRAM, arpc_data=bytes(4))
    with softhsm.raw_session(softhsm.FULL) as session:
        assert [] == all_keys(session, only_derived=True)


def breaking(*_: object) -> bytes:
    """A call that fails as a removed device does."""
    raise CryptokiError(0x32)


async def test_another_token_under_the_label_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A token that comes back with another key is refused, and told so, until the right one is."""
    backend = softhsm.hsm(sessions=1)
    await backend.open()
    right = backend._token.entries
    with monkeypatch.context() as broken:
        broken.setattr(softhsm.calls(), "_encrypt", returning(0x30))
        with pytest.raises(HsmUnavailable):
            await ask(backend)
        other = {**right, "cvk": softhsm.entry("cvk", KEYS["cvk"], kcv="ABCDEF")}
        backend._token.entries = other
    assert "key 'cvk': its check value is" in await until_it_says(backend, HsmRejected)
    backend._token.entries = right
    assert "match" == await until_it_says(backend, Verdict)
    await backend.close()


def test_a_token_whose_files_vanish(tmp_path: Path) -> None:
    """The token's folder is taken away and put back: an outage meanwhile, then right verdicts."""
    # A process of its own, for it leaves the library with nothing.
    ran = subprocess.run(
        [sys.executable, "-m", "tests.hsm_pkcs11.vanishing", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (0, "match, outage, match\n") == (ran.returncode, ran.stdout), ran.stderr
