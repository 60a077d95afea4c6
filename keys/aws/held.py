"""The keys of the key file as the control plane describes them, compared at start."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from keys.aws.calls import ask, is_check_value
from keys.aws.question import HeldKey
from keys.hsm import HsmRejected, HsmUnavailable
from keys.keyfile import KeyEntry

_ALIAS = re.compile(r"alias/[a-zA-Z0-9/_-]{1,250}", re.ASCII)
_ARN = re.compile(
    r"arn:aws[a-z-]*:payment-cryptography:[a-z0-9-]+:[0-9]{12}:key/[0-9a-zA-Z]{16,64}", re.ASCII
)

#: How KeyAlgorithm begins, for the algorithm of a TR-31 header.
_ALGORITHMS = {"T": "TDES_", "A": "AES_", "H": "HMAC_"}

#: What a key must be allowed to do, by its TR-31 usage. A zone key both ways: without, a block
#: that is none could not be told from a wrong PIN. A MAC key too: a cut MAC is compared here.
_MODES = {
    "C0": ("Verify",),
    "V1": ("Verify",),
    "V2": ("Verify",),
    "E0": ("DeriveKey",),
    "E4": ("DeriveKey",),
    "E6": ("DeriveKey",),
    "P0": ("Encrypt", "Decrypt"),
    "M1": ("Generate", "Verify"),
    "M3": ("Generate", "Verify"),
    "M6": ("Generate", "Verify"),
}


def look_up(control: Any, entries: Iterable[KeyEntry]) -> dict[str, HeldKey]:
    """
    Find every key, by logical name; blocks.

    Raises `HsmRejected` naming the first that is missing, another, or not to be used as it must
    be, and `HsmUnavailable` where the control plane does not answer.
    """
    return {entry.name: _look_up(control, entry) for entry in entries}


def _look_up(control: Any, entry: KeyEntry) -> HeldKey:
    arn = _arn(control, entry)
    answer = _ask(control, "get_key", {"KeyIdentifier": arn}, entry)
    key = answer.get("Key")
    if not isinstance(key, Mapping) or key.get("KeyArn") != arn:
        raise HsmUnavailable(f"aws: get_key: the answer is not of key {entry.name!r}")
    _require_usable(key, entry)
    return HeldKey(entry.name, arn, entry.kcv[:6].upper(), entry.usage, entry.algorithm)


def _arn(control: Any, entry: KeyEntry) -> str:
    """The ARN is what is asked with from now on: an alias may be given to another key meanwhile,
    whose answers would be mismatches.
    """
    place = entry.places["aws"]
    if _ARN.fullmatch(place):
        return place
    if _ALIAS.fullmatch(place) is None:
        raise _refusal(entry, "aws: alias/NAME or a key's ARN is needed")
    answer = _ask(control, "get_alias", {"AliasName": place}, entry)
    alias = answer.get("Alias")
    arn = alias.get("KeyArn") if isinstance(alias, Mapping) else None
    if arn is None and isinstance(alias, Mapping) and alias.get("AliasName") == place:
        raise _refusal(entry, "its alias names no key")
    if not isinstance(arn, str) or _ARN.fullmatch(arn) is None:
        raise HsmUnavailable(f"aws: get_alias: the answer is not of key {entry.name!r}")
    return arn


def _require_usable(key: Mapping[str, Any], entry: KeyEntry) -> None:
    """Raise `HsmRejected`, the check value first: another key may have any attributes."""
    if not is_check_value(key.get("KeyCheckValue"), entry.kcv):
        raise _refusal(entry, "its check value is not the pinned one")
    attributes = key.get("KeyAttributes")
    told = attributes if isinstance(attributes, Mapping) else {}
    if not str(told.get("KeyUsage")).startswith(f"TR31_{entry.usage}_"):
        raise _refusal(entry, f"its KeyUsage is not {entry.usage}")
    if not str(told.get("KeyAlgorithm")).startswith(_ALGORITHMS[entry.algorithm]):
        raise _refusal(entry, f"its KeyAlgorithm is not {_ALGORITHMS[entry.algorithm]}…")
    modes = told.get("KeyModesOfUse")
    allowed = modes if isinstance(modes, Mapping) else {}
    needed = _MODES.get(entry.usage, ())
    if not allowed.get("NoRestrictions") and not all(allowed.get(mode) for mode in needed):
        raise _refusal(entry, f"its KeyModesOfUse lack {' and '.join(needed)}")
    if key.get("KeyState") != "CREATE_COMPLETE":
        raise _refusal(entry, "its KeyState is not CREATE_COMPLETE")
    if key.get("Enabled") is not True:
        raise _refusal(entry, "it is not enabled")


def _ask(
    control: Any, operation: str, parameters: Mapping[str, Any], entry: KeyEntry
) -> Mapping[str, Any]:
    answer = ask(control, operation, parameters, of=repr(entry.name))
    return {} if answer is None else answer


def _refusal(entry: KeyEntry, why: str) -> HsmRejected:
    return HsmRejected(f"key {entry.name!r}: {why}")
