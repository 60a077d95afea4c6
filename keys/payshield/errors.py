"""
What a payShield's two-character error codes mean to an authorization.

The texts of the codes: ut-codec-payshield, errors/list.json and messages.json (Apache-2.0);
mszeu/PayShieldPressureTest, which took them from Thales PUGD0537-004. What follows from each is
this product's own decision and stands beside it.
"""

from __future__ import annotations

from enum import Enum


class Outcome(Enum):
    """What follows from an error code."""

    DONE = "done"
    MISMATCH = "mismatch"
    UNREADABLE = "unreadable"  #: deciphered, the PIN block is none
    REJECTED = "rejected"  #: a key, a setting or a licence is wrong: asking again does not help
    UNAVAILABLE = "unavailable"  #: this HSM cannot answer now: the connection is given up


_DONE, _MISMATCH = Outcome.DONE, Outcome.MISMATCH
_UNREADABLE, _REJECTED, _UNAVAILABLE = Outcome.UNREADABLE, Outcome.REJECTED, Outcome.UNAVAILABLE

#: Codes that mean the same for every command.
_COMMON = {
    "00": (_DONE, "no error"),
    # Keys. The first key of a command is its source, the second its destination or PVK.
    "10": (_REJECTED, "first key: parity error, so it is not under this LMK"),
    "11": (_REJECTED, "second key: parity error, so it is not under this LMK"),
    "26": (_REJECTED, "invalid key scheme"),
    "27": (_REJECTED, "incompatible key length"),
    "28": (_REJECTED, "invalid key type"),
    "29": (_REJECTED, "key function not permitted"),
    "75": (_REJECTED, "single-length key repeated as a longer one"),
    # What we sent. Every field was checked before, so the HSM is set up otherwise than we think.
    "04": (_REJECTED, "invalid key type code or mode"),
    "05": (_REJECTED, "invalid key length flag or scheme"),
    "15": (_REJECTED, "invalid input data"),
    "22": (_REJECTED, "invalid account number"),
    "23": (_REJECTED, "invalid PIN block format code"),
    "25": (_REJECTED, "decimalization table: refused, or the HSM wants it enciphered"),
    "51": (_REJECTED, "invalid message header: its length is set otherwise in the HSM"),
    "80": (_REJECTED, "data length error"),
    # Settings and licences of the HSM.
    "17": (_REJECTED, "not in the authorised state"),
    "47": (_REJECTED, "algorithm not licensed"),
    "67": (_REJECTED, "command not licensed"),
    "68": (_REJECTED, "command disabled"),
    "69": (_REJECTED, "PIN block format disabled"),
    # The HSM itself. 13: an HSM that lost its LMK says so until it is loaded again, and another one
    # may go on meanwhile. 39: it saw too many wrong PINs and verifies none until it is reset.
    "12": (_UNAVAILABLE, "user storage not available"),
    "13": (_UNAVAILABLE, "LMK invalid or not loaded"),
    "33": (_UNAVAILABLE, "LMK key change storage corrupted"),
    "39": (_UNAVAILABLE, "fraud detection"),
    "40": (_UNAVAILABLE, "invalid firmware checksum"),
    "41": (_UNAVAILABLE, "internal hardware or software error"),
    "42": (_UNAVAILABLE, "DES failure"),
    "90": (_UNAVAILABLE, "parity error in the message received"),
    "91": (_UNAVAILABLE, "redundancy check of the message received"),
    "92": (_UNAVAILABLE, "count of the message received"),
    # Key blocks: the header or the authentication of a key, not the message.
    "A1": (_REJECTED, "incompatible LMK schemes"),
    "A2": (_REJECTED, "incompatible LMK identifiers"),
    "A3": (_REJECTED, "incompatible key block LMK identifiers"),
    "A4": (_REJECTED, "key block authentication failure"),
    "A5": (_REJECTED, "key block: incompatible key length"),
    "A6": (_REJECTED, "key block: invalid key usage"),
    "A7": (_REJECTED, "key block: invalid algorithm"),
    "A8": (_REJECTED, "key block: invalid mode of use"),
    "A9": (_REJECTED, "key block: invalid key version number"),
    "AA": (_REJECTED, "key block: invalid export field"),
    "AB": (_REJECTED, "key block: invalid number of optional blocks"),
    "AC": (_REJECTED, "key block: optional header block error"),
    "AD": (_REJECTED, "key block: key status optional block error"),
    "AE": (_REJECTED, "key block: not valid yet"),
    "AF": (_REJECTED, "key block: not valid any more"),
    **{
        f"B{digit}": (_REJECTED, "key block: refused")
        for digit in "0123456789ABCDE"  # encryption mode … key types: all of the block itself
    },
}

_UNREADABLE_PIN = {
    "20": (_UNREADABLE, "PIN block does not contain valid values"),
    "24": (_UNREADABLE, "PIN is fewer than 4 or more than 12 digits"),
}
_FAILED = {"01": (_MISMATCH, "verification failure")}
_PIN = _UNREADABLE_PIN | _FAILED
_IBM = _PIN | {
    # The PVK is no single DES key; the verification is done all the same, with TDES.
    "02": (_DONE, "warning: PVK not single length"),
    # A PIN that was read, but is shorter than the offset: a wrong one.
    "81": (_MISMATCH, "PIN length mismatch"),
}
_CANNOT_TRANSLATE = dict.fromkeys(
    _UNREADABLE_PIN, (_REJECTED, "pin_block: cannot be read under from_key")
)
_ARQC = _FAILED | {
    "03": (_REJECTED, "mode and scheme do not go together"),
    "06": (_REJECTED, "discretionary data"),
    "52": (_REJECTED, "invalid branch and height"),
    "81": (_REJECTED, "transaction data of no length"),
    "82": (_REJECTED, "discretionary data length"),
}
_MAC = {
    "02": (_REJECTED, "invalid mode"),
    "03": (_REJECTED, "invalid input format"),
    "04": (_REJECTED, "invalid MAC algorithm"),
    "05": (_REJECTED, "invalid key type"),
    "06": (_REJECTED, "invalid message length"),
    "09": (_REJECTED, "invalid padding method"),
}

#: Codes that mean something only to some commands, or something else there.
_OF_COMMAND = {
    "CY": _FAILED,
    "DC": _PIN,
    "EC": _PIN,
    "DA": _IBM,
    "EA": _IBM,
    "CA": _CANNOT_TRANSLATE,
    "CC": _CANNOT_TRANSLATE,
    "KQ": _ARQC,
    "KW": _ARQC,
    "M6": _MAC,
    "M8": _MAC | _FAILED,
}

#: A code that nobody told us of is no answer that we understood.
_UNKNOWN = (_UNAVAILABLE, "an error code that is not known for this command")


def outcome_of(command: str, error: str) -> tuple[Outcome, str]:
    """Say what follows from an error code, and its text, by the command that it answers."""
    of_command = _OF_COMMAND.get(command, {})
    return of_command.get(error) or _COMMON.get(error) or _UNKNOWN
