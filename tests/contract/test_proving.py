"""The contract fails where it should: backends that are wrong in one thing each are found out."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import psec
import pytest

from keys.hsm import (
    ArqcAnswer,
    Capability,
    CardCode,
    Cryptogram,
    Hsm,
    HsmRejected,
    KeyRef,
    MacAlgorithm,
    PinBlockFormat,
    PinReference,
    Verdict,
)
from keys.software import pinblock
from keys.software.backend import SoftwareHsm
from tests.contract import matrix, oracle, proving
from tests.contract.keys import KEYS, REFS
from tests.contract.software import KBPK
from tests.keys.support import vectors


class AlwaysRight(SoftwareHsm):
    """Says that every PIN is right."""

    async def verify_pin(
        self,
        reference: PinReference,
        *,
        zone_key: KeyRef,
        pin_block: bytes,
        pin_block_format: PinBlockFormat,
        pan: str,
    ) -> Verdict:
        return Verdict.MATCH


class NeverRight(SoftwareHsm):
    """Says that every card code is wrong."""

    async def verify_card_code(self, key: KeyRef, of: CardCode, *, pan: str, code: str) -> Verdict:
        return Verdict.MISMATCH


class AnswersAnything(SoftwareHsm):
    """Gives an ARPC to a wrong cryptogram."""

    async def verify_arqc(
        self, key: KeyRef, cryptogram: Cryptogram, *, arpc_data: bytes
    ) -> ArqcAnswer:
        answer = await super().verify_arqc(key, cryptogram, arpc_data=arpc_data)
        return ArqcAnswer(answer.verdict, answer.arpc or bytes(8))


class Unbinds(SoftwareHsm):
    """Translates a block that is bound to its PAN into one that is not."""

    async def translate_pin(self, *, to_format: PinBlockFormat, **words: Any) -> bytes:
        if to_format is PinBlockFormat.ISO_1:
            key = pinblock.ZoneKey.prepare_tdes(KEYS["zpk_next"].material)
            return pinblock.encipher(key, to_format, "835264", words["pan"])
        return await super().translate_pin(to_format=to_format, **words)


class TakesShortMacs(SoftwareHsm):
    """Lets three bytes of a MAC be enough."""

    async def verify_mac(
        self, key: KeyRef, data: bytes, mac: bytes, *, algorithm: MacAlgorithm
    ) -> Verdict:
        whole = await self.mac(key, data, algorithm=algorithm)
        return Verdict.MATCH if mac and whole.startswith(mac) else Verdict.MISMATCH


class PinsNothing(SoftwareHsm):
    """Takes a key whatever check value is pinned for it."""

    def check(self, ref: KeyRef, *usages: str) -> None:
        super().check(REFS.get(ref.name, ref), *usages)


class Tells(SoftwareHsm):
    """Puts the PAN into its refusals."""

    async def verify_card_code(self, key: KeyRef, of: CardCode, *, pan: str, code: str) -> Verdict:
        try:
            return await super().verify_card_code(key, of, pan=pan, code=code)
        except HsmRejected as error:
            refusal = HsmRejected("…")  # the watch over the run remembers what is said at birth
            refusal.args = (f"{error}, of {pan}",)
            raise refusal from None


class NeverCloses(SoftwareHsm):
    """Answers after it was closed."""

    async def close(self) -> None:
        """Keep everything."""


class LostAnOperation(SoftwareHsm):
    """Forgot that it could do AES-CMAC."""

    def __init__(self) -> None:
        super().__init__(KEYS, emv_2000=True, kbpk=KBPK)
        self.capabilities -= {Capability.MAC_AES_CMAC}


#: a backend that is wrong in one thing, and a row of the matrix that must fail for it
WRONG: list[tuple[type[SoftwareHsm], str]] = [
    (AlwaysRight,     Capability.PIN_ISO_0),
    (AlwaysRight,     Capability.IBM_3624),
    (NeverRight,      Capability.CARD_CODE),
    (AnswersAnything, Capability.ARQC_COMMON),
    (Unbinds,         Capability.TRANSLATE_PIN),
    (TakesShortMacs,  Capability.MAC_ISO9797_3),
    (PinsNothing,     "pinned-keys"),
    (Tells,           Capability.CARD_CODE),
    (NeverCloses,     "closed"),
    (LostAnOperation, Capability.MAC_AES_CMAC),
]  # fmt: skip


async def proved(monkeypatch: pytest.MonkeyPatch, backend: Any) -> proving.Findings:
    """Ask one backend under the name of the software one."""
    monkeypatch.setattr(matrix, "module_of", lambda _: backend)
    found = proving.Findings()
    await proving.try_backend("software", found)
    return found


def under_test(kind: type[SoftwareHsm]) -> SimpleNamespace:
    """Give a backend as a module of this folder gives one."""

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[Hsm]:
        yield kind() if kind is LostAnOperation else kind(KEYS, emv_2000=True, kbpk=KBPK)

    return SimpleNamespace(opened=opened)


@pytest.mark.parametrize(("kind", "row"), WRONG)
async def test_a_wrong_backend_is_found_out(
    kind: type[SoftwareHsm], row: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend that is wrong in one thing fails in the cell of that thing."""
    found = await proved(monkeypatch, under_test(kind))
    assert proving.FAIL == found.cells["software", row]
    assert not found.hold


async def test_a_right_backend_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The software backend proves every cell that it must."""
    found = await proved(monkeypatch, under_test(SoftwareHsm))
    assert [] == found.remarks
    assert found.hold


async def test_a_skipped_backend_does_not_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What could not be tried is not proved: it is told, and the exit code says so."""
    monkeypatch.setattr(matrix, "module_of", lambda _: "no token on this machine")
    assert 1 == await proving.prove(["pkcs11"])
    assert "SKIPPED  pkcs11: no token on this machine" in capsys.readouterr().out


@pytest.mark.parametrize(("given", "expected"), vectors("AES-CMAC", "TDES-CMAC"))
def test_the_oracles_cmac_is_nists(given: dict[str, Any], expected: dict[str, Any]) -> None:
    """CMAC, which neither library has, is the published one here."""
    key, data = bytes.fromhex(given["key"]), bytes.fromhex(given["message"])
    encrypt, block = (
        (psec.aes.encrypt_aes_cbc, 16)
        if len(given["key"]) == 32
        else (psec.des.encrypt_tdes_cbc, 8)
    )
    made = oracle.cmac(lambda blocks: encrypt(key, bytes(block), blocks), block, data)
    assert expected["mac"] == made.hex().upper()
