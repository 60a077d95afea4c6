"""The house of the flows, whose decisions are explained here."""

from tests.flows.conftest import one_house, telling

__all__ = ["one_house", "telling"]
