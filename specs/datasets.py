"""
Layouts of bytes by tag: BER-TLV, tags with lengths of one byte, datasets of either.

A value is uppercase hex here, as in every field of bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from specs.emv import SECRET_TAG_NAMES, TAG_NAMES
from specs.subfields import Layout, Part, Parts, Value
from specs.tlv import TlvError, decode_ber, encode_ber

#: The tag of elements that came without the head of a dataset.
BARE = "bare"


@dataclass(frozen=True, slots=True)
class Ber(Parts):
    """BER-TLV with names of its own."""

    def decode(self, text: str) -> dict[str, Value]:
        return self.opened(decode_ber(text))

    def encode(self, values: Mapping[str, Value]) -> str:
        return encode_ber(self.closed(values))


#: BER-TLV with the names of EMV, from `specs/emv.py`.
EMV = Ber(
    {
        **{tag: Part(name, "") for tag, name in TAG_NAMES.items()},
        **{
            tag: Part(name, "pan" if name == "pan" else "secret")
            for tag, name in SECRET_TAG_NAMES.items()
        },
    }
)


@dataclass(frozen=True, slots=True)
class Pairs(Parts):
    """Tag and length of one byte each."""

    def decode(self, text: str) -> dict[str, Value]:
        return self.opened(_headed(text, 2))

    def encode(self, values: Mapping[str, Value]) -> str:
        return _with_heads(self.closed(values), 2)


@dataclass(frozen=True, slots=True)
class Dataset(Parts):
    """Datasets: an identifier of one byte, a length of two, elements.

    `elements` is how those of a dataset stand that has no layout of its own. Where `bare`
    is set, a value that begins with no known identifier is such elements and nothing else.
    """

    elements: Layout | None
    bare: Layout | None

    def part(self, tag: str) -> Part:
        if tag == BARE:
            return Part("without_dataset", "secret", self.bare)
        return self.parts.get(tag) or Part("unknown", "secret", self.elements)

    def decode(self, text: str) -> dict[str, Value]:
        if self.bare is not None and text and text[:2] not in self.parts:
            elements = self.bare.decode(text)
            return {BARE: elements} if elements else {}
        return self.opened(_headed(text, 4))

    def encode(self, values: Mapping[str, Value]) -> str:
        texts = self.closed(values)
        if texts.keys() != {BARE}:
            return _with_heads(texts, 4)
        bare = texts[BARE]
        # A zero byte before the elements means nothing (EMV Book 3, annex B); without one these
        # would be read as the dataset that their first tag looks like.
        return f"00{bare}" if bare[:2] in self.parts else bare


def _headed(text: str, length_digits: int) -> dict[str, str]:
    """Values behind a tag of one byte and a length of so many hex digits."""
    values: dict[str, str] = {}
    at = 0
    while at < len(text):
        tag, start = text[at : at + 2], at + 2 + length_digits
        if start > len(text):
            raise TlvError("no length", tag)
        if tag in values:
            raise TlvError("stands twice", tag)
        at = start + 2 * int(text[at + 2 : start], 16)
        if at > len(text):
            raise TlvError("longer than the data", tag)
        values[tag] = text[start:at]
    return values


def _with_heads(values: Mapping[str, str], length_digits: int) -> str:
    made = []
    for tag, value in values.items():
        length = f"{len(value) // 2:0{length_digits}X}"
        if len(tag) != 2:
            raise TlvError("is not of one byte", tag)
        if len(length) > length_digits:
            raise TlvError("value too long", tag)
        made.append(tag + length + value)
    return "".join(made)
