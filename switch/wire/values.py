"""What the fields of a message say, whatever its version: and that one says nothing."""

from __future__ import annotations

from dataclasses import dataclass


class FieldUnreadable(Exception):
    """A field that is not what its version says. Names it, never its value."""

    def __init__(self, number: int) -> None:
        super().__init__(f"DE{number}")
        self.number = number


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units of an ISO 4217 currency."""

    minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Original:
    """The message that another is about, as that one tells it."""

    mti: str
    stan: str
    moment: str  #: DE7 in 1987, DE12 later: what names a message beside its MTI and STAN
    acquirer: str | None  #: without leading zeros; none: any


@dataclass(frozen=True, slots=True)
class NetworkCodes:
    """What network management requests say: sign-on, sign-off, echo."""

    sign_on: tuple[str, ...]  #: the first of each is what we say where no setting is
    sign_off: tuple[str, ...]
    echo: tuple[str, ...]

    def meaning(self, code: str) -> str | None:
        """sign_on, sign_off or echo; none for any other."""
        names = ("sign_on", "sign_off", "echo")
        return next((name for name in names if code in getattr(self, name)), None)
