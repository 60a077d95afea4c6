"""What the chart renders for a release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class Pod:
    """A pod that some manifest makes."""

    owner: str  #: kind and name
    labels: Mapping[str, str]
    spec: Mapping[str, Any]

    @property
    def containers(self) -> list[Mapping[str, Any]]:
        """All of them, those that only begin included."""
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]


@dataclass(frozen=True)
class Release:
    """All manifests of a release."""

    manifests: tuple[Manifest, ...]

    def of(self, kind: str) -> list[Manifest]:
        """Those of a kind."""
        return [one for one in self.manifests if one["kind"] == kind]

    def pods(self) -> Iterator[Pod]:
        """What each StatefulSet, Job and CronJob makes."""
        for one in self.manifests:
            spec = one.get("spec", {})
            if one["kind"] == "CronJob":
                spec = spec["jobTemplate"]["spec"]
            if one["kind"] in ("StatefulSet", "Deployment", "Job", "CronJob"):
                template = spec["template"]
                yield Pod(named(one), template["metadata"]["labels"], template["spec"])

    def serving(self) -> tuple[Manifest, Pod]:
        """The StatefulSet, and its pod. There is one."""
        (one,) = self.of("StatefulSet")
        return one, next(pod for pod in self.pods() if pod.owner == named(one))


def named(manifest: Manifest) -> str:
    """Kind and name."""
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def parsed(text: str) -> Release:
    """The manifests of a rendered chart."""
    return Release(tuple(one for one in yaml.safe_load_all(text) if one))
