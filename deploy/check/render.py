"""Helm's own engine and Kubernetes' own schemas: what needs packages that are large."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import helm_python as helm
import kubernetes_validate
import yaml
from helm_python.errors import HelmError

from deploy.check.manifests import Release, named, parsed

#: Whose schemas the manifests are held to, strictly: a property that is not there is a mistake.
KUBERNETES = "1.34"

#: Kinds that come with operators: no schema of Kubernetes tells of them.
FOREIGN = frozenset({"ServiceMonitor", "PrometheusRule", "TargetGroupBinding"})

#: What the release is called, and where it is: docs/kubernetes.md speaks of these.
NAME = NAMESPACE = "switch"

#: From which severity on what `helm lint` says counts: 2 is a warning.
WARNING = 2


class RenderError(Exception):
    """Helm does not take chart or values: its words."""


def rendered(chart: Path, files: Sequence[Path]) -> Release:
    """The manifests of a release with these values, a later file's over an earlier one's.

    Raises `RenderError` for what `helm lint` or a template refuses, the schema of the values too.
    """
    values: dict[str, Any] = {}
    for file in files:
        values = _laid_over(values, yaml.safe_load(file.read_text()))
    try:
        report = helm.lint(chart, values, namespace=NAMESPACE, kube_version=f"v{KUBERNETES}.0")
        if told := [one for one in report["messages"] if one["severity"] >= WARNING]:
            raise RenderError("; ".join(f"{one['path']}: {one['error']}" for one in told))
        with helm.Chart.load(chart) as loaded:
            loaded.validate_schema(values)
            texts = loaded.render(values, name=NAME, namespace=NAMESPACE)
    except HelmError as error:
        raise RenderError(str(error)) from None
    return parsed("\n---\n".join(text for name, text in texts.items() if name.endswith(".yaml")))


def misshapen(release: Release) -> Iterator[str]:
    """What Kubernetes' schemas do not know, or want otherwise."""
    for one in release.manifests:
        if one["kind"] in FOREIGN:
            continue
        try:
            kubernetes_validate.validate(dict(one), KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            place = ".".join(str(part) for part in error.path)
            yield f"{named(one)}: {place}: {error.message}"


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two trees of values as Helm merges files: maps by key, all else as a whole."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(value, dict) and isinstance(under, dict)
        merged[key] = _laid_over(under, value) if both else value
    return merged
