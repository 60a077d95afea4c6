"""A server that speaks as a payShield does, on the public test LMK; it can be made to misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

from tests.hsm_payshield.answers import ANSWERS, FIRMWARE, LMK_CHECK_VALUE
from tests.hsm_payshield.request import Refused, Request


class Fault(Enum):
    """How the peer misbehaves instead of answering."""

    SILENT = "takes the question and never answers: half open"
    HANGS_UP = "closes the connection instead of answering"
    STOPS_MID_FRAME = "closes the connection in the middle of its answer"
    STALLS_MID_FRAME = "sends half of its answer and no more"
    GARBAGE = "answers bytes by chance"
    OTHER_HEADER = "answers with the header of another request"
    OTHER_CODE = "answers as to another command"
    TOO_SHORT = "answers a frame that is too short for a reply"
    TOO_LONG = "answers with more fields than the reply has"
    TWICE = "answers twice"
    UNKNOWN_ERROR = "answers an error code that nobody knows"


#: Those that an honest HSM never does.
LIES = (
    Fault.GARBAGE,
    Fault.OTHER_HEADER,
    Fault.OTHER_CODE,
    Fault.TOO_SHORT,
    Fault.TOO_LONG,
    Fault.TWICE,
    Fault.UNKNOWN_ERROR,
)


@dataclass
class Peer:
    """One HSM. What it does wrong stands in its fields and may change while it runs."""

    has_key_blocks: bool = False
    lmk_id: str = ""
    header_size: int = 4
    lmk_check_value: str = LMK_CHECK_VALUE
    faults: dict[str, Fault] = field(default_factory=dict)  #: by command code
    errors: dict[str, str] = field(default_factory=dict)  #: error codes by command code
    delay: float = 0.0  #: seconds before each answer but those of NC and BU
    wrong_kcv: bool = False
    asked: Counter[str] = field(default_factory=Counter)  #: commands that came, by code
    port: int = 0
    tls: ssl.SSLContext | None = None
    _server: asyncio.Server | None = None
    _talks: set[asyncio.Task[None]] = field(default_factory=set)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.port

    @property
    def connections(self) -> int:
        """How many are connected."""
        return len(self._talks)

    def blurt(self, data: bytes) -> None:
        """Send what nobody asked for, on every connection."""
        for writer in self._writers:
            writer.write(data)

    async def until_connected(self, count: int) -> None:
        """Wait until so many are connected."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.connections == count)

    async def until_asked(self, code: str, count: int = 1) -> None:
        """Wait until a command came so many times."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.asked[code] >= count)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def start(self) -> Peer:
        """Listen, on the port that it had before if it had one."""
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self.port, ssl=self.tls
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.close()
        talks = list(self._talks)
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        self._writers.add(writer)
        await self._tell()
        try:
            with contextlib.suppress(
                asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError
            ):
                while True:
                    size = int.from_bytes(await reader.readexactly(2), "big")
                    await self._answer(await reader.readexactly(size), writer)
        finally:
            self._talks.discard(talk)
            self._writers.discard(writer)
            writer.transport.abort()
            await self._tell()

    async def _answer(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        header, code = body[: self.header_size], body[self.header_size :][:2].decode("latin-1")
        self.asked[code] += 1
        await self._tell()
        if code not in ("NC", "BU"):
            await asyncio.sleep(self.delay)
        reply = self._reply(code, body[self.header_size + 2 :])
        reply_code = f"{code[0]}{chr(ord(code[1]) + 1)}".encode()
        honest = _framed(header + reply_code + reply)
        fault = self.faults.get(code)
        if fault is None:
            writer.write(honest)
        else:
            await self._misbehave(fault, header, reply_code, honest, writer)
        await writer.drain()

    def _reply(self, code: str, fields: bytes) -> bytes:
        """Give error code and fields."""
        if code in self.errors:
            return self.errors[code].encode()
        request = Request(fields, self.has_key_blocks)
        try:
            if code == "NC":
                answer = f"{self.lmk_check_value}{FIRMWARE}".encode()
            else:
                answer = ANSWERS.get(code, _disabled)(request)
        except Refused as refused:
            return str(refused).encode()
        trailer = f"%{self.lmk_id}" if self.lmk_id else ""
        if request.rest != trailer.encode():
            return b"13" if request.rest[:1] == b"%" else b"15"
        if code == "BU" and self.wrong_kcv:
            answer = b"000000"
        return b"00" + answer

    async def _misbehave(
        self,
        fault: Fault,
        header: bytes,
        reply_code: bytes,
        honest: bytes,
        writer: asyncio.StreamWriter,
    ) -> None:
        match fault:
            case Fault.SILENT:
                return
            case Fault.HANGS_UP:
                raise ConnectionError
            case Fault.STOPS_MID_FRAME:
                writer.write(honest[:-2])
                await writer.drain()
                raise ConnectionError
            case Fault.STALLS_MID_FRAME:
                writer.write(honest[:-2])
            case Fault.GARBAGE:
                writer.write(_framed(secrets.token_bytes(40)))
            case Fault.OTHER_HEADER:
                writer.write(_framed(b"?" * len(header) + reply_code + b"00"))
            case Fault.OTHER_CODE:
                writer.write(_framed(header + b"ZZ00"))
            case Fault.TOO_SHORT:
                writer.write(_framed(header + reply_code))
            case Fault.TOO_LONG:
                writer.write(_framed(header + reply_code + b"00" + b"?" * 30))
            case Fault.TWICE:
                writer.write(honest + honest)
            case Fault.UNKNOWN_ERROR:
                writer.write(_framed(header + reply_code + b"~~"))


def _disabled(_: Request) -> bytes:
    raise Refused("68")


def _framed(body: bytes) -> bytes:
    return len(body).to_bytes(2, "big") + body
