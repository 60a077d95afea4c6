"""How a link's messages stand on the wire, by its settings."""

from __future__ import annotations

from switch.settings import Link as LinkSettings
from switch.wire.conversation import Format
from switch.wire.frame import Framing
from switch.wire.header import header_of

__all__ = ["format_of"]


def format_of(link: LinkSettings) -> Format:
    """The framing and the header of a link. Raises `ValueError` for an unknown framing.

    That the settings of the header agree is known: the settings were checked.
    """
    header = header_of(
        link.header,
        bytes.fromhex(link.header_hex),
        is_echoed=link.header_echo,
        source=link.header_source,
        destination=link.header_destination,
    )
    return Format(Framing.parse(link.framing, link.frame_max), header)
