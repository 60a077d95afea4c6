"""What deploy/distribute.sql says, and a guard that holds a call to the rows of its account."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from tests.ledger.support import Connection
from tests.traffic import ROOT

FILE = ROOT / "deploy" / "distribute.sql"

_LIST = re.compile(r"^-- stays: (.+)$", re.MULTILINE)
_WORDS = {
    "distributed": re.compile(r"create_distributed_table\('(\w+)', 'account_id'"),
    "reference": re.compile(r"create_reference_table\('(\w+)'\)"),
    "calls": re.compile(r"create_distributed_function\(\s*'(\w+\([^)]*\))', 'p_account_id'"),
    "indexes": re.compile(r"^DROP INDEX (\w+)", re.MULTILINE),
    "triggers": re.compile(r"^DROP TRIGGER (\w+) ON", re.MULTILINE),
    "sequences": re.compile(r"SET DEFAULT nextval\('(\w+)'\)"),
}


@dataclass(frozen=True)
class Distribution:
    """The names in the file."""

    statements: tuple[str, ...]
    distributed: frozenset[str]  #: tables that move with an account
    reference: frozenset[str]  #: those that every node has whole
    stays: frozenset[str]  #: those of the coordinator
    calls: frozenset[str]  #: functions that a node makes whole, with the types of their arguments
    indexes: frozenset[str]  #: what goes before
    triggers: frozenset[str]
    sequences: frozenset[str]  #: that come to every node as a column's default

    @classmethod
    def read(cls) -> Distribution:
        """Read the file."""
        text = FILE.read_text(encoding="utf-8")
        stays = [name for line in _LIST.findall(text) for name in line.split(", ")]
        bare = re.sub(r"^--.*\n", "", text, flags=re.MULTILINE)
        found = {kind: frozenset(words.findall(bare)) for kind, words in _WORDS.items()}
        statements = tuple(one.strip() for one in bare.split(";\n") if one.strip())
        return cls(statements=statements, stays=frozenset(stays), **found)


DISTRIBUTION = Distribution.read()
#: Events of no account are anybody's: a request for a card that is not ours is one.
OF_NONE = " OR account_id = 0"


async def guarded(connection: Connection, url: str) -> str:
    """The URL of the same database for a role that sees and writes rows of one account alone: of
    the one whose call is being made, and of none outside of a call.
    """
    parts = urlsplit(url)
    guest = f"guest_{parts.path[1:]}"
    await connection.execute(
        f"CREATE ROLE {guest} LOGIN; GRANT USAGE ON SCHEMA public TO {guest};"
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {guest};"
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {guest}"
    )
    for table in sorted(DISTRIBUTION.distributed):
        await connection.execute(
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;"
            f"CREATE POLICY own ON {table} USING (account_id ="
            " nullif(current_setting('guard.account_id', true), '')::bigint"
            f"{OF_NONE if table == 'events' else ''})"
        )
    for call in sorted(DISTRIBUTION.calls):
        text = await connection.fetchval("SELECT pg_get_functiondef($1::text::regprocedure)", call)
        said = "\nBEGIN\n PERFORM set_config('guard.account_id', p_account_id::text, true);\n"
        assert text.count("\nBEGIN\n") == 1
        await connection.execute(text.replace("\nBEGIN\n", said))
    words = dict(parse_qsl(parts.query)) | {"user": guest}
    return urlunsplit(parts._replace(query=urlencode(words)))
