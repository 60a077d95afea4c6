"""What a program says of its chips: the window of their counters, the scripts sent to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from specs.tlv import TlvError, objects_ber

#: As far back as counters are remembered (chip_counters.seen has 64 bits, the highest is one).
BEHIND_MOST = 63
AHEAD_MOST = 65_535
#: Bytes of all scripts of one answer: what every terminal takes (EMV Book 3, 10.10).
SCRIPTS_MOST = 128
_SCRIPTS = frozenset({"71", "72"})  # before and after the second GENERATE AC
_COMMAND = "86"
_IN_SCRIPT = frozenset({"9F18", _COMMAND})  # its identifier, and commands


@dataclass(frozen=True, slots=True)
class AtcWindow:
    """Where the counter of a right cryptogram may stand to the highest that was seen.

    Messages overtake each other, so a little behind is good, each counter once; a card
    counts offline too, so that any step ahead is good where none is set.
    """

    behind: int = 16
    ahead: int | None = None

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> AtcWindow:
        """Read `atc` of a program's settings; raise `ValueError` naming what is wrong."""
        if not isinstance(given, Mapping) or not given.keys() <= {"behind", "ahead"}:
            raise ValueError("atc")
        window = cls(**given)
        if not _is_within(window.behind, 0, BEHIND_MOST):
            raise ValueError("atc.behind")
        if window.ahead is not None and not _is_within(window.ahead, 1, AHEAD_MOST):
            raise ValueError("atc.ahead")
        return window


def _is_within(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


@dataclass(frozen=True, slots=True)
class IssuerScripts:
    """What a chip is sent with its answer: whole objects 71 and 72 as they were configured.

    They are passed on and nothing is made of them: no command is enciphered or given a MAC.
    """

    approved: str = ""  #: hex
    declined: str = ""

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> IssuerScripts:
        """Read `issuer_scripts` of a program's settings; raise `ValueError` naming the wrong."""
        if not isinstance(given, Mapping) or not given.keys() <= {"approved", "declined"}:
            raise ValueError("issuer_scripts")
        for name, scripts in given.items():
            if not isinstance(scripts, str) or not _are_scripts(scripts):
                raise ValueError(f"issuer_scripts.{name}")
        return cls(**{name: scripts.upper() for name, scripts in given.items()})


def _are_scripts(scripts: str) -> bool:
    """Objects 71 and 72, each with a command at least, and no more than terminals take."""
    try:
        objects = objects_ber(scripts)
        inside = [objects_ber(value) for _, value in objects]
    except TlvError:
        return False
    return (
        len(scripts) <= 2 * SCRIPTS_MOST
        and all(tag in _SCRIPTS for tag, _ in objects)
        and all({tag for tag, _ in one} <= _IN_SCRIPT for one in inside)
        and all(any(tag == _COMMAND for tag, _ in one) for one in inside)
    )
