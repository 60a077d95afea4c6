"""Zone keys of links: looked at, replaced by a key of the key file, exchanged with the scheme."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from keys.keyfile import KeyEntry
from keys.software.key import AES
from keys.zone_keys import StoredZoneKey
from switch import key_checks, prepare
from switch.commands.base import Refusal
from switch.commands.keys_group import keys_group
from switch.commands.operator import at_desk, changing, looking
from switch.ledger.operators import Actor, Operators, refusing
from switch.ledger.queries import QUERIES
from switch.ledger.zone_keys import ZoneKeys
from switch.settings import Link, Settings
from switch.zones import place_of

_link_argument = click.argument("link_name", metavar="LINK")


@keys_group.command("show-zones")
@looking
def show_zones(settings: Settings) -> None:
    """List the zone keys that took the place of the key file's, and exchanges under way.

    Example: switch keys show-zones
    """

    async def work(desk: Operators) -> tuple[list[Any], list[Any]]:
        with refusing():
            keys = await desk.connection.fetch(QUERIES["zone_keys_shown"])
            return keys, await desk.connection.fetch(QUERIES["key_exchanges_open"])

    keys, exchanges = at_desk(settings, work)
    for row in keys:
        until = f" until {row['valid_until']:%Y-%m-%d %H:%M:%S}" if row["valid_until"] else ""
        since = f" since {row['valid_from']:%Y-%m-%d %H:%M:%S}" if row["valid_from"] else ""
        click.echo(
            f"{row['link']:<16}{row['name']:<16}{row['kcv']:<8}{row['state']:<9}"
            f"{row['source']:<10}{since}{until}".rstrip()
        )
    for row in exchanges:
        click.echo(
            f"{row['link']:<16}exchange asked for by {row['asked_by']} at "
            f"{row['asked_at']:%Y-%m-%d %H:%M:%S}, sent {row['attempts']} times, not answered"
        )
    if not keys and not exchanges:
        click.echo("every link has the zone key of the key file")


@keys_group.command("rotate-zone")
@_link_argument
@click.argument("name")
@click.option(
    "--overlap",
    type=click.IntRange(0, 86_400),
    metavar="SECONDS",
    help="How long the old key stays good; else the link's zone_key_overlap_s.",
)
@changing
def rotate_zone(
    settings: Settings, actor: Actor, link_name: str, name: str, overlap: int | None
) -> None:
    """Put the key NAME of the key file in the place of a link's zone PIN key, now.

    Running switches learn it within a second. The old key is still tried until the overlap is over.

    Example: switch keys rotate-zone visa zpk_2 --overlap 3600 --reason "yearly change"
    """
    link, entries = _link(settings, link_name), _entries(settings)
    key = _new_key(settings, entries, link, name)
    if overlap is not None:
        link = link.model_copy(update={"zone_key_overlap_s": overlap})
    place = place_of(link, entries[link.zone_pin_key], settings.hsm.backend)
    became = {"link": link.name, "name": name, "kcv": key.kcv, "overlap_s": place.overlap_s}

    async def work(desk: Operators) -> bool:
        async with desk.recording(actor, "rotate_zone_key", was=None, became=became):
            taken = await _rows(desk).take(place, key, source="operator")
            if taken == "unchanged":
                raise Refusal(f"link {link.name}: {key.kcv} is its zone key already")
        return True

    at_desk(settings, work)
    click.echo(
        f"link {link.name}: zone PIN key {name}, KCV {key.kcv}; "
        f"the one before is good for {place.overlap_s} s more"
    )


@keys_group.command()
@_link_argument
@changing
def exchange(settings: Settings, actor: Actor, link_name: str) -> None:
    """Have a running switch make a new zone PIN key and send it to the scheme behind a link (0800).

    It is the link's key once the scheme has answered; `switch keys show-zones` tells.

    Example: switch keys exchange visa --reason "monthly change"
    """
    link = _link(settings, link_name)
    if not link.zone_master_key:
        raise Refusal(f"link {link.name}: has no zone_master_key to send a key under")

    async def work(desk: Operators) -> None:
        became = {"link": link.name, "name": link.zone_pin_key}
        async with desk.recording(actor, "exchange_zone_key", was=None, became=became):
            if not await _rows(desk).ask_exchange(link.name, "operator"):
                raise Refusal(f"link {link.name}: an exchange is under way: see show-zones")

    at_desk(settings, work)
    click.echo(f"link {link.name}: a new zone PIN key is to be sent")


def _rows(desk: Operators) -> ZoneKeys:
    async def chore(name: str, *parameters: Any) -> list[Any]:
        rows: list[Any] = await desk.connection.fetch(QUERIES[name], *parameters)
        return rows

    return ZoneKeys(chore)


def _link(settings: Settings, name: str) -> Link:
    for link in settings.links:
        if link.name == name:
            return link
    known = ", ".join(link.name for link in settings.links)
    raise Refusal(f"there is no link {name}, only {known}")


def _entries(settings: Settings) -> dict[str, KeyEntry]:
    try:
        return prepare.read_keys(settings)
    except prepare.REFUSALS as error:
        raise Refusal(str(error)) from None


def _new_key(
    settings: Settings, entries: Mapping[str, KeyEntry], link: Link, name: str
) -> StoredZoneKey:
    """The key as the backend stores it, once it is sure that it fits the link."""
    if settings.hsm.backend != "software":
        raise Refusal(
            f"the {settings.hsm.backend} backend takes no zone keys while the switch runs: "
            "name the new key in zone_pin_key, and start it anew"
        )
    if name not in entries:
        raise Refusal(f"{settings.hsm.keys}: there is no key of this name")
    entry = entries[name]
    is_aes = link.pin_block_format == "iso-4"
    if entry.usage != key_checks.ZONE_USAGE or (entry.algorithm == AES) != is_aes:
        cipher = "AES" if is_aes else "TDES"
        raise Refusal(
            f"key {name}: must be a {key_checks.ZONE_USAGE} {cipher} key "
            f"for {link.pin_block_format}"
        )
    if "block" not in entry.places:
        raise Refusal(f"key {name}: has no block")
    try:
        key = prepare.open_blocks(settings, entries, name)[name]
    except prepare.REFUSALS as error:
        raise Refusal(str(error)) from None
    if key.mode_of_use not in "BDN":
        raise Refusal(f"key {name}: its mode of use does not allow reading PIN blocks")
    return StoredZoneKey(entry.places["block"], key.kcv)
