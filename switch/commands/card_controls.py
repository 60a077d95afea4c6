"""Cards: what they may spend, and where."""

from __future__ import annotations

import click

from switch.commands.base import Refusal
from switch.commands.cards import card_argument, cards, on_card
from switch.commands.operator import changing, checked, minor
from switch.commands.operator_pages import changes
from switch.ledger.operator_views import account_currency
from switch.ledger.operators import Actor, CardPlace, Change, Controls, Operators
from switch.operate import issuing_values as values
from switch.operate.issuing_values import ValueProblem
from switch.settings import Settings

#: The most that a count may be: an int of Postgres.
_COUNT_MAX = 2**31 - 1

_scope = click.argument("scope", type=click.Choice(values.SCOPES))
_period = click.argument("period", type=click.Choice(values.PERIODS))


@cards.command("set-limit")
@card_argument
@_scope
@_period
@click.option("--amount", help="In major units of the account's currency.")
@click.option("--count", type=click.IntRange(0, _COUNT_MAX), help="How many debits.")
@changing
def set_limit(
    settings: Settings, actor: Actor, card: str, scope: str, period: str, amount: str | None,
    count: int | None,
) -> None:  # fmt: skip
    """Limit what a card spends in a period. What is not given stays as it was.

    Example: switch cards set-limit 17 cash day --amount 500.00 --count 5 --reason "as agreed"
    """
    if amount is None and count is None:
        raise Refusal("a limit needs --amount, --count, or both")
    if period == "transaction" and count is not None:
        raise Refusal("--count: a transaction is one debit: give --amount")

    async def work(desk: Operators, place: CardPlace) -> tuple[Change, str]:
        currency = await account_currency(desk.connection, place)
        limit = None if amount is None else minor(amount, currency)
        return await desk.set_limit(actor, place, scope, period, limit, count), currency

    place, (change, currency) = on_card(settings, card, work)
    _say(place, change, changes(change._asdict(), currency))


@cards.command("remove-limit")
@card_argument
@_scope
@_period
@changing
def remove_limit(settings: Settings, actor: Actor, card: str, scope: str, period: str) -> None:
    """Take a limit away, and what was counted toward it.

    Example: switch cards remove-limit 17 cash day --reason "travels"
    """

    async def work(desk: Operators, place: CardPlace) -> Change:
        return await desk.remove_limit(actor, place, scope, period)

    _say(*on_card(settings, card, work), "the limit is removed")


def _countries(text: str) -> tuple[str, ...] | None:
    """Countries between commas; none: every country."""
    if text == "all":
        return None
    try:
        return tuple(values.country(code) for code in text.split(","))
    except ValueProblem as error:
        raise ValueProblem(f"{error}, with commas between them, or all") from None


_channel = click.Choice(values.CHANNELS)


@cards.command("set-controls")
@card_argument
@click.option("--block-channel", "block_channels", type=_channel, multiple=True)
@click.option("--allow-channel", "allow_channels", type=_channel, multiple=True)
@click.option("--block-mcc", "block_mccs", multiple=True, callback=checked(values.mcc),
              help="A merchant category, four digits.")  # fmt: skip
@click.option("--allow-mcc", "allow_mccs", multiple=True, callback=checked(values.mcc))
@click.option("--countries", help="ISO 3166 numeric codes, like 276,250; or all.")
@changing
def set_controls(
    settings: Settings, actor: Actor, card: str, block_channels: tuple[str, ...],
    allow_channels: tuple[str, ...], block_mccs: tuple[str, ...], allow_mccs: tuple[str, ...],
    countries: str | None,
) -> None:  # fmt: skip
    """Say where a card may be used. What is not given stays as it was.

    Options for channels and merchant categories may be given several times.

    Example: switch cards set-controls 17 --block-channel ecommerce --reason asked
    """
    if not (block_channels or allow_channels or block_mccs or allow_mccs or countries):
        raise Refusal("nothing to change: give --block-channel, --block-mcc, --countries, …")
    both = {*block_channels, *block_mccs} & {*allow_channels, *allow_mccs}
    if both:
        raise Refusal(f"{', '.join(sorted(both))}: blocked and allowed at once")
    try:
        allowed = _countries(countries) if countries else None
    except ValueProblem as error:
        raise Refusal(f"--countries: {error}") from None
    controls = Controls(
        block_channels, allow_channels, block_mccs, allow_mccs, bool(countries), allowed
    )

    async def work(desk: Operators, place: CardPlace) -> Change:
        return await desk.set_controls(actor, place, controls)

    place, change = on_card(settings, card, work)
    _say(place, change, changes(change._asdict(), ""))


def _say(place: CardPlace, change: Change, what: str) -> None:
    if not change.is_done:
        what = "is so already: nothing is changed"
    click.echo(f"card {place.card_id}: {what}")
