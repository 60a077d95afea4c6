"""
Threads that ask, each with a client and so a connection of its own.

The SDK waits in a thread and cannot be told to stop. So a question's budget is kept by not
waiting for it: who asked goes on, the thread comes back by its own timeout and counts until then.
A question that nobody waits for any more when a thread would take it is not sent.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from keys.hsm import HsmUnavailable

T = TypeVar("T")

#: Seconds for what is done at start, when nobody's message waits.
START_TIMEOUT = 10.0


class Pool:
    """One thread for each client; see the module's page."""

    def __init__(self, clients: Sequence[Any]) -> None:
        self._clients = tuple(clients)
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for client in self._clients:
            self._free.put(client)
        self._own = threading.local()
        self._threads = ThreadPoolExecutor(
            len(self._clients), thread_name_prefix="aws-hsm", initializer=self._take_client
        )

    async def run(self, work: Callable[[Any], T], budget: float) -> T:
        """
        Do work with a client, and wait for it so many seconds, in the queue and for the answer.

        Raises `HsmUnavailable` where it took longer. Cancelled, work that no thread has begun is
        not begun.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(budget):
                return await loop.run_in_executor(self._threads, self._with_client, work)
        except TimeoutError:
            raise HsmUnavailable("aws: no answer within the budget") from None

    async def on_each(self, works: Sequence[Callable[[Any], None]]) -> None:
        """
        Do one piece of work on each connection, all at once, and wait for them all.

        Every thread waits until the others are there, so that none does two. Raises what the
        first of them raised.
        """
        barrier = threading.Barrier(len(self._clients))

        def do(work: Callable[[Any], None]) -> None:
            try:
                barrier.wait(START_TIMEOUT)
            except threading.BrokenBarrierError:
                raise HsmUnavailable("aws: not every thread could be started") from None
            self._with_client(work)

        loop = asyncio.get_running_loop()
        try:
            done = await asyncio.gather(
                *(loop.run_in_executor(self._threads, do, work) for work in works),
                return_exceptions=True,
            )
        finally:
            barrier.abort()
        for failure in done:
            if isinstance(failure, BaseException):
                raise failure

    async def close(self) -> None:
        """Forget what waits, let the threads end, and close the connections."""
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
        for client in self._clients:
            client.close()

    def _take_client(self) -> None:
        self._own.client = self._free.get_nowait()

    def _with_client(self, work: Callable[[Any], T]) -> T:
        return work(self._own.client)
