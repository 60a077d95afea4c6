"""
What terminal and card tell of a chip transaction, bit by bit: TVR and CVR.

A value is told as the names of the bits that are set, in their order. A bit without a
name is told by its place: `byte_2_bit_3`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

#: Names by bit, the highest (b8) first; none for a bit that is reserved.
Byte = tuple[str, str, str, str, str, str, str, str]
_NOTHING: Byte = ("", "", "", "", "", "", "", "")

#: Tag 95. EMV 4.4 Book 3, annex C5.
_TVR: Sequence[Byte] = (
    ("oda_not_performed", "sda_failed", "icc_data_missing", "on_exception_file",
     "dda_failed", "cda_failed", "sda_selected", "xda_selected"),
    ("application_versions_differ", "expired", "not_yet_effective", "service_not_allowed",
     "new_card", "", "biometric_successful", "biometric_format_not_supported"),
    ("cardholder_not_verified", "cvm_not_recognised", "pin_try_limit_exceeded",
     "pin_pad_not_working", "pin_not_entered", "online_pin", "", ""),
    ("floor_limit_exceeded", "lower_offline_limit_exceeded", "upper_offline_limit_exceeded",
     "selected_at_random", "merchant_forced_online", "", "", ""),
    ("default_tdol_used", "issuer_authentication_failed", "script_failed_before_final_ac",
     "script_failed_after_final_ac", "", "", "", ""),
)  # fmt: skip

#: The first byte of every CVR below tells the cryptograms that the card gave in its high nibble.
_SECOND_AC = ("second_aac", "second_tc", "second_not_requested", "second_rfu")
_FIRST_AC = ("first_aac", "first_tc", "first_arqc", "first_rfu")
#: Nibbles that are counters: byte and shift → name, by kind of CVR.
Counters = Mapping[tuple[int, int], str]

#: EMV 4.4 Book 3, annex C9.3 (Common Core Definitions): five bytes.
_CCD: Sequence[Byte] = (
    ("", "", "", "", "cda_performed", "dda_performed", "issuer_authentication_not_performed",
     "issuer_authentication_failed"),
    ("", "", "", "", "offline_pin_performed", "offline_pin_failed", "pin_try_limit_exceeded",
     "last_online_not_completed"),
    ("lower_offline_count_exceeded", "upper_offline_count_exceeded",
     "lower_offline_amount_exceeded", "upper_offline_amount_exceeded",
     "issuer_bit_1", "issuer_bit_2", "issuer_bit_3", "issuer_bit_4"),
    ("", "", "", "", "script_failed", "oda_failed_last_time", "go_online_next_time",
     "unable_to_go_online"),
    _NOTHING,
)  # fmt: skip
_CCD_COUNTERS: Counters = {(1, 4): "pin_tries_left", (3, 4): "scripts_processed"}

#: Three bytes, as Visa's Integrated Circuit Card Specification 1.4 has them by way of public
#: decoders (binaryfoo/emv-bertlv); nothing but these is told of other forms of Visa's.
_VISA: Sequence[Byte] = (
    ("", "", "", "", "issuer_authentication_failed", "offline_pin_performed",
     "offline_pin_failed", "unable_to_go_online"),
    ("last_online_not_completed", "pin_try_limit_exceeded", "velocity_exceeded", "new_card",
     "issuer_authentication_failed_last_time", "issuer_authentication_not_performed_last_time",
     "blocked_by_pin_tries", "sda_failed_last_time"),
    ("", "", "", "", "script_failed_last_time", "dda_failed_last_time", "dda_performed", ""),
)  # fmt: skip
_VISA_COUNTERS: Counters = {(2, 4): "scripts_processed"}

#: Six bytes, as M/Chip 4 and M/Chip Advance have them by way of public decoders (openemv's
#: emv-utils names M/Chip Requirements for Contact and Contactless, appendix B, as its source).
_MCHIP: Sequence[Byte] = (
    ("", "", "", "", "date_check_failed", "offline_pin_performed",
     "offline_enciphered_pin_performed", "offline_pin_successful"),
    ("dda_performed", "cda_in_first", "cda_in_second", "issuer_authentication_performed",
     "default_skipped_on_cat3", "offline_pin_changed", "issuer_bit_2", "issuer_bit_1"),
    _NOTHING,
    ("last_online_not_completed", "unable_to_go_online", "offline_pin_not_performed",
     "offline_pin_failed", "pin_try_limit_exceeded", "international", "domestic",
     "terminal_believes_offline_pin"),
    ("lower_count_exceeded", "upper_count_exceeded", "lower_amount_exceeded",
     "upper_amount_exceeded", "go_online_next_time", "issuer_authentication_failed",
     "script_received", "script_failed"),
    ("lower_count_2_exceeded", "upper_count_2_exceeded", "lower_amount_2_exceeded",
     "upper_amount_2_exceeded", "transaction_amount_exceeded", "days_offline_exceeded",
     "in_check_table", "not_in_check_table"),
)  # fmt: skip
_MCHIP_COUNTERS: Counters = {(2, 4): "scripts_counted", (2, 0): "pin_tries_left"}

_CCD_LENGTH, _CCD_FILLED, _CCD_VERSIONS = 32, 0x0F, (0xA5, 0xA6)
_MCHIP_LENGTHS, _MCHIP_VERSIONS = (18, 20, 26, 28), (0x10, 0x11, 0x14, 0x15)
_VISA_LENGTH, _VISA_CVR = 0x06, 0x03


@lru_cache(maxsize=1024)
def tvr_names(tvr: str) -> str | None:
    """The bits that are set in tag 95 (hex), by name; none where it has not its length."""
    value = _bytes(tvr)
    return None if len(value) != len(_TVR) else " ".join(_set_bits(value, _TVR))


@lru_cache(maxsize=1024)
def cvr_names(iad: str) -> str | None:
    """What the card verification results inside tag 9F10 (hex) say, by name.

    None where the issuer application data are of no form that public sources tell of.
    """
    data = _bytes(iad)
    if len(data) == _CCD_LENGTH and data[0] == data[16] == _CCD_FILLED:
        if data[1] in _CCD_VERSIONS:
            return _told(data[3:8], _CCD, _CCD_COUNTERS)
    elif len(data) in _MCHIP_LENGTHS and data[1] in _MCHIP_VERSIONS:
        return _told(data[2:8], _MCHIP, _MCHIP_COUNTERS)
    elif len(data) > _VISA_LENGTH and (data[0], data[3]) == (_VISA_LENGTH, _VISA_CVR):
        return _told(data[4:7], _VISA, _VISA_COUNTERS)
    return None


def _told(cvr: bytes, names: Sequence[Byte], counters: Counters) -> str:
    """Which cryptograms were given, the bits that are set, the counters above zero."""
    words = [_SECOND_AC[cvr[0] >> 6], _FIRST_AC[cvr[0] >> 4 & 3]]
    rest = bytearray(cvr)
    rest[0] &= 0x0F
    counted = []
    for (place, shift), name in counters.items():
        count = cvr[place] >> shift & 0x0F
        rest[place] &= 0xF0 >> shift
        counted += [f"{name}_{count}"] if count else []
    return " ".join([*words, *_set_bits(rest, names), *counted])


def _set_bits(value: bytes | bytearray, names: Sequence[Byte]) -> list[str]:
    return [
        name or f"byte_{place + 1}_bit_{8 - bit}"
        for place, (byte, row) in enumerate(zip(value, names, strict=True))
        for bit, name in enumerate(row)
        if byte & 0x80 >> bit
    ]


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
