"""All stacks of all regions: `python -m deploy.cdk.app`, as the cdk command runs it."""

from __future__ import annotations

import sys
from pathlib import Path

from aws_cdk import App, Environment, Tags, Validations
from cdk_nag import AwsSolutionsChecks, PCIDSS321Checks

from deploy.cdk.alarms import Alarms
from deploy.cdk.compute import Compute
from deploy.cdk.data import Data
from deploy.cdk.edge import Edge
from deploy.cdk.events import Events
from deploy.cdk.keys import Keys
from deploy.cdk.network import Network
from deploy.cdk.site import Region, Site, SiteError, load

#: Where a deployment's own values are, unless `-c site=…` names another file.
SITE = Path(__file__).parent / "site.toml"


def build(app: App, site: Site) -> None:
    """Add the stacks of each region whose keys are known."""
    for region in site.regions:
        _region(app, site, region)


def _region(app: App, site: Site, region: Region) -> None:
    def name(part: str) -> str:
        return f"{site.name}-{region.role}-{part}"

    common = {
        "env": Environment(account=site.account, region=region.name),
        "termination_protection": True,
    }
    here = {"site": site, "region": region, **common}
    keys = Keys(app, name("keys"), **here)
    network = Network(app, name("network"), logs_key=keys.logs, **here)
    data = Data(app, name("data"), keys=keys, network=network, **here)
    events = Events(app, name("events"), site=site, key=keys.queue, switch=keys.switch, **common)
    compute = Compute(app, name("compute"), keys=keys, network=network, **here)
    edge = Edge(app, name("edge"), network=network, compute=compute, **here)
    Alarms(
        app,
        name("alarms"),
        key=keys.alarms,
        data=data,
        events=events,
        edge=edge,
        compute=compute,
        **here,
    )


def main() -> int:
    """Synthesise, and look at it with the rules of AWS and of PCI DSS 3.2.1."""
    app = App(analytics_reporting=False)
    path = Path(app.node.try_get_context("site") or SITE)
    try:
        site = load(path)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    Tags.of(app).add("application", site.name)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), PCIDSS321Checks(app))
    build(app, site)
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
