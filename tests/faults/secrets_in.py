"""Looks for what must never be written, in raw bytes and in every form that it has on a wire."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from specs.spec import load as load_spec
from switch.operate.replay.scenario import read_scenario
from switch.wire.message import Message
from tests.traffic import GOLDEN, KEYS, SECRETS, load_card

#: How all PANs here begin: as text, as packed digits, and as those shifted by half a byte.
PAN_STARTS = (b"4761739", b"\x47\x61\x73\x90", b"\x76\x17\x39")
#: DE48: the tag and the length of a CVV2.
CVV2_ELEMENT = "9203"
#: Bytes around such a start that hold the whole PAN in any of these forms.
BEFORE, AFTER = 1, 24

#: Where a secret in hex or digits may stand: none is shorter.
_HEX = re.compile(rb"[0-9A-Fa-f]{16,}")
#: Where nothing stands: half of a database's files.
_NOTHING = re.compile(rb"\0{64,}")


def files_under(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """The files under a folder and what stands in them. Postgres takes some away as it runs (its
    pg_internal.init): what is gone by then holds nothing.
    """
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                yield path, path.read_bytes()


@dataclass(frozen=True)
class Secrets:
    """The PANs that were used, and literal bytes that may stand nowhere."""

    pans: frozenset[str]
    literals: dict[str, list[bytes]] = field(repr=False)

    def found_in(self, data: bytes) -> set[str]:
        """The kinds of secrets that stand in some bytes."""
        data = _NOTHING.sub(bytes(64), data)
        stands = _standing(data)
        found = {kind for kind, values in self.literals.items() if any(map(stands, values))}
        if any(self._has_pan(around) for around in _around_starts(data)):
            found.add("PAN")
        return found

    def found_under(self, folder: Path) -> dict[str, set[str]]:
        """The files under a folder that have secrets, with their kinds."""
        found: dict[str, set[str]] = {}
        seen: dict[bytes, set[str]] = {}  # Postgres copies whole files from database to database
        for path, data in files_under(folder):
            digest = sha256(data).digest()
            if digest not in seen:
                seen[digest] = self.found_in(data)
            found[str(path.relative_to(folder))] = seen[digest]
        return {path: kinds for path, kinds in found.items() if kinds}

    def _has_pan(self, around: bytes) -> bool:
        text, packed = around.decode("latin-1"), around.hex()
        return any(pan in text or pan in packed for pan in self.pans)


def _standing(data: bytes) -> Callable[[bytes], bool]:
    """Whether a literal stands in some bytes: hundreds are asked for, so each is looked for only
    where it can be.
    """
    hexes, is_text = b" ".join(_HEX.findall(data)), data.isascii()

    def stands(value: bytes) -> bool:
        if _HEX.fullmatch(value):
            return value in hexes
        return (value.isascii() or not is_text) and value in data

    return stands


def _around_starts(data: bytes) -> Iterator[bytes]:
    for start in PAN_STARTS:
        at = data.find(start)
        while at >= 0:
            yield data[max(0, at - BEFORE) : at + AFTER]
            at = data.find(start, at + 1)


def secrets_of(messages: list[Message], *, load_cards: int) -> Secrets:
    """All secrets of the demo, of load cards, and of these messages."""
    pans = {card["pan"] for card in SECRETS["cards"]}
    pans |= {load_card(number).pan for number in range(load_cards)}
    steps = read_scenario(GOLDEN / "scenario.jsonl", load_spec("iso87-ascii"))
    sent = [message.fields for message in messages] + [step.fields for step in steps]
    blocks = {fields[52] for fields in sent if 52 in fields}
    tracks = {fields[35].partition("=")[2] for fields in sent if 35 in fields}
    codes = {fields[48] for fields in sent if fields.get(48, "").startswith(CVV2_ELEMENT)}
    material = [key.material for key in KEYS.values()]
    return Secrets(
        frozenset(pans),
        {
            "PIN block": [form for block in blocks for form in _forms(bytes.fromhex(block))],
            "track 2": [track.encode() for track in tracks],
            "CVV2": [element.encode() for element in codes],
            "key": [form for key in material for form in _forms(key)],
        },
    )


def _forms(value: bytes) -> list[bytes]:
    return [value, value.hex().encode(), value.hex().upper().encode()]
