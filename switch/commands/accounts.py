"""Accounts: opening, closing, money by hand, files of them."""

from __future__ import annotations

from pathlib import Path

import click

from switch.commands.base import Refusal, main
from switch.commands.operator import (
    at_desk,
    changing,
    checked,
    line_count,
    looking,
    minor,
    progress,
    refusing_files,
)
from switch.commands.operator_pages import account_page, changes
from switch.ledger.imports import import_accounts
from switch.ledger.operator_views import (
    AccountRow,
    AccountView,
    find_account,
    program_names,
    view_account,
)
from switch.ledger.operators import Actor, Change, OperatorRefusal, Operators
from switch.log_fields import scrub
from switch.operate import issuing_values as values
from switch.operate.issuing_csv import read_accounts
from switch.settings import Settings
from switch.wire.currency import in_units

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@main.group()
def accounts() -> None:
    """Accounts: open, look at, credit and debit them. Every change is recorded.

    Example: switch accounts show acc-0000001
    """


@accounts.command()
@click.argument("reference", callback=checked(values.reference))
@click.option("--program", required=True, callback=checked(values.name),
              help="The card program.")  # fmt: skip
@click.option("--currency", required=True, callback=checked(values.currency),
              help="ISO 4217 numeric, like 978.")  # fmt: skip
@click.option("--credit-limit", default="0", show_default=True, help="In major units.")
@changing
def create(
    settings: Settings, actor: Actor, reference: str, program: str, currency: str,
    credit_limit: str,
) -> None:  # fmt: skip
    """Open an account without money, under your own name for it.

    Example: switch accounts create acc-77 --program demo --currency 978 --reason "new customer"
    """
    limit = minor(credit_limit, currency)

    async def work(desk: Operators) -> Change:
        try:
            return await desk.create_account(actor, reference, program, currency, limit)
        except OperatorRefusal as error:
            names = await program_names(desk.connection)
            if program in names.split(", "):
                raise
            there = names or "none, and `switch demo reset` loads the demo's"
            raise OperatorRefusal(f"{error}: there are {there}") from None

    done = at_desk(settings, work)
    click.echo(f"{reference}: opened, number {done.became['account_id']}")


@accounts.command()
@click.argument("reference")
@looking
def show(settings: Settings, reference: str) -> None:
    """Show an account: balances, cards, open holds, the last actions of operators.

    Example: switch accounts show acc-0000001
    """

    async def work(desk: Operators) -> AccountView:
        return await view_account(desk.connection, reference)

    click.echo("\n".join(account_page(at_desk(settings, work))))


@accounts.command()
@click.argument("reference")
@changing
def close(settings: Settings, actor: Actor, reference: str) -> None:
    """Close an account: what is asked of its cards is declined. Holds and balance stay.

    Example: switch accounts close acc-77 --reason "customer left"
    """

    async def work(desk: Operators) -> tuple[AccountRow, Change]:
        account = await find_account(desk.connection, reference)
        change = await desk.close_account(actor, account.account_id)
        return await find_account(desk.connection, reference), change

    account, change = at_desk(settings, work)
    left = [
        f"{in_units(amount, account.currency)} {word}"
        for amount, word in ((account.posted_minor, "posted"), (account.held_minor, "held"))
        if amount
    ]
    rest = f": {', '.join(left)} remain" if left else ""
    _say(account, change, "closed" + rest)


@accounts.command()
@click.argument("reference")
@changing
def reopen(settings: Settings, actor: Actor, reference: str) -> None:
    """Open a closed account again.

    Example: switch accounts reopen acc-77 --reason "closed by mistake"
    """

    async def work(desk: Operators) -> tuple[AccountRow, Change]:
        account = await find_account(desk.connection, reference)
        return account, await desk.reopen_account(actor, account.account_id)

    _say(*at_desk(settings, work), "open again")


@accounts.command("set-credit-limit")
@click.argument("reference")
@click.argument("amount")
@changing
def set_credit_limit(settings: Settings, actor: Actor, reference: str, amount: str) -> None:
    """Set an account's credit limit, in major units of its currency.

    Example: switch accounts set-credit-limit acc-77 500.00 --reason "limit review"
    """

    async def work(desk: Operators) -> tuple[AccountRow, Change]:
        account = await find_account(desk.connection, reference)
        limit = minor(amount, account.currency)
        return account, await desk.set_credit_limit(actor, account.account_id, limit)

    account, change = at_desk(settings, work)
    _say(account, change, changes(change._asdict(), account.currency))


_key_option = click.option(
    "--id", "key", callback=checked(values.key),
    help="Your own id of it: a second run with the same one posts nothing.",
)  # fmt: skip


@accounts.command()
@click.argument("reference")
@click.argument("amount")
@_key_option
@changing
def credit(settings: Settings, actor: Actor, reference: str, amount: str, key: str | None) -> None:
    """Post money to an account: AMOUNT in major units of its currency.

    Example: switch accounts credit acc-77 25.00 --id refund-4711 --reason "goodwill"
    """
    _post(settings, actor, reference, amount, key, sign=1)


@accounts.command()
@click.argument("reference")
@click.argument("amount")
@_key_option
@changing
def debit(settings: Settings, actor: Actor, reference: str, amount: str, key: str | None) -> None:
    """Take money from an account: AMOUNT in major units. It may overdraw.

    Example: switch accounts debit acc-77 4.50 --id fee-2026-08 --reason "monthly fee"
    """
    _post(settings, actor, reference, amount, key, sign=-1)


def _post(
    settings: Settings, actor: Actor, reference: str, amount: str, key: str | None, *, sign: int
) -> None:
    async def work(desk: Operators) -> tuple[AccountRow, Change, int]:
        account = await find_account(desk.connection, reference)
        moved = minor(amount, account.currency)
        if moved == 0:
            raise Refusal("amount: must be above zero")
        change = await desk.post(actor, account.account_id, sign * moved, key)
        return await find_account(desk.connection, reference), change, moved

    account, change, moved = at_desk(settings, work)
    word = "credited" if sign > 0 else "debited"
    posted, available, once = (
        in_units(one, account.currency)
        for one in (account.posted_minor, account.available_minor, moved)
    )
    if change.is_done:
        click.echo(f"{reference}: {once} {word}: posted {posted}, available {available}")
    else:
        click.echo(f"{reference}: {once} was {word} under this id before: nothing is posted")


@accounts.command("import")
@click.argument("file", type=_FILE)
@changing
def import_(settings: Settings, actor: Actor, file: Path) -> None:
    """Open the accounts of a CSV file: all of them, or none.

    Columns: reference, program, currency, and where they are wanted opening_balance and
    credit_limit, in major units.

    Example: switch accounts import accounts.csv --reason "portfolio of May"
    """

    with refusing_files(file):
        with progress("reading", line_count(file)) as tell:
            rows, problems = read_accounts(file, progress=tell)
        with progress("sending", len(rows)) as tell:

            async def work(desk: Operators) -> None:
                await import_accounts(
                    desk.connection, actor, scrub(file.name), rows, problems, progress=tell
                )  # fmt: skip

            at_desk(settings, work)
    click.echo(f"{len(rows)} accounts are added")


def _say(account: AccountRow, change: Change, what: str) -> None:
    if not change.is_done:
        what = "is so already: nothing is changed"
    click.echo(f"{account.reference}: {what}")
