"""The way to the primary: whichever host of the URL it is, and whatever the others do."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from switch.database_url import Host, hosts_of
from switch.ledger import primary
from switch.ledger.lane import SESSION
from switch.ledger.primary import NoPrimary, Primary, Standing, connect
from tests.ledger.disk import until
from tests.ledger.support import Connection
from tests.ledger.test_lane import lane_on, run

ROOM = Path(primary.__file__).parents[1]
READS = {"default_transaction_read_only": "on"}

HOSTS = {
    "postgresql:///ledger": (),
    "postgresql://db/ledger": (Host("db", None),),
    "postgresql://me:a@db:5433/ledger": (Host("db", 5433),),
    "postgresql://a:1,b:2/ledger": (Host("a", 1), Host("b", 2)),
    "postgresql://a,b:2/ledger?port=3": (Host("a", 3), Host("b", 2)),
    "postgresql://[::1]:1,b/ledger": (Host("::1", 1), Host("b", None)),
    "postgresql://%2Frun%2Fa/ledger": (Host("/run/a", None),),
    "postgresql:///ledger?host=/run/a,/run/b&port=1,2": (Host("/run/a", 1), Host("/run/b", 2)),
    "postgresql:///ledger?host=/run/a,/run/b&port=1": (Host("/run/a", 1), Host("/run/b", 1)),
}


@pytest.mark.parametrize(("url", "hosts"), HOSTS.items())
def test_hosts_of_a_url(url: str, hosts: tuple[Host, ...]) -> None:
    """Each host with its port, however the URL names them."""
    assert hosts == hosts_of(url)


@pytest.mark.parametrize(
    "url",
    ["postgresql://a,,b/d", "postgresql://a:0/d", "postgresql://a:70000/d", "postgresql://a:x/d",
     "postgresql://a,b/d?port=1,2,3", "postgresql://a/d?port=x", "postgresql://[::1/d"],
)  # fmt: skip
def test_what_is_no_host(url: str) -> None:
    """What cannot be read is refused, also by who would connect."""
    with pytest.raises(ValueError):  # noqa: PT011 - of which kind differs
        Primary(url)


@contextlib.asynccontextmanager
async def silent() -> AsyncIterator[int]:
    """A server that takes connections and never says a word, as a frozen one does; its port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


@pytest.fixture
def socket_dir(database: str) -> str:
    """The folder of the real server's socket."""
    return hosts_of(database)[0].name


@pytest.fixture
def other_dir(socket_dir: str, quick_path: Path) -> str:
    """The same server as another host."""
    (quick_path / "run").symlink_to(socket_dir)
    return str(quick_path / "run")


def several(database: str, *hosts: str, ports: str) -> str:
    """A URL of that database with other hosts besides."""
    name = urlsplit(database).path
    return f"postgresql://{name}?host={','.join(hosts)}&port={ports}&user=switch"


@pytest.mark.parametrize("session", [SESSION, READS], ids=["writes", "reads"])
async def test_silent_and_absent_hosts_are_passed(
    database: str, socket_dir: str, session: dict[str, str]
) -> None:
    """A host that is silent, and one that is not there, cost a moment, not the time to connect."""
    async with silent() as port:
        url = several(
            database, "127.0.0.1", "127.0.0.1", socket_dir, ports=f"{port},1,5432"
        )  # fmt: skip
        began = time.monotonic()
        connection = await connect(url, timeout=60.0, server_settings=session)
        assert time.monotonic() - began < 30
        assert 1 == await connection.fetchval("SELECT 1")
        await connection.close()


async def test_a_server_that_may_not_be_written_to_is_none(
    database: str, socket_dir: str, other_dir: str, raw_database: str
) -> None:
    """It is refused in one line to who writes, let in where the URL says so, and to who reads."""
    name = urlsplit(raw_database).path.strip("/")
    admin = await asyncpg.connect(database)
    await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await admin.close()
    both = several(raw_database, socket_dir, other_dir, ports="5432")
    for url in (raw_database, both):
        with pytest.raises(NoPrimary) as refused:
            await connect(url)
        assert "no primary that can be written to answers" == refused.value.strerror
        for each, session in ((url, READS), (f"{url}&target_session_attrs=any", {})):
            connection = await connect(each, server_settings=session)
            assert 1 == await connection.fetchval("SELECT 1")
            await connection.close()


async def test_who_is_promoted_while_another_is_silent(
    database: str, socket_dir: str, raw_database: str
) -> None:
    """A server that was none when it was asked is asked again, while another one never answers."""
    name = urlsplit(raw_database).path.strip("/")
    admin = await asyncpg.connect(database)
    await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    async with silent() as port:
        url = several(raw_database, "127.0.0.1", socket_dir, ports=f"{port},5432")
        connecting = asyncio.create_task(connect(url, timeout=60.0))
        await asyncio.sleep(0.1)
        assert not connecting.done()
        await admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        async with asyncio.timeout(30):
            connection = await connecting
    await connection.close()
    await admin.close()


async def test_of_nothing_but_outages_one_is_told(database: str) -> None:
    """Where no host answers it is an error of the system; a refusal is told before that."""
    absent = several(database, "127.0.0.1", "/nowhere", ports="1")
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on who is first
        await connect(absent)
    (host,) = hosts_of(database)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await connect(several("postgresql:///nobody", "/nowhere", host.name, ports="5432"))


async def test_an_older_primary_is_never_taken_again(
    database: str, socket_dir: str, other_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two primaries the newer is taken, wherever it stands; then the older alone is none."""
    timelines: list[int] = [1, 2]
    of: dict[int, int] = {}

    async def standing(connection: Connection) -> Standing:
        timeline = of[connection.get_server_pid()] = timelines.pop(0)
        return Standing(7, timeline)

    monkeypatch.setattr(primary, "_standing_of", standing)
    both = Primary(several(database, socket_dir, other_dir, ports="5432"))
    connection = await both.connect()
    assert 2 == of[connection.get_server_pid()]
    assert 0 == both.term
    await connection.close()
    timelines += [1, 1]
    with pytest.raises(NoPrimary):
        await both.connect()
    timelines += [3, 1]
    connection = await both.connect()
    assert (3, 1) == (of[connection.get_server_pid()], both.term)
    await connection.close()


async def test_what_is_not_taken_is_let_go(database: str, socket_dir: str, other_dir: str) -> None:
    """Of the connections to several hosts one remains."""
    url = several(database, socket_dir, other_dir, ports="5432")
    kept = await connect(url, server_settings={"application_name": "mine"})
    mine = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mine'"

    for _ in range(100):
        if await kept.fetchval(mine) == 1:
            break
        await asyncio.sleep(0.01)
    assert 1 == await kept.fetchval(mine)
    await kept.close()


async def test_a_lane_leaves_with_the_others(database: str) -> None:
    """A lane to a server that another found to be the primary no more connects anew."""
    events: list[str] = []
    lane = lane_on(database, run, events)
    await lane.open()
    lane.leave_the_deposed()
    assert lane.is_ready
    lane._primary.is_left(0)
    lane._primary.is_left(0)  # told twice, it is left once
    assert 1 == lane._primary.term
    lane.leave_the_deposed()
    assert not lane.is_ready
    await until(lambda: lane.is_ready)
    assert ["database_down", "database_up"] == events
    lane.leave_the_deposed()
    assert lane.is_ready
    await lane.close()


def test_everybody_goes_this_way() -> None:
    """Nothing in the switch connects to the database by itself, but who starts the embedded one."""
    by_themselves = {
        path.name
        for path in ROOM.rglob("*.py")
        if re.search(r"asyncpg\.connect\(", path.read_text())
    }
    assert {"primary.py", "embedded_server.py"} == by_themselves
    pools = {path.name for path in ROOM.rglob("*.py") if "create_pool(" in path.read_text()}
    assert {"reading.py"} == pools
