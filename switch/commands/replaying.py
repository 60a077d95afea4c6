"""Recorded messages played against links: one by one, or as a load."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import orjson

from specs.spec import Spec, SpecError
from specs.spec import load as load_spec
from switch.commands.base import (
    EXIT_DIFFERENT,
    FiniteRange,
    Refusal,
    config_option,
    main,
    settings_of,
    to_the_end,
)
from switch.commands.ledger_check import check_ledger
from switch.demo.remaking import DemoRemaker
from switch.operate.replay import ReplayError
from switch.operate.replay.fresh import Fresh, atc_at
from switch.operate.replay.one_by_one import Player
from switch.operate.replay.pacing import as_recorded, constant, poisson
from switch.operate.replay.page import page
from switch.operate.replay.playing import Load, LoadPlayer
from switch.operate.replay.report import as_json, in_words, progress
from switch.operate.replay.scenario import Step, form_of
from switch.operate.replay.sources import read
from switch.operate.replay.tally import Tally
from switch.operate.replay.thresholds import Threshold, missed, parse
from switch.wire.conversation import Format
from switch.wire.header import KINDS
from switch.wire.message import Message, MessageError, encode

_POSITIVE = FiniteRange(0, min_open=True)
_IN_FLIGHT = 64
_FROM, _AUTHORIZATION_CODE, _CODE_SIZE = "from ", 38, 6
#: Figures of which there must be none, where no threshold says otherwise.
_NONE_OF = ("wrong", "unanswered", "lost", "missing", "broken")


@dataclass(frozen=True, slots=True)
class Pace:
    """What was said of a load; nothing of it: messages are played one by one and compared."""

    speed: float | None
    rate: float | None
    poisson: float | None
    is_fastest: bool
    in_flight: int | None
    connections: int
    seconds: float | None
    repeat: int | None
    is_fresh: bool
    atc_from: int | None
    thresholds: tuple[Threshold, ...]
    is_json: bool
    report: Path | None
    checks_ledger: bool

    @property
    def is_load(self) -> bool:
        """Whether anything was said that one message after the other does not do."""
        others = dataclasses.replace(self, connections=0)
        return self.connections > 1 or any(dataclasses.astuple(others))


def _thresholds(_: Any, __: Any, given: Sequence[str]) -> tuple[Threshold, ...]:
    try:
        return tuple(map(parse, given))
    except ReplayError as error:
        raise click.BadParameter(str(error)) from None


def _paced(function: Callable[..., None]) -> Callable[..., None]:
    """The options of a load."""
    for option in reversed((
        click.option("--speed", type=_POSITIVE, help="Keep the recording's times, × this."),
        click.option("--rate", type=_POSITIVE, help="So many messages a second, evenly."),
        click.option("--poisson", type=_POSITIVE, help="So many a second on average, by chance."),
        click.option("--as-fast-as-possible", "is_fastest", is_flag=True,
                     help="An answer sends the next message."),
        click.option("--in-flight", type=click.IntRange(1),
                     help=f"So many at once: {_IN_FLIGHT} as fast as possible, else 1."),
        click.option("--connections", type=click.IntRange(1, 1_000), default=1, show_default=True,
                     help="To each link."),
        click.option("--seconds", type=_POSITIVE, help="Play it over and over for so long."),
        click.option("--repeat", type=click.IntRange(1), help="Play it so many times."),
        click.option("--fresh", "is_fresh", is_flag=True,
                     help="As new messages: STAN, RRN, times, MAC and cryptogram (demo keys)."),
        click.option("--atc-from", type=click.IntRange(1, 65_535),
                     help="First counter of each card's cryptograms; else by the time of day."),
        click.option("--expect", "thresholds", multiple=True, callback=_thresholds,
                     help="What must hold: 'p99<20ms', unanswered=0 (several times)."),
        click.option("--json", "is_json", is_flag=True, help="The figures as one JSON object."),
        click.option("--report", type=click.Path(path_type=Path, dir_okay=False, writable=True),
                     help="Write the figures and plots as one HTML page."),
        click.option("--check-ledger", "checks_ledger", is_flag=True,
                     help="Then look up every approval, and audit the books."),
    )):  # fmt: skip
        function = option(function)
    return function


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--to", "addresses", multiple=True, default=["127.0.0.1:8583"], show_default=True,
              help="The link; a load may have several.")  # fmt: skip
@click.option("--dialect", default="iso87-ascii", show_default=True)
@click.option("--framing", default="2-byte", show_default=True)
@click.option(
    "--header",
    type=click.Choice(KINDS),
    default="none",
    show_default=True,
    help="What stands before each message; a capture has it too.",
)
@click.option("--header-hex", default="", help="Its bytes: ours, of a fixed header or a TPDU.")
@click.option("--timeout", default=5.0, show_default=True, help="Seconds to wait for an answer.")
@click.option("--mti", multiple=True, help="Compare only these (may be given several times).")
@click.option("--scenario", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="With a capture: the scenario that says what is expected.")  # fmt: skip
@_paced
@config_option
def replay(
    file: Path, addresses: tuple[str, ...], dialect: str, framing: str, header: str,
    header_hex: str, timeout: float, mti: tuple[str, ...], scenario: Path | None,
    config: Path | None, **paced: Any,
) -> None:  # fmt: skip
    """Play a scenario (.jsonl), a capture (.pcap) or lines of hex against a link.

    Without a pace one message after the other, and says what was right. With one a load.

    Example: switch replay scenario.jsonl

    Example: switch replay day.pcap --fresh --rate 500 --seconds 60 --expect 'p99<20ms'
    """
    pace = Pace(**paced)
    try:
        spec, form = load_spec(dialect), form_of(framing, header, header_hex)
        steps = read(file, spec, form, scenario)
        if pace.is_load or len(addresses) > 1:
            _play_load(steps, addresses, spec, form, timeout, mti, pace, config)
            return
        player = Player(addresses[0], spec, form, timeout=timeout)
    except (SpecError, ReplayError) as error:
        raise Refusal(str(error)) from None
    _play_one_by_one(player, [step for step in steps if not step.connection], mti, file)


def _play_one_by_one(
    player: Player, steps: Sequence[Step], mti: tuple[str, ...], file: Path
) -> None:
    result = to_the_end(player.play(steps, only=mti))
    for line in result.lines:
        click.echo(line)
    click.echo(result.summary)
    if steps and mti and not result.right + result.different:
        raise Refusal(f"nothing of {', '.join(mti)} is in {file}")
    if result.different:
        sys.exit(EXIT_DIFFERENT)


def _play_load(
    steps: Sequence[Step], addresses: Sequence[str], spec: Spec, form: Format, timeout: float,
    only: tuple[str, ...], pace: Pace, config: Path | None,
) -> None:  # fmt: skip
    """Play, tell, and end with the exit code of what was not as expected."""
    playable, left_out = _encoded(steps, spec, only, is_fresh=pace.is_fresh)
    now = time.time()
    fresh = None
    if pace.is_fresh:
        fresh = Fresh(
            playable, spec, DemoRemaker(),
            atc_from=pace.atc_from or atc_at(now), stan_from=int(now * 1000),
        )  # fmt: skip
    player = LoadPlayer(
        playable, spec, form, _load(playable, addresses, timeout, pace), fresh=fresh,
        keep_approvals=pace.checks_ledger,
        on_second=lambda second: click.echo(progress(second), err=True),
    )  # fmt: skip
    is_whole = True
    try:
        player.play()
    except KeyboardInterrupt:  # what was measured until then is told all the same
        is_whole = False
    tally = player.tally
    if pace.checks_ledger:
        # A fresh message is new; of another the row may be as old as its first sending.
        since = datetime.fromtimestamp(now, UTC) - timedelta(minutes=1) if pace.is_fresh else None
        to_the_end(check_ledger(settings_of(config), tally, since))
    not_met = missed(pace.thresholds, _NONE_OF, tally)
    _tell(tally, pace, fresh, left_out, not_met)
    if not is_whole:
        raise click.Abort
    if not_met:
        sys.exit(EXIT_DIFFERENT)


def _load(steps: Sequence[Step], addresses: Sequence[str], timeout: float, pace: Pace) -> Load:
    paces = [
        each for each in (pace.speed, pace.rate, pace.poisson, pace.is_fastest or None) if each
    ]
    if len(paces) > 1:
        raise ReplayError("give one pace: --speed, --rate, --poisson or --as-fast-as-possible")
    if pace.in_flight and (pace.speed or pace.rate or pace.poisson):
        raise ReplayError("--in-flight is of --as-fast-as-possible: a pace waits for no answer")
    due = None
    if pace.speed:
        due = as_recorded([step.at for step in steps], pace.speed)
    elif pace.rate:
        due = constant(pace.rate)
    elif pace.poisson:
        due = poisson(pace.poisson, seed=time.time_ns())
    rounds = pace.repeat if pace.repeat or pace.seconds else 1
    in_flight = pace.in_flight or (_IN_FLIGHT if pace.is_fastest else 1)
    return Load(addresses, pace.connections, due, in_flight, rounds, pace.seconds, timeout)


def _encoded(
    steps: Sequence[Step], spec: Spec, only: tuple[str, ...], *, is_fresh: bool
) -> tuple[list[Step], list[Step]]:
    """The steps as bytes, and those that are left out: they need an earlier answer."""
    playable, left_out = [], []
    for recorded in steps:
        step = _with_room_for_code(recorded) if is_fresh else recorded
        if step.payload is None and any(v.startswith(_FROM) for v in step.fields.values()):
            left_out.append(step)
            continue
        try:
            payload = step.payload or encode(Message(step.mti, step.fields), spec)
        except MessageError as error:
            raise ReplayError(f"message {step.number}: {error}") from None
        held = not only or step.mti in only
        playable.append(
            dataclasses.replace(step, payload=payload, expect=step.expect if held else None)
        )
    return playable, left_out


def _with_room_for_code(step: Step) -> Step:
    """A message that brings an earlier answer's DE38: it is put there when it is known."""
    code = step.fields.get(_AUTHORIZATION_CODE, "")
    source = code.removeprefix(_FROM)
    if step.payload is not None or source == code or not source.isdecimal():
        return step
    fields = step.fields | {_AUTHORIZATION_CODE: "0" * _CODE_SIZE}
    return dataclasses.replace(step, fields=fields, code_from=int(source))


def _tell(
    tally: Tally, pace: Pace, fresh: Fresh | None, left_out: Sequence[Step],
    not_met: Sequence[Threshold],
) -> None:  # fmt: skip
    notes = []
    if left_out:
        numbers = ", ".join(str(step.number) for step in left_out)
        notes.append(f"left out, for they need an earlier answer: messages {numbers}")
    if fresh is not None:
        notes += [f"left as recorded, for wrong or not of the demo's keys: {count} {what}"
                  for what, count in sorted(fresh.left.items())]  # fmt: skip
        if fresh.atc_last:
            notes.append(f"the cards' counters went up to {fresh.atc_last}")
    notes += [f"not met: {t.text}" for t in not_met]
    if pace.report:
        try:
            pace.report.write_text(page(tally, notes), encoding="utf-8")
        except OSError as error:
            raise Refusal(f"{pace.report}: {error.strerror}") from None
    if pace.is_json:
        click.echo(orjson.dumps(as_json(tally, notes)))
    else:
        click.echo(in_words(tally, notes), nl=False)
