"""A Dockerfile as what it says: stages by name, each with its instructions in order."""

from __future__ import annotations

import fnmatch
import io
import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dockerfile_parse import DockerfileParser


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continued lines joined."""

    name: str
    value: str
    line: int  #: in the file, from 1

    @property
    def words(self) -> list[str]:
        """Its words; those of the exec form (JSON) where it has that."""
        return json.loads(self.value) if self.is_exec else shlex.split(self.value)

    @property
    def is_exec(self) -> bool:
        """Whether it is a JSON list: run as it stands, by no shell."""
        return self.value.startswith("[")


@dataclass(frozen=True)
class Stage:
    """What stands from one FROM to the next."""

    name: str
    base: str  #: an image, or another stage
    instructions: tuple[Instruction, ...]

    def of(self, name: str) -> list[Instruction]:
        """Its instructions of a kind."""
        return [one for one in self.instructions if one.name == name]


def stages_of(text: str) -> dict[str, Stage]:
    """All stages of a file by name, in order. Each is to have a name."""
    read = DockerfileParser(fileobj=io.BytesIO(text.encode())).structure
    found: dict[str, Stage] = {}
    name = base = ""
    inside: list[Instruction] = []
    for one in (*read, {"instruction": "FROM", "value": "", "startline": 0}):
        if one["instruction"] == "COMMENT":
            continue
        if one["instruction"] == "FROM":
            if name:
                found[name] = Stage(name, base, tuple(inside))
            base, _, name = one["value"].partition(" AS ")
            inside = []
        elif name:
            line = one["startline"] + 1
            inside.append(Instruction(one["instruction"], one["value"], line))
    return found


def chain(stages: dict[str, Stage], target: str) -> list[Stage]:
    """The stages that an image is made of, from its base image on."""
    found = [stages[target]]
    while found[0].base in stages:
        found.insert(0, stages[found[0].base])
    return found


def last(stages: dict[str, Stage], target: str, name: str) -> Instruction | None:
    """The instruction of a kind that counts: the last one on the way to the target."""
    every = [one for stage in chain(stages, target) for one in stage.of(name)]
    return every[-1] if every else None


def variables(stages: dict[str, Stage], target: str) -> dict[str, str]:
    """The environment of a target, as its ENV lines set it."""
    pairs = (
        word.partition("=") for stage in chain(stages, target) for env in stage.of("ENV")
        for word in env.words
    )  # fmt: skip
    return {name: value for name, _, value in pairs}


@dataclass(frozen=True)
class Copy:
    """COPY: from another stage, or else from the build's context."""

    sources: tuple[str, ...]
    target: str
    stage: str | None


def copies(stage: Stage) -> Iterator[Copy]:
    """What a stage copies."""
    for one in stage.of("COPY"):
        given = [word for word in one.words if not word.startswith("--")]
        flags = dict(word[2:].partition("=")[::2] for word in one.words if word.startswith("--"))
        yield Copy(tuple(given[:-1]), given[-1], flags.get("from"))


def is_ignored(path: Path, patterns: str) -> bool:
    """Whether the builder never sees a path of the context: the last pattern that fits decides.

    Of a .dockerignore's language as much as ours uses: a name, `*`, `!` before either, and
    `**/` before a name that may stand anywhere.
    """
    ignored = False
    for line in map(str.strip, patterns.splitlines()):
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        if anywhere := pattern.removeprefix("**/") != pattern:
            pattern = pattern.removeprefix("**/")
        tops = path.parts if anywhere else (path.parts[0],)
        if any(fnmatch.fnmatch(part, pattern) for part in tops):
            ignored = not line.startswith("!")
    return ignored
