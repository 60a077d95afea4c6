"""
`make bench-quick`: switch, pgbench and the textbook on one machine, one server, in one run.

Read README.md beside this file for what is measured and how to read it. The last
line of the output is one JSON object; everything before it is for people.
"""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks import history
from benchmarks.findings import LIGHT_PER_S, Findings, Plan, Rates, report
from benchmarks.load import CONNECTIONS as CONNECTIONS_OF_LOAD
from benchmarks.load import Result
from benchmarks.rival import Rival, rival
from benchmarks.stage import CLIENTS, Stage, exceptions, perform, say, stage

WARM_UP_SECONDS = 1.0

#: Connections that decide, of one switch or of two together. More of them make smaller batches on
#: the same processors.
DECIDING = 2

#: Cards, and with a history more of them; messages of a history.
CARDS, FILLED_CARDS, HISTORY = 10_000, 100_000, 1_000_000

#: Connections of the textbook's pool: README.md has what others did.
CONNECTIONS = 8


class Bench:
    """The phases of one run, over what stands."""

    def __init__(self, plan: Plan, here: Stage, textbook: Rival) -> None:
        self._plan = plan
        self._stage = here
        self._textbook = textbook
        self._found = Findings()

    async def run(self) -> Findings:
        """Measure everything, all three in turns so that they have the same weather."""
        plan, found, here = self._plan, self._found, self._stage
        rates = found.empty
        await self._rounds(rates)
        if plan.history:
            say(f"filling in a history of {plan.history:,} messages")
            await history.fill(here.rig.database, messages=plan.history)
            rates = found.filled
            await self._rounds(rates)
        found.light = await self._open("light load", LIGHT_PER_S)
        found.pgbench_one_client_ms = await here.one_row_ms(plan.seconds)
        found.pgbench_paced_ms = await here.one_row_ms(plan.seconds, LIGHT_PER_S)
        say(
            f"pgbench, one client: p50 {found.pgbench_one_client_ms} ms; "
            f"at {LIGHT_PER_S:.0f} a second {found.pgbench_paced_ms} ms"
        )
        found.half_per_s = sorted(rates.switch_per_s)[len(rates.switch_per_s) // 2] / 2
        found.half = await self._open("half load", found.half_per_s)
        return found

    async def _rounds(self, rates: Rates) -> None:
        """Switch, pgbench and textbook in turns."""
        say(f"warming up, {WARM_UP_SECONDS:.0f} s each")
        await self._stage.closed(self._plan.in_flight, WARM_UP_SECONDS)
        await self._stage.rows(WARM_UP_SECONDS)
        await self._textbook.closed(self._plan.in_flight, WARM_UP_SECONDS)
        for number in range(1, self._plan.rounds + 1):
            rates.switch_per_s.append(await self._switch_round(number))
            rates.pgbench_per_s.append(await self._pgbench_round(number))
            rates.textbook_per_s.append(await self._textbook_round(number))
        say(f"medians: {', '.join(f'{name} {value}' for name, value in rates.told().items())}")

    async def _switch_round(self, number: int) -> float:
        here, found = self._stage, self._found
        await here.checkpoint()
        before = here.rig.switch_cpu_seconds()
        result = await here.closed(self._plan.in_flight, self._plan.seconds)
        cpu_us = (here.rig.switch_cpu_seconds() - before) / result.sent * 1e6
        found.switch_cpu_us.append(cpu_us)
        found.generator_cpu_us.append(result.cpu_seconds / result.sent * 1e6)
        return _told(f"round {number}: switch  ", result, cpu_us)

    async def _pgbench_round(self, number: int) -> float:
        await self._stage.checkpoint()
        per_s = await self._stage.rows(self._plan.seconds)
        say(
            f"round {number}: pgbench  {per_s:6.0f} approvals a second, {CLIENTS} clients, "
            f"mean {CLIENTS / per_s * 1000:.3f} ms"
        )
        return per_s

    async def _textbook_round(self, number: int) -> float:
        await self._stage.checkpoint()
        result, cpu_us = await self._textbook.closed(self._plan.in_flight, self._plan.seconds)
        self._found.textbook_cpu_us.append(cpu_us)
        return _told(f"round {number}: textbook", result, cpu_us)

    async def _open(self, name: str, per_second: float) -> Result:
        await self._stage.checkpoint()
        result = await self._stage.open(per_second, self._plan.seconds)
        say(
            f"{name}: {per_second:.0f} a second, p50 {result.quantile_ms(0.5)} ms, "
            f"p99 {result.quantile_ms(0.99)} ms{exceptions(result)}"
        )
        return result


def _told(whose: str, result: Result, cpu_us: float) -> float:
    """Say what a closed loop came to; its rate."""
    say(
        f"{whose} {result.approved_per_s:6.0f} approvals a second, "
        f"p50 {result.quantile_ms(0.5)} ms, p99 {result.quantile_ms(0.99)} ms, "
        f"{cpu_us:.0f} µs of processor a message{exceptions(result)}"
    )
    return result.approved_per_s


async def bench(plan: Plan, folder: Path) -> dict[str, object]:
    """Stand everything up, measure, prove, take everything down; the JSON line's object."""
    async with (
        stage(
            folder,
            cards=plan.cards,
            in_flight=plan.in_flight,
            switches=plan.switches,
            database=f"connections = {max(1, DECIDING // plan.switches)}",
        ) as here,
        rival(here, connections=plan.connections) as textbook,
    ):
        found = await Bench(plan, here, textbook).run()
    return report(plan, found, here)


@click.command()
@click.option("--seconds", type=click.FloatRange(1), default=2.5, show_default=True,
              help="How long each measurement takes.")  # fmt: skip
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True,
              help="How often switch, pgbench and textbook take turns.")  # fmt: skip
@click.option(
    "--cards",
    type=click.IntRange(1),
    default=None,
    help=f"{CARDS:,} unless told otherwise, {FILLED_CARDS:,} with a history.",
)
@click.option(
    "--history",
    type=click.IntRange(2),
    is_flag=False,
    flag_value=HISTORY,
    default=None,
    help=f"Measure again over so many messages of the past; {HISTORY:,} without a number.",
)
@click.option("--in-flight", type=click.IntRange(1), default=256, show_default=True,
              help="Messages in flight at once.")  # fmt: skip
@click.option("--connections", type=click.IntRange(1), default=CONNECTIONS, show_default=True,
              help="Of the textbook's pool.")  # fmt: skip
@click.option("--switches", type=click.IntRange(1, CONNECTIONS_OF_LOAD), default=1,
              show_default=True, help="Processes that share the load.")  # fmt: skip
def main(
    seconds: float,
    rounds: int,
    cards: int | None,
    history: int | None,
    in_flight: int,
    connections: int,
    switches: int,
) -> None:
    """Measure the switch against pgbench and the textbook, with everything on one machine.

    Example: python -m benchmarks.bench --history
    """
    cards = cards or (FILLED_CARDS if history else CARDS)
    plan = Plan(seconds, rounds, cards, in_flight, history or 0, connections, switches)
    perform(lambda folder: bench(plan, folder))


if __name__ == "__main__":
    main()
