"""The cards that the cases are about: made up, and worth nothing."""

from __future__ import annotations

PAN = "4761739000000012"

#: Differs from `PAN` in the two digits that PIN block formats 0 and 3 lay over the PIN itself.
OTHER_PAN = "4768269000000019"

#: Above sixteen digits options A and B of card keys differ.
LONG_PAN = "4761739000000000019"

EXPIRY = "3012"
PAN_SEQUENCE_NUMBER = "01"

PVKI = "1"
DECIMALIZATION_TABLE = "0123456789012345"
#: Digits of the account, its last five among them, as payShield wants it.
VALIDATION_DATA = "173900000001FFFF"

#: Four, six and twelve digits.
PINS = ("8352", "835264", "835264907153")
WRONG_PINS = ("8353", "935264", "735264907153")
