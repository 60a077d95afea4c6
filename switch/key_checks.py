"""What is refused at start of programs and links: keys that are missing, or for something else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from keys.attributes import KEY_ENCRYPTION
from keys.hsm import Capability, Hsm, HsmRejected, MacAlgorithm, PinBlockFormat
from keys.keyfile import KeyEntry
from keys.software.key import AES, TDES
from keys.zone_keys import ZoneKeyForm
from specs.spec import Spec
from switch.prepare import StartError
from switch.rules.program import KEY_USAGES, Program
from switch.settings import Link, Settings
from switch.wire.mac import can_carry_mac

_PIN_BLOCK = 52

ZONE_USAGE = "P0"
#: What a link's MAC key must be for, and what its HSM must be able to do (X9.143, table 6).
_MACS = {
    MacAlgorithm.ISO9797_1: ("M1", TDES, Capability.MAC_ISO9797_1),
    MacAlgorithm.ISO9797_3: ("M3", TDES, Capability.MAC_ISO9797_3),
    MacAlgorithm.AES_CMAC: ("M6", AES, Capability.MAC_AES_CMAC),
    MacAlgorithm.TDES_CMAC: ("M6", TDES, Capability.MAC_TDES_CMAC),
}
_PIN_BLOCKS = {
    PinBlockFormat.ISO_0: Capability.PIN_ISO_0,
    PinBlockFormat.ISO_1: Capability.PIN_ISO_1,
    PinBlockFormat.ISO_3: Capability.PIN_ISO_3,
    PinBlockFormat.ISO_4: Capability.PIN_ISO_4,
}


def check_programs(settings: Settings, hsm: Hsm, programs: Iterable[Program]) -> None:
    """Refuse a program whose keys are missing, other than pinned, or made for something else, and
    one that needs what this HSM cannot do.
    """
    for program in programs:
        for use, ref in program.keys.uses().items():
            try:
                hsm.check(ref, *KEY_USAGES[use])
            except HsmRejected as error:
                raise StartError(f"program {program.name!r}: {error}") from None
        if Capability.ARQC_EMV_2000 in program.needs() and not settings.hsm.allow_emv_2000:
            raise StartError(f"program {program.name!r}: EMV 2000 needs hsm.allow_emv_2000")
        if missing := program.needs() - hsm.capabilities:
            raise StartError(
                f"program {program.name!r}: the {hsm.name} backend cannot do "
                f"{', '.join(sorted(missing))}"
            )


def check_links(
    settings: Settings,
    hsm: Hsm,
    entries: Mapping[str, KeyEntry],
    specs: Mapping[str, Spec],
) -> None:
    """Refuse a link whose PIN blocks could never be deciphered with its key, or whose messages
    never authenticated. An HSM that verifies no PINs needs no zone key.
    """
    with_pins = bool(hsm.capabilities & {Capability.VISA_PVV, Capability.IBM_3624})
    for index, link in enumerate(settings.links):
        here = f"links[{index}]"
        block_format = PinBlockFormat(link.pin_block_format)
        if with_pins:
            _check_zone_key(settings, here, hsm, entries[link.zone_pin_key], block_format)
        is_aes = block_format is PinBlockFormat.ISO_4
        if specs[link.dialect].fields[_PIN_BLOCK].length < (16 if is_aes else 8):
            raise settings.refusal(
                f"{here}.pin_block_format", f"does not fit DE52 of {link.dialect}"
            )
        if link.zone_master_key:
            check_zone_master(settings, here, hsm, entries, specs[link.dialect], link)
        if link.mac_key:
            if not can_carry_mac(specs[link.dialect]):
                raise settings.refusal(f"{here}.mac_key", f"{link.dialect} has no room for a MAC")
            usage, cipher, capability = _MACS[MacAlgorithm(link.mac_algorithm)]
            if entries[link.mac_key].algorithm != cipher:
                word = "an AES" if cipher == AES else "a TDES"
                raise settings.refusal(
                    f"{here}.mac_key", f"must be {word} key for {link.mac_algorithm}"
                )
            _check_key(settings, f"{here}.mac_key", hsm, entries[link.mac_key], usage)
            _check_capability(settings, f"{here}.mac_algorithm", hsm, capability)


def _check_zone_key(
    settings: Settings, here: str, hsm: Hsm, entry: KeyEntry, block_format: PinBlockFormat
) -> None:
    is_aes = block_format is PinBlockFormat.ISO_4
    if entry.usage != ZONE_USAGE or (entry.algorithm == AES) != is_aes:
        cipher = "AES" if is_aes else "TDES"
        raise settings.refusal(
            f"{here}.zone_pin_key",
            f"must be a {ZONE_USAGE} {cipher} key for pin_block_format {block_format.value}",
        )
    _check_key(settings, f"{here}.zone_pin_key", hsm, entry, ZONE_USAGE)
    _check_capability(settings, f"{here}.pin_block_format", hsm, _PIN_BLOCKS[block_format])


def check_zone_master(
    settings: Settings,
    here: str,
    hsm: Hsm,
    entries: Mapping[str, KeyEntry],
    spec: Spec,
    link: Link,
) -> None:
    """Refuse a zone master key under which no zone key could come."""
    setting, entry = f"{here}.zone_master_key", entries[link.zone_master_key]
    if spec.key_exchange is None:
        raise settings.refusal(setting, f"{link.dialect} has no key_exchange")
    _check_capability(settings, setting, hsm, Capability.IMPORT_ZONE_KEY)
    _check_key(settings, setting, hsm, entry, *KEY_ENCRYPTION)
    if spec.key_exchange.layout == ZoneKeyForm.CRYPTOGRAM and entry.algorithm != TDES:
        raise settings.refusal(
            setting, f"must be a TDES key for the key_exchange of {link.dialect}"
        )
    if entries[link.zone_pin_key].algorithm != TDES and entry.algorithm == TDES:
        raise settings.refusal(setting, "is weaker than the AES keys that it would protect")


def _check_key(settings: Settings, setting: str, hsm: Hsm, entry: KeyEntry, *usages: str) -> None:
    try:
        hsm.check(entry.ref, *usages)
    except HsmRejected as error:
        raise settings.refusal(setting, str(error)) from None


def _check_capability(settings: Settings, setting: str, hsm: Hsm, needed: Capability) -> None:
    if needed not in hsm.capabilities:
        raise settings.refusal(setting, f"the {hsm.name} backend cannot do {needed.value}")
