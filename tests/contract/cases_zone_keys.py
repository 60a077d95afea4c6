"""Zone keys that come while the switch runs: imported, made, learned and forgotten."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import psec.des
import psec.pinblock
import psec.tr31

from keys.hsm import Capability, Hsm, KeyRef
from keys.zone_keys import ZoneKeyForm, zone_keys_of
from tests.contract.asking import MATCHES, REFUSES, Case
from tests.contract.cards import PAN, PINS
from tests.contract.cases_pins import ISO_0, pvv
from tests.contract.keys import KEYS, REFS

_NEEDS = frozenset({Capability.IMPORT_ZONE_KEY, Capability.VISA_PVV, Capability.PIN_ISO_0})

#: A working key that no backend holds, its check value, and another's.
NEW = bytes.fromhex("4A5B6C7D8E9FA0B1C2D3E4F506172839")
NEW_KCV = psec.des.encrypt_tdes_ecb(NEW, bytes(8))[:3].hex().upper()
OTHER_KCV = KEYS["zpk"].kcv

NAME = "zpk.came"


def zone_keys() -> Iterator[Case]:
    """A key that comes reads PIN blocks; one that is not what was told, or for that, does not."""
    forms = {ZoneKeyForm.KEY_BLOCK: _block("P0"), ZoneKeyForm.CRYPTOGRAM: _cryptogram()}
    for form, wrapped in forms.items():
        yield _case(f"a {form.value} is taken", _verdict(wrapped, form, NEW_KCV), MATCHES)
        yield _case(
            f"a {form.value} of another check value is refused",
            _verdict(wrapped, form, OTHER_KCV),
            REFUSES,
        )
        yield _case(f"one that was made is what was sent as a {form.value}", _made(form), MATCHES)
    yield _case(
        "a key for something else is refused",
        _verdict(_block("D0"), ZoneKeyForm.KEY_BLOCK, NEW_KCV),
        REFUSES,
    )
    yield _case("one that was forgotten is refused", _forgotten(), REFUSES)


def _case(fact: str, ask: Callable[[Hsm], Awaitable[object]], answers: Callable[..., bool]) -> Case:
    secrets = (NEW.hex(), _cryptogram(), PINS[0], PAN)
    return Case(Capability.IMPORT_ZONE_KEY, fact, _NEEDS, ask, answers, secrets)


def _block(usage: str) -> str:
    header = psec.tr31.Header("B", usage, "T", "B", "00", "N")
    wrapped: str = psec.tr31.KeyBlock(KEYS["zmk"].material, header).wrap(NEW)
    return wrapped


def _cryptogram() -> str:
    wrapped: bytes = psec.des.encrypt_tdes_ecb(KEYS["zmk"].material, NEW)
    return wrapped.hex().upper()


def _verdict(wrapped: str, form: ZoneKeyForm, kcv: str) -> Callable[[Hsm], Awaitable[object]]:
    async def ask(hsm: Hsm) -> object:
        stored = await zone_keys_of(hsm).import_zone_key(
            wrapped, under=REFS["zmk"], form=form, algorithm="T", kcv=kcv
        )
        ref = KeyRef(NAME, stored.kcv)
        await zone_keys_of(hsm).learn_zone_key(ref, stored.stored)
        return await _pin_under(hsm, ref, NEW)

    return ask


def _made(form: ZoneKeyForm) -> Callable[[Hsm], Awaitable[object]]:
    async def ask(hsm: Hsm) -> object:
        made = await zone_keys_of(hsm).make_zone_key(under=REFS["zmk"], form=form, algorithm="T")
        zmk = KEYS["zmk"].material
        if form is ZoneKeyForm.KEY_BLOCK:
            clear: bytes = psec.tr31.unwrap(zmk, made.wrapped)[1]
        else:
            clear = psec.des.decrypt_tdes_ecb(zmk, bytes.fromhex(made.wrapped))
        ref = KeyRef(NAME, made.ours.kcv)
        await zone_keys_of(hsm).learn_zone_key(ref, made.ours.stored)
        return await _pin_under(hsm, ref, clear)

    return ask


def _forgotten() -> Callable[[Hsm], Awaitable[object]]:
    async def ask(hsm: Hsm) -> object:
        await _verdict(_cryptogram(), ZoneKeyForm.CRYPTOGRAM, NEW_KCV)(hsm)
        ref = KeyRef(NAME, NEW_KCV)
        zone_keys_of(hsm).forget_zone_key(ref)
        return await _pin_under(hsm, ref, NEW)

    return ask


async def _pin_under(hsm: Hsm, ref: KeyRef, clear: bytes) -> object:
    return await hsm.verify_pin(
        pvv(PINS[0]),
        zone_key=ref,
        pin_block=psec.des.encrypt_tdes_ecb(
            clear, psec.pinblock.encode_pinblock_iso_0(PINS[0], PAN)
        ),
        pin_block_format=ISO_0,
        pan=PAN,
    )
