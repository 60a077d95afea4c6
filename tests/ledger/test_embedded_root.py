"""Who runs the embedded Postgres, which refuses to be root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import asyncpg
import pytest

from switch.ledger.embedded_files import find_binaries
from tests.ledger.embedded_process import User, query, server_pid, servers

PROJECT = Path(__file__).parents[2]

#: Where the packages of this run stand, for another Python of the same version.
PACKAGES = {"PYTHONPATH": f"{PROJECT}:{Path(asyncpg.__file__).parents[1]}"}

#: A user with an account, and one without, as containers are often run.
ACCOUNT, NO_ACCOUNT = pwd.getpwnam("daemon").pw_uid, 12345
ORDINARY = pytest.mark.parametrize("uid", [ACCOUNT, NO_ACCOUNT])

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")

#: In a chroot the kernel refuses user namespaces, as Docker does; the files are the same.
WITHOUT_NAMESPACES = 'mount --rbind / "$0" && exec chroot "$0" "$@"'

FULL_DISK = 'mount -t tmpfs -o size=8m tmpfs "$0" && exec "$@"'


def may(uid: int, *command: str | Path) -> bool:
    """Whether a user can run a command."""
    ran = subprocess.run(
        command,
        user=uid,
        group=uid,
        extra_groups=[],
        env=os.environ | PACKAGES,
        capture_output=True,
        check=False,
        cwd="/",
    )
    return ran.returncode == 0


def python_for(uid: int) -> str:
    """A Python that the user may run with all that the switch needs; skips where there is none."""
    name = f"python3.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/local/bin/{name}", f"/usr/bin/{name}"):
        try:
            if may(uid, candidate, "-c", "import asyncpg, switch.ledger.embedded"):
                return candidate
        except OSError:
            continue
    return pytest.skip(f"NOT TESTED: the user {uid} may not read {PROJECT} or any Python {name}")


def mounted(how: str, place: Path) -> Sequence[str]:
    """A Python with a mount of its own at a place; skips where mounts are not allowed."""
    prefix = ["unshare", "--mount", "sh", "-c", how, str(place)]
    if shutil.which("unshare") is None or subprocess.run([*prefix, "true"], check=False).returncode:
        pytest.skip("NOT TESTED: this machine does not let root mount")
    return [*prefix, sys.executable]


@pytest.fixture
def place(quick_root: Path) -> Iterator[Path]:
    """A folder that every user can reach, which pytest's own temporary folders are not."""
    place = Path(tempfile.mkdtemp(dir=quick_root.parent))
    place.chmod(0o755)
    yield place
    assert [] == servers(place / "postgres")
    shutil.rmtree(place)


def owner_of_server(folder: Path) -> int:
    """The user that the kernel sees a server run as."""
    return Path(f"/proc/{server_pid(folder)}").stat().st_uid


def test_root(place: Path) -> None:
    """As root nothing changes hands, and nothing above the folder is opened to others."""
    hidden = place / "hidden"
    hidden.mkdir(mode=0o700)
    folder = hidden / "postgres"
    user = User(folder)
    url = user.url()
    owner = owner_of_server(folder)
    user.leave()
    if owner != 0:
        pytest.skip("NOT TESTED: this machine forbids user namespaces")
    assert url
    assert {0} == {path.lstat().st_uid for path in folder.rglob("*")}
    assert 0o700 == hidden.stat().st_mode & 0o777


@ORDINARY
def test_ordinary_user(place: Path, uid: int) -> None:
    """An ordinary user runs Postgres as themselves."""
    python = python_for(uid)
    folder = place / "postgres"
    os.chown(place, uid, uid)
    user = User(folder, python=[python], environment=PACKAGES, uid=uid)
    user.url()
    assert uid == owner_of_server(folder)
    assert "last words 1\n" == user.leave()
    assert 0o700 == folder.stat().st_mode & 0o777


@ORDINARY
def test_root_in_anothers_folder(place: Path, uid: int) -> None:
    """Root over an ordinary user's folder runs Postgres as that user, who can go on with it."""
    if not may(uid, find_binaries().path("postgres"), "--version"):
        pytest.skip(f"NOT TESTED: the user {uid} may not read {PROJECT}")
    folder = place / "postgres"
    folder.mkdir(mode=0o700)
    os.chown(folder, uid, uid)
    root = User(folder)
    query(root.url(), "CREATE TABLE kept AS SELECT 42 AS answer")
    assert uid == owner_of_server(folder)
    root.leave()
    assert {uid} == {path.lstat().st_uid for path in folder.rglob("*")}
    user = User(folder, python=[python_for(uid)], environment=PACKAGES, uid=uid)
    user.url()
    user.leave()


def test_root_without_namespaces(place: Path) -> None:
    """Where user namespaces are forbidden, root gives the folder to nobody; later either works."""
    nobody = pwd.getpwnam("nobody").pw_uid
    if not may(nobody, find_binaries().path("postgres"), "--version"):
        pytest.skip(f"NOT TESTED: the user nobody may not read {PROJECT}")
    folder, chroot = place / "postgres", place / "chroot"
    chroot.mkdir()
    before = User(folder)
    query(before.url(), "CREATE TABLE kept AS SELECT 42 AS answer")
    before.leave()
    user = User(folder, python=mounted(WITHOUT_NAMESPACES, chroot), environment=PACKAGES)
    assert 42 == query(user.url(), "SELECT answer FROM kept")
    assert nobody == owner_of_server(folder)
    user.leave()
    after = User(folder)
    assert 42 == query(after.url(), "SELECT answer FROM kept")
    after.leave()


def test_nobody_cannot_reach_it(place: Path) -> None:
    """Where nobody cannot reach the folder, root refuses in one line and opens nothing."""
    hidden, chroot = place / "hidden", place / "chroot"
    hidden.mkdir(mode=0o700)
    chroot.mkdir()
    user = User(
        hidden / "postgres", python=mounted(WITHOUT_NAMESPACES, chroot), environment=PACKAGES
    )
    said = user.end()
    assert "cannot reach" in said
    assert 1 == said.count("\n")
    assert 0o700 == hidden.stat().st_mode & 0o777


def test_anothers_folder(place: Path) -> None:
    """An ordinary user is refused root's folder in one line."""
    python = python_for(ACCOUNT)
    folder = place / "postgres"
    folder.mkdir(mode=0o700)
    said = User(folder, python=[python], environment=PACKAGES, uid=ACCOUNT).end()
    assert f"{folder}/PG_VERSION: Permission denied\n" == said


def test_full_disk(place: Path) -> None:
    """A disk without room for a database is told in one line, and nothing half made stays."""
    said = User(place, python=mounted(FULL_DISK, place), environment=PACKAGES).end()
    assert "No space left on device" in said
    assert 1 == said.count("\n")
