"""What the admin port tells each second, over and over: a switch that is gone comes back."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
from aiohttp import hdrs

#: Between two attempts to connect, in seconds.
RETRY_SECONDS = 1.0
#: The switch tells something each second: silence for so long means that it is gone.
SILENCE_SECONDS = 5.0
#: The longest event, in bytes: of a switch with hundreds of links.
EVENT_MAX = 1 << 20

_DATA = b"data: "


@dataclass(frozen=True, slots=True)
class Gone:
    """There are no figures, and why."""

    problem: str


async def figures(
    url: str, *, token: str | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[dict[str, Any] | Gone]:
    """Each second's figures as `/api/live` has them, or `Gone` for every attempt in vain.

    `url` is that of the admin port, without a slash at its end.
    """
    headers = {} if token is None else {hdrs.AUTHORIZATION: f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(sock_connect=SILENCE_SECONDS, sock_read=SILENCE_SECONDS)
    async with aiohttp.ClientSession(
        headers=headers, timeout=timeout, read_bufsize=EVENT_MAX
    ) as session:
        while True:
            problem = "the switch does not answer"
            try:
                async with session.get(f"{url}/api/live", ssl=tls or True) as answer:
                    if answer.status == 200:
                        async for line in answer.content:
                            if line.startswith(_DATA):
                                yield orjson.loads(line.removeprefix(_DATA))
                    else:
                        problem = await _refusal(answer)
            except aiohttp.ClientConnectorCertificateError:
                problem = "its certificate is not of a CA that is trusted here: --ca FILE"
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
                pass
            yield Gone(problem)
            await asyncio.sleep(RETRY_SECONDS)


async def _refusal(answer: aiohttp.ClientResponse) -> str:
    """What the switch says of its refusal."""
    if answer.status == 401:
        return "the switch asks for a token: --token-file FILE"
    try:
        return str((await answer.json())["error"])
    except (aiohttp.ClientError, ValueError, LookupError, TypeError):
        return f"this is no admin port of a switch: it answers {answer.status}"
