"""How each link's messages are authenticated, and that its HSM can do it."""

from __future__ import annotations

from collections.abc import Mapping

from keys.hsm import Hsm, HsmRejected, HsmUnavailable, MacAlgorithm, Verdict
from keys.keyfile import KeyEntry
from keys.padding import pad_method_1, pad_method_2
from switch.flows.issuer import MacZone
from switch.prepare import StartError
from switch.settings import Settings
from switch.wire.mac import LENGTH_MAX

#: Those that take whole blocks; CMAC pads by itself.
_ISO_9797 = (MacAlgorithm.ISO9797_1, MacAlgorithm.ISO9797_3)
_PADDINGS = {"method-1": pad_method_1, "method-2": pad_method_2}
#: Something to make a MAC over: an MTI, as every message begins.
_PROBE = b"0800"


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


async def try_macs(hsm: Hsm, zones: Mapping[str, MacZone]) -> None:
    """Refuse a key that cannot both make a MAC and verify one of a message's length.

    What a key's mode of use allows shows only where it is used.
    """
    for link, zone in zones.items():
        data, key = zone.pad(_PROBE), zone.keys[0]
        try:
            mac = await hsm.mac(key, data, algorithm=zone.algorithm)
            verdict = await hsm.verify_mac(key, data, mac[:LENGTH_MAX], algorithm=zone.algorithm)
        except HsmRejected as error:
            raise StartError(f"link {link!r}: {error}") from None
        except HsmUnavailable:
            raise StartError(f"link {link!r}: the {hsm.name} backend makes no MAC now") from None
        if verdict is not Verdict.MATCH:
            raise StartError(
                f"link {link!r}: the {hsm.name} backend does not verify what it made with "
                f"key {key.name!r}"
            )
