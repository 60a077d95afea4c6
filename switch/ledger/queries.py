"""The statements of queries.sql, by name."""

from __future__ import annotations

import re
from importlib.resources import files

_NAMED = re.compile(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)


def _load() -> dict[str, str]:
    text = files("switch.ledger").joinpath("queries.sql").read_text(encoding="utf-8")
    return {name: body.strip() for name, body in _NAMED.findall(text)}


#: Every statement by its name.
QUERIES = _load()
