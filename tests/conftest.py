"""
What the tests of every room share: one real Postgres for a whole run, and a
database of its own for each test that asks.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import signal
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from switch.ledger.embedded import EmbeddedPostgres
from switch.ledger.migrate import migrate
from tests import secrecy
from tests.prepared import PREPARED

T = TypeVar("T")

#: What a run's folders begin with, and the one that its workers share.
PREFIX = "switch-test-"
SHARED = pytest.StashKey[tempfile.TemporaryDirectory[str]]()

TEMPLATE = "migrated"

#: A file system in memory, where fsync costs nothing: ten times faster for tests that make and
#: drop databases. It is used where it has room for what a whole run may write.
MEMORY = Path("/dev/shm")  # noqa: S108 - a private folder is made there
MEMORY_FREE_BYTES = 4 * 1024**3

#: The files that take longest, longest first: one that began last would be waited for alone.
LONGEST = (
    "faults/test_between_statements.py", "faults/test_failover.py", "faults/test_hsm_backends.py",
    "links/test_file_updates.py", "life/test_life.py", "links/test_tls.py",
    "faults/test_kills.py", "links/test_key_exchange.py",
    "test_retokenize_command.py", "faults/test_life_crowd.py", "ledger/test_embedded.py",
    "faults/test_two_links.py", "test_accounts_command.py", "ledger/test_embedded_root.py",
    "faults/test_three_switches.py", "faults/test_secrecy.py", "hsm_aws/test_open.py",
    "faults/test_unwinding.py",
    "contract/test_contract.py", "keys/test_oracles_card_keys.py", "links/test_headers.py",
    "test_commands.py", "operate/simulate/test_simulation.py", "links/test_stopping.py",
    "operate/test_admin.py", "deploy/test_alerts.py", "operate/page/test_page.py",
    "operate/test_top.py", "operate/admin/test_api.py", "flows/test_own_stand_in.py",
    "faults/test_stand_in.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; the others stay in order."""
    here = Path(__file__).parent
    place = {here / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(LONGEST)))


def pytest_configure() -> None:
    """Who is started by a shell in the background ignores Ctrl-C, and so would all it starts."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Whoever starts workers gives them one folder for what each would make alike."""
    if SHARED not in node.config.stash:
        node.config.stash[SHARED] = tempfile.TemporaryDirectory(prefix=PREFIX, dir=memory())
    node.workerinput["shared"] = node.config.stash[SHARED].name


def pytest_unconfigure(config: pytest.Config) -> None:
    """The folder goes when all workers have gone."""
    if SHARED in config.stash:
        config.stash[SHARED].cleanup()


class Background:
    """An event loop in a thread: the server outlives the loops that pytest gives to tests."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="postgres fixture")
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the thread and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """End the loop and its thread."""
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass
class PostgresServer:
    """The run's Postgres, and how a test gets a database of its own on it."""

    embedded: EmbeddedPostgres
    background: Background
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    admin: asyncpg.Connection[asyncpg.Record] | None = None

    def url(self, database: str) -> str:
        """The URL of a database of this server."""
        return urlunsplit(urlsplit(self.embedded.url)._replace(path=f"/{database}"))

    def execute(self, statement: str) -> None:
        """Run a statement about databases, on one connection that stays."""
        self.background.run(self._execute(statement))

    async def _execute(self, statement: str) -> None:
        if self.admin is None:
            self.admin = await asyncpg.connect(self.url("postgres"))
        await self.admin.execute(statement)

    def make_template(self) -> None:
        """Migrate once what every migrated database is a copy of."""
        self.execute(f"CREATE DATABASE {TEMPLATE}")
        self.background.run(migrate(self.url(TEMPLATE)))
        self.execute(f"ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false")

    def fresh(self, template: str) -> Iterator[str]:
        """The URL of a new database, which is dropped when the generator goes on."""
        name = f"test_{next(self.numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield self.url(name)
        self.background.run(secrecy.check_database(self.url(name)))
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def close(self) -> None:
        """Stop the server."""
        if self.admin is not None:
            await self.admin.close()
        await self.embedded.stop()


secrecy.watch_exceptions()


@pytest.fixture(scope="session", autouse=True)
def no_secret_in_exceptions() -> Iterator[None]:
    """No exception of ours said a secret in the whole run."""
    yield
    secrecy.check_exceptions()


def memory() -> Path | None:
    """The file system in memory where it has room; else whatever is for temporary files."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_FREE_BYTES
    return MEMORY if roomy else None


@pytest.fixture(scope="session")
def quick_root(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder for the run, in memory where there is room, that goes with it."""
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=memory()) as name:
        of_all = getattr(request.config, "workerinput", {}).get("shared", name)
        PREPARED.place = Path(of_all, "prepared")
        yield Path(name)


@pytest.fixture
def quick_path(quick_root: Path) -> Iterator[Path]:
    """A folder for one test, like `tmp_path`, in memory where there is room."""
    with tempfile.TemporaryDirectory(dir=quick_root) as name:
        yield Path(name)


@pytest.fixture(scope="session")
def postgres_server(quick_root: Path) -> Iterator[PostgresServer]:
    """One Postgres for the run (for each worker of it), with its data in a temporary folder."""
    background = Background()
    try:
        server = PostgresServer(EmbeddedPostgres(quick_root / "postgres"), background)
        background.run(server.embedded.start())
        try:
            yield server
        finally:
            background.run(server.close())
    finally:
        background.close()


@pytest.fixture(scope="session")
def migrated_server(postgres_server: PostgresServer) -> PostgresServer:
    """The same server, with a migrated database to copy."""
    postgres_server.make_template()
    return postgres_server


@pytest.fixture
def database(migrated_server: PostgresServer) -> Iterator[str]:
    """The URL of a migrated, otherwise empty database that only this test has."""
    yield from migrated_server.fresh(TEMPLATE)


@pytest.fixture
def raw_database(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database, not migrated, that only this test has."""
    yield from postgres_server.fresh("template0")
