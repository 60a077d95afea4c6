"""Messages that a dialect allows, for hypothesis; and where the golden ones stand."""

from __future__ import annotations

import json
import string
from pathlib import Path

from hypothesis import strategies as st

from specs.field import Field
from specs.spec import Spec
from switch.wire.message import Message

_GOLDEN = Path(__file__).parents[1] / "golden"
_SHORT = 60  # longer values find nothing that these do not

_ALPHABETS = {
    "n": string.digits,
    "an": string.ascii_letters + string.digits + " ",
    "ns": string.digits + " -/.",
    "ans": "".join(map(chr, [*range(0x20, 0x7F), *range(0xA0, 0x100)])),
    "z": string.digits + "=",
    "b": "0123456789ABCDEF",
}


def golden(name: str) -> list[tuple[Message, bytes]]:
    """The messages of a golden file: fields and the bytes another implementation made of them."""
    pairs = []
    for line in (_GOLDEN / f"{name}.jsonl").read_text().splitlines():
        entry = json.loads(line)
        fields = {
            int(number): value.removeprefix("0x") for number, value in entry["fields"].items()
        }
        pairs.append((Message(entry["mti"], fields), bytes.fromhex(entry["hex"])))
    return pairs


def values(field: Field) -> st.SearchStrategy[str]:
    """Values that a field may hold."""
    longest = min(field.length, _SHORT)
    shortest = 1 if field.kind in ("n", "z") else 0
    if not field.length_digits:
        shortest = longest = field.length
    if field.kind == "x+n":
        return st.from_regex(rf"[CD][0-9]{{{field.length - 1}}}", fullmatch=True)
    if field.kind == "b":
        raw = st.binary(min_size=shortest, max_size=longest)
        return raw.map(lambda value: value.hex().upper())
    return st.text(_ALPHABETS[field.kind], min_size=shortest, max_size=longest)


@st.composite
def messages(draw: st.DrawFn, spec: Spec) -> Message:
    """Messages that a dialect can carry."""
    numbers = draw(
        st.sets(st.sampled_from([n for n in spec.fields if n not in (1, 65)]), max_size=20)
    )
    fields = {number: draw(values(spec.fields[number])) for number in sorted(numbers)}
    return Message(draw(st.from_regex(r"0[0-9]{3}", fullmatch=True)), fields)
