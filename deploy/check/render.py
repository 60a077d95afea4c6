"""Helm's own engine and Kubernetes' own schemas: what needs packages that are large."""

from __future__ import annotations

from collections.abc import Iterator

import kubernetes_validate

from deploy.check.manifests import Release, named

#: Whose schemas the manifests are held to, strictly: a property that is not there is a mistake.
KUBERNETES = "1.34"

#: Kinds that come with operators: no schema of Kubernetes tells of them.
FOREIGN = frozenset({"ServiceMonitor", "PrometheusRule", "TargetGroupBinding"})


class RenderError(Exception):
    """Helm does not take chart or values: its words."""


def misshapen(release: Release) -> Iterator[str]:
    """What Kubernetes' schemas do not know, or want otherwise."""
    for one in release.manifests:
        if one["kind"] in FOREIGN:
            continue
        try:
            kubernetes_validate.validate(one, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            place = ".".join(str(part) for part in error.path)
            yield f"{named(one)}: {place}: {error.message}"
