"""Where a database's URL says that the database is. It may name several hosts of one cluster."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

_HOST = re.compile(r"(?:\[(?P<ip>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:,]+))(?::(?P<port>.*))?")


class Host(NamedTuple):
    """One server: a name, an address or the folder of a Unix socket; None is the usual port."""

    name: str
    port: int | None


def hosts_of(url: str) -> tuple[Host, ...]:
    """The hosts of `postgresql://a:5432,b:5433/database`, or of its options `host` and `port`.

    None where it names none, and libpq's variables do. Raises `ValueError` where a host or a port
    is none, or hosts and ports are not as many.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    named = parts.netloc.rpartition("@")[2] or options.get("host", "")
    if not named:
        return ()
    hosts = [_host(text) for text in named.split(",")]
    ports = [_port(text) for text in options["port"].split(",")] if "port" in options else [None]
    if len(ports) not in (1, len(hosts)):
        raise ValueError("as many ports as hosts")
    ports *= len(hosts) // len(ports)
    return tuple(
        host if host.port else Host(host.name, port)
        for host, port in zip(hosts, ports, strict=True)
    )


def role_of(url: str) -> str:
    """What kind of server the URL asks for (`target_session_attrs`); empty: it does not say."""
    return dict(parse_qsl(urlsplit(url).query)).get("target_session_attrs", "")


def _host(text: str) -> Host:
    found = _HOST.fullmatch(text)
    if found is None:
        raise ValueError("no host")
    port = found["port"]
    return Host(unquote(found["ip"] or found["name"]), None if port is None else _port(port))


def _port(text: str) -> int | None:
    if not 0 < (port := int(text)) <= 65_535:
        raise ValueError("no port")
    return port
