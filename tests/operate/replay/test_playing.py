"""A load over real sockets, against a link that does what the test says."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from specs.spec import load as load_spec
from switch.demo.remaking import DemoRemaker
from switch.operate.replay import ReplayError
from switch.operate.replay.fresh import Fresh
from switch.operate.replay.pacing import constant
from switch.operate.replay.playing import Load, LoadPlayer
from switch.operate.replay.scenario import Step, form_of
from switch.operate.replay.tally import Approval, Second, Tally
from switch.wire import mti
from switch.wire.frame import Framer, Framing
from switch.wire.message import Message, decode, encode
from tests.traffic import PLAIN, CardInHand, load_card, purchase

ASCII, FORM = load_spec("iso87-ascii"), form_of("2-byte")
FRAMING = Framing.parse("2-byte")

#: What a link does with the n-th request that it gets: messages to send, and when to go on.
Does = Callable[[int, Message], Sequence[Message] | None]


@dataclass
class Link:
    """A listening link and what it heard, by connection."""

    address: str
    heard: dict[int, list[Message]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many messages it heard."""
        return sum(map(len, self.heard.values()))


@contextlib.contextmanager
def listening(does: Does) -> Iterator[Link]:
    """A link in a thread for each connection. Where `does` says None it closes."""
    server = socket.create_server(("127.0.0.1", 0))
    link = Link("{}:{}".format(*server.getsockname()))
    numbers, threads = itertools.count(1), []

    def serve(place: int, one: socket.socket) -> None:
        heard, framer = link.heard.setdefault(place, []), Framer(FRAMING)
        with one:
            while data := one.recv(65_536):
                for payload in framer.receive(data):
                    message = decode(payload, ASCII)
                    heard.append(message)
                    answers = does(next(numbers), message)
                    if answers is None:
                        return
                    one.sendall(b"".join(FRAMING.frame(encode(a, ASCII)) for a in answers))

    def accept() -> None:
        with contextlib.suppress(OSError):
            for place in itertools.count():
                one, _ = server.accept()
                threads.append(threading.Thread(target=serve, args=(place, one)))
                threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield link
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        for thread in (accepting, *threads):
            thread.join()


def answer(asked: Message, code: str = "00") -> Message:
    """An answer that gives everything back."""
    echoed = {n: asked.fields[n] for n in (3, 4, 7, 11, 32, 37) if n in asked.fields}
    return Message(mti.response(asked.mti), {**echoed, 38: "123456", 39: code})


def approve(_: int, asked: Message) -> list[Message]:
    """Answer 00."""
    return [answer(asked)]


def steps(count: int, cards: Sequence[CardInHand] = (PLAIN,)) -> list[Step]:
    """Purchases with these cards in turn, of which an approval is expected."""
    asked = [purchase(cards[n % len(cards)]) for n in range(count)]
    return [
        Step(n, "", "0100", dict(one.fields), encode(one, ASCII), {"39": "00"})
        for n, one in enumerate(asked, start=1)
    ]


def play(link: Link, played: list[Step], **load: object) -> Tally:
    """Play against one link."""
    options = Load([link.address], **{"timeout": 0.3, **load})  # type: ignore[arg-type]
    return LoadPlayer(played, ASCII, FORM, options).play()


def test_all_is_counted() -> None:
    """Every message is answered once and right."""
    with listening(approve) as link:
        tally = play(link, steps(50), in_flight=8)
    assert (50, 50, 50, 0, 0) == (
        tally.sent, tally.answered, tally.approvals, tally.unanswered, tally.wrong
    )  # fmt: skip
    assert {"00": 50} == tally.codes
    assert 50 == tally.latencies.count == sum(each.answered for each in tally.timeline)


def test_one_after_the_other_by_default() -> None:
    """Without a pace a message goes out when the one before it has its answer."""
    waiting: list[int] = []

    def does(number: int, asked: Message) -> list[Message]:
        waiting.append(number)
        time.sleep(0.01)
        return [answer(asked)]

    with listening(does) as link:
        tally = play(link, steps(5))
    assert ([1, 2, 3, 4, 5], 5) == (waiting, tally.answered)
    assert tally.seconds >= 0.05


def test_a_wrong_answer_is_told_without_a_value() -> None:
    """DE39 is told, every other field by its number."""

    def does(number: int, asked: Message) -> list[Message]:
        given = answer(asked, "05" if number == 2 else "00")
        elsewhere = {42: "ELSEWHERE000001"} if number == 3 else {}
        return [Message(given.mti, {**given.fields, **elsewhere})]

    with listening(does) as link:
        tally = play(link, steps(3))
    assert 2 == tally.wrong
    assert [
        "message 2 (0100): DE39: answered 05",
        "message 3 (0100): DE42: not as it was sent",
    ] == tally.told


def test_silence_is_unanswered_and_counts_as_the_timeout() -> None:
    """No percentile is better for what never came."""
    with listening(lambda n, asked: [] if n % 2 else [answer(asked)]) as link:
        tally = play(link, steps(4), in_flight=4)
    assert (4, 2, 2) == (tally.sent, tally.answered, tally.unanswered)
    assert 0.3 == pytest.approx(tally.figure("p99"), rel=0.01)
    assert 4 == tally.latencies.count


def test_an_answer_after_the_timeout_is_late() -> None:
    """It is counted as late and not as unanswered, with its own latency."""
    first: list[Message] = []

    def does(number: int, asked: Message) -> list[Message]:
        first.append(asked)
        return [answer(first[0]), answer(asked)] if number == 3 else [answer(asked)] * (number > 1)

    with listening(does) as link:
        tally = play(link, steps(3), due=iter([0.0, 0.2, 0.5]))
    assert (3, 1, 0) == (tally.answered, tally.late, tally.unanswered)
    assert tally.figure("max") >= 0.5


def test_what_comes_twice_or_unasked_is_counted() -> None:
    """A second answer, one to nothing, a request of the other side, and nonsense."""

    def does(number: int, asked: Message) -> list[Message]:
        stranger = Message("0110", {11: "999999", 39: "00"})
        network = Message("0800", {7: "1122120000", 11: asked.fields[11], 70: "301"})
        nameless = Message("0110", {39: "00"})
        return [answer(asked), answer(asked), stranger, network, nameless]

    with listening(does) as link:
        tally = play(link, steps(2))
    # Of the last message only the first answer may have been waited for.
    assert 2 == tally.answered
    assert 1 <= tally.duplicates <= 2
    assert 2 <= tally.unasked <= 4
    assert 1 <= tally.unreadable <= 2


def test_an_open_loop_waits_for_nobody() -> None:
    """Messages go out when they are due; one that had to wait counts from when it was due."""
    began = time.perf_counter()

    def does(number: int, asked: Message) -> list[Message]:
        if number == 1:
            time.sleep(0.2)
        return [answer(asked)]

    with listening(does) as link:
        tally = play(link, steps(20), due=constant(100), timeout=2.0)
    assert 20 == tally.answered
    assert time.perf_counter() - began >= 0.19
    # The link stood still for 200 ms: twenty were due meanwhile, a hundredth apart.
    assert tally.figure("p50") >= 0.05
    assert tally.figure("max") >= 0.2


def test_rounds_and_seconds() -> None:
    """A recording is played so many times, or until its seconds are over."""
    with listening(approve) as link:
        assert 15 == play(link, steps(5), rounds=3).sent
        tally = play(link, steps(5), rounds=None, seconds=0.2, due=constant(100))
    assert 20 == tally.sent
    with listening(approve) as link:
        tally = play(link, steps(5), rounds=None, seconds=0.1, in_flight=2)
    assert tally.sent == tally.answered > 5


def test_many_links_and_connections() -> None:
    """Cards are dealt over all connections, and a card keeps to one in a round."""
    played = steps(8, [load_card(number) for number in range(4)])
    with listening(approve) as one, listening(approve) as other:
        load = Load([one.address, other.address], connections=2, in_flight=4)
        tally = LoadPlayer(played, ASCII, FORM, load).play()
        connections = [*one.heard.values(), *other.heard.values()]
    assert 8 == tally.answered == one.count + other.count
    assert [1, 1, 1, 1] == [len({message.fields[2] for message in heard}) for heard in connections]


def test_a_link_that_closes_is_lost() -> None:
    """What was on its way is unanswered, and the rest is not sent."""
    with listening(lambda n, asked: [answer(asked)] if n < 3 else None) as link:
        tally = play(link, steps(5))
    assert (3, 2, 1, 1) == (tally.sent, tally.answered, tally.unanswered, tally.lost)


@pytest.mark.parametrize("payload", [b"\xff", b"0100", b"0100" + b"F" * 16])
def test_what_is_no_message_is_sent_all_the_same(payload: bytes) -> None:
    """As it was recorded, also among fresh ones; nobody waits for an answer to it."""
    played = [*steps(1), Step(2, "", "0100", {11: "000001"}, payload, None)]
    heard = b""

    with socket.create_server(("127.0.0.1", 0)) as server:
        load = Load(["{}:{}".format(*server.getsockname())], timeout=0.1)
        for fresh in (None, Fresh(played, ASCII, DemoRemaker(), atc_from=1, stan_from=1)):
            tally = LoadPlayer(played, ASCII, FORM, load, fresh=fresh).play()
            with server.accept()[0] as one:
                while data := one.recv(65_536):
                    heard += data
            assert (2, 1) == (tally.sent, tally.unanswered)
    assert 2 == heard.count(FRAMING.frame(payload))


def test_fresh_messages_are_new_in_every_round() -> None:
    """No two that are sent have one STAN; each is answered as itself."""
    played = steps(5)
    with listening(approve) as link:
        maker = Fresh(played, ASCII, DemoRemaker(), atc_from=1, stan_from=1)
        load = Load([link.address], rounds=4, in_flight=3, timeout=1.0)
        tally = LoadPlayer(played, ASCII, FORM, load, fresh=maker).play()
    (heard,) = link.heard.values()
    assert 20 == tally.answered == len({message.fields[11] for message in heard})


def test_a_new_code_reaches_its_completion() -> None:
    """What an authorization was answered with stands in the completion of the same round."""
    authorization, completion = steps(2)
    fields = {**completion.fields, 38: "000000"}
    completion = dataclasses.replace(
        completion,
        mti="0220",
        fields=fields,
        payload=encode(Message("0220", fields), ASCII),
        code_from=1,
    )
    played = [authorization, completion]

    def does(number: int, asked: Message) -> list[Message]:
        given = answer(asked)
        return [Message(given.mti, {**given.fields, 38: f"{number:06d}"})]

    with listening(does) as link:
        maker = Fresh(played, ASCII, DemoRemaker(), atc_from=1, stan_from=1)
        LoadPlayer(played, ASCII, FORM, Load([link.address], rounds=2), fresh=maker).play()
    (heard,) = link.heard.values()
    assert [None, "000001", None, "000003"] == [message.fields.get(38) for message in heard]


def test_progress_is_told_each_second() -> None:
    """A line a second while it runs, and one for the rest."""
    told: list[Second] = []
    with listening(approve) as link:
        load = Load([link.address], due=constant(20), rounds=None, seconds=1.3)
        tally = LoadPlayer(steps(5), ASCII, FORM, load, on_second=told.append).play()
    assert told == tally.timeline
    assert 2 == len(told)
    assert 26 == tally.answered == sum(s.sent for s in told) == sum(s.answered for s in told)
    assert 19 <= told[0].sent <= 21


def test_approvals_are_kept_where_they_are_wanted() -> None:
    """By STAN, moment, RRN and code, of what asked for a decision."""
    (one,) = steps(1)
    with listening(approve) as link:
        player = LoadPlayer([one], ASCII, FORM, Load([link.address]), keep_approvals=True)
        kept = player.play().kept
    assert kept is not None
    assert [Approval(one.fields[11], one.fields[7], one.fields[37], "123456")] == kept


def test_what_cannot_be_played_is_refused() -> None:
    """Nothing to send, too many connections, nobody who listens."""
    with pytest.raises(ReplayError, match="nothing to play"):
        LoadPlayer([], ASCII, FORM, Load(["127.0.0.1:1"]))
    with pytest.raises(ReplayError, match="1000 connections"):
        LoadPlayer(steps(1), ASCII, FORM, Load(["127.0.0.1:1"] * 2, connections=501))
    for address, said in (
        ("127.0.0.1:1", "running"),
        ("x", "host:port"),
        ("127.0.0.1:99999", "127"),
    ):
        with pytest.raises(ReplayError, match=said):
            LoadPlayer(steps(1), ASCII, FORM, Load([address])).play()
