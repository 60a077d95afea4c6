"""The statements of the .sql files beside this page, by name."""

from __future__ import annotations

import re
from importlib.resources import files

_NAMED = re.compile(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)


def _load(file: str) -> dict[str, str]:
    text = files("switch.ledger").joinpath(file).read_text(encoding="utf-8")
    return {name: body.strip() for name, body in _NAMED.findall(text)}


#: Every statement of the ledger by its name.
QUERIES = _load("queries.sql") | _load("zone_keys.sql")
#: What `switch audit` asks.
AUDIT = _load("audit.sql")
#: What `switch maintain` does.
MAINTAIN = _load("maintain.sql")
#: What `switch accounts` and `switch cards` ask and change.
OPERATE = _load("operators.sql")
#: How files of accounts and cards come in.
IMPORT = _load("imports.sql")
#: What `switch clearing` asks and books.
CLEARING = _load("clearing.sql")
#: What `switch keys retokenize` asks and changes.
RETOKENIZE = _load("retokenize.sql")
#: What the publisher of events and `switch events tail` ask.
OUTBOX = _load("outbox.sql")
#: What `switch why` and the search ask.
WHY = _load("why.sql")
#: What `switch rules try` reads, and what it does in its scratch database.
TRIAL = _load("trial.sql")
#: What stands in that database beside the ledger: scripts, in their order.
TRIAL_SCRIPTS = tuple(
    files("switch.ledger").joinpath("trial", f"{name}.sql").read_text(encoding="utf-8")
    for name in ("tables", "begin", "play", "compare")
)
