"""The read-only admin port: probes, metrics, JSON, and a page on that JSON."""

from switch.operate.admin.server import Admin

__all__ = ["Admin"]
