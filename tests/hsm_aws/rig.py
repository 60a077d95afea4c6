"""Both planes with the test keys in them, and backends made for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from keys.aws import AwsHsm
from keys.keyfile import Key, KeyEntry
from tests.contract.keys import KEYS
from tests.hsm_aws.control import REGION, ControlPlane, by_identifier, control_plane, entries
from tests.hsm_aws.operations import Held
from tests.hsm_aws.simulator import Simulator

#: Seconds: on a busy machine a right answer must not look like an outage.
PATIENT = 10.0


@dataclass(frozen=True)
class Rig:
    """Two planes that hold the same keys."""

    data: Simulator
    control: ControlPlane
    held: dict[str, Held]

    def backend(
        self,
        *,
        keys: Mapping[str, KeyEntry] | None = None,
        connections: int = 2,
        budget: float = PATIENT,
    ) -> AwsHsm:
        """A backend for them, not yet opened."""
        return AwsHsm(
            entries(self.held) if keys is None else keys,
            region=REGION,
            endpoint_url=self.data.url,
            control_endpoint_url=self.control.url,
            connections=connections,
            budget=budget,
        )


@contextmanager
def rig(keys: Mapping[str, Key] = KEYS) -> Iterator[Rig]:
    """Both planes, running."""
    with control_plane(keys) as (control, held):
        data = Simulator(by_identifier(held))
        data.start()
        try:
            yield Rig(data, control, held)
        finally:
            data.stop()
