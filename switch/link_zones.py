"""How each link's PINs are enciphered, and its messages authenticated."""

from __future__ import annotations

from collections.abc import Mapping

from keys.hsm import MacAlgorithm, PinBlockFormat
from keys.keyfile import KeyEntry
from keys.padding import pad_method_1, pad_method_2
from switch.flows.issuer import MacZone, PinZone
from switch.settings import Settings

#: Those that take whole blocks; CMAC pads by itself.
_ISO_9797 = (MacAlgorithm.ISO9797_1, MacAlgorithm.ISO9797_3)
_PADDINGS = {"method-1": pad_method_1, "method-2": pad_method_2}


def pin_zones(settings: Settings, entries: Mapping[str, KeyEntry]) -> dict[str, PinZone]:
    """How the PINs of each link are enciphered, by link."""
    return {
        link.name: PinZone(entries[link.zone_pin_key].ref, PinBlockFormat(link.pin_block_format))
        for link in settings.links
    }


def mac_zones(settings: Settings, entries: Mapping[str, KeyEntry]) -> dict[str, MacZone]:
    """How the messages of each link that has a MAC key are authenticated, by link."""
    zones = {}
    for link in settings.links:
        if link.mac_key:
            algorithm = MacAlgorithm(link.mac_algorithm)
            zones[link.name] = MacZone(
                keys=(entries[link.mac_key].ref,),
                algorithm=algorithm,
                pad=_PADDINGS[link.mac_padding] if algorithm in _ISO_9797 else bytes,
                on_network=link.mac_network,
            )
    return zones
