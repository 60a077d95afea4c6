"""Search, and why one message was answered as it was: from the database, on a small pool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import wraps

import orjson
from aiohttp import web

from switch.ledger.errors import LedgerUnavailable
from switch.ledger.history import STATEMENT_SECONDS
from switch.ledger.reading import Reading, TooLong
from switch.operate import why
from switch.operate.admin.guard import refusal
from switch.wire.currency import CURRENCIES

#: Messages that a search lists; it says where there are more.
FOUND_MAX = 50
#: How far back a search looks: by its own word, in a number of units, and where nobody says.
UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
SINCE_DEFAULT, SINCE_MAX = "1d", timedelta(days=400)

_Method = Callable[["Asking", web.Request], Awaitable[web.StreamResponse]]


class BadQuestion(ValueError):
    """A question that nobody can answer: says what to ask, and repeats nothing of it."""


def _refusing(method: _Method) -> _Method:
    """What cannot be answered is an answer too, in one line."""

    @wraps(method)
    async def asked(self: Asking, request: web.Request) -> web.StreamResponse:
        try:
            return await method(self, request)
        except (BadQuestion, why.QueryError) as error:
            return refusal(400, str(error))
        except why.NotRecorded as error:
            return refusal(404, str(error))
        except TooLong:
            return refusal(503, f"longer than {STATEMENT_SECONDS:.0f} s: look less far back")
        except LedgerUnavailable:
            return refusal(503, "the database does not answer, or others are asking: ask again")

    return asked


class Asking:
    """The handlers."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    @_refusing
    async def search(self, request: web.Request) -> web.StreamResponse:
        """`q` is an RRN, a STAN, an authorization code or a card's last four digits; `since` how
        far back, as 30m, 6h, 2d. The newest first.
        """
        since = datetime.now(UTC) - _back(request.query.get("since", SINCE_DEFAULT))
        query = request.query.get("q", "")
        async with self._reading.connection() as connection:
            found = await why.search(connection, query, since, FOUND_MAX + 1)
        told = [each.as_json() for each in found[:FOUND_MAX]]
        return _json(
            {
                "found": told,
                "more": len(found) > FOUND_MAX,
                "currencies": _currencies(one["transaction"]["currency"] for one in told),
            }
        )

    @_refusing
    async def why(self, request: web.Request) -> web.StreamResponse:
        """One message, by the place that a search told of it."""
        try:
            place = why.Place.parse(request.match_info["place"])
        except ValueError:
            raise BadQuestion("this is no place of a message: search for it") from None
        async with self._reading.connection() as connection:
            explanation = await why.explain(connection, place)
        told = explanation.as_json()
        codes = [code for name, code in told["amounts"].items() if name.endswith("currency")]
        return _json(told | {"currencies": _currencies(codes)})


def _back(text: str) -> timedelta:
    unit = UNITS.get(text[-1:])
    if unit is None or not (text[:-1].isascii() and text[:-1].isdigit() and len(text) <= 6):
        raise BadQuestion("since must be a number of minutes, hours or days, as 30m, 6h, 2d")
    return min(int(text[:-1]) * unit, SINCE_MAX)


def _currencies(codes: Iterable[str]) -> dict[str, dict[str, object]]:
    """What minor units of these are: letters and digits after the point."""
    known = {code: CURRENCIES[code] for code in codes if code in CURRENCIES}
    return {code: {"letters": one.alpha, "digits": one.exponent} for code, one in known.items()}


def _json(told: object) -> web.Response:
    return web.Response(body=orjson.dumps(told), content_type="application/json")
