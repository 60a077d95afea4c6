"""
How long an answer takes at each rate, from 100 a second to all that the switch can do.

    python -m benchmarks.ladder           # rungs up to saturation, then 25, 50 and 75 % of it

Open loops; what saturation is, a closed loop found before. The last line is one JSON object.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import click

from benchmarks.stage import Stage, exceptions, perform, say, stage

CARDS, IN_FLIGHT = 20_000, 128

#: A second, as far as they are less than saturation, which is the last rung.
RUNGS = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)

SHARES = (0.25, 0.5, 0.75)

#: A closed loop measures saturation so often; the median counts.
ROUNDS = 3


async def climb(folder: Path, seconds: float) -> dict[str, object]:
    """Saturation, the rungs, the shares."""
    async with stage(folder, cards=CARDS, in_flight=IN_FLIGHT) as here:
        full = await saturation(here, seconds)
        rungs = [float(rung) for rung in RUNGS if rung < full]
        ladder = [await step(here, rung, seconds) for rung in (*rungs, full)]
        shares = [{"share": share} | await step(here, share * full, seconds) for share in SHARES]
    return {
        "saturation_per_s": round(full),
        "ladder": ladder,
        "shares": shares,
        "seconds": seconds,
        **here.settings,
    }


async def saturation(here: Stage, seconds: float) -> float:
    """Approvals a second with as many in flight as may be."""
    await here.closed(IN_FLIGHT, seconds)
    rates = []
    for _ in range(ROUNDS):
        await here.checkpoint()
        rates.append((await here.closed(IN_FLIGHT, seconds)).approved_per_s)
    say(f"saturation: {statistics.median(rates):.0f} approvals a second")
    return statistics.median(rates)


async def step(here: Stage, per_second: float, seconds: float) -> dict[str, object]:
    """One rate, for so long."""
    await here.checkpoint()
    result = await here.open(per_second, seconds)
    p50, p99, p99_9 = map(result.quantile_ms, (0.5, 0.99, 0.999))
    say(
        f"{per_second:6.0f} a second: p50 {p50} ms, p99 {p99} ms, p99.9 {p99_9} ms"
        f"{exceptions(result)}"
    )
    return {
        "per_s": round(per_second),
        "approved_per_s": round(result.approved_per_s),
        "p50_ms": p50,
        "p99_ms": p99,
        "p99_9_ms": p99_9,
        "unanswered": result.unanswered,
        "not_approved": result.others,
    }


@click.command()
@click.option("--seconds", type=click.FloatRange(1), default=10.0, show_default=True,
              help="Of each rung.")  # fmt: skip
def main(seconds: float) -> None:
    """Climb from 100 a second to saturation."""
    perform(lambda folder: climb(folder, seconds))


if __name__ == "__main__":
    main()
