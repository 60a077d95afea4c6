"""Many senders over many links, who repeat what is not answered; and what each was told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from switch.wire import mti
from switch.wire.message import Message, encode
from tests.client import Client
from tests.faults.purchases import repeat
from tests.process import PATIENCE_SECONDS, POLL_SECONDS, Switch, eventually
from tests.traffic import CardInHand, code

HASTY = "hasty"
#: How long a decision is waited for on a link, seconds: one that is too late is not answered.
DECISION_SECONDS = {"demo": 4.0, HASTY: 0.5}
_STAN, _RRN, _AUTHORIZATION_CODE, _RESPONSE_CODE = 11, 37, 38, 39
_NETWORK_CODE, _SIGN_OFF = 70, "002"


class Came(NamedTuple):
    """What a purchase came to: above zero is the cardholder's debt."""

    held_minor: int
    posted_minor: int


NOTHING = Came(0, 0)


class Door(Client):
    """A sender's end of a link: it answers the switch's own requests, and heeds its sign-off."""

    is_signed_off = False

    def data_received(self, data: bytes) -> None:
        """Say yes to each sign-on, echo and sign-off."""
        seen = len(self.answers)
        super().data_received(data)
        for request in self.answers[seen:]:
            if mti.is_request(request.mti):
                self.is_signed_off |= request.fields[_NETWORK_CODE] == _SIGN_OFF
                answer = Message(mti.response(request.mti), {**request.fields, 39: "00"})
                self.write_frame(encode(answer, self.spec))


class Crowd:
    """The doors of some switches, one a link, closed while its switch is down."""

    def __init__(
        self, switches: Sequence[Switch], seed: int, links: Sequence[str] = tuple(DECISION_SECONDS)
    ) -> None:
        self.random = random.Random(seed)
        self.purchases: list[Purchase] = []
        self.unanswered: list[tuple[Switch, Message]] = []  #: by whom, and what
        self.has_enough = False
        self._links = links
        self._switches = list(switches)
        self._doors: dict[tuple[int, str], Door] = {}
        self._busy: set[tuple[Client, str]] = set()

    async def open(self) -> None:
        """Connect to every link to which there is no connection."""
        for number, switch in enumerate(self._switches):
            for link in self._links:
                door = self._doors.get((number, link))
                if door is None or door.closed.done():
                    self._doors[number, link] = await Door.connect(switch.port(link))

    async def join(self, switch: Switch) -> None:
        """Send to one more."""
        self._switches.append(switch)
        for link in self._links:
            self._doors[len(self._switches) - 1, link] = await Door.connect(switch.port(link))

    async def reaches(self, count: int) -> None:
        """Wait for so many purchases."""

        async def is_there() -> bool:
            return len(self.purchases) >= count

        await eventually(is_there, f"{count} purchases")

    async def close(self) -> None:
        """Disconnect."""
        for door in self._doors.values():
            await door.close()

    async def ask(self, message: Message) -> tuple[str, Message | None]:
        """Send a message over any link that has none of its STAN; by which, and the answer."""
        stan = message.fields[_STAN]
        switch, link = await self._pick(stan)
        client = self._doors[switch, link]
        is_decided = mti.is_decided(message.mti)
        self._busy.add((client, stan))
        try:
            async with asyncio.timeout(DECISION_SECONDS[link] if is_decided else PATIENCE_SECONDS):
                return f"{switch} {link}", await client.send(message)
        except ConnectionResetError:
            pass
        except TimeoutError:
            assert is_decided, f"{message.mti} {stan} was never answered"
        finally:
            self._busy.discard((client, stan))
        self.unanswered.append((self._switches[switch], message))
        return f"{switch} {link}", None

    async def _pick(self, stan: str) -> tuple[int, str]:
        """A door where a message of that STAN can be told from every other, once there is one."""
        while not (free := [*self._free(stan)]):  # noqa: ASYNC110 - a few looks
            await asyncio.sleep(POLL_SECONDS)
        return self.random.choice(free)

    def _free(self, stan: str) -> Iterator[tuple[int, str]]:
        for place, client in self._doors.items():
            is_open = not client.closed.done() and not client.is_signed_off
            if is_open and (client, stan) not in self._busy:
                yield place


@dataclass
class Purchase:
    """One buying: what was sent and answered of it, in order."""

    crowd: Crowd
    card: CardInHand
    story: str
    rrn: str = ""
    came: Came = NOTHING  #: what it must come to
    told: list[str] = field(default_factory=list)
    answers: list[tuple[Message, Message]] = field(default_factory=list)

    async def ask(self, message: Message) -> str:
        """Send a message until it is answered; DE39.

        After a copy that was not answered, 91 is no answer either: that copy may stand.
        """
        self.rrn = self.rrn or message.fields[_RRN]
        is_in_doubt = False
        while True:
            self.told.append(f"→ {_shown(message)}")
            name, answer = await self.crowd.ask(message)
            if answer is None:
                self.told.append(f"  {message.mti} {message.fields[_STAN]} not answered by {name}")
                is_in_doubt = True
            else:
                self.told.append(f"← {_shown(answer)} by {name} to {message.mti}")
                self.answers.append((message, answer))
                if code(answer) != "91" or not is_in_doubt:
                    return code(answer)
            message = repeat(message)

    async def race(self, *messages: Message) -> list[str]:
        """Send messages at once, in any order; their DE39."""
        order = list(enumerate(messages))
        self.crowd.random.shuffle(order)
        codes = await asyncio.gather(*(self.ask(message) for _, message in order))
        return [one for _, one in sorted(zip((place for place, _ in order), codes, strict=True))]

    def wrong_answers(self) -> Iterator[str]:
        """An advice or a reversal that was not answered 00; copies that were approved unlike."""
        approved: dict[tuple[str, str], set[str | None]] = {}
        for message, answer in self.answers:
            stan, first = message.fields[_STAN], mti.without_repeat(message.mti)
            if not mti.is_decided(message.mti) and code(answer) != "00":
                yield f"{message.mti} {stan} was answered {code(answer)}"
            if code(answer) == "00":
                codes = approved.setdefault((first, stan), set())
                codes.add(answer.fields.get(_AUTHORIZATION_CODE))
        for (first, stan), codes in approved.items():
            if len(codes) > 1:
                yield f"copies of {first} {stan} were approved as {codes}"

    def approved(self) -> Iterator[tuple[str, str, str | None]]:
        """MTI class, STAN and authorization code of every approval of a request."""
        for message, answer in self.answers:
            if mti.is_decided(message.mti) and code(answer) == "00":
                number = answer.fields.get(_AUTHORIZATION_CODE)
                yield message.mti[:3], message.fields[_STAN], number

    def __str__(self) -> str:
        lines = "\n".join(f"    {line}" for line in self.told)
        return f"{self.story} {self.rrn} on {self.card.account_id}:\n{lines}"


def _shown(message: Message) -> str:
    fields = message.fields
    parts = [message.mti, fields[_STAN], f"{int(fields[4]) / 100:.2f}"]
    shown = (_AUTHORIZATION_CODE, _RESPONSE_CODE, 48, 90, 95)
    parts += [f"de{number}={fields[number]}" for number in shown if number in fields]
    return " ".join(parts)
