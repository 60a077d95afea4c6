"""
What a release of the switch must have, whatever Kubernetes' schemas let pass. Each fact is a
function of the rendered release and the source tree, and yields what is not so.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.check.manifests import Manifest, Pod, Release, named

Fact = Callable[[Release, Path], Iterator[str]]

#: Seconds from SIGTERM to the end, beside the longest answer: sign-off 2, goodbye 1, the database
#: twice 5, the admin port 1.
STOP_SECONDS = 14
#: The least that a request may have, where a link says nothing.
ANSWER_MS = 250

JOURNALS = "/var/lib/switch"


def has_budget(release: Release, _: Path) -> Iterator[str]:
    """Of the pods that serve one goes at a time, whoever drains nodes."""
    serving, pod = release.serving()
    budgets = [one for one in release.of("PodDisruptionBudget") if _selects(one["spec"], pod)]
    if not budgets:
        yield f"{named(serving)}: no PodDisruptionBudget selects its pods"
    for one in budgets:
        most = one["spec"].get("maxUnavailable")
        if not isinstance(most, int) or most >= max(2, _fewest(release)):
            yield f"{named(one)}: may leave no pod running"


def is_confined(release: Release, _: Path) -> Iterator[str]:
    """No container is root, can become it, or can change its own files."""
    for pod in release.pods():
        shared = pod.spec.get("securityContext", {})
        if shared.get("runAsNonRoot") is not True or not shared.get("runAsUser"):
            yield f"{pod.owner}: runAsNonRoot and runAsUser are not set"
        if shared.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{pod.owner}: seccompProfile is not RuntimeDefault"
        if pod.spec.get("automountServiceAccountToken") is not False:
            yield f"{pod.owner}: automountServiceAccountToken is not false"
        if pod.spec.get("enableServiceLinks") is not False:
            yield f"{pod.owner}: enableServiceLinks is not false"
        for container in pod.containers:
            own = container.get("securityContext", {})
            for name, wanted in (
                ("readOnlyRootFilesystem", True),
                ("allowPrivilegeEscalation", False),
                ("capabilities", {"drop": ["ALL"]}),
            ):
                if own.get(name) != wanted:
                    yield f"{pod.owner}: {container['name']}: {name} is not {wanted}"


def is_bounded(release: Release, _: Path) -> Iterator[str]:
    """Every container has a limit of memory, and an image that stays the same."""
    for pod in release.pods():
        for container in pod.containers:
            if "memory" not in container.get("resources", {}).get("limits", {}):
                yield f"{pod.owner}: {container['name']}: no limit of memory"
            tag = container["image"].rpartition("/")[2].partition(":")[2]
            if not tag or tag == "latest":
                yield f"{pod.owner}: {container['name']}: image has no tag of its own"


def is_probed(release: Release, _: Path) -> Iterator[str]:
    """Start and life are the loop's heartbeat, readiness is what it needs; none asks a token."""
    serving, pod = release.serving()
    (container,) = pod.containers
    for probe, path in (
        ("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz"),
    ):  # fmt: skip
        wanted = {"path": path, "port": "admin", "scheme": "HTTPS"}
        if container.get(probe, {}).get("httpGet") != wanted:
            yield f"{named(serving)}: {probe} does not ask {path} of the admin port"


def may_drain(release: Release, _: Path) -> Iterator[str]:
    """A pod has the time that it needs to leave."""
    serving, pod = release.serving()
    (container,) = pod.containers
    pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    links = settings_of(release)["links"]
    longest = max(link.get("answer_within_ms", ANSWER_MS) for link in links) / 1000
    needed, given = pause + longest + STOP_SECONDS, pod.spec["terminationGracePeriodSeconds"]
    if not pause:
        yield f"{named(serving)}: no preStop: it would drain before the load balancer knows"
    if given < needed:
        yield f"{named(serving)}: terminationGracePeriodSeconds {given}: it may need {needed:.0f}"


def is_walled(release: Release, _: Path) -> Iterator[str]:
    """Every pod is under a policy for both ways, and none lets everybody in everywhere."""
    policies = [one["spec"] for one in release.of("NetworkPolicy")]
    for pod in release.pods():
        over = [one for one in policies if _matches(one["podSelector"].get("matchLabels", {}), pod)]
        if not any({"Ingress", "Egress"} == set(one["policyTypes"]) for one in over):
            yield f"{pod.owner}: no NetworkPolicy selects its pods for Ingress and Egress"
    for one in policies:
        for rule in (*one.get("ingress", ()), *one.get("egress", ())):
            if not rule.get("ports") or not (rule.get("from") or rule.get("to")):
                yield "NetworkPolicy: a rule without ports or without peers lets everybody through"


def scales_by_what_is(release: Release, root: Path) -> Iterator[str]:
    """The metric is one of the switch's, and the adapter's rule gives it to the cluster."""
    known = set(re.findall(r"^\| `(switch_\w+)` \|", (root / "docs/metrics.md").read_text(), re.M))
    rules = yaml.safe_load((root / "deploy/prometheus/adapter.yml").read_text())
    given = {rule["name"]["as"] for rule in rules}
    for one in release.of("HorizontalPodAutoscaler"):
        target = one["spec"]["scaleTargetRef"]
        if not any(target["name"] == it["metadata"]["name"] for it in release.of(target["kind"])):
            yield f"{named(one)}: there is no {target['kind']} {target['name']}"
        for metric in one["spec"]["metrics"]:
            name = metric.get("pods", {}).get("metric", {}).get("name")
            if name and name not in known & given:
                yield f"{named(one)}: {name} is not in docs/metrics.md and adapter.yml both"


def leads_somewhere(release: Release, _: Path) -> Iterator[str]:
    """Each Service selects the pods that serve, no others, by ports that they have."""
    pod = release.serving()[1]
    ports = {port["name"] for container in pod.containers for port in container["ports"]}
    for one in release.of("Service"):
        selector = one["spec"]["selector"]
        if [pod.owner] != [each.owner for each in release.pods() if _matches(selector, each)]:
            yield f"{named(one)}: does not select the pods that serve, and them alone"
        if missing := {port["targetPort"] for port in one["spec"]["ports"]} - ports:
            yield f"{named(one)}: no container has {', '.join(sorted(missing))}"


def keeps_its_journals(release: Release, _: Path) -> Iterator[str]:
    """Journals are on the pod's own disk, which stays when the pod goes."""
    serving, pod = release.serving()
    claims = {claim["metadata"]["name"] for claim in serving["spec"]["volumeClaimTemplates"]}
    (container,) = pod.containers
    if not any(
        m["name"] in claims and m["mountPath"] == JOURNALS for m in container["volumeMounts"]
    ):
        yield f"{named(serving)}: no disk of its own at {JOURNALS}"
    if set(serving["spec"]["persistentVolumeClaimRetentionPolicy"].values()) != {"Retain"}:
        yield f"{named(serving)}: its disks do not stay"
    for section, table in settings_of(release).items():
        journal = table.get("journal") if isinstance(table, dict) else None
        if journal and not str(journal).startswith(f"{JOURNALS}/"):
            yield f"{section}.journal: is not under {JOURNALS}, and goes with the pod"


def has_no_secret(release: Release, _: Path) -> Iterator[str]:
    """The chart makes no Secret, and mounts those of others for owner and group alone."""
    for one in release.of("Secret"):
        yield f"{named(one)}: the chart must not make Secrets"
    for pod in release.pods():
        for volume in pod.spec.get("volumes", ()):
            if volume.get("secret", {"defaultMode": 0o440}).get("defaultMode") != 0o440:
                yield f"{pod.owner}: {volume['name']}: defaultMode is not 0440"


def is_watched(release: Release, root: Path) -> Iterator[str]:
    """The scrape job is what the alerts go by, and the alerts are those of deploy/prometheus."""
    for one in release.of("ServiceMonitor"):
        spec = one["spec"]
        chosen = [
            service for service in release.of("Service")
            if spec["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        ]  # fmt: skip
        jobs = {service["metadata"]["labels"].get(spec["jobLabel"]) for service in chosen}
        if len(chosen) != 1 or jobs != {"switch"}:
            yield f"{named(one)}: does not choose one Service whose job is called switch"
        for endpoint in spec["endpoints"]:
            ports = {port["name"] for service in chosen for port in service["spec"]["ports"]}
            is_safe = endpoint["scheme"] == "https" and endpoint["tlsConfig"]["serverName"]
            if endpoint["port"] not in ports or not is_safe or "authorization" not in endpoint:
                yield f"{named(one)}: does not ask the admin port with a token, over TLS"
    alerts = yaml.safe_load((root / "deploy/prometheus/alerts.yml").read_text())
    for one in release.of("PrometheusRule"):
        if one["spec"]["groups"] != alerts["groups"]:
            yield f"{named(one)}: is not deploy/prometheus/alerts.yml"


FACTS: tuple[Fact, ...] = (
    has_budget, is_confined, is_bounded, is_probed, may_drain, is_walled, scales_by_what_is,
    leads_somewhere, keeps_its_journals, has_no_secret, is_watched,
)  # fmt: skip


def settings_of(release: Release) -> dict[str, Any]:
    """The settings that the pods are given."""
    return tomllib.loads(settings_text(release))


def settings_text(release: Release) -> str:
    """The same as they stand in the file."""
    (one,) = [one for one in release.of("ConfigMap") if "switch.toml" in one["data"]]
    text: str = one["data"]["switch.toml"]
    return text


def _fewest(release: Release) -> int:
    scaled = release.of("HorizontalPodAutoscaler")
    least = scaled[0]["spec"]["minReplicas"] if scaled else release.serving()[0]["spec"]["replicas"]
    return int(least)


def _selects(spec: Manifest, pod: Pod) -> bool:
    return _matches(spec["selector"]["matchLabels"], pod)


def _matches(labels: Mapping[str, str], pod: Pod) -> bool:
    return labels.items() <= pod.labels.items()
