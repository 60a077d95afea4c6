"""
The settings: typed, complete before anything starts, and refused with one line.

They come from `switch.toml`; an environment variable outranks the file
(`SWITCH_DATABASE__URL`, `SWITCH_LINKS__0__LISTEN`). Without a file the demo is
served. Every setting stands in docs/settings.md and in switch.toml.example.

Which dialects, framings and keys there are is known to other rooms: those names
are checked when the application is built.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from switch.setting_errors import (
    DELIMITER,
    PREFIX,
    SettingsError,
    origin,
    refusal_of,
    unknown,
)
from switch.setting_sections import (
    SECTIONS,
    Admin,
    Database,
    Demo,
    Events,
    Hsm,
    Link,
    Log,
    Section,
    StandIn,
    Stop,
    Tls,
    Unwind,
    Vault,
)
from switch.setting_values import Address

__all__ = [
    "Address",
    "Admin",
    "Database",
    "Demo",
    "Events",
    "Hsm",
    "Link",
    "Log",
    "Settings",
    "SettingsError",
    "Tls",
    "Unwind",
    "Vault",
]

CONFIG_VARIABLE = "SWITCH_CONFIG"
#: Who works at the commands: of the same prefix, and no setting.
OPERATOR_VARIABLE = "SWITCH_OPERATOR"
CONFIG_FILE = "switch.toml"

#: What is served where there is no file, and how an error calls it.
DEMO: dict[str, Any] = {
    "links": [{"name": "demo", "dialect": "iso87-ascii", "listen": "127.0.0.1:8583"}]
}
DEMO_SOURCE = "demo settings"

#: What says that a link is to have TLS.
_TLS_GIVEN = frozenset({"certificate", "key", "client_ca", "allow", "server_ca", "server_name"})


def _by_index(value: object) -> object:
    # The links of the file and of the environment arrive merged, by position.
    if not isinstance(value, dict):
        return value
    if set(value) != {str(index) for index in range(len(value))}:
        raise ValueError("must be [[links]]; variables count them from 0 without a gap")
    return [value[str(index)] for index in range(len(value))]


class Settings(BaseSettings):
    """All settings, as `Settings.load` reads and checks them."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=DELIMITER, frozen=True, hide_input_in_errors=True
    )

    database: Database = Field(default_factory=Database)
    admin: Admin = Field(default_factory=Admin)
    hsm: Hsm = Field(default_factory=Hsm)
    vault: Vault = Field(default_factory=Vault)
    unwind: Unwind = Field(default_factory=Unwind)
    events: Events = Field(default_factory=Events)
    stand_in: StandIn = Field(default_factory=StandIn)
    stop: Stop = Field(default_factory=Stop)
    log: Log = Field(default_factory=Log)
    demo: Demo = Field(default_factory=Demo)
    links: Annotated[tuple[Link, ...], BeforeValidator(_by_index), Field(min_length=1)]

    _source: str = PrivateAttr(default=DEMO_SOURCE)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment before the file, and nothing else."""
        return env_settings, init_settings

    @classmethod
    def load(cls, config: Path | None = None) -> Self:
        """Read the settings of a file, of SWITCH_CONFIG, of ./switch.toml, or the demo's.

        Raises `SettingsError` for the first thing that cannot be served.
        Relative paths become absolute, from the file's folder.
        """
        path = _config_path(config)
        source = DEMO_SOURCE if path is None else str(path)
        tree = DEMO if path is None else _read(path)
        _refuse_unknown_sections(tree, source)
        try:
            settings = cls(**_numbered(tree))
        except ValidationError as error:
            raise refusal_of(error, source, SECTIONS) from None
        settings = settings._anchored((Path() if path is None else path.parent).resolve())
        settings._source = source
        for key, reason in _contradictions(settings):
            raise settings.refusal(key, reason)
        return settings

    @property
    def links_with_file_updates(self) -> tuple[str, ...]:
        """The links whose networks are told of blocked cards, by name."""
        return tuple(link.name for link in self.links if link.file_updates)

    @property
    def event_sink(self) -> str:
        """Where events go: with `auto` to files where the database is embedded, else nowhere."""
        if self.events.sink == "auto":
            return "file" if self.database.is_embedded else "none"
        return self.events.sink

    def refusal(self, key: str, reason: str) -> SettingsError:
        """The error of a key that proves wrong later, naming where it was set."""
        return SettingsError(origin(key, self._source), key, reason)

    def check_keys(self, keys: Collection[str]) -> None:
        """Raise `SettingsError` for the first key that is named here and is none of these."""
        vault = self.vault
        named = [("vault.token_keys", name) for name in vault.token_keys]
        named += [("vault.data_keys", name) for name in vault.data_keys]
        for index, link in enumerate(self.links):
            named.append((f"links[{index}].zone_pin_key", link.zone_pin_key))
            for setting in ("mac_key", "zone_master_key"):
                if name := getattr(link, setting):
                    named.append((f"links[{index}].{setting}", name))
        for setting, name in named:
            if name not in keys:
                raise self.refusal(setting, f"must be one of {', '.join(sorted(keys))}")

    def _anchored(self, folder: Path) -> Self:
        paths = {
            "database": ("data_dir",),
            "hsm": ("keys", "kbpk_file"),
            "unwind": ("journal",),
            "stand_in": ("journal",),
            "events": ("folder",),
        }
        sections: dict[str, Section] = {}
        for name, fields in paths.items():
            section: Section = getattr(self, name)
            sections[name] = _anchored(section, folder, fields)
        tls = _anchored(self.admin.tls, folder, ("certificate", "key"))
        admin = _anchored(self.admin, folder, ("token_file",))
        sections["admin"] = admin.model_copy(update={"tls": tls})
        hsm = sections["hsm"]
        assert isinstance(hsm, Hsm)  # noqa: S101 - for mypy
        sections["hsm"] = hsm.model_copy(
            update={
                "payshield": _anchored(
                    hsm.payshield, folder, ("tls_ca", "tls_certificate", "tls_key")
                ),
                "pkcs11": _anchored(hsm.pkcs11, folder, ("pin_file",)),
            }
        )
        return self.model_copy(update=sections | {"links": self._anchored_links(folder)})

    def _anchored_links(self, folder: Path) -> tuple[Link, ...]:
        files = ("certificate", "key", "client_ca", "server_ca")
        return tuple(
            link.model_copy(update={"tls": _anchored(link.tls, folder, files)})
            for link in self.links
        )


def _anchored(section: Section, folder: Path, fields: Iterable[str]) -> Section:
    """The section with its relative paths made absolute, from a folder."""
    paths = {field: getattr(section, field) for field in fields}
    return section.model_copy(
        update={field: folder / path for field, path in paths.items() if path is not None}
    )


def _contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    """What each value allows and all together do not: key and reason."""
    hsm, links = settings.hsm, settings.links
    if hsm.production and hsm.backend == "software" and not hsm.allow_software:
        yield "hsm.production", "the software backend is not PCI-capable: allow_software says so"
    for name in ("keys", "kbpk_file"):
        if not getattr(hsm, name).is_file():
            yield f"hsm.{name}", "there is no such file"
    if hsm.backend == "payshield" and not hsm.payshield.addresses:
        yield "hsm.payshield.addresses", "must name one host:port at least"
    if hsm.backend == "pkcs11":
        for name in ("module", "token", "pin_file"):
            if not getattr(hsm.pkcs11, name):
                yield f"hsm.pkcs11.{name}", "must be given where the backend is pkcs11"
    for name, reason in settings.database.contradictions():
        yield f"database.{name}", reason
    for name, reason in settings.admin.contradictions():
        yield f"admin.{name}", reason
    for name, reason in settings.events.contradictions():
        yield f"events.{name}", reason
    taken = {"admin.listen": settings.admin.listen} if settings.admin.listen else {}
    names: dict[str, str] = {}
    for index, link in enumerate(links):
        here = f"links[{index}]"
        if link.margin_ms >= link.answer_within_ms:
            yield f"{here}.margin_ms", "must be less than answer_within_ms"
        if link.name in names:
            yield f"{here}.name", f"is the name of {names[link.name]} too"
        if (link.listen is None) == (link.connect is None):
            yield f"{here}.listen", "give either listen or connect"
        if link.connections > link.connections_max:
            yield f"{here}.connections", "must be connections_max at most"
        if link.reconnect_min_ms > link.reconnect_max_ms:
            yield f"{here}.reconnect_min_ms", "must be reconnect_max_ms at most"
        for key, address in taken.items():
            if link.listen is not None and link.listen.overlaps(address):
                yield f"{here}.listen", f"is the address of {key} too"
        for name, reason in _header_contradictions(link):
            yield f"{here}.{name}", reason
        if link.mac_network and not link.mac_key:
            yield f"{here}.mac_network", "needs a mac_key"
        if link.file_updates and not link.file_update_name:
            yield f"{here}.file_update_name", "must be given where file_updates is true"
        for name, reason in _door_contradictions(link):
            yield f"{here}.{name}", reason
        names[link.name] = here
        if link.listen is not None:
            taken[f"{here}.listen"] = link.listen


def _door_contradictions(link: Link) -> Iterator[tuple[str, str]]:
    # Half a table must not be served as plain text.
    tls = link.tls
    given = [name for name in Tls.model_fields if name in _TLS_GIVEN and getattr(tls, name)]
    if link.connect is not None:
        if link.peers:
            yield "peers", "is for links that listen"
        if tls.client_ca is not None:
            yield "tls.client_ca", "is for links that listen"
        if given and tls.server_ca is None:
            yield "tls.server_ca", "must be given where a link with TLS dials"
        if tls.key is not None and tls.certificate is None:
            yield "tls.certificate", "must be given where key is"
    elif given and tls.certificate is None:
        yield "tls.certificate", f"must be given where {given[0]} is"
    if tls.certificate is not None and tls.key is None:
        yield "tls.key", "must be given where certificate is"
    if tls.allow and tls.client_ca is None and tls.server_ca is None:
        yield "tls.client_ca", "must be given where allow is"


def _header_contradictions(link: Link) -> Iterator[tuple[str, str]]:
    """The settings of a header are about one kind of it each."""
    if link.header == "fixed" and not link.header_hex:
        yield "header_hex", "must be given with header fixed: it is as long as every header"
    if link.header == "tpdu" and len(link.header_hex) not in (0, 10):
        yield "header_hex", "must be 5 bytes with header tpdu"
    if link.header in ("none", "visa") and link.header_hex:
        yield "header_hex", f"is not of header {link.header}"
    if link.header != "fixed" and not link.header_echo:
        yield "header_echo", "may be false with header fixed alone"
    for name in ("header_source", "header_destination"):
        if link.header != "visa" and int(getattr(link, name)):
            yield name, "is of header visa alone"


def _config_path(config: Path | None) -> Path | None:
    if config is not None:
        return config
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named)
    here = Path(CONFIG_FILE)
    return here if here.is_file() else None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        reason = "is not UTF-8 text"
    except ValueError as error:
        reason = f"is not TOML: {error}"
    raise SettingsError(str(path), "", reason)


def _numbered(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree with its links by position, so that a variable can change one value of one."""
    links = tree.get("links")
    if not isinstance(links, list):
        return tree
    return tree | {"links": {str(index): link for index, link in enumerate(links)}}


def _refuse_unknown_sections(tree: dict[str, Any], source: str) -> None:
    for section in tree:
        if section not in SECTIONS:
            raise SettingsError(source, section, unknown("section", section, SECTIONS))
    for variable in sorted(os.environ):
        name = variable.upper()
        if not name.startswith(PREFIX) or name in (CONFIG_VARIABLE, OPERATOR_VARIABLE):
            continue
        section, _, rest = name.removeprefix(PREFIX).lower().partition(DELIMITER)
        if section not in SECTIONS:
            raise SettingsError(variable, section, unknown("section", section, SECTIONS))
        if not rest:
            raise SettingsError(variable, section, f"name one setting: {name}{DELIMITER}…")
