"""Messages that a dialect allows, for hypothesis; and where the golden ones stand."""

from __future__ import annotations

import json
import string
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from specs.field import Field
from specs.spec import Spec
from switch.wire.message import Message

_GOLDEN = Path(__file__).parents[1] / "golden"
_SHORT = 60  # longer values find nothing that these do not

_ALPHABETS = {
    "n": string.digits,
    "a": string.ascii_letters + " ",
    "an": string.ascii_letters + string.digits + " ",
    "ns": string.digits + " -/.",
    "ans": "".join(map(chr, [*range(0x20, 0x7F), *range(0xA0, 0x100)])),
    "z": string.digits + "=",
    "b": "0123456789ABCDEF",
}


def golden(name: str) -> list[tuple[Message, bytes]]:
    """The messages of a golden file: fields and the bytes another implementation made of them."""
    return [_pair(line) for line in (_GOLDEN / f"{name}.jsonl").read_text().splitlines()]


def _pair(line: str) -> tuple[Message, bytes]:
    entry = json.loads(line)
    fields = {int(number): value.removeprefix("0x") for number, value in entry["fields"].items()}
    return Message(entry["mti"], fields), bytes.fromhex(entry["hex"])


def spec_of(wire_format: str) -> str:
    """The dialect of a format of `golden/messages.jsonl`."""
    generic = {
        "iso87-ascii, generic definition": "iso87-ascii",
        "iso87-binary, generic definition": "iso87-binary-icc",
    }
    return generic.get(wire_format, wire_format)


@cache
def golden_formats() -> dict[str, list[tuple[Message, bytes]]]:
    """The messages of nine wire formats by another implementation, by format."""
    formats: dict[str, list[tuple[Message, bytes]]] = {}
    for line in (_GOLDEN / "messages.jsonl").read_text().splitlines():
        formats.setdefault(json.loads(line)["format"], []).append(_pair(line))
    return formats


def head(spec: Spec, numbers: set[int]) -> bytes:
    """A true MTI and true bitmaps of a dialect that announce these fields."""
    mti, bitmap = spec.codec["t"]["data_enc"], spec.codec["p"]["data_enc"]
    highest = max(numbers, default=0)
    count = 3 if highest > 128 else 2 if highest > 64 else 1
    bits = sum(
        1 << (64 * count - number) for number in numbers | set(range(1, 64 * count - 64, 64))
    )
    raw = bits.to_bytes(8 * count, "big")
    version = f"{spec.version}100"
    return (bytes.fromhex(version) if mti == "b" else version.encode(mti)) + (
        raw if bitmap == "b" else raw.hex().upper().encode(bitmap)
    )


@cache
def values(field: Field) -> st.SearchStrategy[str]:
    """Values that a field may hold."""
    longest = min(field.length, _SHORT)
    shortest = 1 if field.kind in ("n", "z") else 0
    if not field.length_digits:
        shortest = longest = field.length
    if field.kind == "x+n":
        digits = f"1,{longest - 1}" if field.length_digits else f"{longest - 1}"
        return st.from_regex(rf"[CD][0-9]{{{digits}}}", fullmatch=True)
    if field.kind == "b":
        raw = st.binary(min_size=shortest, max_size=longest)
        return raw.map(lambda value: value.hex().upper())
    alphabet = _ALPHABETS[field.kind]
    if field.encoding == "ascii":
        alphabet = "".join(filter(str.isascii, alphabet))
    return st.text(alphabet, min_size=shortest, max_size=longest)


@st.composite
def messages(draw: st.DrawFn, spec: Spec) -> Message:
    """Messages that a dialect can carry."""
    numbers = draw(_numbers(spec))
    fields = {number: draw(values(spec.fields[number])) for number in sorted(numbers)}
    return Message(draw(_mtis(spec.version)), fields)


@cache
def _numbers(spec: Spec) -> st.SearchStrategy[set[int]]:
    return st.sets(st.sampled_from([n for n in spec.fields if n not in (1, 65)]), max_size=20)


@cache
def _mtis(version: str) -> st.SearchStrategy[str]:
    return st.from_regex(rf"{version}[0-9]{{3}}", fullmatch=True)
