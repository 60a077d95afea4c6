"""Whether the switch itself takes the settings that the chart renders: `switch check` on them."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deploy.check.chart_facts import settings_text
from deploy.check.manifests import Release

#: How long one command may take, in seconds.
PATIENCE_SECONDS = 60

#: A key that an HSM elsewhere has: its check value is looked at when that is asked.
ELSEWHERE = """
[zpk]
aws = "alias/zpk"
usage = "P0"
algorithm = "T"
kcv = "5CA55B"
"""


class NotMade(Exception):
    """Something to check with cannot be made here: which, and what to do."""


def problems(release: Release, root: Path) -> Iterator[str]:
    """What the switch would refuse the release's settings for."""
    _, pod = release.serving()
    mounts = tuple(mount["mountPath"] for mount in pod.containers[0]["volumeMounts"])
    try:
        refusal = _refusal(settings_text(release), mounts, root)
    except NotMade as error:
        refusal = str(error)
    if refusal:
        yield f"switch check: {refusal}"


@functools.cache
def _refusal(settings: str, mounts: tuple[str, ...], root: Path) -> str:
    """The line that settings are refused with, empty where they are not."""
    with tempfile.TemporaryDirectory() as folder:
        pod = Path(folder)
        file = pod / "switch.toml"
        moved = settings.replace("/etc/switch/", f"{pod}/etc/switch/")
        file.write_text(moved.replace("/var/lib/switch/", f"{pod}/var/lib/switch/"))
        for mount in mounts:
            if mount.startswith("/etc/switch/"):
                _lay_secret(pod / mount.removeprefix("/"), root)
        ran = _switch(root, "check", "--config", str(file))
        return ran.stderr.strip().replace(str(pod), "") if ran.returncode else ""


def _lay_secret(place: Path, root: Path) -> None:
    """Files in the place of a Secret, whichever it is: made here, and worth nothing."""
    certificate, key = _pair()
    protection, keys = _keys(root)
    place.mkdir(parents=True)
    for name, text in (
        ("token", "0123456789abcdef" * 4), ("kbpk", protection), ("keys.toml", keys),
        ("tls.crt", certificate), ("ca.crt", certificate), ("tls.key", key),
    ):  # fmt: skip
        (place / name).write_text(text)
        (place / name).chmod(0o640)


@functools.cache
def _keys(root: Path) -> tuple[str, str]:
    """A protection key, and a key file with the vault's keys under it: none that is published."""
    protection, tables = os.urandom(32).hex(), ELSEWHERE
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kbpk"
        file.touch(0o600)
        file.write_text(protection)
        for name, kind in (("pan_token", "token"), ("pan_data", "data")):
            words = ("keys", "vault-generate", name, "--kind", kind, "--version", "01")
            ran = _switch(root, *words, SWITCH_HSM__KBPK_FILE=str(file))
            if ran.returncode:
                raise NotMade(ran.stderr.strip())
            tables += ran.stdout
    return protection, tables


@functools.cache
def _pair() -> tuple[str, str]:
    """A certificate that vouches for itself, and its key."""
    if shutil.which("openssl") is None:
        raise NotMade("openssl is not installed")
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder) / "crt", Path(folder) / "key"
        _run(
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=switch", "-keyout", str(key),
            "-out", str(certificate),
        )  # fmt: skip
        return certificate.read_text(), key.read_text()


def _switch(root: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = root / ".venv/bin/switch"
    if not command.exists():
        raise NotMade(f"there is no {command.relative_to(root)}: make setup")
    return _run(str(command), *words, PYTHONPATH=str(root), **variables)


def _run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SWITCH_")}
    return subprocess.run(  # noqa: S603 - our own commands
        words,
        env=kept | variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
