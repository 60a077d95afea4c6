"""
Tells stories against a switch: when each begins, what time does, which link is up.

An open loop: customers come when they come, whatever the answers do, and a latency counts from
the moment at which a message was due. What stories say stands in `steps.py`; the times in them
are the story's, and pass faster here where the plan says so.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from specs.spec import Spec
from switch.operate.replay.error import ReplayError
from switch.operate.replay.moments import Moments
from switch.operate.replay.pacing import poisson
from switch.operate.replay.tally import Clockwork, Second
from switch.operate.simulate.cards import Dealer, Wallet
from switch.operate.simulate.desk import Desk
from switch.operate.simulate.exchange import Exchange, Letter, Mac
from switch.operate.simulate.habits import Case
from switch.operate.simulate.lines import Line
from switch.operate.simulate.plan import RECONNECT_SECONDS, SIGN_SECONDS, Plan
from switch.operate.simulate.score import NETWORK, TROUBLES, Score
from switch.operate.simulate.steps import Answer, Ask, Cut, Deafness, Pause, Story
from switch.operate.simulate.stories import cuts, deafness, session, sign_off, tell
from switch.operate.simulate.tale import Tale
from switch.operate.simulate.timers import Timers
from switch.wire.conversation import Format
from switch.wire.mti import is_decided

#: Stories, or what is due, that are begun before answers are looked at again.
_AT_ONCE_MAX = 64


class Simulation:
    """A scheme."""

    def __init__(
        self, plan: Plan, spec: Spec, form: Format, wallet: Wallet, score: Score, *,
        mac: Mac | None = None, on_second: Callable[[Second, int, int], None] = lambda *_: None,
    ) -> None:  # fmt: skip
        """`on_second` is told of each second, with how many stories run and links are up."""
        self._plan, self._score, self._on_second = plan, score, on_second
        self._chance = random.Random(plan.seed)  # noqa: S311 - traffic is no secret
        self._lines = Line.all_of(plan.addresses, plan.links, self._chance.randrange(10**6))
        self._exchange = Exchange(
            self._lines, spec, form, score, mac=mac, on_answer=self._answered, on_lost=self._lost
        )
        times, codes = plan.mix.times, spec.response_codes
        desk = Desk(
            self._chance, Moments(spec).now, rrn_from=int(time.time() * 1000),
            time_out=times.time_out, repeat_after=times.repeat_after,
        )  # fmt: skip
        self._case = partial(
            Case, desk, plan.mix, Dealer(wallet, plan.cards),
            approving=codes.at("approved", score.began),
            declining=codes.at("declined_elsewhere", score.began),
            takes_increments=self._exchange.terms.can_say("incremental"),
        )  # fmt: skip
        self._coming = random.Random(plan.seed)  # noqa: S311
        self._timers = Timers()
        self._customers: set[Tale] = set()
        self._sessions: dict[Line, Tale] = {}
        self._clockwork = Clockwork(score)
        self._began = 0.0
        self._is_over = False

    def play(self) -> Score:
        """Play to the end. Raises `ReplayError` where a link cannot be used from the beginning, or
        the switch does not know the cards.
        """
        try:
            for line in self._lines:
                self._exchange.open(line)
            self._began = time.perf_counter()
            self._sign_on()
            self._tell_customers()
            self._sign_off()
        finally:
            self._score.unfinished = len(self._customers)
            for tale in self._customers:  # nobody knows what stands of them
                self._score.stands.append(dict.fromkeys(tale.case.stands))
            for letter in self._exchange.letters.values():  # it took that long, at the least
                self._score.latencies.add(self._plan.patience(letter.ask.seconds))
            self._exchange.close()
            if self._clockwork.has_counted:
                self._end_second()
        return self._score

    # Time.

    def _now(self) -> float:
        return time.perf_counter() - self._began

    def _sign_on(self) -> None:
        for line in self._lines:
            self._begin_session(line)
        give_up = self._now() + SIGN_SECONDS
        while self._now() < give_up and not all(line.is_up for line in self._lines):
            self._pass_time(give_up)
        if not any(line.is_up for line in self._lines):
            raise ReplayError("no link signs on: are dialect, framing and MAC key the link's?")

    def _tell_customers(self) -> None:
        """Until all stories are over, or the time for them is."""
        plan, begun = self._plan, self._now()
        last = begun + plan.lasts
        give_up = last + plan.drains
        coming = (begun + at for at in poisson(plan.rate * plan.speed, plan.seed))
        due = itertools.takewhile(lambda at: at < last, coming)
        troubles = [self._begin(make, TROUBLES, begun) for make in (cuts, deafness)]
        next_due = next(due, None)
        while (next_due is not None or self._customers) and self._now() < give_up:
            next_due = self._begin_due(due, next_due)
            if next_due is None:
                for tale in troubles:
                    tale.stop()
            self._pass_time(give_up if next_due is None else next_due)

    def _begin_due(self, due: Iterator[float], next_due: float | None) -> float | None:
        """Begin the stories whose time has come."""
        weights = self._plan.mix.weights
        for _ in range(_AT_ONCE_MAX):
            if next_due is None or next_due > self._now():
                break
            (name,) = self._coming.choices([*weights], [*weights.values()])
            self._begin(partial(tell, name), name, next_due, is_customer=True)
            next_due = next(due, None)
        return next_due

    def _sign_off(self) -> None:
        """Say goodbye on every link; its answer is waited for a short time."""
        self._is_over = True
        up = [line for line in self._lines if line.is_up]
        tales = [self._begin(sign_off, NETWORK, self._now(), line) for line in up]
        give_up = self._now() + SIGN_SECONDS
        while self._now() < give_up and any(tale.asked is not None for tale in tales):
            self._pass_time(give_up)

    def _pass_time(self, until: float) -> None:
        """Do what is due, then wait for answers."""
        self._timers.do_due(self._now(), _AT_ONCE_MAX)
        while self._now() >= self._clockwork.next_end:
            self._end_second()
        until = min(until, self._timers.next, self._clockwork.next_end)
        self._exchange.receive(max(0.0, until - self._now()), self._now)

    def _end_second(self) -> None:
        second = self._clockwork.end(len(self._exchange.letters))
        up = sum(line.is_up for line in self._lines)
        self._on_second(second, len(self._customers), up)

    # Stories.

    def _begin(
        self, make: Callable[[Case], Story], name: str, due: float, line: Line | None = None, *,
        is_customer: bool = False,
    ) -> Tale:  # fmt: skip
        counts = self._score.counts(name)
        # Each story has a chance of its own: what happens in one changes no other.
        chance = random.Random(f"{self._plan.seed} {name} {counts.stories}")  # noqa: S311
        counts.stories += 1
        case = self._case(chance, counts)
        tale = Tale(make(case), case, line)
        if is_customer:
            self._customers.add(tale)
        self._go_on(tale, None, due)
        return tale

    def _go_on(self, tale: Tale, value: Answer | None, due: float) -> None:
        """Give a story what it waited for, and do what it says next."""
        tale.turn += 1
        tale.asked = tale.until = None
        while True:
            try:
                step = tale.story.send(value)
            except StopIteration:
                self._end(tale)
                return
            value = None
            if isinstance(step, Pause):
                tale.until = step.until
                self._wait(tale, self._plan.pause(step.seconds))
                return
            if isinstance(step, Ask):
                if self._sent(tale, step, due):
                    return
            else:
                self._make_trouble(step)

    def _sent(self, tale: Tale, ask: Ask, due: float) -> bool:
        """Send a message and wait. Where no link is up a request has no answer, and what already
        happened is kept until one is.
        """
        if self._send(tale, ask, due):
            self._wait(tale, self._plan.patience(ask.seconds))
            return True
        if ask.network or is_decided(ask.mti):
            return False
        turn = tale.turn

        def try_again(at: float) -> None:
            if tale.turn == turn:
                self._sent(tale, ask, at)

        self._timers.at(self._now() + RECONNECT_SECONDS, try_again)
        return True

    def _wait(self, tale: Tale, seconds: float) -> None:
        turn = tale.turn

        def time_passed(at: float) -> None:
            if tale.turn == turn:
                self._go_on(tale, None, at)

        self._timers.at(self._now() + seconds, time_passed)

    def _send(self, tale: Tale, ask: Ask, due: float) -> bool:
        """Send a message over a link that is up, a twin over two; false where none is."""
        ways = [line for line in self._lines if line.is_up]
        if tale.line is not None:
            ways = [tale.line] if tale.line.peer is not None else []
        ways = self._chance.sample(ways, min(2 if ask.is_twin else 1, len(ways)))
        for line in ways:
            self._exchange.send(ask, tale, line, due)
        tale.asked, tale.copies = ask, len(ways)
        return bool(ways)

    def _answered(self, letter: Letter, answer: Answer, now: float) -> None:
        tale, ask = letter.tale, letter.ask
        self._clockwork.add(now - letter.due)
        tale.counts.note(ask.mti, answer, now - letter.due)
        if "no_card_record" in answer.reasons and tale.counts.name != "unknown_card":
            count = self._plan.cards
            raise ReplayError(f"the switch has no such cards: switch demo cards --count {count}")
        self._compare_twins(tale, ask, answer)
        ask.answers.append(answer)
        if ask.network == "sign_on":
            letter.line.is_signed_on = answer.is_approval
        if ask.is_copy_of(tale.asked):
            self._go_on(tale, answer, now)
        else:
            self._score.late += len(ask.answers) == 1
            if ask.is_copy_of(tale.until):
                self._go_on(tale, answer, now)

    def _compare_twins(self, tale: Tale, ask: Ask, answer: Answer) -> None:
        """Two copies of one request have one answer, but for one that came after a reversal."""
        for before in ask.answers:
            if not (answer.is_same_as(before) or answer.says_little or before.says_little):
                tale.case.wrong(ask, f"answered {before.code} and {answer.code} on two links")

    def _end(self, tale: Tale) -> None:
        if tale in self._customers:
            self._customers.remove(tale)
            self._score.stands.append(tale.case.stands)
        elif tale.line is not None and not self._is_over:
            self._exchange.lose(tale.line)  # a link that does not answer is opened anew

    # Links.

    def _begin_session(self, line: Line) -> None:
        self._sessions[line] = self._begin(session, NETWORK, self._now(), line)

    def _lost(self, line: Line, letters: Sequence[Letter]) -> None:
        """Stories that waited for an answer over it go on without; it comes back in a while."""
        if (own := self._sessions.pop(line, None)) is not None:
            own.stop()
        away = self._plan.pause(self._plan.mix.times.cut_for) if line.is_cut else 0.0
        self._score.lost += not line.is_cut
        line.is_cut = False
        if not self._is_over:
            self._timers.at(self._now() + max(away, RECONNECT_SECONDS), partial(self._reopen, line))
        for letter in letters:
            tale = letter.tale
            letter.ask.copies_lost += 1
            if tale.asked is letter.ask:
                tale.copies -= 1
                if not tale.copies:
                    self._go_on(tale, None, self._now())

    def _reopen(self, line: Line, _: float) -> None:
        if self._is_over:
            return
        try:
            self._exchange.open(line)
        except ReplayError:
            self._timers.at(self._now() + RECONNECT_SECONDS, partial(self._reopen, line))
        else:
            self._begin_session(line)

    def _make_trouble(self, step: Cut | Deafness) -> None:
        """Some link that is up is cut, or reads nothing for a while."""
        up = [line for line in self._lines if line.is_up]
        if not up:
            return
        line = self._chance.choice(up)
        if isinstance(step, Cut):
            line.is_cut = True
            self._score.cuts += 1
            self._exchange.lose(line)
        elif (peer := line.peer) is not None:
            peer.is_deaf = True
            hears_at = self._now() + self._plan.pause(step.seconds)
            self._timers.at(hears_at, lambda _: setattr(peer, "is_deaf", False))
