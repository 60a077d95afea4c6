"""Which answer belongs to which message, and whether it is right."""

from __future__ import annotations

import pytest

from specs.spec import Spec, load
from switch.operate.replay.fresh import Outgoing
from switch.operate.replay.matching import Book, Expected, Sent, Verdict
from switch.operate.replay.scenario import Step
from switch.wire import mti
from switch.wire.message import Message, encode
from switch.wire.places import Places

ASCII = load("iso87-ascii")
FIELDS = {
    3: "000000", 4: "000000000100", 7: "1122120000", 11: "000001", 32: "476173",
    37: "632600000001", 41: "TERM0001", 42: "MERCHANT0000001", 49: "978",
}  # fmt: skip


def sent(
    book: Book, changed: dict[int, str] | None = None, expect: dict[str, str] | None = None,
    spec: Spec = ASCII, asked: str = "0100",
) -> Sent:  # fmt: skip
    """A message on its way."""
    message = Message(asked, FIELDS | (changed or {}))
    payload = encode(message, spec)
    step = Step(1, "", message.mti, dict(message.fields), payload, expect)
    outgoing = Outgoing(payload, Places(spec).of(payload))
    one = Sent(0, 0, 0.0, outgoing, Expected.of(step, spec))
    book.send(one)
    return one


def answer(changed: dict[int, str | None] | None = None, as_: str = "0110") -> bytes:
    """An approval that gives everything back."""
    fields = FIELDS | {39: "00", 38: "123456"} | (changed or {})
    kept = {n: value for n, value in sorted(fields.items()) if value is not None}
    return encode(Message(as_, kept), ASCII)


#: What an answer to FIELDS has otherwise, and what is then said of it.
ANSWERS: list[tuple[dict[int, str | None], Verdict, list[int]]] = [
    ({},                                 Verdict.ANSWER, []),
    ({39: "05"},                         Verdict.ANSWER, [39]),
    ({39: None},                         Verdict.ANSWER, [39]),
    ({4: "000000000050"},                Verdict.ANSWER, []),
    ({49: "840"},                        Verdict.ANSWER, [49]),
    ({42: None, 3: None},                Verdict.ANSWER, []),
    ({11: "000002"},                     Verdict.UNASKED, []),
    ({7: "1122120001"},                  Verdict.UNASKED, []),
    ({37: "632600000002"},               Verdict.UNASKED, []),
    ({32: "476174"},                     Verdict.UNASKED, []),
    ({7: None, 37: None, 41: None},      Verdict.ANSWER, []),
    ({11: None},                         Verdict.UNREADABLE, []),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "verdict", "differences"), ANSWERS)
def test_an_answer_is_known_and_held(
    changed: dict[int, str | None], verdict: Verdict, differences: list[int]
) -> None:
    """By STAN and what else of the key it has; DE39 and what it gives back are compared."""
    book = Book(ASCII)
    sent(book, expect={"39": "00"})
    found = book.receive(answer(changed))
    assert (verdict, differences) == (found.verdict, list(found.differences))


def test_an_expected_amount_is_compared() -> None:
    """Less than was asked for is right where that is expected, and wrong otherwise."""
    for given, differences in (("000000000050", []), ("000000000100", [4])):
        book = Book(ASCII)
        sent(book, expect={"39": "10", "4": "000000000050"})
        found = book.receive(answer({39: "10", 4: given}))
        assert differences == list(found.differences)


@pytest.mark.parametrize("expect", [None, {"39": "present"}, {"39": "same as 1"}])
def test_without_a_value_nothing_is_expected_of_the_code(expect: dict[str, str] | None) -> None:
    """What cannot be compared alone is not compared."""
    book = Book(ASCII)
    sent(book, expect=expect)
    assert [] == list(book.receive(answer({39: "91"})).differences)


def test_an_answer_that_comes_twice() -> None:
    """The second is a duplicate, until the message is forgotten."""
    book = Book(ASCII)
    one = sent(book)
    verdicts = [book.receive(answer()).verdict for _ in range(2)]
    book.forget(one)
    verdicts.append(book.receive(answer()).verdict)
    assert [Verdict.ANSWER, Verdict.DUPLICATE, Verdict.UNASKED] == verdicts


def test_a_repeat_has_an_answer_of_its_own() -> None:
    """Two copies of a message get two answers, the first one first; a third is a duplicate."""
    book = Book(ASCII)
    copies = [sent(book), sent(book, asked="0101")]
    found = [book.receive(answer()) for _ in range(3)]
    assert [*copies, None] == [each.sent for each in found]
    assert Verdict.DUPLICATE is found[-1].verdict


def test_the_same_stan_of_another_moment_is_another_message() -> None:
    """Where a STAN is used again before its first answer, the rest of the key tells."""
    book = Book(ASCII)
    sent(book)
    later = sent(book, {7: "1122120005"})
    assert later is book.receive(answer({7: "1122120005"})).sent


@pytest.mark.parametrize("payload", [b"", b"0110", b"\xff" * 40, b"0110ZZZZZZZZZZZZZZZZ"])
def test_nonsense_is_unreadable(payload: bytes) -> None:
    """Bytes that are no message are counted, and no more."""
    assert Verdict.UNREADABLE is Book(ASCII).receive(payload).verdict


@pytest.mark.parametrize(
    ("asked", "fields"),
    [("0810", {11: "000001", 39: "00"}), ("0180", FIELDS), ("0800", {7: "1122120000"})],
    ids=["a response", "an acknowledgement", "no STAN"],
)
def test_what_wants_no_answer_expects_none(asked: str, fields: dict[int, str]) -> None:
    """What nobody answers, and what no answer could be told by."""
    step = Step(1, "", asked, fields, b"", {"39": "00"})
    assert b"" == Expected.of(step, ASCII).head


#: DE39 as three digits, packed with a spare half byte on either side.
@pytest.mark.parametrize(("name", "code"), [("iso93-ascii", "100"), ("iso93-binary", "100"),
                                            ("cmf-2003", "1000")])  # fmt: skip
def test_a_code_is_compared_in_every_version(name: str, code: str) -> None:
    """As it stands on the wire."""
    spec, book = load(name), Book(load(name))
    asked = Message(f"{spec.version}804", {7: "1122120000", 11: "1" * spec.fields[11].length})
    payload = encode(asked, spec)
    step = Step(1, "", asked.mti, dict(asked.fields), payload, {"39": code})
    book.send(Sent(0, 0, 0.0, Outgoing(payload, Places(spec).of(payload)), Expected.of(step, spec)))
    other = encode(Message(mti.response(asked.mti), {**asked.fields, 39: code}), spec)
    assert [] == list(book.receive(other).differences)
