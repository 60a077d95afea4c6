"""What the switch tells its operators: one log line a message, one an event, and counters."""

from __future__ import annotations

import time
from typing import Any

from structlog.typing import FilteringBoundLogger

from specs.emv_results import cvr_names, tvr_names
from switch.flows.exchange import Exchange
from switch.log import CanonicalFields, MessageLog
from switch.log_events import NOTABLE, level_of
from switch.mask import mask_pan
from switch.operate.metrics import Metrics
from switch.wire.values import FieldUnreadable


class Operator:
    """Turns events and exchanges into log lines and metrics."""

    def __init__(self, log: FilteringBoundLogger, metrics: Metrics) -> None:
        self._log = log
        self._messages = MessageLog(log)
        self._metrics = metrics
        metrics.expect_events(NOTABLE)

    def event(self, name: str, /, **fields: Any) -> None:
        """Something happened."""
        self._metrics.event(name)
        if isinstance(fields.get("error"), BaseException):
            fields["exc_info"] = fields.pop("error")  # the log says its kind, and no value
        tell = getattr(self._log, level_of(name, fields.get("state")))
        tell(name, **fields)

    def exchange(self, exchange: Exchange) -> None:
        """A message and its answer are done: write its one line."""
        done_at = time.monotonic() if exchange.done_at is None else exchange.done_at
        total_us = int((done_at - exchange.deadline.received_at) * 1_000_000)
        self._metrics.exchange(exchange, total_us)
        reply, message = exchange.reply, exchange.message
        fields, version = message.fields if message else {}, exchange.version
        line: CanonicalFields = {
            "link": exchange.link,
            "mti": message.mti if message else None,
            "stan": fields.get(11),
            "rrn": fields.get(37),
            "pan": None,
            "amount_minor": None,
            "currency": None,
            "mcc": fields.get(version.mcc),
            "merchant": None,
            "terminal": fields.get(41),
            "entry_mode": None,
            "tvr": None,
            "cvr": None,
            "reason": _reason(exchange),
            "response_code": None,
            "authorization_code": None,
            "effect": None,
            "repeat": None,
            "outcome": exchange.outcome,
            "batch": None,
            "problem": exchange.fault,
            "total_us": total_us,
            "left_ms": round(exchange.deadline.left(done_at) * 1000, 1),  # null of what is patient
        }
        if (request := exchange.request) is not None:
            line["pan"] = mask_pan(request.pan)
            line["amount_minor"] = request.transaction.minor
            line["currency"] = request.transaction.currency
            line["merchant"] = request.merchant_name
            line["entry_mode"] = request.entry_mode
            if icc := request.icc:
                line["tvr"] = tvr_names(icc["95"]) if "95" in icc else None
                line["cvr"] = cvr_names(icc["9F10"]) if "9F10" in icc else None
        else:
            line["merchant"] = version.merchant_name(fields)
            line["entry_mode"] = _entry_mode(exchange)
        if reply is not None:
            if reply.alarm is not None:
                self.event(reply.alarm, link=exchange.link)
            answered = reply.message.fields
            line["response_code"] = answered[39]
            line["authorization_code"] = answered.get(38)
            line["effect"] = reply.effect
            line["repeat"] = reply.is_repeat
            line["batch"] = reply.batch
        line.update(exchange.watch.laps)  # type: ignore[typeddict-item]  # their names are listed
        self._messages.write(line)


def _entry_mode(exchange: Exchange) -> str | None:
    """DE22 as its version has it; nothing of one that cannot be read."""
    try:
        return exchange.version.entry_mode(exchange.message.fields) if exchange.message else None
    except FieldUnreadable:
        return None


def _reason(exchange: Exchange) -> str | None:
    if exchange.reply is None:
        return None
    return "approved" if exchange.reply.reason is None else exchange.reply.reason.value
