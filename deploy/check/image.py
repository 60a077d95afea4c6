"""
The Dockerfile: read by hadolint, and held to what an image of the switch must be. Nothing is built.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.check.dockerfile import Stage, chain, copies, is_ignored, last, stages_of, variables

#: What is built for others; all else is on the way there.
TARGETS = ("switch", "demo")
#: As whom it runs: the chart says the same number.
ACCOUNT = "10001:10001"

#: Names that belong to building and stay out of what is shipped.
TOOLS = re.compile(r"\b(pip3? install|apt-get|apk|gcc|cc|make|curl|wget|git)\b")


@dataclass(frozen=True)
class Image:
    """A source tree's Dockerfile, read."""

    root: Path
    stages: dict[str, Stage]

    @property
    def shipped(self) -> dict[str, Stage]:
        """The stages whose files reach a target: those of its own chain."""
        return {one.name: one for name in TARGETS for one in chain(self.stages, name)}


def problems(root: Path) -> list[str]:
    """What is wrong with the Dockerfile of a source tree, a line each; nothing."""
    return [*_linted(root / "Dockerfile"), *facts(root)]


def facts(root: Path) -> list[str]:
    """The same without hadolint."""
    image = Image(root, stages_of((root / "Dockerfile").read_text()))
    if missing := [name for name in TARGETS if name not in image.stages]:
        return [f"Dockerfile: there is no target {', '.join(missing)}"]
    return [f"Dockerfile: {problem}" for fact in FACTS for problem in fact(image)]


def builds_by_default(image: Image) -> Iterator[str]:
    """Who names no target gets the one for production."""
    if list(image.stages)[-1] != TARGETS[0]:
        yield f"the last stage is not {TARGETS[0]}"


def has_sources(image: Image) -> Iterator[str]:
    """What is copied is there, and .dockerignore lets it through."""
    patterns = (image.root / ".dockerignore").read_text()
    for stage in image.stages.values():
        for copy in copies(stage):
            if copy.stage is not None:
                if copy.stage not in image.stages:
                    yield f"{stage.name} copies from {copy.stage}, which is no stage"
                continue
            for source in map(Path, copy.sources):
                if not (image.root / source).exists():
                    yield f"{stage.name} copies {source}, which is not there"
                elif is_ignored(source, patterns):
                    yield f"{stage.name} copies {source}, which .dockerignore leaves out"


def has_a_base_to_choose(image: Image) -> Iterator[str]:
    """All stages are over one image, an argument with a tag for its default."""
    bases = {stage.base for stage in image.stages.values()} - image.stages.keys()
    if bases != {"${PYTHON_IMAGE}"}:
        yield f"bases are {', '.join(sorted(bases))}, not the argument PYTHON_IMAGE"
    text = (image.root / "Dockerfile").read_text()
    default = re.search(r"^ARG PYTHON_IMAGE=\S+:(\S+)$", text, re.M)
    if default is None or default[1] == "latest":
        yield "PYTHON_IMAGE has no tag of its own"


def runs_as_nobody(image: Image) -> Iterator[str]:
    """The account is a number, so that Kubernetes can see that it is not root."""
    for name in TARGETS:
        user = last(image.stages, name, "USER")
        if user is None or user.value != ACCOUNT:
            yield f"{name} runs as {user.value if user else 'root'}, not as {ACCOUNT}"


def hears_signals(image: Image) -> Iterator[str]:
    """SIGTERM reaches the switch itself: no shell stands between."""
    for name in TARGETS:
        for kind in ("ENTRYPOINT", "CMD"):
            one = last(image.stages, name, kind)
            if one is None or not one.is_exec:
                yield f"{name} has no {kind} in exec form"
        stop = last(image.stages, name, "STOPSIGNAL")
        if stop is not None and stop.value != "SIGTERM":
            yield f"{name} is stopped by {stop.value}"


def tells_its_health(image: Image) -> Iterator[str]:
    """HEALTHCHECK asks by no shell, and where HEALTH_URL says."""
    for name in TARGETS:
        check = last(image.stages, name, "HEALTHCHECK")
        if check is None or "CMD [" not in check.value or "HEALTH_URL" not in check.value:
            yield f"{name} has no HEALTHCHECK in exec form"
        if "HEALTH_URL" not in variables(image.stages, name):
            yield f"{name} has no HEALTH_URL"


def ships_no_tools(image: Image) -> Iterator[str]:
    """What builds and fetches stays behind, and nothing is fetched by ADD."""
    for stage in image.shipped.values():
        for one in stage.of("RUN"):
            if found := TOOLS.search(one.value):
                yield f"line {one.line}: {found[0]} in {stage.name}, which is shipped"
    for stage in image.stages.values():
        for one in stage.of("ADD"):
            yield f"line {one.line}: ADD; COPY does less"


def installs_what_is_locked(image: Image) -> Iterator[str]:
    """Packages come by hash, as wheels; only what is in the tree is installed without."""
    runs = [one for stage in image.stages.values() for one in stage.of("RUN")]
    for one in (one for one in runs if "pip install" in one.value):
        is_locked = "--require-hashes" in one.value and "--only-binary :all:" in one.value
        if not is_locked and "--no-index" not in one.value:
            yield f"line {one.line}: pip installs without hashes"
        if "--no-cache-dir" not in one.value:
            yield f"line {one.line}: pip keeps a cache"


def leaves_postgres_out(image: Image) -> Iterator[str]:
    """Production loses what only embedded Postgres and the build need: no more, no less."""
    removed = {
        word for stage in _sources_of(image, TARGETS[0]) for one in stage.of("RUN")
        for word in one.value.partition("pip uninstall")[2].split() if not word.startswith("-")
    }  # fmt: skip
    wanted = _only_for_extras(image.root) | {"pip"}
    if removed != wanted:
        yield f"{TARGETS[0]} uninstalls {sorted(removed)}, and should {sorted(wanted)}"


FACTS: tuple[Callable[[Image], Iterator[str]], ...] = (
    builds_by_default, has_sources, has_a_base_to_choose, runs_as_nobody, hears_signals,
    tells_its_health, ships_no_tools, installs_what_is_locked, leaves_postgres_out,
)  # fmt: skip


def _sources_of(image: Image, target: str) -> list[Stage]:
    """The stages from which a target copies, each with those that it is made of."""
    names = {copy.stage for copy in copies(image.stages[target]) if copy.stage in image.stages}
    return [stage for name in names for stage in chain(image.stages, name)]


def _only_for_extras(root: Path) -> set[str]:
    """Packages of requirements.lock that no dependency of the switch leads to, but extras do."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    reached = {_name(one) for one in project["dependencies"]}
    lock = (root / "requirements.lock").read_text()
    because: dict[str, set[str]] = {}
    name = ""
    for line in lock.splitlines():
        if found := re.match(r"([\w.-]+)==", line):
            name = _name(found[1])
            because[name] = set()
        elif (found := re.match(r"    #\s+(?:via\s+)?([\w.-]+)", line)) and found[1] != "via":
            because[name].add(_name(found[1]))
    while more := {name for name, whose in because.items() if whose & reached} - reached:
        reached |= more
    return because.keys() - reached


def _name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    return found[0].lower().replace("_", "-") if found else requirement


def _linted(path: Path) -> Iterator[str]:
    """What hadolint says; every rule counts."""
    beside = str(Path(sys.executable).parent)
    hadolint = shutil.which("hadolint", path=f"{beside}:{os.environ['PATH']}")
    if hadolint is None:
        yield "hadolint is not installed"
        return
    ran = subprocess.run(  # noqa: S603 - a linter over our own file
        [hadolint, "--no-color", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    yield from (ran.stdout + ran.stderr).splitlines()
