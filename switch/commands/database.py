"""Postgres's own programs, run against the database of the settings: backup, restore, a look."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import click

from switch import prepare
from switch.commands.base import Refusal, config_option, main, settings_of, to_the_end
from switch.database_url import hosts_of
from switch.ledger.embedded_files import EmbeddedError, find_binaries
from switch.settings import Settings

#: A URL's options → the variables by which Postgres's programs take them (libpq, "Environment
#: Variables"). None of them shows in a list of processes.
VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "passfile": "PGPASSFILE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "application_name": "PGAPPNAME",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}


@main.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("program")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@config_option
def database(program: str, arguments: tuple[str, ...], config: Path | None) -> None:
    """Run a program of Postgres against the database: psql, pg_dump, pg_restore, pg_basebackup.

    It is told by its environment where the database is and as whom, so that no password stands in
    a command line. The embedded server's programs are its own, and it runs at least as long.

    Example: switch database pg_dump --format=custom --file=ledger.dump
    """
    settings = settings_of(config)
    sys.exit(to_the_end(_run(settings, program, arguments)))


async def _run(settings: Settings, program: str, arguments: tuple[str, ...]) -> int:
    """Run it to its end; its exit code."""
    found = shutil.which(program, path=_places(settings))
    if found is None:
        raise Refusal(f"there is no program {program} of Postgres here: install its client")
    async with prepare.database(settings, prepare=_as_it_is) as url:
        # Ctrl-C is for the program, which has it too: psql goes on after one.
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: None)
        process = await asyncio.create_subprocess_exec(
            found, *arguments, env=os.environ | environment_of(url)
        )
        return await process.wait()


async def _as_it_is(_: str) -> None:
    """Nothing is migrated: a backup is put back into a database without a schema."""


def _places(settings: Settings) -> str:
    """Where programs are looked for: the embedded server's are of its version, others' on PATH."""
    on_path = os.environ.get("PATH", os.defpath)
    try:
        ours = str(find_binaries().folder)
    except EmbeddedError:
        return on_path
    places = (ours, on_path) if settings.database.is_embedded else (on_path, ours)
    return os.pathsep.join(places)


def environment_of(url: str) -> Mapping[str, str]:
    """The variables that lead Postgres's programs to a database's URL.

    Raises `Refusal` for an option of the URL that none of them says.
    """
    parts, hosts = urlsplit(url), hosts_of(url)
    ports = [str(host.port or "") for host in hosts]
    told = {
        "host": ",".join(host.name for host in hosts),
        "port": ",".join(ports) if any(ports) else "",
        "target_session_attrs": "read-write" if len(hosts) > 1 else "",
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "dbname": unquote(parts.path.removeprefix("/")),
    }
    told |= dict(parse_qsl(parts.query))
    for name in told:
        if name not in VARIABLES:
            raise Refusal(f"database.url: the option {name} is not one that can be handed on")
    return {VARIABLES[name]: value for name, value in told.items() if value}
