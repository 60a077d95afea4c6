"""
The reader and the writer of one dialect's messages with certain fields: Python, written here.

A message is read as texts, from which its values are cut: its bytes as `latin_1` or EBCDIC, and
as hex `digits`, where packed digits and binary values stand as in a message. Writing joins
such texts. Of DE2, 3 and 49 in iso87-ascii:

    def read(data):
        latin_1 = data.decode('latin_1')
        n2 = lengths2[latin_1[20:22]]
        v2 = latin_1[22:22 + n2]
        at = 22 + n2
        v3 = latin_1[at:at + 6]
        v49 = latin_1[at + 6:at + 9]
        if at + 9 == len(data) and only_n(f'{v2}{v3}') and only_an(f'{v49}'):
            return {2: v2, 3: v3, 49: v49}
        return None

The source is made of the numbers and words of a `Spec`, and of nothing that came over a wire.
Where a message is not as it should be both say nothing, and pyiso8583 finds out why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from specs.field import Field
from specs.spec import Spec
from switch.wire.content import MAC_FIELDS, ONLY, Lengths, only_ascii_ans, without_blanks

#: The fields of a whole message, or none.
Read = Callable[[bytes], dict[int, str] | None]
#: The bytes of an MTI and of fields in the order for which it was made, or none.
Write = Callable[[str, Mapping[int, str]], bytes | None]

_DIGITS = "digits"
#: What else a message is read as, by pyiso8583's encodings.
_TEXTS = {"ascii": "latin_1", "latin-1": "latin_1", "cp500": "cp500", "cp037": "cp037"}

#: The shortest that a pattern allows where there is a length; of other kinds that is nothing.
_SHORTEST = {"n": 1, "z": 1, "x+n": 2}

#: The sign of an amount, as the two digits before its packed ones.
_SIGNS = {"43": "C", "44": "D"}


def _without_first(digits: str) -> str:
    """Packed digits without the spare half byte on their left. Raises for another than 0."""
    if digits[0] != "0":
        raise ValueError
    return digits[1:]


def _without_last(digits: str) -> str:
    """The same of one on their right."""
    if digits[-1] != "0":
        raise ValueError
    return digits[:-1]


#: What the source calls by name, beside the `lengths…` and `fits…` of its fields.
_NAMES: Mapping[str, Any] = {
    "fromhex": bytes.fromhex,
    "signs": _SIGNS,
    "sign_digits": {sign: digits for digits, sign in _SIGNS.items()},
    "pads": ("", "0"),
    "without_blanks": without_blanks,
    "without_first": _without_first,
    "without_last": _without_last,
    "only_ans_ascii": only_ascii_ans,
    **{f"only_{kind}": check for kind, check in ONLY.items()},
}


class _Part:
    """One field: in which text it stands and how long it is there."""

    def __init__(self, field: Field, spec: Spec) -> None:
        codec = spec.codec[str(field.number)]
        self.number, self.kind, self.encoding = field.number, field.kind, field.encoding
        self.fits = field.pattern.fullmatch
        self.text, self.length_text = _text(codec["data_enc"]), _text(codec["len_enc"])
        #: Characters of the text to one of what a length on the wire counts.
        self.scale = 2 if field.encoding in ("binary", "amount") else 1
        self.size: int = self.scale * codec["max_len"]  #: characters: exactly, or at most
        self.length_size: int = codec["len_type"]  #: bytes; 0: fixed
        self.length_form = _length_form(codec["len_enc"], codec["len_type"])
        self.is_padded = field.encoding.startswith("bcd")
        self.pad_is_left = field.encoding == "bcd"
        #: Which check it shares with others.
        self.content = field.kind + "_ascii" * (field.kind == "ans" and field.encoding == "ascii")

    @property
    def lengths(self) -> range:
        """What its length may be, in characters of the text."""
        step = 2 if self.kind == "b" else 1
        return range(_SHORTEST.get(self.kind, 0), self.size + 1, step)

    def read(self, place: _Place) -> Iterator[str]:
        """The lines that cut its value out; `place` moves on."""
        value, length = f"v{self.number}", f"n{self.number}"
        if self.length_size:
            found = place.cut(self.length_text, self.length_size)
            yield f"{length} = lengths{self.number}[{found}]"
            place.move(self.length_size)
            spare = f" + ({length} & 1)" if self.is_padded else ""
            yield f"{value} = {self._read(place.cut_for(self.text, length + spare))}"
            if self.is_padded:
                yield f"if {length} & 1: {value} = {self._unpadded(value)}"
            yield from place.move_by(length if self.text != _DIGITS else f"({length} + 1) // 2")
            return
        size = self.size if self.text != _DIGITS else (self.size + 1) // 2
        cut = place.cut(self.text, size)
        if self.encoding == "amount":
            yield f"{value} = {cut}"
            cut = f"signs[{value}[:2]] + {value}[2:]"
        elif self.is_padded and self.size % 2:
            cut = self._unpadded(cut)
        yield f"{value} = {self._read(cut)}"
        place.move(size)

    def write(self) -> str:
        """What stands in the text for its value, as a part of an f-string."""
        value, length = f"v{self.number}", f"n{self.number}"
        if self.encoding == "amount":
            return f"{{sign_digits[{value}[0]]}}{{{value}[1:]}}"
        if not self.is_padded:
            return f"{{{value}}}"
        digits = f'{{{value}.replace("=", "D")}}' if self.kind == "z" else f"{{{value}}}"
        pad = f"{{pads[{length} & 1]}}" if self.length_size else "0" * (self.size % 2)
        return pad + digits if self.pad_is_left else digits + pad

    def has_its_length(self) -> str:
        """The condition that a value given has a length that can be written."""
        value, length = f"v{self.number}", f"n{self.number}"
        if not self.length_size:
            return f"len({value}) == {self.size - (self.encoding == 'amount')}"
        least = f"{self.lengths.start} <= {length} <= {self.size}"
        return f"{least} and not {length} & 1" if self.kind == "b" else least

    def _read(self, cut: str) -> str:
        if self.encoding == "hex":
            return f"without_blanks({cut})" if self.number in MAC_FIELDS else f"{cut}.upper()"
        return f"{cut}.replace('D', '=')" if self.kind == "z" else cut

    def _unpadded(self, digits: str) -> str:
        return f"without_first({digits})" if self.pad_is_left else f"without_last({digits})"


class _Place:
    """Where a reader stands: a number of bytes, after `at` once a value of any length came."""

    def __init__(self, start: int) -> None:
        self._offset = start
        self._is_known = True

    def cut(self, text: str, size: int) -> str:
        """What stands in so many bytes."""
        return f"{text}[{self._at(text)}:{self._at(text, size)}]"

    def cut_for(self, text: str, characters: str) -> str:
        """So many characters of the text."""
        return f"{text}[{self._at(text)}:{self._at(text)} + {characters}]"

    def move(self, size: int) -> None:
        """On by so many bytes."""
        self._offset += size

    def move_by(self, size: str) -> Iterator[str]:
        """On by as many as only the message says."""
        yield f"at = {self.end} + {size}"
        yield "at_2 = at + at"
        self._offset, self._is_known = 0, False

    @property
    def end(self) -> str:
        """The place, in bytes."""
        return self._at("")

    def _at(self, text: str, size: int = 0) -> str:
        known = (self._offset + size) * (2 if text == _DIGITS else 1)
        if self._is_known:
            return str(known)
        name = "at_2" if text == _DIGITS else "at"
        return f"{name} + {known}" if known else name


def reader(spec: Spec, numbers: Sequence[int], start: int) -> Read:
    """What reads the messages that have these fields, from this byte on. What stands before it
    is known to be right."""
    parts = [_Part(spec.fields[number], spec) for number in numbers]
    texts = {part.text for part in parts}
    texts |= {part.length_text for part in parts if part.length_size}
    body = [
        f"{text} = data.hex().upper()" if text == _DIGITS else f"{text} = data.decode('{text}')"
        for text in sorted(texts)
    ]
    place = _Place(start)
    for part in parts:
        body += part.read(place)
    body.append(f"if {' and '.join([f'{place.end} == len(data)', *_checks(parts)])}:")
    body.append(f"    return {{{', '.join(f'{part.number}: v{part.number}' for part in parts)}}}")
    read: Read = _made("read(data)", body, parts)
    return read


def writer(spec: Spec, numbers: Sequence[int]) -> Write:
    """What writes the messages that have these fields, given in this order. Their MTI is known
    to be right."""
    given = [_Part(spec.fields[number], spec) for number in numbers]
    parts = sorted(given, key=attrgetter("number"))
    body = ["".join(f"v{part.number}, " for part in given) + "= fields.values()"] if given else []
    body += [f"n{part.number} = len(v{part.number})" for part in given if part.length_size]
    conditions = [*(part.has_its_length() for part in parts), *_checks(parts)]
    joined = ", ".join(_joined(_pieces(spec, parts)))
    body.append(f"if {' and '.join(conditions) or True}:")
    body.append(f"    return b''.join(({joined},))")
    write: Write = _made("write(mti, fields)", body, parts)
    return write


def _checks(parts: Sequence[_Part]) -> Iterator[str]:
    """The conditions that values hold what their kinds may: one for all values of a kind."""
    by_content = attrgetter("content")
    for content, alike in groupby(sorted(parts, key=by_content), by_content):
        if content == "x+n":
            yield from (f"fits{part.number}(v{part.number})" for part in alike)
        else:
            values = "".join(f"{{v{part.number}}}" for part in alike)
            yield f"only_{content}(f'{values}')"


def _pieces(spec: Spec, parts: Sequence[_Part]) -> Iterator[tuple[str, str]]:
    """All that a message is made of: in which text, and how it stands in an f-string."""
    yield _text(spec.codec["t"]["data_enc"]), "{mti}"
    yield _text(spec.codec["p"]["data_enc"]), _bitmaps([part.number for part in parts])
    for part in parts:
        if part.length_size:
            count = f"n{part.number}" + f" // {part.scale}" * (part.scale > 1)
            yield part.length_text, f"{{{count}:{part.length_form}}}"
        yield part.text, part.write()


def _joined(pieces: Iterator[tuple[str, str]]) -> Iterator[str]:
    """The bytes of neighbours that stand in the same text, made at once."""
    for text, alike in groupby(pieces, lambda piece: piece[0]):
        string = f"f'{''.join(piece for _, piece in alike)}'"
        yield f"fromhex({string})" if text == _DIGITS else f"{string}.encode('{text}')"


def _bitmaps(numbers: Sequence[int]) -> str:
    """The bitmaps that announce these fields, and each other, in hex."""
    count = (max(numbers, default=1) - 1) // 64 + 1
    announced = {*numbers, *range(1, 64 * (count - 1), 64)}
    return f"{sum(1 << 64 * count - number for number in announced):0{16 * count}X}"


def _made(signature: str, body: Sequence[str], parts: Sequence[_Part]) -> Any:
    """The function of that source. What raises an exception in it is not as it should be."""
    lines = [f"def {signature}:", " try:", *(f"  {line}" for line in body)]
    lines += [" except (LookupError, ValueError): pass", " return None"]
    names: dict[str, Any] = dict(_NAMES)
    for part in parts:
        names[f"fits{part.number}"] = part.fits
        if part.length_size:
            names[f"lengths{part.number}"] = Lengths(part.length_form, part.lengths, part.scale)
    exec("\n".join(lines), names)  # noqa: S102 - of a spec's numbers, and nothing from outside
    return names[signature.partition("(")[0]]


def _text(encoding: str) -> str:
    return _DIGITS if encoding in ("b", "bcd") else _TEXTS[encoding]


def _length_form(encoding: str, size: int) -> str:
    """How a length stands in its text, as Python formats a number."""
    return {"b": f"0{2 * size}X", "bcd": f"0{2 * size}d"}.get(encoding, f"0{size}d")
