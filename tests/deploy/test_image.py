"""The Dockerfile is what an image of the switch must be, and each mistake in it is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deploy.check import image
from deploy.check.dockerfile import chain, is_ignored, stages_of
from tests.traffic import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()

#: What is changed, into what, and what is said of it.
MISTAKES = [
    ("USER 10001:10001\n", "", "runs as root"),
    ("USER 10001:10001", "USER switch", "runs as switch"),
    ('ENTRYPOINT ["switch"]', "ENTRYPOINT switch", "ENTRYPOINT in exec form"),
    ('CMD ["run"]', "CMD run", "CMD in exec form"),
    ("HEALTHCHECK --interval=10s", "# HEALTHCHECK --interval=10s", "HEALTHCHECK"),
    ("HEALTH_URL=http", "HEALTHY_URL=http", "HEALTH_URL"),
    ("EXPOSE 8583", "STOPSIGNAL SIGKILL", "stopped by SIGKILL"),
    ("COPY specs ./specs", "COPY spec ./specs", "copies spec, which is not there"),
    ("COPY keys ./keys", "COPY docs ./docs", ".dockerignore"),
    ("--from=switch-packages", "--from=packages-switch", "no stage"),
    (" --require-hashes", "", "without hashes"),
    ("--only-binary :all: ", "", "without hashes"),
    ("RUN groupadd", "RUN apt-get update && groupadd", "apt-get in account"),
    ("COPY requirements.lock ./", "ADD requirements.lock ./", "ADD"),
    (" psutil setuptools", " setuptools", "uninstalls"),
    ("python:3.11-slim-bookworm", "python:latest", "tag of its own"),
    ("FROM account AS switch", "FROM python:3.11-slim AS switch", "bases are"),
    ("FROM account AS demo\n", "FROM account AS demonstration\n", "no target demo"),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the Dockerfile is about, to make mistakes in."""
    folder = tmp_path_factory.mktemp("tree")
    for name in (".dockerignore", "pyproject.toml", "README.md", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    for name in ("keys", "specs", "switch", "docs"):
        (folder / name).mkdir()
    return folder


def test_it_is_in_order() -> None:
    """Nothing is wrong with the Dockerfile as it stands."""
    assert [] == image.facts(ROOT)


@pytest.mark.parametrize(("right", "wrong", "said"), MISTAKES)
def test_a_mistake_is_found(tree: Path, right: str, wrong: str, said: str) -> None:
    """Each of these changes is named."""
    assert right in DOCKERFILE
    (tree / "Dockerfile").write_text(DOCKERFILE.replace(right, wrong))
    assert any(said in problem for problem in image.facts(tree)), image.facts(tree)


def test_stages_lead_from_the_base_to_the_target() -> None:
    """The production image is made of the account's stage and its own, packages are copied in."""
    stages = stages_of(DOCKERFILE)
    assert ["account", "switch"] == [stage.name for stage in chain(stages, "switch")]
    assert ["packages", "switch-packages"] == [s.name for s in chain(stages, "switch-packages")]


@pytest.mark.parametrize(
    ("path", "is_left_out"),
    [
        ("switch/app.py", False), ("keys/dev/keys.toml", False), ("requirements.lock", False),
        ("switch/__pycache__/app.pyc", True), ("var/postgres/data/PG_VERSION", True),
        (".git/config", True), ("switch.toml", True), ("requirements-dev.lock", True),
        (".venv/bin/python", True),
    ],
)  # fmt: skip
def test_the_builder_sees_what_it_needs(path: str, is_left_out: bool) -> None:
    """Sources go to the builder; data, settings, keys of this machine and history do not."""
    assert is_left_out is is_ignored(Path(path), (ROOT / ".dockerignore").read_text())
