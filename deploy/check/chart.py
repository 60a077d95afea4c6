"""
The Helm chart: rendered for each of its examples, held to Kubernetes' schemas, and to what a
release of the switch must have. Nothing here asks a cluster or a network.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from deploy.check import chart_facts, served
from deploy.check.render import RenderError, misshapen, rendered

CHART = Path("deploy/chart")

#: What is rendered: a name, and the files of examples/ that are laid over the chart's own values.
RELEASES = {
    "minimal": ("minimal",),
    "production": ("production",),
    "production with an NLB of its own": ("production", "nlb"),
}


def problems(root: Path) -> list[str]:
    """What is wrong with the chart of a source tree, a line each; nothing."""
    return [
        f"{name}: {problem}"
        for name, examples in RELEASES.items()
        for problem in of_release(root, root / CHART, examples)
    ]


def of_release(root: Path, chart: Path, examples: Iterable[str]) -> list[str]:
    """What is wrong with the chart as these examples render it."""
    try:
        release = rendered(chart, [chart / f"examples/{name}.yaml" for name in examples])
    except RenderError as error:
        return [str(error)]
    found = list(misshapen(release))
    for fact in chart_facts.FACTS:
        found += fact(release, root)
    return found or list(served.problems(release, root))


#: A mistake: a file of the chart, what is changed in it, and what the check must say of it.
Mistake = tuple[str, Callable[[str], str], str]

MISTAKES: dict[str, Mistake] = {
    "missing PDB": ("templates/pdb.yaml", lambda _: "", "PodDisruptionBudget"),
    "misspelt property": (
        "templates/statefulset.yaml",
        lambda text: text.replace("imagePullPolicy:", "imagePullPolicyy:"),
        "imagePullPolicyy",
    ),
    "a PDB that lets all go": (
        "templates/pdb.yaml",
        lambda text: text.replace("{{ .Values.disruption.maxUnavailable }}", "100%"),
        "PodDisruptionBudget",
    ),
    "a container as root": (
        "templates/_names.tpl",
        lambda text: text.replace("runAsNonRoot: true", "runAsNonRoot: false"),
        "runAsNonRoot",
    ),
    "a writable root": (
        "templates/_names.tpl",
        lambda text: text.replace("readOnlyRootFilesystem: true\n", ""),
        "readOnlyRootFilesystem",
    ),
    "no limit of memory": (
        "templates/_command.tpl",
        lambda text: text.replace("limits: {memory: 512Mi}", "limits: {}"),
        "memory",
    ),
    "a pod killed while it drains": (
        "templates/statefulset.yaml",
        lambda text: text.replace(": {{ .Values.terminationGracePeriodSeconds }}", ": 5"),
        "terminationGracePeriodSeconds",
    ),
    "a policy that selects nothing": (
        "templates/networkpolicy.yaml",
        lambda text: text.replace('"switch.selector"', '"switch.labels"'),
        "NetworkPolicy",
    ),
    "a metric that nobody has": (
        "templates/hpa.yaml",
        lambda text: text.replace("name: switch_in_flight}", "name: switch_inflight}"),
        "switch_inflight",
    ),
    "a journal in the container": (
        "values.yaml",
        lambda text: text.replace("journal: /var/lib/switch/", "journal: /run/"),
        "unwind.journal",
    ),
    "a setting that is none": (
        "values.yaml",
        lambda text: text.replace("kbpk_file:", "kbpk_fiel:"),
        "kbpk_fiel",
    ),
    "a Service that nothing is behind": (
        "templates/links.yaml",
        lambda text: text.replace('include "switch.serving"', 'include "switch.labels"'),
        "Service",
    ),
}  # fmt: skip


def planted(root: Path) -> list[tuple[str, bool]]:
    """Each mistake by name, made in a copy of the chart, and whether the check said it."""
    return [(name, _is_caught(root, mistake)) for name, mistake in MISTAKES.items()]


def _is_caught(root: Path, mistake: Mistake) -> bool:
    place, changed, said = mistake
    with tempfile.TemporaryDirectory() as folder:
        chart = Path(folder) / "chart"
        shutil.copytree(root / CHART, chart)  # follows the link to the alerts
        before = (chart / place).read_text()
        (chart / place).write_text(changed(before))
        assert changed(before) != before, f"{place} has nothing to change"  # noqa: S101
        found = of_release(root, chart, RELEASES["production"])
    return any(said in problem for problem in found)
