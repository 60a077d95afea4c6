"""
The kinds of value that a setting can have: an address, a limit, a name, a path.

Each refuses with a reason that says what is wanted, and never repeats what came:
a refused value can be a password.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, InstanceOf, SecretStr

from switch.database_url import hosts_of

#: host:port, the host a name, an IPv4 address or an IPv6 address in brackets.
_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})")

#: What a payShield echoes before its answer, and which of its local master keys it is to use.
_HEADER = re.compile(r"[0-9A-Za-z]{1,255}", re.ASCII)
_LMK_ID = re.compile(r"[0-9]{2}", re.ASCII)

#: What stands before our own requests on a link, and the station at an end of it.
_LINK_HEADER = re.compile(r"(?:[0-9A-Fa-f]{2}){0,32}", re.ASCII)
_STATION = re.compile(r"[0-9]{6}", re.ASCII)
#: DE70 of a request of ours, and what else stands in it: a data element and its value.
_NETWORK_CODE = re.compile(r"[0-9]{3}", re.ASCII)
_NETWORK_FIELD = re.compile(r"[1-9][0-9]{0,2}=[ -~]+", re.ASCII)

#: DE101, the name of a network's file.
_FILE_NAME = re.compile(r"[ -~]{1,17}")


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a TCP port; port 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """True where only this machine can connect."""
        ip = _ip(self.host)
        return ip is not None and ip.is_loopback

    def overlaps(self, other: Address) -> bool:
        """True where both cannot be listened on: one port, and one host or every host."""
        if self.port == 0 or self.port != other.port:
            return False
        mine, theirs = _ip(self.host), _ip(other.host)
        if mine is None or theirs is None or mine.version != theirs.version:
            return self.host == other.host
        return mine == theirs or mine.is_unspecified or theirs.is_unspecified


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        return None


def _address(value: object) -> Address:
    if isinstance(value, Address):
        return value
    found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be host:port")
    ipv6, name, port = found.groups()
    if ipv6 is not None and _ip(ipv6) is None:
        raise ValueError("must be host:port, and an IPv6 host stands in brackets")
    if int(port) > 65_535:
        raise ValueError("the port must be 0 to 65535")
    return Address(ipv6 or name, int(port))


def _database_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    try:
        hosts_of(url)
        fine = url == "embedded" or (
            urlsplit(url).scheme in ("postgresql", "postgres") and "//" in url
        )
    except ValueError:
        fine = False
    if not fine:
        raise ValueError('must be "embedded" or postgresql://user:password@host:port/database')
    return value


def _no_bool(value: object) -> object:
    # Python counts true as 1; whoever writes it does not.
    if isinstance(value, bool):
        raise ValueError("must be a whole number")  # noqa: TRY004 - pydantic takes a ValueError
    return value


def _filled(value: object) -> object:
    if isinstance(value, str) and not value.strip():
        raise ValueError("must not be empty")
    return value


def _host_address(value: object) -> Address:
    address = _address(value)
    if address.port == 0:
        raise ValueError("the port must be 1 to 65535")
    return address


def _unless_empty(check: Callable[[object], Address]) -> Callable[[object], Address | None]:
    """The check, for a value that may be left out."""
    return lambda value: None if value is None or value == "" else check(value)


def _network_code(value: str) -> str:
    if value and _NETWORK_CODE.fullmatch(value) is None:
        raise ValueError("must be three digits, or empty")
    return value


def _network_field(value: str) -> str:
    if _NETWORK_FIELD.fullmatch(value) is None:
        raise ValueError("must be DE=value, as 33=000001")
    return value


def _payshield_header(value: str) -> str:
    if _HEADER.fullmatch(value) is None:
        raise ValueError("must be 1 to 255 letters or digits, as long as the HSM is set to")
    return value


def _payshield_lmk_id(value: str) -> str:
    if value and _LMK_ID.fullmatch(value) is None:
        raise ValueError("must be two digits")
    return value


def _link_header(value: str) -> str:
    if _LINK_HEADER.fullmatch(value) is None:
        raise ValueError("must be hexadecimal digits of 32 bytes at most, two for each")
    return value


def _station(value: str) -> str:
    if _STATION.fullmatch(value) is None:
        raise ValueError("must be six digits")
    return value


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise ValueError("must be an address or a network, as 10.0.0.0/8") from None


def _list(value: object) -> object:
    # A variable has a list as JSON.
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError('must be a list: ["…", "…"]') from None
    return value


def _file_name(value: str) -> str:
    if value and not (_FILE_NAME.fullmatch(value) and value.strip()):
        raise ValueError("must be 1 to 17 printable ASCII characters")
    return value


def between(low: int, high: int) -> AfterValidator:
    """A check that a number is `low` to `high`, both included."""

    def check(value: int) -> int:
        if not low <= value <= high:
            raise ValueError(f"must be {low} to {high}")
        return value

    return AfterValidator(check)


def packaged_key_file(name: str) -> Path:
    """A development key file as the `keys` package brings it, wherever that is installed."""
    found = importlib.util.find_spec("keys")
    folders = list(found.submodule_search_locations or ()) if found else []
    return Path(folders[0] if folders else "keys", "dev", name)


Whole = Annotated[int, BeforeValidator(_no_bool)]
Count = Annotated[Whole, between(1, 1_000_000)]
Milliseconds = Annotated[Whole, between(1, 600_000)]
Name = Annotated[str, BeforeValidator(_filled)]
FilePath = Annotated[Path, BeforeValidator(_filled)]
MaybeFile = Annotated[Path | None, BeforeValidator(lambda value: value or None)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
MaybeListenAddress = Annotated[InstanceOf[Address] | None, BeforeValidator(_unless_empty(_address))]
HostAddress = Annotated[InstanceOf[Address], BeforeValidator(_host_address)]
MaybeHostAddress = Annotated[
    InstanceOf[Address] | None, BeforeValidator(_unless_empty(_host_address))
]
NetworkCode = Annotated[str, AfterValidator(_network_code)]
NetworkField = Annotated[str, AfterValidator(_network_field)]
PayShieldHeader = Annotated[str, AfterValidator(_payshield_header)]
PayShieldLmkId = Annotated[str, AfterValidator(_payshield_lmk_id)]
LinkHeader = Annotated[str, AfterValidator(_link_header)]
Station = Annotated[str, AfterValidator(_station)]
PeerNetwork = Annotated[str, AfterValidator(_network)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_list)]
PeerNetworks = Annotated[tuple[PeerNetwork, ...], BeforeValidator(_list)]
FileUpdateName = Annotated[str, AfterValidator(_file_name)]
