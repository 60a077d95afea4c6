"""SoftHSM2 with tokens of its own in a temporary folder, for the whole process."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from keys.keyfile import Key, KeyEntry
from keys.pkcs11 import Pkcs11Hsm
from keys.pkcs11.calls import Calls, load
from keys.pkcs11.load import create, objects_of
from keys.pkcs11.token import handle_of
from tests.contract.keys import KEYS

#: Where distributions put the library.
USUAL_PLACES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)

PIN, SO_PIN = "271828", "31415926"

#: The token that holds KEYS, one that each test adds keys to, and one that a command fills.
FULL, ODD, EMPTY = "full", "odd", "empty"


@cache
def module() -> str | None:
    """The PKCS#11 library, where there is one."""
    named = os.environ.get("SOFTHSM2_MODULE")
    places = (named,) if named else USUAL_PLACES
    return next((place for place in places if Path(place).is_file()), None)


def missing() -> str | None:
    """Why SoftHSM2 cannot be used here, or nothing."""
    if module() is None:
        return "SoftHSM2 is not installed (Debian: apt-get install softhsm2), or SOFTHSM2_MODULE"
    if shutil.which("softhsm2-util") is None:
        return "softhsm2-util is not on the PATH (Debian: apt-get install softhsm2)"
    return None


def make_tokens(folder: Path, *labels: str) -> dict[str, str]:
    """Make empty tokens; give the environment in which they are found."""
    tokens = folder / "tokens"
    tokens.mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    environment = {**os.environ, "SOFTHSM2_CONF": str(configuration)}
    for label in labels:
        made = f"softhsm2-util --init-token --free --label {label} --so-pin {SO_PIN} --pin {PIN}"
        subprocess.run(made.split(), env=environment, check=True, capture_output=True)
    return environment


@dataclass(frozen=True)
class Home:
    """What the process uses: its library, and the environment for programs beside it."""

    module: str
    folder: Path
    environment: Mapping[str, str]


def home() -> Home:
    """Give what the process uses, and see that the library still finds it.

    The library looks at its environment whenever it is initialized anew; whoever patched the
    environment meanwhile, as moto does, may have taken the name out again.
    """
    made = made_home()
    os.environ["SOFTHSM2_CONF"] = made.environment["SOFTHSM2_CONF"]
    return made


@cache
def made_home() -> Home:
    """Make the tokens, once in a process."""
    library = module()
    assert library is not None
    folder = Path(tempfile.mkdtemp(prefix="switch-softhsm-"))
    atexit.register(leave, folder)
    environment = make_tokens(folder, FULL, ODD, EMPTY)
    os.environ["SOFTHSM2_CONF"] = environment["SOFTHSM2_CONF"]
    made = Home(library, folder, environment)
    with raw_session(FULL, library) as session:
        create(session, objects(KEYS))
    return made


def leave(folder: Path) -> None:
    """Remove the tokens, after which the process can use none."""
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def raw_session(token: str, library: str | None = None) -> Iterator[Any]:
    """A session of python-pkcs11 that may write, logged in."""
    loaded = load(library or home().module)
    session: Any = loaded.get_token(token_label=token).open(rw=True)
    try:
        loaded.calls.login(handle_of(session), PIN)
        yield session
    finally:
        session.close()


def calls() -> Calls:
    """The calls that every backend of the process makes."""
    return load(home().module).calls


def objects(keys: Mapping[str, Key]) -> dict[str, Key]:
    """By label, what stands in a token for these keys; a label is the logical name."""
    return {
        label: stored
        for name, key in keys.items()
        for label, stored in objects_of(entry(name, key), key)
    }


def entry(name: str, key: Key, *, label: str | None = None, kcv: str | None = None) -> KeyEntry:
    """The key file's entry of a key that is in a token."""
    places = {"pkcs11": label or name}
    return KeyEntry(name, kcv or key.kcv, key.usage, key.algorithm, key.version, places)


def entries(keys: Mapping[str, Key]) -> dict[str, KeyEntry]:
    """The entries of keys and of their halves."""
    return {label: entry(label, stored) for label, stored in objects(keys).items()}


def hsm(
    *,
    token: str = FULL,
    sessions: int = 2,
    pin: str = PIN,
    listed: Mapping[str, KeyEntry] | None = None,
) -> Pkcs11Hsm:
    """A backend over the process's tokens, not yet opened."""
    listed = entries(KEYS) if listed is None else listed
    return Pkcs11Hsm(listed, module=home().module, token=token, pin=pin, sessions=sessions)


@asynccontextmanager
async def opened_with(keys: Mapping[str, Key]) -> AsyncIterator[Pkcs11Hsm]:
    """A backend that holds these keys, which are new to the odd token; opened."""
    with raw_session(ODD) as session:
        create(session, objects(keys))
    backend = hsm(token=ODD, listed=entries(keys))
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()
