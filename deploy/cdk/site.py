"""What one deployment has of its own: accounts, regions, who may connect. Read from site.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import Any

from deploy.cdk.payment_keys import MADE_KEYS

#: Availability zones of a region: Aurora keeps its copies in three, and so does everything else.
ZONES = 3

#: The widest network of a scheme that may connect, in bits: a whole /8 is nobody's list of hosts.
SCHEME_PREFIX_MIN = 16

_NAME = re.compile(r"[a-z][a-z0-9-]{0,15}", re.ASCII)
_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+", re.ASCII)
_INSTANCE = re.compile(r"db\.[a-z0-9]+\.[a-z0-9]+", re.ASCII)
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]", re.ASCII)
_MAIL = re.compile(r"[^@\s]+@[^@\s]+", re.ASCII)

#: Names of the multi-region KMS keys, beside the payment keys, in [standby.keys].
_KMS_KEYS = ("vault", "secrets")


class SiteError(ValueError):
    """site.toml cannot be used: one line with the setting and what it must be."""


@dataclass(frozen=True)
class Scheme:
    """Who connects: a link of switch.toml."""

    name: str
    port: int
    networks: tuple[str, ...]  #: CIDR


@dataclass(frozen=True)
class Region:
    """Where a set of stacks is made."""

    name: str
    zones: tuple[str, ...]
    network: str  #: CIDR of the VPC
    is_primary: bool

    @property
    def role(self) -> str:
        """`primary` or `standby`, as in the stacks' names."""
        return "primary" if self.is_primary else "standby"


@dataclass(frozen=True)
class Site:
    """All of site.toml."""

    name: str
    account: str
    alarms_to: str
    operators: str  #: role that may use the cluster
    custodians: str  #: role that may make vault keys
    instance: str
    readers: int
    primary: Region
    standby: Region
    standby_keys: Mapping[str, str]  #: key ids by name; empty before the primary has them
    schemes: tuple[Scheme, ...]

    @property
    def regions(self) -> tuple[Region, ...]:
        """Those whose stacks can be made now."""
        return (self.primary, self.standby) if self.standby_keys else (self.primary,)


def load(path: Path) -> Site:
    """Read a site; raises `SiteError`."""
    try:
        told = tomllib.loads(path.read_text())
    except OSError:
        raise SiteError(f"{path}: cannot be read; copy deploy/cdk/site.toml.example") from None
    except tomllib.TOMLDecodeError as error:
        raise SiteError(f"{path}: is no TOML: {error}") from None
    try:
        return _site(told)
    except SiteError as error:
        raise SiteError(f"{path}: {error}") from None


def _site(told: dict[str, Any]) -> Site:
    database = _table(told, "database")
    standby = _table(told, "standby")
    keys = _keys(standby.pop("keys", {}))
    site = Site(
        name=_text(told, "name", _NAME, "a short name in small letters"),
        account=_text(told, "account", _ACCOUNT, "the twelve digits of the account"),
        alarms_to=_text(told, "alarms_to", _MAIL, "an e-mail address"),
        operators=_text(told, "operators", _ROLE, "the ARN of a role"),
        custodians=_text(told, "custodians", _ROLE, "the ARN of a role"),
        instance=_text(database, "instance", _INSTANCE, "an instance class as db.r7g.large"),
        readers=_whole(database, "readers", 1, 14),
        primary=_region(_table(told, "primary"), "primary"),
        standby=_region(standby, "standby"),
        standby_keys=keys,
        schemes=_schemes(told.pop("schemes", [])),
    )
    _nothing_left(database, "database.")
    _nothing_left(told, "")
    if site.primary.name == site.standby.name:
        raise SiteError("standby.region: must be another than the primary's")
    if ip_network(site.primary.network).overlaps(ip_network(site.standby.network)):
        raise SiteError("standby.network: must not overlap the primary's")
    return site


def _region(table: dict[str, Any], role: str) -> Region:
    zones = table.pop("zones", None)
    name = _text(table, "region", _REGION, "a region as eu-central-1", f"{role}.")
    if not isinstance(zones, list) or len(set(zones)) != ZONES or len(zones) != ZONES:
        raise SiteError(f"{role}.zones: must be {ZONES} different zones")
    if not all(isinstance(zone, str) and zone.startswith(name) for zone in zones):
        raise SiteError(f"{role}.zones: must be zones of {name}")
    network = _network(table.pop("network", None), f"{role}.network")
    if network.prefixlen != 16 or not network.is_private:
        raise SiteError(f"{role}.network: must be a private /16")
    _nothing_left(table, f"{role}.")
    return Region(name, tuple(zones), str(network), is_primary=role == "primary")


def _schemes(tables: Any) -> tuple[Scheme, ...]:
    if not isinstance(tables, list) or not tables:
        raise SiteError("schemes: at least one [[schemes]] is needed")
    schemes = [_scheme(table, f"schemes[{i}].") for i, table in enumerate(tables)]
    for what in ("name", "port"):
        if len({getattr(scheme, what) for scheme in schemes}) < len(schemes):
            raise SiteError(f"schemes: two of them have the same {what}")
    return tuple(schemes)


def _scheme(table: Any, where: str) -> Scheme:
    if not isinstance(table, dict):
        raise SiteError("schemes: must be tables, [[schemes]]")
    networks = table.pop("from", None)
    if not isinstance(networks, list) or not networks:
        raise SiteError(f"{where}from: must be a list of networks")
    scheme = Scheme(
        _text(table, "name", _NAME, "a short name in small letters", where),
        _whole(table, "port", 1024, 65_535, where),
        tuple(str(_network(network, f"{where}from")) for network in networks),
    )
    _nothing_left(table, where)
    for network in scheme.networks:
        if ip_network(network).prefixlen < SCHEME_PREFIX_MIN:
            raise SiteError(f"{where}from: {network} is too wide: name the scheme's own hosts")
    return scheme


def _keys(told: Any) -> dict[str, str]:
    names = {*_KMS_KEYS, *(key.name for key in MADE_KEYS)}
    if not isinstance(told, dict) or not all(isinstance(value, str) for value in told.values()):
        raise SiteError("standby.keys: must be key ids by name")
    if told and set(told) != names:
        wrong = ", ".join(sorted(names ^ set(told)))
        raise SiteError(f"standby.keys: must name all keys and no others; look at {wrong}")
    return told


def _table(told: dict[str, Any], name: str) -> dict[str, Any]:
    table = told.pop(name, None)
    if not isinstance(table, dict):
        raise SiteError(f"{name}: a table [{name}] is needed")
    return table


def _text(
    table: dict[str, Any], name: str, form: re.Pattern[str], wanted: str, where: str = ""
) -> str:
    value = table.pop(name, None)
    if not isinstance(value, str) or form.fullmatch(value) is None:
        raise SiteError(f"{where}{name}: must be {wanted}")
    return value


def _whole(table: dict[str, Any], name: str, low: int, high: int, where: str = "") -> int:
    value = table.pop(name, None)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise SiteError(f"{where}{name}: must be {low} to {high}")
    return value


def _network(value: Any, where: str) -> IPv4Network:
    try:
        network = ip_network(value)
    except ValueError:
        network = None
    if not isinstance(network, IPv4Network):
        raise SiteError(f"{where}: must be an IPv4 network as 192.0.2.0/28")
    return network


def _nothing_left(table: Mapping[str, Any], where: str) -> None:
    if table:
        raise SiteError(f"{where}{min(table)}: unknown setting")
