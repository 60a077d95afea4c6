"""`switch database`: Postgres's own programs against the database of the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from switch.commands.base import Refusal
from switch.commands.database import environment_of
from tests.conftest import PostgresServer
from tests.prepared import PREPARED
from tests.process import as_setting, command
from tests.typed import typed

#: A database's URL → what Postgres's programs are told.
URLS = {
    "postgresql://db/ledger": {"PGHOST": "db", "PGDATABASE": "ledger"},
    "postgresql://me:a%2Fb@db:5433/ledger?sslmode=verify-full&sslrootcert=/ca.pem": {
        "PGHOST": "db", "PGPORT": "5433", "PGUSER": "me", "PGPASSWORD": "a/b",
        "PGDATABASE": "ledger", "PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/ca.pem"},
    "postgresql://[::1]:5433/ledger": {
        "PGHOST": "::1", "PGPORT": "5433", "PGDATABASE": "ledger"},
    "postgresql:///switch?host=/a%20b/run&port=5432&user=switch": {
        "PGHOST": "/a b/run", "PGPORT": "5432", "PGUSER": "switch", "PGDATABASE": "switch"},
    "postgresql://me@a:5433,b/ledger": {
        "PGHOST": "a,b", "PGPORT": "5433,", "PGUSER": "me", "PGDATABASE": "ledger",
        "PGTARGETSESSIONATTRS": "read-write"},
    "postgresql://a,b/ledger?target_session_attrs=any": {
        "PGHOST": "a,b", "PGDATABASE": "ledger", "PGTARGETSESSIONATTRS": "any"},
}  # fmt: skip


@pytest.mark.parametrize(("url", "told"), URLS.items())
def test_a_url_as_variables(url: str, told: dict[str, str]) -> None:
    """Every part of a URL has its variable, decoded; what is not there has none."""
    assert told == environment_of(url)


def test_an_option_that_cannot_be_handed_on() -> None:
    """An option without a variable is named, not left out: it may be what makes a line safe."""
    with pytest.raises(Refusal, match="channel_binding"):
        environment_of("postgresql://db/ledger?channel_binding=require")


def test_a_program_that_is_none(postgres_server: PostgresServer) -> None:
    """What is not there is refused by its name."""
    settings = {"database__url": as_setting(postgres_server.url("postgres"))}
    refused = typed("database", "pg_nope", settings=settings)
    assert 1 == refused.exit_code
    assert "no program pg_nope" in refused.stderr


def test_a_look_into_another_server(postgres_server: PostgresServer, quick_path: Path) -> None:
    """A server of one's own is reached by its URL, and none is started here."""
    settings = {"database__url": as_setting(postgres_server.url("postgres"))}
    words = ("database", "psql", "-Atc", "SELECT current_database()")
    assert "postgres\n" == command(*words, folder=quick_path, settings=settings).stdout
    assert [] == list(quick_path.iterdir())


def test_a_look_into_the_embedded_database(quick_path: Path) -> None:
    """Its own psql reaches it while nothing else runs; arguments, output and exit code are its."""
    PREPARED.lay(quick_path / "var" / "postgres")
    asked = "SELECT current_database(), count(*) > 0 FROM schema_migrations"
    looked = command("database", "psql", "-Atc", asked, folder=quick_path)
    assert (0, "switch|t\n", "") == (looked.returncode, looked.stdout, looked.stderr)
    failed = command("database", "psql", "--set=ON_ERROR_STOP=1", "-c", "SELEKT", folder=quick_path)
    assert 1 == failed.returncode
    assert "SELEKT" in failed.stderr


def test_a_new_database_is_left_empty(quick_path: Path) -> None:
    """Where there is no database yet it is made and not migrated: a backup is to go into it."""
    asked = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert "0\n" == command("database", "psql", "-Atc", asked, folder=quick_path).stdout
