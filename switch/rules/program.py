"""A card program's settings: what is verified of its cards, and with which keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from keys.hsm import (
    ArpcMethod,
    Capability,
    CardKeyDerivation,
    CryptogramScheme,
    HsmRejected,
    KeyRef,
    SessionKeyDerivation,
)
from keys.software.digits import require_decimalization_table
from switch.rules.chip import AtcWindow, IssuerScripts
from switch.rules.holds import HoldRuleError, HoldRules
from switch.rules.iad import VERSIONS, Layout
from switch.rules.stand_in import StandInRuleError, StandInRules
from switch.rules.track_code import TrackCode


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
    cavv: Need = Need.OPTIONAL
    pin: Need = Need.OPTIONAL


@dataclass(frozen=True, slots=True)
class ProgramKeys:
    """The issuer's keys by what they verify; none for what the program's cards have not."""

    card_code: KeyRef | None = None
    visa_pvv: KeyRef | None = None
    ibm3624: KeyRef | None = None
    cryptogram: KeyRef | None = None
    dcvv: KeyRef | None = None
    cvc3: KeyRef | None = None
    cavv: KeyRef | None = None

    def uses(self) -> dict[str, KeyRef]:
        """Every key that the program has, by its use, to be checked at start."""
        refs = {use.name: getattr(self, use.name) for use in fields(self)}
        return {use: ref for use, ref in refs.items() if ref is not None}


#: The TR-31 usages that a key may have for a use (X9.143, table 6).
KEY_USAGES: Mapping[str, tuple[str, ...]] = {
    "card_code": ("C0",),
    "visa_pvv": ("V2",),
    "ibm3624": ("V1",),
    "cryptogram": ("E0",),
    "dcvv": ("E4", "E6"),
    "cvc3": ("E4", "E6"),
    "cavv": ("C0",),
}

#: What an HSM must be able to do for a key's use.
_CAPABILITIES: Mapping[str, Capability] = {
    "card_code": Capability.CARD_CODE,
    "visa_pvv": Capability.VISA_PVV,
    "ibm3624": Capability.IBM_3624,
    "dcvv": Capability.DCVV,
    "cvc3": Capability.CVC3,
    "cavv": Capability.CARD_CODE,
}
_CARD_KEYS = {
    CardKeyDerivation.OPTION_A: Capability.CARD_KEY_A,
    CardKeyDerivation.OPTION_B: Capability.CARD_KEY_B,
}
_SESSION_KEYS = {
    SessionKeyDerivation.NONE: Capability.ARQC_CARD_KEY,
    SessionKeyDerivation.COMMON: Capability.ARQC_COMMON,
    SessionKeyDerivation.MASTERCARD: Capability.ARQC_MASTERCARD,
    SessionKeyDerivation.EMV_2000: Capability.ARQC_EMV_2000,
}
_ARPC_METHODS = {
    ArpcMethod.METHOD_1: Capability.ARPC_1,
    ArpcMethod.METHOD_2: Capability.ARPC_2,
}


@dataclass(frozen=True, slots=True)
class Program:
    """A card program. Amounts and limits are in its accounts' currencies."""

    program_id: int
    name: str
    time_zone: ZoneInfo
    keys: ProgramKeys
    iad: Layout  #: of the issuer application data
    cryptograms: Mapping[int, CryptogramScheme]  #: by cryptogram version number
    atc: AtcWindow
    issuer_scripts: IssuerScripts
    csu_approved: bytes  #: card status update, four bytes
    csu_declined: bytes
    icvv_service_code: str
    cvv2_expiry_is_mmyy: bool  #: the order of the expiry in the CVV2, an issuer's choice
    track_code_offset: int  #: of the CVV in track 2's discretionary data
    track_code: TrackCode  #: of a stripe's data over the air
    ibm_decimalization_table: str
    verification: Mapping[str, Verification]  #: by channel
    cash_pin: Need
    #: E-commerce of this much, in minor units, must show strong authentication; none: none must.
    strong_authentication_from_minor: int | None
    hold_rules: HoldRules
    bins: tuple[str, ...]  #: the first digits of its PANs: whose an unknown card would be
    stand_in: StandInRules | None  #: what is approved while the ledger is away; none: nothing

    def needs(self) -> frozenset[Capability]:
        """What an HSM must be able to do for this program's cards."""
        uses = self.keys.uses()
        needed = {_CAPABILITIES[use] for use in uses if use in _CAPABILITIES}
        if "cryptogram" in uses:
            for scheme in self.cryptograms.values():
                needed.add(_CARD_KEYS[scheme.card_key])
                needed.add(_SESSION_KEYS[scheme.session_key])
                needed.add(_ARPC_METHODS[scheme.arpc])
        return frozenset(needed)

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
                iad=Layout(settings.get("iad", Layout.VISA)),
                cryptograms=_cryptograms(settings),
                atc=AtcWindow.parse(settings.get("atc", {})),
                issuer_scripts=IssuerScripts.parse(settings.get("issuer_scripts", {})),
                csu_approved=bytes.fromhex(settings["csu_approved"]),
                csu_declined=bytes.fromhex(settings["csu_declined"]),
                icvv_service_code=settings["icvv_service_code"],
                cvv2_expiry_is_mmyy={"MMYY": True, "YYMM": False}[settings["cvv2_expiry_format"]],
                track_code_offset=int(settings["track_code_offset"]),
                track_code=_track_code(settings),
                ibm_decimalization_table=_decimalization_table(
                    settings["ibm3624"]["decimalization_table"]
                ),
                verification={
                    channel: Verification(**{what: Need(need) for what, need in row.items()})
                    for channel, row in settings["verification"].items()
                },
                cash_pin=Need(settings["cash_pin"]),
                strong_authentication_from_minor=_strong_authentication(settings),
                hold_rules=HoldRules.parse(settings.get("hold_hours", {})),
                bins=_bins(settings.get("bins", [])),
                stand_in=StandInRules.parse(settings.get("stand_in")),
            )
        except (HoldRuleError, StandInRuleError, _Problem) as error:
            raise ProgramError(f"program {name!r}: {error}") from None
        except (KeyError, TypeError, ValueError) as error:
            raise ProgramError(f"program {name!r}: setting {error} is missing or wrong") from None


def _cryptograms(settings: Mapping[str, Any]) -> dict[int, CryptogramScheme]:
    """By version number, each of those that the layout knows."""
    schemes = {
        int(version): CryptogramScheme(
            card_key=CardKeyDerivation(scheme["card_key"]),
            session_key=SessionKeyDerivation(scheme["session_key"]),
            arpc=ArpcMethod(scheme["arpc"]),
        )
        for version, scheme in settings["cryptograms"].items()
    }
    if not schemes.keys() <= VERSIONS[Layout(settings.get("iad", Layout.VISA))].keys():
        raise ValueError("cryptograms")
    return schemes


def _track_code(settings: Mapping[str, Any]) -> TrackCode:
    """Whose key the program has."""
    track_code = TrackCode.parse(settings.get("track_code", {}))
    if track_code.kind != "cvv" and track_code.kind not in settings["keys"]:
        raise ValueError(f"keys.{track_code.kind}")
    return track_code


def _strong_authentication(settings: Mapping[str, Any]) -> int | None:
    """`strong_authentication`, where it stands. It is shown by a CAVV, so there must be its key."""
    rule = settings.get("strong_authentication")
    if rule is None:
        return None
    if not isinstance(rule, Mapping) or rule.keys() != {"ecommerce_from_minor"}:
        raise ValueError("strong_authentication")
    least = rule["ecommerce_from_minor"]
    if type(least) is not int or least < 0:
        raise ValueError("strong_authentication.ecommerce_from_minor")
    if "cavv" not in settings["keys"]:
        raise ValueError("keys.cavv")
    return least


class _Problem(ValueError):
    """What is wrong with a setting that is there, in words of its own."""


def _decimalization_table(value: Any) -> str:
    try:
        require_decimalization_table(value)
    except HsmRejected as error:
        raise _Problem(f"ibm3624.{error}") from None
    table: str = value
    return table


def _bins(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(
        isinstance(bin_, str) and bin_.isascii() and bin_.isdigit() for bin_ in value
    ):
        raise ValueError("bins")
    return tuple(value)


class ProgramError(ValueError):
    """A program's settings cannot be used."""
