"""A switch whose Postgres has a disk of its own, so small that a test can fill it."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from tests.prepared import PREPARED
from tests.process import COMMAND, POLL_SECONDS, Switch

#: Room for a cluster and some of its log.
MEGABYTES = 192

#: The disk is mounted where only the switch and its children see it: it goes with them, whatever
#: ends a test. Who is not root is so in a namespace of their own.
UNSHARE = ("unshare", "--mount", *(("--user", "--map-root-user") if os.geteuid() else ()))
_MOUNT = f'mount -t tmpfs -o size={MEGABYTES}m none "$1"'
_RUN = f'{_MOUNT} && cp -a "$2" "$1/postgres" && exec "$3" run'


@functools.cache
def missing() -> str | None:
    """Why no such disk can be had here; None where it can."""
    with tempfile.TemporaryDirectory() as folder:
        words = [*UNSHARE, "sh", "-c", _MOUNT, "sh", folder]
        try:
            tried = subprocess.run(words, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return "unshare: not there"
        return f"a file system cannot be mounted: {tried.stderr.strip()}" if tried.stderr else None


class Cramped(Switch):
    """`switch run` with its database on the small disk."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self._disk = folder / "disk"
        self._disk.mkdir()
        super().__init__(folder, database__data_dir=self.data_dir, **settings)
        words = (str(self._disk), str(PREPARED.made()), COMMAND)
        self.command = [*UNSHARE, "sh", "-c", _RUN, "sh", *words]

    @property
    def data_dir(self) -> Path:
        """The embedded server's folder, as the switch sees it."""
        return self._disk / "postgres"

    @property
    def disk(self) -> Path:
        """The disk, as we see it: through the switch's own eyes."""
        return Path(f"/proc/{self.pid}/root{self._disk}")

    @property
    def database_url(self) -> str:
        """The embedded server's address, for us."""
        place = {"host": self.disk / "postgres" / "run", "port": 5432, "user": "switch"}
        return f"postgresql:///switch?{urlencode(place)}"

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Leave not a byte on the disk, also of what is given back meanwhile."""
        ballast, over = self.disk / "ballast", threading.Event()
        with ballast.open("wb", buffering=0) as file:

            def fill() -> None:
                while not over.wait(POLL_SECONDS):
                    _fill(file.fileno())

            filling = threading.Thread(target=fill)
            _fill(file.fileno())
            filling.start()
            try:
                yield
            finally:
                over.set()
                filling.join()
                ballast.unlink()


def _fill(file: int) -> None:
    """Write zeroes until there is no room for more."""
    for size in (1 << 20, 1 << 12):
        with contextlib.suppress(OSError):
            while True:
                os.write(file, bytes(size))
