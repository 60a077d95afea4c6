"""A card program's settings: what is verified of its cards, and with which keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from keys.hsm import (
    ArpcMethod,
    CardKeyDerivation,
    CryptogramScheme,
    KeyRef,
    SessionKeyDerivation,
)
from switch.rules.holds import HoldRuleError, HoldRules


class Need(StrEnum):
    """Whether a message must, may or must not bring something to verify."""

    REQUIRED = "required"
    OPTIONAL = "optional"  #: verified when given
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Verification:
    """What one way of reading a card brings: a row of the program's table."""

    cryptogram: Need = Need.OPTIONAL
    track_code: Need = Need.OPTIONAL  #: the CVV of a stripe, the iCVV of a chip
    cvv2: Need = Need.OPTIONAL
    pin: Need = Need.OPTIONAL


@dataclass(frozen=True, slots=True)
class ProgramKeys:
    """The issuer's keys by what they verify."""

    card_code: KeyRef
    visa_pvv: KeyRef
    ibm3624: KeyRef
    cryptogram: KeyRef

    def all(self) -> tuple[KeyRef, ...]:
        """Every key of the program, to be checked at start."""
        return (self.card_code, self.visa_pvv, self.ibm3624, self.cryptogram)


@dataclass(frozen=True, slots=True)
class Program:
    """A card program. Amounts and limits are in its accounts' currencies."""

    program_id: int
    name: str
    time_zone: ZoneInfo
    keys: ProgramKeys
    cryptograms: Mapping[int, CryptogramScheme]  #: by cryptogram version number
    csu_approved: bytes  #: card status update, four bytes
    csu_declined: bytes
    icvv_service_code: str
    cvv2_expiry_is_mmyy: bool  #: the order of the expiry in the CVV2, an issuer's choice
    track_code_offset: int  #: of the CVV in track 2's discretionary data
    ibm_decimalization_table: str
    verification: Mapping[str, Verification]  #: by channel
    cash_pin: Need
    hold_rules: HoldRules
    bins: tuple[str, ...]  #: the first digits of its PANs: whose an unknown card would be

    def hold_seconds(self, mcc: str | None) -> int:
        """How long a hold for a merchant of this category stands."""
        return self.hold_rules.seconds(mcc)

    @classmethod
    def parse(cls, program_id: int, name: str, settings: Mapping[str, Any]) -> Program:
        """Read a program's settings as they stand in `programs.settings`.

        Raises `ProgramError` naming the setting that is missing or wrong.
        """
        try:
            return cls(
                program_id=program_id,
                name=name,
                time_zone=ZoneInfo(settings["time_zone"]),
                keys=ProgramKeys(
                    **{use: KeyRef(**ref) for use, ref in settings["keys"].items()},
                ),
                cryptograms={
                    int(version): CryptogramScheme(
                        card_key=CardKeyDerivation(scheme["card_key"]),
                        session_key=SessionKeyDerivation(scheme["session_key"]),
                        arpc=ArpcMethod(scheme["arpc"]),
                    )
                    for version, scheme in settings["cryptograms"].items()
                },
                csu_approved=bytes.fromhex(settings["csu_approved"]),
                csu_declined=bytes.fromhex(settings["csu_declined"]),
                icvv_service_code=settings["icvv_service_code"],
                cvv2_expiry_is_mmyy={"MMYY": True, "YYMM": False}[settings["cvv2_expiry_format"]],
                track_code_offset=int(settings["track_code_offset"]),
                ibm_decimalization_table=settings["ibm3624"]["decimalization_table"],
                verification={
                    channel: Verification(**{what: Need(need) for what, need in row.items()})
                    for channel, row in settings["verification"].items()
                },
                cash_pin=Need(settings["cash_pin"]),
                hold_rules=HoldRules.parse(settings.get("hold_hours", {})),
                bins=_bins(settings.get("bins", [])),
            )
        except HoldRuleError as error:
            raise ProgramError(f"program {name!r}: {error}") from None
        except (KeyError, TypeError, ValueError) as error:
            raise ProgramError(f"program {name!r}: setting {error} is missing or wrong") from None


def _bins(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(
        isinstance(bin_, str) and bin_.isascii() and bin_.isdigit() for bin_ in value
    ):
        raise ValueError("bins")
    return tuple(value)


class ProgramError(ValueError):
    """A program's settings cannot be used."""
