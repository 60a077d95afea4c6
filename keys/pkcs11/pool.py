"""
Threads that ask the token, each with a session of its own.

PKCS#11 calls block, so a question goes to the next free thread. A caller may go away at any
moment: a question that nobody has begun is then dropped; one that has begun ends in its thread,
which takes no other until then, and its answer is dropped.

A thread whose session broke answers its question `HsmUnavailable` and opens another, again and
again until the token is back; the other threads look at theirs. While no thread has a session,
questions are refused at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from pkcs11 import PKCS11Error

from keys.hsm import HsmRejected, HsmUnavailable
from keys.pkcs11.codes import CryptokiError
from keys.pkcs11.token import Token, TokenSession, unavailable

T = TypeVar("T")

#: Seconds between attempts to get a session again: doubled each time, up to the last.
REOPEN_PAUSE_FIRST = 0.1
REOPEN_PAUSE_LAST = 2.0

#: Seconds that closing waits for threads. One that hangs in the library is left to the process's
#: end: no call can be interrupted.
CLOSE_WAIT = 5.0

_Question = tuple["Future[Any]", Callable[[TokenSession], Any]]


class SessionPool:
    """So many threads and sessions of one token. It is opened once and closed once."""

    def __init__(self, token: Token, size: int) -> None:
        self._token = token
        self._size = size
        self._closing = threading.Event()
        self._asked = threading.Condition()  # guards what follows
        self._questions: deque[_Question] = deque()
        self._with_session = 0
        self._breaks = 0  #: sessions that ended, so far
        self._reason: Exception = HsmUnavailable("the token is not open")
        self._threads: list[tuple[threading.Thread, Future[None]]] = []

    async def open(self) -> None:
        """
        Open every session, log in and check every key.

        The first alone, so that a wrong PIN is tried once. Raises what the first that failed did.
        """
        try:
            await asyncio.wrap_future(self._start())
            others = [self._start() for _ in range(self._size - 1)]
            await asyncio.gather(*map(asyncio.wrap_future, others))
        except BaseException:
            await self.close()
            raise

    async def ask(self, question: Callable[[TokenSession], T]) -> T:
        """
        Answer a question in the next free thread.

        Raises `HsmUnavailable` where the token is away or its session breaks, and `HsmRejected`
        where the token refuses what is asked.
        """
        answer: Future[T] = Future()
        waiting = (answer, question)
        with self._asked:
            if not self._with_session:
                raise self._copy_of_reason()
            self._questions.append(waiting)
            self._asked.notify()
        try:
            return await asyncio.wrap_future(answer)
        except asyncio.CancelledError:
            with self._asked, suppress(ValueError):
                self._questions.remove(waiting)
            raise

    async def close(self) -> None:
        """End every thread and its session; what waits is answered `HsmUnavailable`."""
        with self._asked:
            self._closing.set()
            self._reason = HsmUnavailable("the token is closed")
            self._refuse_waiting()
            self._asked.notify_all()
        ends = [asyncio.wrap_future(ended) for _, ended in self._threads]
        try:
            if ends:
                await asyncio.wait(ends, timeout=CLOSE_WAIT)
        finally:
            for end in ends:
                end.cancel()
        for thread, ended in self._threads:
            if ended.done():
                thread.join()

    def _start(self) -> Future[None]:
        """Start a thread; the future says how its first session went."""
        opened: Future[None] = Future()
        ended: Future[None] = Future()
        for future in (opened, ended):
            future.set_running_or_notify_cancel()
        thread = threading.Thread(
            target=self._serve, args=(opened, ended), name="pkcs11", daemon=True
        )
        self._threads.append((thread, ended))
        thread.start()
        return opened

    def _serve(self, opened: Future[None], ended: Future[None]) -> None:
        """One thread's life: a session, questions until it breaks, another session."""
        try:
            try:
                session: TokenSession | None = self._token.open_session()
            except Exception as error:  # noqa: BLE001 - it is the opener's to know
                opened.set_exception(error)
                return
            self._gained()
            opened.set_result(None)
            while session is not None:
                reason = self._answer_until_broken(session)
                self._lost(reason)
                session.close()
                session = self._session_again()
        finally:
            ended.set_result(None)

    def _answer_until_broken(self, session: TokenSession) -> Exception | None:
        """Answer questions; give the error that the session broke with, or none at the end."""
        breaks_seen = self._breaks
        while True:
            with self._asked:
                self._asked.wait_for(lambda: self._has_work(breaks_seen))  # noqa: B023 - at once
                if self._closing.is_set():
                    return None
                if self._breaks == breaks_seen:
                    answer, question = self._questions.popleft()
                else:  # another session broke: is this one still good?
                    breaks_seen = self._breaks
                    answer, question = Future(), TokenSession.probe
            reason = _answered(answer, question, session)
            if reason is not None:
                return reason

    def _has_work(self, breaks_seen: int) -> bool:
        return bool(self._questions) or self._closing.is_set() or self._breaks != breaks_seen

    def _gained(self) -> None:
        with self._asked:
            self._with_session += 1

    def _lost(self, reason: Exception | None) -> None:
        """Count a session less; when it was the last, nobody is left to answer what waits."""
        self._note(reason)
        with self._asked:
            self._with_session -= 1
            self._breaks += 1
            self._asked.notify_all()
            if not self._with_session:
                self._refuse_waiting()

    def _session_again(self) -> TokenSession | None:
        """Try until there is a session; none when the pool is closing."""
        pause = 0.0
        while not self._closing.wait(pause):
            pause = min(max(REOPEN_PAUSE_FIRST, pause * 2), REOPEN_PAUSE_LAST)
            try:
                session = self._token.open_session()
            except (HsmUnavailable, HsmRejected) as error:
                self._note(error)
            except Exception as error:  # noqa: BLE001 - a thread that dies here never comes back
                self._note(unavailable("token", error))
            else:
                self._gained()
                return session
        return None

    def _note(self, reason: Exception | None) -> None:
        """Keep why there is no session, for those who ask while there is none."""
        with self._asked:
            if reason is not None and not self._closing.is_set():
                self._reason = reason

    def _refuse_waiting(self) -> None:
        while self._questions:
            answer, _ = self._questions.popleft()
            if answer.set_running_or_notify_cancel():
                answer.set_exception(self._copy_of_reason())

    def _copy_of_reason(self) -> Exception:
        """Each asker gets an exception of its own: a raised one carries the asker's frames."""
        return type(self._reason)(*self._reason.args)


def _answered(
    answer: Future[Any], question: Callable[[TokenSession], Any], session: TokenSession
) -> HsmUnavailable | None:
    """Answer one question, unless its caller is gone; give the error that broke the session."""
    if not answer.set_running_or_notify_cancel():
        return None
    try:
        answer.set_result(question(session))
    except (CryptokiError, PKCS11Error) as error:
        reason = unavailable("token", error)
        answer.set_exception(reason)
        return reason if isinstance(reason, HsmUnavailable) else None
    except Exception as error:  # noqa: BLE001 - it is the asker's to know
        answer.set_exception(error)
    return None
