"""`switch replay`: recorded messages against a link, one by one or as a load."""

from switch.operate.replay.error import ReplayError

__all__ = ["ReplayError"]
