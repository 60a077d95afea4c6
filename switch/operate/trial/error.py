"""What ends a trial."""

from __future__ import annotations


class TrialError(Exception):
    """Rules cannot be tried: one line that says why and what to do."""
