"""A scheme that plays against a switch."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Sequence
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
from switch.commands.ledger_check import check_ledger, check_purchases
from switch.demo.cards_in_hand import CardsInHand
from switch.operate.replay import ReplayError
from switch.operate.replay.fresh import atc_at
from switch.operate.replay.page import page
from switch.operate.replay.scenario import form_of
from switch.operate.replay.tally import Second
from switch.operate.replay.thresholds import COUNTS, Threshold, missed, parse
from switch.operate.simulate import report
from switch.operate.simulate.mix import Mix, read_mix
from switch.operate.simulate.plan import Plan
from switch.operate.simulate.playing import Simulation
from switch.operate.simulate.score import NONE_OF, OWN, Score
from switch.wire.conversation import Format
from switch.wire.header import KINDS
from switch.wire.mac import can_carry_mac

_POSITIVE = FiniteRange(0, min_open=True)
_DURATION = re.compile(r"(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+)s?)?")
_SECONDS = {"h": 3600, "m": 60, "s": 1}
#: The demo's key of message authentication codes: no other one is taken.
_MAC_KEY = "zak"


def _duration(_: Any, __: Any, given: str) -> float:
    parts = _DURATION.fullmatch(given.strip())
    seconds = (
        sum(int(n) * _SECONDS[unit] for unit, n in parts.groupdict("0").items()) if parts else 0
    )
    if not seconds:
        raise click.BadParameter("give hours, minutes and seconds: 1h, 90s, 1h30m")
    return float(seconds)


def _thresholds(_: Any, __: Any, given: Sequence[str]) -> tuple[Threshold, ...]:
    try:
        return tuple(parse(text, (*COUNTS, *OWN)) for text in given)
    except ReplayError as error:
        raise click.BadParameter(str(error)) from None


def _said(function: Callable[..., None]) -> Callable[..., None]:
    """The options."""
    for option in reversed((
        click.option("--dialect", default="iso87-ascii", show_default=True),
        click.option("--framing", default="2-byte", show_default=True),
        click.option("--header", type=click.Choice(KINDS), default="none", show_default=True),
        click.option("--header-hex", default="", help="Its bytes, where it has some of ours."),
        click.option("--links", type=click.IntRange(1, 1_000), default=2, show_default=True,
                     help="To each address."),
        click.option("--rate", type=_POSITIVE, default=10.0, show_default=True,
                     help="Customers a second, on average."),
        click.option("--for", "seconds", callback=_duration, default="1m", show_default=True,
                     help="How long they come: 1h, 90s, 1h30m."),
        click.option("--speed", type=FiniteRange(1), default=1.0, show_default=True,
                     help="Play the story's times × this: 1h in a minute with 60."),
        click.option("--cards", type=click.IntRange(1, 8_000_000), default=1_000, show_default=True,
                     help="Of `switch demo cards`, so many are used."),
        click.option("--mix", "mix_file", type=click.Path(path_type=Path, dir_okay=False),
                     help="Stories, shares and times as TOML; else the built-in ones."),
        click.option("--seed", type=int, default=1, show_default=True,
                     help="The same customers with the same cards."),
        click.option("--mac-key", type=click.Choice([_MAC_KEY]),
                     help="Messages have a MAC under this key of the demo; answers must."),
        click.option("--atc-from", type=click.IntRange(1, 65_535),
                     help="First counter of each chip; else by the time of day."),
        click.option("--audit", "audits", is_flag=True,
                     help="Then compare with the ledger of the settings, and audit its books."),
        click.option("--expect", "thresholds", multiple=True, callback=_thresholds,
                     help="What must hold: unanswered=0, 'p99<50ms' (several times)."),
        click.option("--json", "is_json", is_flag=True, help="The figures as one JSON object."),
        click.option("--html", type=click.Path(path_type=Path, dir_okay=False, writable=True),
                     help="Write the figures and plots as one HTML page."),
    )):  # fmt: skip
        function = option(function)
    return function


@main.command()
@click.argument("addresses", nargs=-1, metavar="[HOST:PORT]...")
@_said
@config_option
def simulate(
    addresses: tuple[str, ...], dialect: str, framing: str, header: str, header_hex: str,
    links: int, rate: float, seconds: float, speed: float, cards: int, mix_file: Path | None,
    seed: int, mac_key: str | None, atc_from: int | None, audits: bool,
    thresholds: tuple[Threshold, ...], is_json: bool, html: Path | None, config: Path | None,
) -> None:  # fmt: skip
    """Play a scheme: customers, time-outs, stand-in, reversals, repeats, links that are cut.

    It has the demo's cards and keys, and never others. Their cards must be in the switch's
    database: switch demo cards --count 1000.

    Example: switch simulate --rate 20 --for 1m --audit

    Example: switch simulate 127.0.0.1:8583 --rate 1 --for 1h --speed 60 --links 4 --audit
    """
    began = datetime.now(UTC)
    score = Score(kept=[] if audits else None)
    hand = CardsInHand(atc_from or atc_at(time.time()))
    try:
        spec, form = _form(dialect, framing, header, header_hex, mac_key)
        mix = read_mix(mix_file) if mix_file else Mix()
        plan = Plan(addresses or ("127.0.0.1:8583",), mix, rate, seconds, speed, links, cards, seed)
        simulation = Simulation(
            plan, spec, form, hand, score,
            mac=hand.remaker.mac if mac_key else None, on_second=_tell_second,
        )  # fmt: skip
        is_whole = _played(simulation)
    except (SpecError, ReplayError) as error:
        raise Refusal(str(error)) from None
    if audits:
        to_the_end(_check(config, score, began - timedelta(minutes=1)))
    not_met = missed(thresholds, NONE_OF, score)
    notes = [
        *report.notes(score),
        f"the chips' counters went up to {hand.atc_last}",
        *(f"not met: {each.text}" for each in not_met),
    ]
    _tell(score, notes, html, is_json=is_json)
    if not is_whole:
        raise click.Abort
    if not_met:
        sys.exit(EXIT_DIFFERENT)


def _form(
    dialect: str, framing: str, header: str, header_hex: str, mac_key: str | None
) -> tuple[Spec, Format]:
    spec = load_spec(dialect)
    if mac_key and not can_carry_mac(spec):
        raise ReplayError(f"--mac-key: {dialect} has no room for a MAC")
    return spec, form_of(framing, header, header_hex)


def _played(simulation: Simulation) -> bool:
    """Whether it was played to its end: what was measured until Ctrl-C is told all the same."""
    try:
        simulation.play()
    except KeyboardInterrupt:
        return False
    return True


async def _check(config: Path | None, score: Score, since: datetime) -> None:
    settings = settings_of(config)
    await check_ledger(settings, score, since)
    await check_purchases(settings, score, since)


def _tell_second(second: Second, stories: int, links: int) -> None:
    click.echo(report.progress(second, stories, links), err=True)


def _tell(score: Score, notes: Sequence[str], html: Path | None, *, is_json: bool) -> None:
    if html is not None:
        text = page(score, notes, title="Simulation", table=report.rows(score))
        try:
            html.write_text(text, encoding="utf-8")
        except OSError as error:
            raise Refusal(f"{html}: {error.strerror}") from None
    if is_json:
        click.echo(orjson.dumps(report.as_json(score, notes)))
    else:
        click.echo(report.in_words(score, notes), nl=False)
