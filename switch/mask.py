"""
A PAN as people may see it: never more than the BIN and the last four digits
(PCI DSS 4.0, 3.4.1).
"""

from __future__ import annotations

#: Digits of a PAN (ISO/IEC 7812-1); twelve are the shortest in use.
PAN_MIN = 12
PAN_MAX = 19
#: From this length on a BIN has eight digits, below it six (ISO/IEC 7812-1:2017).
LONG_BIN_FROM = 16


def mask_pan(pan: str) -> str:
    """The BIN, asterisks, and the last four digits; of what is no PAN only asterisks.

    The result is as long as the PAN, and at most as long as the longest one.
    """
    if not (pan.isascii() and pan.isdigit() and PAN_MIN <= len(pan) <= PAN_MAX):
        return "*" * min(len(pan), PAN_MAX)
    bin_length = 8 if len(pan) >= LONG_BIN_FROM else 6
    return pan[:bin_length] + "*" * (len(pan) - bin_length - 4) + pan[-4:]
