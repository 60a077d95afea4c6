"""Counts of values by size, and how Prometheus reads them."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from switch.ledger.batch import SIZES, Batcher
from switch.ledger.tally import Tally
from switch.operate.metrics import Metrics
from tests.ledger.lanes import NEVER, ScriptedLane, answered
from tests.ledger.virtual import run

BOUNDS = (1, 2, 4, 8)


@given(st.lists(st.integers(0, 20)))
def test_a_tally_is_a_histogram(values: list[int]) -> None:
    """Each bucket has the values up to its bound, the last one all, and the sum is theirs."""
    tally = Tally(BOUNDS)
    for value in values:
        tally.add(value)
    metrics = Metrics()
    metrics.histograms("of_tests", "Values.", ("call",), lambda: {("decide",): tally})
    found = {
        sample.labels.get("le", sample.name.removeprefix("of_tests_")): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
        if sample.labels.get("call") == "decide"
    }
    wanted: dict[str, float] = {
        f"{bound}.0": sum(value <= bound for value in values) for bound in BOUNDS
    }
    assert found == wanted | {"+Inf": len(values), "count": len(values), "sum": sum(values)}


def test_batches_are_counted_by_size_and_time() -> None:
    """One call that goes alone for a second, then the three that came meanwhile, for three."""

    async def main() -> Batcher[str, str]:
        lane = ScriptedLane([], [(1.0, answered), (3.0, answered)])
        batcher: Batcher[str, str] = Batcher([lane], batch_max=64)
        calls = (batcher.submit(call, key=call, decide_by=NEVER) for call in "wxyz")
        await asyncio.gather(*calls)
        await batcher.drain()
        return batcher

    batcher = run(main())
    sizes = dict(zip(SIZES, batcher.sizes.counts, strict=False))
    assert {1: 1, 4: 1} == {size: count for size, count in sizes.items() if count}
    assert (4, 2) == (batcher.sizes.sum, sum(batcher.seconds.counts))
    assert 4.0 == round(batcher.seconds.sum, 3)
