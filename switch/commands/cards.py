"""Cards: new ones, their status, plastics and PIN tries, files of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

from keys.vault import Vault
from switch.commands.base import Refusal, main
from switch.commands.operator import (
    at_desk,
    changing,
    checked,
    line_count,
    looking,
    progress,
    read_pan,
    refusing_files,
    vault_of,
)
from switch.commands.operator_pages import card_page
from switch.ledger.imports import import_cards
from switch.ledger.operator_views import CardView, find_account, find_card, view_card
from switch.ledger.operators import Actor, CardPlace, Change, Operators, Plastic
from switch.log_fields import scrub
from switch.mask import PAN_MIN, mask_pan
from switch.operate import issuing_values as values
from switch.operate.issuing_csv import read_cards
from switch.settings import Settings

T = TypeVar("T")

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
#: How a card is blocked, and the blocks that a network can be told of.
_BLOCKS = ("lost", "stolen", "blocked", "closed", "inactive")
_TOLD = ("lost", "stolen", "blocked")

_status_option = click.option(
    "--status", type=click.Choice(values.STATUSES), default="active", show_default=True
)
card_argument = click.argument("card", metavar="CARD|-")
_service_code_help = "Three digits of the stripe, like 201."


@main.group()
def cards() -> None:
    """Cards: add, look at, block, limit and reissue them. Every change is recorded.

    CARD is a card's number, as `switch accounts show` tells it, or - to give its PAN: at a prompt,
    or as a line of standard input. A PAN is never taken from the command line, which every user of
    the machine can see (ps).

    Example: switch cards block 17 --as lost --reason "customer called"
    """


@cards.command()
@click.option("--account", "reference", required=True, help="The account's reference.")
@click.option("--expiry", required=True, callback=checked(values.expiry), help="YYMM.")
@click.option("--service-code", required=True, callback=checked(values.service_code),
              help=_service_code_help)  # fmt: skip
@click.option(
    "--sequence-number",
    default="00",
    show_default=True,
    callback=checked(values.sequence_number),
    help="Of the plastic, two digits.",
)
@_status_option
@changing
def create(
    settings: Settings, actor: Actor, reference: str, expiry: str, service_code: str,
    sequence_number: str, status: str,
) -> None:  # fmt: skip
    """Add a card to an account. Its PAN is asked for, or read from standard input.

    The PAN is not taken from the command line, which every user of the machine can see (ps).

    Example: switch cards create --account acc-77 --expiry 3012 --service-code 201 --reason new <pan
    """
    pan, vault = read_pan(), vault_of(settings)
    sealed = values.sealed(pan, vault)
    plastic = Plastic(expiry, service_code, sequence_number)

    async def work(desk: Operators) -> Change:
        account = await find_account(desk.connection, reference)
        return await desk.create_card(actor, account.account_id, sealed, plastic, status)

    done = at_desk(settings, work, vault=vault)
    click.echo(f"card {done.became['card_id']}: {mask_pan(pan)} on {reference}, {status}")


@cards.command()
@card_argument
@looking
def show(settings: Settings, card: str) -> None:
    """Show a card: status, plastics, PIN tries, limits and what is used of them, controls.

    Example: switch cards show 17
    """
    find, vault, pan = _finder(settings, card)

    async def work(desk: Operators) -> CardView:
        return await view_card(desk.connection, await find(desk))

    view = at_desk(settings, work, vault=vault)
    shown = mask_pan(pan) if pan else f"…{view.card['pan_last_four']}"
    click.echo("\n".join(card_page(view, shown)))


@cards.command()
@card_argument
@click.option("--as", "status", type=click.Choice(_BLOCKS), required=True,
              help="Closed is final.")  # fmt: skip
@click.option(
    "--tell-network",
    "links",
    multiple=True,
    metavar="LINK",
    help="Tell only the network behind this link (may be given several times).",
)
@changing
def block(settings: Settings, actor: Actor, card: str, status: str, links: tuple[str, ...]) -> None:
    """Let a card be used no more. A lost, stolen or blocked one is told to the networks behind
    the links that have `file_updates` set.

    Example: switch cards block 17 --as stolen --reason "police report"
    """
    told = settings.links_with_file_updates
    for link in links:
        if link not in told:
            raise Refusal(
                f"--tell-network: no link {link} with file_updates = true, "
                f"only {', '.join(told) or 'none'}"
            )
    if links and status not in _TOLD:
        raise Refusal(f"--tell-network: a network is told of {', '.join(_TOLD)}, not of {status}")
    links = (links or told) if status in _TOLD else ()

    async def work(desk: Operators, place: CardPlace) -> Change:
        return await desk.block_card(actor, place, status, links)

    _say_status(*on_card(settings, card, work))


@cards.command()
@card_argument
@changing
def unblock(settings: Settings, actor: Actor, card: str) -> None:
    """Let a card be used again. Networks that were told of its block are told; closed is final.

    Example: switch cards unblock 17 --reason "card was found"
    """

    async def work(desk: Operators, place: CardPlace) -> Change:
        return await desk.unblock_card(actor, place)

    _say_status(*on_card(settings, card, work))


@cards.command("reset-pin-tries")
@card_argument
@changing
def reset_pin_tries(settings: Settings, actor: Actor, card: str) -> None:
    """Forget the wrong PINs of a card.

    Example: switch cards reset-pin-tries 17 --reason "identified by phone"
    """

    async def work(desk: Operators, place: CardPlace) -> Change:
        return await desk.reset_pin_tries(actor, place)

    place, change = on_card(settings, card, work)
    said = "no wrong PIN was counted"
    if change.is_done:
        said = f"{change.was['pin_tries']} wrong PINs are forgotten"
    click.echo(f"card {place.card_id}: {said}")


@cards.command()
@card_argument
@click.option("--expiry", required=True, callback=checked(values.expiry), help="YYMM.")
@click.option("--sequence-number", required=True, callback=checked(values.sequence_number),
              help="Of the new plastic, two digits.")  # fmt: skip
@click.option("--service-code", callback=checked(values.service_code),
              help=f"{_service_code_help} Else that of the newest plastic.")  # fmt: skip
@click.option("--stop-old", is_flag=True, help="The other plastics are valid no more.")
@changing
def reissue(
    settings: Settings, actor: Actor, card: str, expiry: str, sequence_number: str,
    service_code: str | None, stop_old: bool,
) -> None:  # fmt: skip
    """Give a card a new plastic. The old one stays valid until its own end.

    Example: switch cards reissue 17 --expiry 3312 --sequence-number 01 --reason renewal
    """

    async def work(desk: Operators, place: CardPlace) -> Change:
        return await desk.reissue_card(
            actor, place, expiry, sequence_number, service_code, stops_old=stop_old
        )

    place, change = on_card(settings, card, work)
    stopped = change.became["stopped"]
    rest = f"; stopped: {', '.join(stopped)}" if stopped else ""
    click.echo(f"card {place.card_id}: plastic {expiry}/{sequence_number} is added{rest}")


@cards.command("import")
@click.argument("file", type=_FILE)
@changing
def import_(settings: Settings, actor: Actor, file: Path) -> None:
    """Add the cards of a CSV file to their accounts: all of them, or none.

    Columns: account, pan, expiry, service_code, and where they are wanted sequence_number, status,
    pin_method, pin_reference. No value of the file is shown, only lines and columns.

    Example: switch cards import cards.csv --reason "portfolio of May"
    """
    vault = vault_of(settings)
    with refusing_files(file):
        with progress("reading", line_count(file)) as tell:
            rows, problems = read_cards(file, vault, progress=tell)
        with progress("sending", len(rows)) as tell:

            async def work(desk: Operators) -> None:
                await import_cards(
                    desk.connection, actor, scrub(file.name), rows, problems, progress=tell
                )  # fmt: skip

            at_desk(settings, work, vault=vault)
    click.echo(f"{len(rows)} cards are added")


def on_card(
    settings: Settings, card: str, work: Callable[[Operators, CardPlace], Awaitable[T]]
) -> tuple[CardPlace, T]:
    """Find a card, by its number or its PAN, and do something to it."""
    find, vault, _ = _finder(settings, card)

    async def found(desk: Operators) -> tuple[CardPlace, T]:
        place = await find(desk)
        return place, await work(desk, place)

    return at_desk(settings, found, vault=vault)


def _finder(
    settings: Settings, card: str
) -> tuple[Callable[[Operators], Awaitable[CardPlace]], Vault | None, str]:
    """How to find a card, the vault where it takes one, and the PAN where it was given."""
    if card == "-":
        pan, vault = read_pan(), vault_of(settings)
        tokens = vault.lookup_tokens(pan)
        return lambda desk: find_card(desk.connection, tokens), vault, pan
    if not (card.isascii() and card.isdigit()):
        raise Refusal("CARD: give the card's number, or - to give its PAN")
    if len(card) >= PAN_MIN:
        raise Refusal("CARD: a PAN does not belong on the command line, where ps shows it: give -")
    number = int(card)
    return lambda desk: find_card(desk.connection, number), None, ""


def _say_status(place: CardPlace, change: Change) -> None:
    if not change.is_done:
        click.echo(f"card {place.card_id}: is so already: nothing is changed")
        return
    told = f"; to be told: {', '.join(change.became['told'])}" if change.became["told"] else ""
    click.echo(
        f"card {place.card_id}: {change.became['status']} (was {change.was['status']}){told}"
    )
