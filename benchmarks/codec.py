"""
What the codec costs: a purchase of 24 fields decoded and its answer encoded, in every dialect.

    python -m benchmarks.codec            # a table for people, then one JSON object
    python -m benchmarks.codec --rounds 1001

Beside it stands pyiso8583 alone, over the same bytes: without what a field may hold, and without
our names. Time is the processor's, as the kernel counts it; cards take turns, and all is checked
to come back as it went in before anything is timed.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import click
import iso8583
import orjson

from benchmarks.traffic import purchase
from keys.keyfile import load as load_keys
from keys.keyfile import read_kbpk
from specs.field import Field
from specs.spec import Spec, known
from specs.spec import load as load_spec
from switch.setting_values import packaged_key_file
from switch.wire.message import Message, decode, encode

#: Cards that take turns: as many messages between two looks at the clock.
CARDS = 50

#: Of a variable field that the purchase has no value for.
FILLED = 12

#: What stands where the purchase's own value does not fit the dialect.
FILLERS: Mapping[str, str] = {
    "n": "1", "a": "A", "an": "A", "ns": "1", "ans": "A", "z": "1", "b": "00",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cost:
    """µs of processor time a message, the best and the median round of each."""

    dialect: str
    decode_us: float
    decode_median_us: float
    encode_us: float
    encode_median_us: float
    pyiso8583_decode_us: float
    pyiso8583_decode_median_us: float
    pyiso8583_encode_us: float
    pyiso8583_encode_median_us: float


def request(purchased: Message, spec: Spec) -> Message:
    """The purchase with values that fit the dialect."""
    fields = {
        number: _value(spec.fields[number], value) for number, value in purchased.fields.items()
    }
    return Message(f"{spec.version}100", fields)


def answer(asked: Message, spec: Spec) -> Message:
    """Its approval."""
    echoed = {
        number: asked.fields[number]
        for number in spec.classes[asked.mti].echoed
        if number in asked.fields
    }
    own = {number: _value(spec.fields[number], "") for number in (38, 39)}
    # In the order of their numbers, as the switch's own replies have them: others cost more.
    return Message(f"{spec.version}110", dict(sorted((echoed | own).items())))


def _value(field: Field, value: str) -> str:
    is_fixed = not field.length_digits
    size = field.length if is_fixed else min(field.length, FILLED)
    fits = len(value) == field.length if is_fixed else 0 < len(value) <= field.length
    if fits and field.pattern.fullmatch(value):
        return value
    return "C" + "1" * (size - 1) if field.kind == "x+n" else FILLERS[field.kind] * size


def cost(dialect: str, purchases: Sequence[Message], rounds: int) -> Cost:
    """Time one dialect."""
    spec = load_spec(dialect)
    requests = [request(purchased, spec) for purchased in purchases]
    payloads = [encode(asked, spec) for asked in requests]
    answers = [answer(asked, spec) for asked in requests]
    replies = [encode(given, spec) for given in answers]
    assert requests == [decode(payload, spec) for payload in payloads]
    assert answers == [decode(reply, spec) for reply in replies]
    plain = [iso8583.decode(reply, spec.codec)[0] for reply in replies]
    assert replies == [bytes(iso8583.encode(dict(values), spec.codec)[0]) for values in plain]
    return Cost(
        dialect,
        *timed(lambda: [decode(payload, spec) for payload in payloads], rounds),
        *timed(lambda: [encode(given, spec) for given in answers], rounds),
        *timed(lambda: [iso8583.decode(payload, spec.codec) for payload in payloads], rounds),
        *timed(lambda: [iso8583.encode(values, spec.codec) for values in plain], rounds),
    )


def timed(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """The best and the median of its rounds, in µs of processor time for one of its messages."""
    took = []
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        began = time.process_time()
        work()
        took.append((time.process_time() - began) / CARDS * 1e6)
    gc.enable()
    return round(min(took), 1), round(statistics.median(took), 1)


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=201, show_default=True,
              help=f"Of {CARDS} messages each.")  # fmt: skip
def main(rounds: int) -> None:
    """Time every dialect's codec beside pyiso8583 alone."""
    cvk = load_keys(packaged_key_file("keys.toml"), read_kbpk(packaged_key_file("kbpk.dev")))["cvk"]
    purchases = [purchase(card, cvk) for card in range(CARDS)]
    click.echo("µs, best (median)     decode          answer          pyiso8583 decode, answer")
    costs = []
    for dialect in known():
        costs.append(found := cost(dialect, purchases, rounds))
        click.echo(
            f"{dialect:18} {found.decode_us:6.1f} ({found.decode_median_us:6.1f}) "
            f"{found.encode_us:6.1f} ({found.encode_median_us:6.1f}) "
            f"{found.pyiso8583_decode_us:6.1f} ({found.pyiso8583_decode_median_us:6.1f}) "
            f"{found.pyiso8583_encode_us:6.1f} ({found.pyiso8583_encode_median_us:6.1f})"
        )
    click.echo(orjson.dumps({"codec": [asdict(found) for found in costs], "rounds": rounds}))


if __name__ == "__main__":
    main()
