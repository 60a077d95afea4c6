"""Why a message is declined, in our own words. A dialect maps each to its DE39."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The reasons of the policy table, in its order (docs/architecture.md)."""

    FORMAT_ERROR = "format_error"
    MAC_MISMATCH = "mac_mismatch"  #: the message's authentication code is wrong or missing
    DUPLICATE_CONFLICT = "duplicate_conflict"  #: the key of another message, with another amount
    REVERSED = "reversed"  #: a repeat of something since taken back
    REVERSED_BEFORE_ORIGINAL = "reversed_before_original"
    DECLINED_ELSEWHERE = "declined_elsewhere"  #: as an advice said that was here first
    NOT_SUPPORTED = "not_supported"
    CURRENCY_NOT_SUPPORTED = "currency_not_supported"
    NO_CARD_RECORD = "no_card_record"
    LOST = "lost"
    STOLEN = "stolen"
    BLOCKED = "blocked"
    INACTIVE = "inactive"
    CLOSED = "closed"
    ACCOUNT_CLOSED = "account_closed"
    CARD_EXPIRED = "card_expired"
    CRYPTOGRAM_MISMATCH = "cryptogram_mismatch"
    CARD_CODE_MISMATCH = "card_code_mismatch"
    CRYPTOGRAM_REPLAYED = "cryptogram_replayed"  #: right, but its counter was seen before
    ATC_OUT_OF_WINDOW = "atc_out_of_window"  #: right, but too old, or too far ahead
    #: a soft decline: again, with the cardholder authenticated
    STRONG_AUTHENTICATION_REQUIRED = "strong_authentication_required"
    PIN_TRIES_EXCEEDED = "pin_tries_exceeded"
    PIN_MISMATCH = "pin_mismatch"
    NOT_PERMITTED = "not_permitted"
    LIMIT_AMOUNT = "limit_amount"
    LIMIT_COUNT = "limit_count"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    UNAVAILABLE = "unavailable"  #: a fault of ours: HSM, database, overload, deadline
    SYSTEM_ERROR = "system_error"  #: a bug of ours
