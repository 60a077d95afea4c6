"""Whether the switch itself takes the settings that the chart renders: `switch check` on them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deploy.check.chart_facts import settings_of, settings_text
from deploy.check.manifests import Release

#: How long one command may take, in seconds.
PATIENCE_SECONDS = 60

#: Keys that an HSM elsewhere has: their check values are looked at when it is asked.
ELSEWHERE = """
[zpk]
aws = "alias/zpk"
usage = "P0"
algorithm = "T"
kcv = "5CA55B"
"""


def problems(release: Release, root: Path) -> Iterator[str]:
    """What the switch would refuse the release's settings for."""
    switch = root / ".venv/bin/switch"
    if not switch.exists():
        yield "switch check: there is no .venv/bin/switch: make setup"
        return
    with tempfile.TemporaryDirectory() as folder:
        pod = Path(folder)
        text = settings_text(release).replace("/etc/switch/", f"{pod}/etc/")
        settings = pod / "switch.toml"
        settings.write_text(text.replace("/var/lib/switch/", f"{pod}/lib/"))
        _lay_secrets(release, root, pod)
        ran = _run(str(switch), "check", "--config", str(settings), root=root)
        if ran.returncode != 0:
            yield f"switch check: {ran.stderr.strip().replace(str(pod), '')}"


def _lay_secrets(release: Release, root: Path, pod: Path) -> None:
    """Files in the place of the Secrets: made here, and worth nothing."""
    _, serving = release.serving()
    mounts = [m for m in serving.containers[0]["volumeMounts"] if m["mountPath"].startswith("/etc")]
    for mount in mounts:
        place = pod / "etc" / Path(mount["mountPath"]).relative_to("/etc/switch")
        place.mkdir(parents=True)
        (place / "token").write_text("0123456789abcdef" * 4)
        _certificate(place)
        for file in place.iterdir():
            file.chmod(0o640)
    if "keys" in settings_of(release)["hsm"]:
        _lay_keys(root, pod / "etc/keys")


def _lay_keys(root: Path, place: Path) -> None:
    """A key file with vault keys under a protection key of our own, as production wants it."""
    (place / "kbpk").write_text(os.urandom(32).hex())
    (place / "kbpk").chmod(0o640)
    keys = place / "keys.toml"
    keys.write_text(ELSEWHERE)
    for name, kind in (("pan_token", "token"), ("pan_data", "data")):
        ran = _run(
            str(root / ".venv/bin/switch"), "keys", "vault-generate", name, "--kind", kind,
            root=root, SWITCH_HSM__KEYS=str(keys), SWITCH_HSM__KBPK_FILE=str(place / "kbpk"),
        )  # fmt: skip
        keys.write_text(keys.read_text() + ran.stdout)


def _certificate(place: Path) -> None:
    """One that vouches for itself, as its own CA, under the names that Secrets have."""
    openssl = shutil.which("openssl")
    if openssl is None:
        sys.exit("openssl is needed: install it")
    _run(
        openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-days", "2", "-subj", "/CN=switch", "-keyout", str(place / "tls.key"),
        "-out", str(place / "tls.crt"), root=place,
    )  # fmt: skip
    shutil.copy(place / "tls.crt", place / "ca.crt")


def _run(*words: str, root: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SWITCH_")}
    return subprocess.run(  # noqa: S603 - our own commands
        words,
        env={**kept, "PYTHONPATH": str(root), **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
