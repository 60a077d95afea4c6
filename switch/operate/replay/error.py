"""What ends a replay."""

from __future__ import annotations


class ReplayError(Exception):
    """A recording or a link cannot be used: says which and why in one line."""
