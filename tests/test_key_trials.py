"""What an HSM would refuse at the first cardholder refuses the start."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from keys.hsm import HsmRejected, KeyRef, PinBlockFormat
from keys.keyfile import Key
from keys.software.backend import SoftwareHsm
from keys.software.key import TDES
from switch.flows.issuer import PinZone
from switch.key_checks import check_programs
from switch.key_trials import try_keys
from switch.prepare import StartError
from switch.rules.program import Program
from switch.settings import Settings
from tests.contract.keys import KEYS
from tests.hsm_payshield import support as payshield
from tests.hsm_payshield.peer import Peer
from tests.rules.support import SETTINGS
from tests.traffic import KEYS as DEMO_KEYS

ZONES = {"a": PinZone(KeyRef("zpk", KEYS["zpk"].kcv), PinBlockFormat.ISO_0)}

Change = Callable[[dict[str, Any]], object]


def program_of(change: Change = lambda _: None) -> Program:
    """The demo's program, changed."""
    settings = copy.deepcopy(SETTINGS)
    change(settings)
    return Program.parse(1, "demo", settings)


def with_mode(name: str, mode: str) -> dict[str, Key]:
    """The demo's keys, one of which may do something else with its usage."""
    key = DEMO_KEYS[name]
    return DEMO_KEYS | {
        name: Key(key.material, usage=key.usage, algorithm=key.algorithm, mode_of_use=mode)
    }


async def test_the_demo_can_be_asked() -> None:
    """Every question of the demo's program is answered, and none is a match."""
    await try_keys(SoftwareHsm(DEMO_KEYS), [program_of()], ZONES, {})


@pytest.mark.parametrize(
    ("name", "mode"), [("cvk", "G"), ("pvk", "G"), ("pvk_ibm", "G"), ("imk_ac", "V"), ("zpk", "E")]
)
async def test_a_key_that_may_not_be_used_so(name: str, mode: str) -> None:
    """A key of the right usage whose mode does not let it verify is found at start, by name."""
    with pytest.raises(StartError, match=f"program 'demo': key '{name}'"):
        await try_keys(SoftwareHsm(with_mode(name, mode)), [program_of()], ZONES, {})


async def test_choices_that_an_hsm_does_not_know_together() -> None:
    """What a payShield has no command for, the card key with ARPC method 2, is found at start."""
    peer = Peer()
    async with payshield.opened(peer) as hsm:
        await try_keys(hsm, [program_of()], ZONES, {})

        def mixed(settings: dict[str, Any]) -> None:
            settings["cryptograms"]["10"]["arpc"] = "method-2"

        with pytest.raises(StartError, match="program 'demo'"):
            await try_keys(hsm, [program_of(mixed)], ZONES, {})


def emv_2000(settings: dict[str, Any]) -> None:
    """The demo with the session keys of old cards."""
    settings["cryptograms"]["18"]["session_key"] = "emv-2000"


def test_emv_2000_must_be_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Session keys of EMV 2000 refuse the start unless settings allow them, on every backend."""
    monkeypatch.chdir(tmp_path)
    hsm = SoftwareHsm(DEMO_KEYS, emv_2000=True)
    with pytest.raises(StartError, match=r"hsm\.allow_emv_2000"):
        check_programs(Settings.load(), hsm, [program_of(emv_2000)])
    monkeypatch.setenv("SWITCH_HSM__ALLOW_EMV_2000", "true")
    check_programs(Settings.load(), hsm, [program_of(emv_2000)])


async def test_a_weak_key_is_named() -> None:
    """A key that cannot be prepared refuses the backend itself."""
    weak = Key(bytes(range(24)), usage="C0", algorithm=TDES, mode_of_use="V")
    with pytest.raises(HsmRejected, match="cvk"):
        SoftwareHsm({"cvk": weak})
