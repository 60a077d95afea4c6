"""An operator's terminal, for the tests of what operators type."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import asyncpg
from click.testing import Result

from switch.mask import mask_pan
from tests.conftest import TEMPLATE, PostgresServer
from tests.process import as_setting
from tests.typed import typed

WHY = ("--reason", "asked by the holder")
PLASTIC = ("--expiry", "3012", "--service-code", "201")


class Desk:
    """An operator's terminal on one database with the demo in it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def type(self, words: str, *more: str, told: str = "", **settings: object) -> Result:
        """Type a command."""
        given = {
            "database__url": as_setting(self.url),
            "operator": "alice",
            "links__0__name": "demo",
            "links__0__listen": "127.0.0.1:0",
            "links__0__file_updates": "true",
            "links__0__file_update_name": "BLOCKS",
        } | settings
        return typed(*words.split(), *more, told=told, settings=given)

    def done(self, words: str, *more: str, told: str = "", **settings: object) -> str:
        """Type a command that must succeed; what it says."""
        said = self.type(words, *more, told=told, **settings)
        assert (0, "") == (said.exit_code, said.stderr), said.stderr
        return said.stdout

    def refused(self, words: str, *more: str, told: str = "", **settings: object) -> str:
        """Type a command that must be refused in one line; that line."""
        said = self.type(words, *more, told=told, **settings)
        assert (1, "") == (said.exit_code, said.stdout)
        assert said.stderr.startswith("switch: ")
        assert 1 == said.stderr.count("\n"), said.stderr
        return said.stderr

    def rows(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        """What a statement gives."""

        async def work() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(self.url)
            try:
                return [tuple(row) for row in await connection.fetch(statement, *arguments)]
            finally:
                await connection.close()

        return asyncio.run(work())

    def account(self, reference: str, currency: str) -> str:
        """Open an account; its reference."""
        self.done(f"accounts create {reference} --program demo --currency {currency}", *WHY)
        return reference

    def card(self, reference: str, pan: str) -> str:
        """Add a card to an account; its number."""
        said = self.done(f"cards create --account {reference}", *PLASTIC, *WHY, told=f"{pan}\n")
        assert mask_pan(pan) in said
        return said.split()[1].rstrip(":")


def demo_desk(migrated_server: PostgresServer) -> Iterator[Desk]:
    """A database with the demo in it, for a whole file: its tests keep to their own accounts."""
    for url in migrated_server.fresh(TEMPLATE):
        desk = Desk(url)
        said = typed("demo", "reset", settings={"database__url": as_setting(url)})
        assert 0 == said.exit_code, said.output
        yield desk
