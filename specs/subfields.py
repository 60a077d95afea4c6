"""
What stands inside a field: layouts, each of which takes a value apart and puts it together.

A layout works on a field as a `Message` has it: text as text, bytes as uppercase hex.
It gives tag → value in order, and a value with a layout of its own is such a mapping
again. What a dialect has no name for is kept, and written back as it came. What cannot
be read is a `TlvError` that names a tag at most, never a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from specs.tlv import TlvError, decode_additional_data, encode_additional_data

Value: TypeAlias = "str | dict[str, Value]"

#: The tags of what has none: before the first element, and behind the last position.
PREFIX, REST = "prefix", "rest"


@dataclass(frozen=True, slots=True)
class Part:
    """One subfield: its name, what of it may be seen, and what stands inside."""

    name: str
    sensitivity: str  #: as of a field
    layout: Layout | None = None


UNKNOWN = Part("unknown", "secret")


class Layout(Protocol):
    """How the subfields of one field stand in it."""

    @property
    def parts(self) -> Mapping[str, Part]:
        """The subfields that have a name, by tag."""

    def part(self, tag: str) -> Part:
        """What is known of a subfield; of one without a name that it is secret."""

    def decode(self, text: str) -> dict[str, Value]:
        """Take a value apart: tag → value, in order. Raises `TlvError`."""

    def encode(self, values: Mapping[str, Value]) -> str:
        """Put it together again. Raises `TlvError` for what cannot stand so."""


def leaves(layout: Layout, values: Mapping[str, Value]) -> Iterator[tuple[str, Part, str]]:
    """Every value that has none inside: its tag, what is known of it, the text."""
    for tag, value in values.items():
        part = layout.part(tag)
        if isinstance(value, str):
            yield tag, part, value
        elif part.layout is not None:
            yield from leaves(part.layout, value)


def names(layout: Layout) -> Iterator[str]:
    """The names of all subfields, of those inside others too."""
    for part in layout.parts.values():
        yield part.name
        if part.layout is not None:
            yield from names(part.layout)


def _inside(part: Part, text: str) -> Value:
    """A value by its own layout; whole where it does not read so, or would not be written so."""
    if part.layout is None:
        return text
    try:
        values = part.layout.decode(text)
        return values if part.layout.encode(values) == text else text
    except TlvError:
        return text


def _whole(part: Part, tag: str, value: Value) -> str:
    if isinstance(value, str):
        return value
    if part.layout is None:
        raise TlvError("has nothing inside", tag)
    return part.layout.encode(value)


@dataclass(frozen=True, slots=True)
class Parts:
    """A layout whose subfields have names by tag."""

    parts: Mapping[str, Part]

    def part(self, tag: str) -> Part:
        """What is known of a subfield."""
        return self.parts.get(tag, UNKNOWN)

    def opened(self, values: Mapping[str, str]) -> dict[str, Value]:
        """Each value by the layout inside it."""
        return {tag: _inside(self.part(tag), text) for tag, text in values.items()}

    def closed(self, values: Mapping[str, Value]) -> dict[str, str]:
        """The way back."""
        return {tag: _whole(self.part(tag), tag, value) for tag, value in values.items()}


@dataclass(frozen=True, slots=True)
class Positional(Parts):
    """One after the other, each as long as it is; the value may end behind any of them.

    The last may be shorter. What stands behind it is kept as `REST`.
    """

    lengths: Mapping[str, int]  #: tag → characters, of bytes hex digits
    pad: str  #: what fills a position that nothing is written to

    def decode(self, text: str) -> dict[str, Value]:
        values: dict[str, str] = {}
        at, last = 0, [*self.lengths][-1]
        for tag, length in self.lengths.items():
            if at >= len(text):
                break
            if at + length > len(text) and tag != last:
                raise TlvError("cut short", tag)
            values[tag] = text[at : at + length]
            at += length
        if at < len(text):
            values[REST] = text[at:]
        return self.opened(values)

    def encode(self, values: Mapping[str, Value]) -> str:
        texts = self.closed(values)
        tags = [*self.lengths, REST]
        for tag in texts:
            if tag not in tags:
                raise TlvError("has no position", tag)
        written = max((tags.index(tag) for tag in texts), default=-1)
        made = ""
        for tag in tags[: written + 1]:
            length = self.lengths.get(tag)
            text = texts.get(tag, self.pad * (length or 0))
            is_last = tag == tags[written] and tag == tags[-2]
            if length is not None and len(text) != length and not (is_last and len(text) < length):
                raise TlvError("has another length", tag)
            made += text
        return made


@dataclass(frozen=True, slots=True)
class Repeated:
    """The same positions again and again, counted from 1."""

    each: Positional

    @property
    def parts(self) -> Mapping[str, Part]:
        return {"1": self.part("1")}

    def part(self, tag: str) -> Part:
        return Part("entry", "secret", self.each) if tag.isdecimal() else UNKNOWN

    def decode(self, text: str) -> dict[str, Value]:
        size = sum(self.each.lengths.values())
        if len(text) % size:
            raise TlvError("not a whole number of entries")
        starts = range(0, len(text), size)
        return {
            str(number): self.each.decode(text[start : start + size])
            for number, start in enumerate(starts, 1)
        }

    def encode(self, values: Mapping[str, Value]) -> str:
        return "".join(_whole(self.part(tag), tag, value) for tag, value in values.items())


@dataclass(frozen=True, slots=True)
class Tlv(Parts):
    """Tag, length and value as text, behind a `PREFIX` that is no digit where there is one."""

    tag_digits: int
    length_digits: int
    prefix: int  #: characters

    def _digits(self) -> dict[str, int]:
        return {"tag_digits": self.tag_digits, "length_digits": self.length_digits}

    def decode(self, text: str) -> dict[str, Value]:
        size = self.prefix if not text[:1].isdecimal() else 0
        elements = decode_additional_data(text[size:], **self._digits())
        return self.opened({PREFIX: text[:size], **elements} if text[:size] else elements)

    def encode(self, values: Mapping[str, Value]) -> str:
        texts = self.closed(values)
        prefix = texts.pop(PREFIX, "")
        if PREFIX in values and (len(prefix) != self.prefix or prefix[:1].isdecimal()):
            raise TlvError("cannot stand before the elements", PREFIX)
        return prefix + encode_additional_data(texts, **self._digits())
