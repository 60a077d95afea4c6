"""The zone keys of all links, wired: who reads them, who takes new ones, who sends them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from keys.hsm import Capability
from keys.keyfile import KeyEntry
from keys.zone_keys import ZoneKeyHsm, zone_keys_of
from specs.spec import Spec
from switch.flows.issuer import Issuer
from switch.flows.key_exchange import KeyExchanges, KeyNetwork, KeySender, ZoneMaster
from switch.flows.zone_keys import ZoneKeyring
from switch.ledger.zone_keys import Place
from switch.links.link import Link
from switch.settings import Link as LinkSettings
from switch.settings import Settings

OnEvent = Callable[..., None]


def place_of(link: LinkSettings, entry: KeyEntry, backend: str) -> Place:
    """A link's zone PIN key, as it is replaced."""
    return Place(
        link.name, entry.name, entry.usage, backend, entry.kcv[:6], link.zone_key_overlap_s
    )


class LinkKeys:
    """What keeps every link's zone keys as the ledger has them, and exchanges them."""

    def __init__(
        self,
        settings: Settings,
        issuer: Issuer,
        entries: Mapping[str, KeyEntry],
        specs: Mapping[str, Spec],
        *,
        on_event: OnEvent,
    ) -> None:
        self._on_event = on_event
        self._rows = issuer.ledger.zone_keys
        takes_keys = Capability.IMPORT_ZONE_KEY in issuer.hsm.capabilities
        self._hsm: ZoneKeyHsm | None = zone_keys_of(issuer.hsm) if takes_keys else None
        self._keyring = ZoneKeyring(self._rows, self._hsm, issuer.pin_zones, on_event=on_event)
        self._masters = {
            link.name: ZoneMaster(
                key=entries[link.zone_master_key].ref,
                algorithm=entries[link.zone_pin_key].algorithm,
                place=place_of(link, entries[link.zone_pin_key], issuer.hsm.name),
                spec=specs[link.dialect],
            )
            for link in settings.links
            if link.zone_master_key
        }
        self._sender: KeySender | None = None

    async def start(self) -> None:
        """Learn the keys that stand in the ledger. Raises what reading raises."""
        await self._keyring.start()

    def exchanges_of(self, link: LinkSettings) -> KeyExchanges | None:
        """What takes a link's new keys; none where it has no zone master key."""
        if link.name not in self._masters or self._hsm is None:
            return None
        return KeyExchanges(
            self._masters[link.name], self._hsm, self._rows, self._keyring, on_event=self._on_event
        )

    def begin_sending(self, links: Sequence[Link]) -> None:
        """Send the schemes the keys that are to be sent, from now on."""
        networks = [
            KeyNetwork(self._masters[link.settings.name], link, link.settings.file_update_answer_s)
            for link in links
            if link.settings.name in self._masters
        ]
        if networks and self._hsm is not None:
            self._sender = KeySender(
                self._rows, self._hsm, self._keyring, networks, on_event=self._on_event
            )
            self._sender.start()

    async def close(self) -> None:
        """Stop reading and sending."""
        if self._sender is not None:
            await self._sender.close()
        await self._keyring.close()
