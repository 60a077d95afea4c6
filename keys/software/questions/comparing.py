"""Comparing what a message brought with what it should be, in a time that tells nothing."""

from __future__ import annotations

import hmac

from keys.hsm import Verdict

#: Bound to names: in Python 3.11 looking a member up in its Enum costs half an encryption.
MATCH, MISMATCH = Verdict.MATCH, Verdict.MISMATCH


def compare(expected: str, given: str) -> Verdict:
    """Compare digits in a time that does not tell how many are right."""
    same = hmac.compare_digest(expected.encode(), given.encode())
    return MATCH if same else MISMATCH
