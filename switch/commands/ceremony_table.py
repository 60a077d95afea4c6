"""The ceremony at the terminal: one custodian after another, each unseen by the others."""

from __future__ import annotations

import click

from keys.attributes import ALGORITHMS
from keys.ceremony import (
    CeremonyRefused,
    Made,
    Wanted,
    combine,
    is_kcv,
    kcv_of,
    require_another,
    require_component,
    sealed,
    wipe,
)
from keys.keyfile import Kbpk
from switch.commands.hidden_input import read_hex, require_terminal
from switch.operate import issuing_values as values
from switch.operate.issuing_values import ValueProblem

#: How often a component may be mistyped.
TRIES = 3


def key_of_components(name: str, wanted: Wanted, count: int, kbpk: Kbpk) -> tuple[Made, list[str]]:
    """The key that so many persons' components make, and who they were.

    Raises `CeremonyRefused`. Nothing is kept of a ceremony that is broken off.
    """
    require_terminal()
    header = wanted.header()
    _say(f"Key {name}: {count} persons, one after another, each with one component.")
    components: list[bytearray] = []
    custodians: list[str] = []
    key = bytearray()
    try:
        for number in range(1, count + 1):
            custodians.append(_custodian(number, count, custodians))
            _component(wanted.algorithm, components)
            _clear(custodians[-1], is_last=number == count)
        key = combine(components, wanted.algorithm)
        made = sealed(key, header, kbpk)
        _confirm(header.algorithm, key, made.kcv)
        return made, custodians
    finally:
        wipe(*components, key)


def _custodian(number: int, count: int, earlier: list[str]) -> str:
    _say(f"\nComponent {number} of {count}")
    while True:
        try:
            custodian = values.words(str(click.prompt("  Custodian's name", err=True)))
        except ValueProblem as error:
            _say(f"  {error}")
            continue
        require_another(custodian, earlier)
        return custodian


def _component(algorithm: str, components: list[bytearray]) -> None:
    """Add one person's component, typed twice, its check value compared with the paper."""
    one = _typed_twice(ALGORITHMS[algorithm].size)
    earlier = tuple(components)
    components.append(one)  # so that it is wiped, whatever becomes of it
    require_component(one, algorithm, earlier)
    _say(f"  KCV of this component: {kcv_of(ALGORITHMS[algorithm].code, one)}")
    if not click.confirm("  Is that what the paper says?", default=False, err=True):
        raise CeremonyRefused("a component's check value was not confirmed")


def _typed_twice(size: int) -> bytearray:
    for _ in range(TRIES):
        once = read_hex("  Component", size)
        again = read_hex("  Once more", size)
        is_same = once is not None and once == again
        wipe(*(one for one in (again, None if is_same else once) if one is not None))
        if once is not None and is_same:
            return once
        _say(f"  They are not the same {2 * size} hexadecimal digits.")
    raise CeremonyRefused("a component was mistyped too often")


def _clear(custodian: str, *, is_last: bool) -> None:
    click.clear()
    after = "all may come back." if is_last else "the next person comes to the keyboard."
    click.prompt(
        f"{custodian} has finished and steps aside; {after} Press Enter",
        default="", show_default=False, prompt_suffix=" ", err=True,
    )  # fmt: skip


def _confirm(algorithm: str, key: bytearray, kcv: str) -> None:
    """The key's check value is asked for before it is shown: copying it proves nothing."""
    told = str(click.prompt("\nCheck value that came with the key", err=True))
    _say(f"KCV of the key: {kcv}")
    if not is_kcv(algorithm, key, told):
        raise CeremonyRefused("its check value is not the one that was typed: nothing is written")


def _say(line: str) -> None:
    click.echo(line, err=True)
