"""
How the embedded Postgres is started: as somebody who is not root, and on its own.

Postgres refuses to run as root, and to make a database for a user without an
account. This script, run by path and with nothing but the standard library,
becomes whoever owns the database's folder and then turns into the program it
was given:

* an ordinary user stays who they are, and root in somebody's folder becomes them;
* root in a folder of root's enters a user namespace in which it is called
  nobody: the kernel still sees root, so no file changes hands and nothing above
  the folder must be opened to others;
* so does a user without an account, as containers are often run;
* root where such namespaces are forbidden (Docker without CAP_SYS_ADMIN) gives
  the folder to the account nobody and becomes it.

    embedded_root.py FOLDER LOG PROGRAM ARGUMENT…

Where LOG is "-" the program takes this process over. Otherwise it goes on in a
session of its own, away from the terminal's Ctrl-C, with its output appended to
LOG, and its process id is printed.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

#: unshare(2): a new user namespace. `os.unshare` came with Python 3.12 only.
CLONE_NEWUSER = 0x10000000

#: prctl(2): a process that has changed its user may describe itself under /proc again.
PR_SET_DUMPABLE = 4

#: The account that stands in for root. Its usual number, should it have none here.
STAND_IN, STAND_IN_ID = "nobody", 65534


class Refused(Exception):
    """Why the program cannot be started, in one line."""


def leave_root(folder: Path) -> None:
    """Become the folder's owner, or be called nobody; raise `Refused` where neither can be."""
    owner = folder.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        become(owner.st_uid, owner.st_gid)
    if os.geteuid() != 0 and has_account(os.geteuid()):
        return
    if namespaces_allowed():
        enter_namespace()
    elif os.geteuid() == 0:
        try:
            nobody = pwd.getpwnam(STAND_IN)
        except KeyError:
            raise Refused(
                "Postgres does not run as root, user namespaces are forbidden here and there is "
                f"no account {STAND_IN}: run as another user or set database.url"
            ) from None
        give(folder, nobody.pw_uid, nobody.pw_gid)
        become(nobody.pw_uid, nobody.pw_gid)


def has_account(user: int) -> bool:
    """Whether the machine knows a name for a user."""
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True


def namespaces_allowed() -> bool:
    """Try it in a child: a half-made namespace cannot be left again."""
    child = os.fork()
    if child == 0:
        try:
            enter_namespace()
        except (OSError, AttributeError):
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def enter_namespace() -> None:
    """Go on in a user namespace of one user: this one, under another number."""
    user, group = os.geteuid(), os.getegid()
    try:
        called = pwd.getpwnam(STAND_IN).pw_uid
    except KeyError:
        called = STAND_IN_ID
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    own = Path("/proc/self")
    (own / "setgroups").write_text("deny")
    (own / "uid_map").write_text(f"{called} {user} 1")
    (own / "gid_map").write_text(f"{called} {group} 1")


def become(user: int, group: int) -> None:
    """Go on as another user, without a way back."""
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)


def give(folder: Path, user: int, group: int) -> None:
    """Make a folder somebody else's, itself last: interrupted, it is done again."""
    for path in (*everything_below((folder / "run").resolve()), *everything_below(folder)):
        os.chown(path, user, group, follow_symlinks=False)


def everything_below(folder: Path) -> Iterator[Path]:
    """A folder's whole contents, then the folder. A symbolic link is not followed."""
    for parent, folders, files in os.walk(folder, topdown=False):
        yield from (Path(parent, name) for name in (*folders, *files))
    if folder.exists():
        yield folder


def check_reach(folder: Path, program: str) -> None:
    """Raise `Refused` where the user we have become cannot use what it needs."""
    for path, mode in ((program, os.X_OK), (str(folder), os.R_OK | os.W_OK | os.X_OK)):
        if not os.access(path, mode):
            raise Refused(
                f"the user with id {os.geteuid()}, who is to run Postgres, cannot reach {path}: "
                "move it to where they can, run as another user or set database.url"
            )


def detach(log: Path) -> None:
    """Go on in a child with a session of its own; the parent prints its id and ends."""
    output = os.open(log, os.O_WRONLY | os.O_APPEND)
    child = os.fork()
    if child != 0:
        os.write(1, b"%d" % child)
        os._exit(0)
    # Asked to stop before it is Postgres, it ends: Python would note the signal and then be gone.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)


def main(folder: str, log: str, *command: str) -> None:
    """Become the right user and turn into the command; exit 1 with one line otherwise."""
    try:
        leave_root(Path(folder))
        check_reach(Path(folder), command[0])
        if log != "-":
            detach(Path(log))
        os.execv(command[0], command)  # noqa: S606 - no shell is meant to be there
    except (Refused, OSError) as refusal:
        sys.exit(str(refusal))


if __name__ == "__main__":
    main(*sys.argv[1:])
