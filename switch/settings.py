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
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from switch.setting_errors import (
    DELIMITER,
    PREFIX,
    SettingsError,
    origin,
    refusal_of,
    unknown,
)
from switch.setting_values import (
    Address,
    AdminAddress,
    Backend,
    Count,
    DatabaseUrl,
    FilePath,
    FileUpdateName,
    ListenAddress,
    MacKey,
    Milliseconds,
    Name,
    Whole,
    between,
    packaged_key_file,
)

__all__ = [
    "Address",
    "Admin",
    "Database",
    "Demo",
    "Hsm",
    "Link",
    "Log",
    "Settings",
    "SettingsError",
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


class Section(BaseModel):
    """A table of the file: nothing unknown in it, nothing changed later."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True
    )


class Database(Section):
    """Where the ledger is, and how long the switch waits for it."""

    url: DatabaseUrl = SecretStr("embedded")
    data_dir: FilePath = Path("var/postgres")
    connections: Annotated[Whole, between(1, 100)] = 2
    batch_max: Annotated[Whole, between(1, 1_000)] = 64
    connect_timeout_ms: Milliseconds = 5_000

    @property
    def is_embedded(self) -> bool:
        """True where the switch starts the server itself."""
        return self.url.get_secret_value() == "embedded"

    @property
    def url_public(self) -> str:
        """The URL without user, password and options, for logs and pages."""
        if self.is_embedded:
            return "embedded"
        parts = urlsplit(self.url.get_secret_value())
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class Admin(Section):
    """The read-only HTTP port; None is off."""

    listen: AdminAddress = Address("127.0.0.1", 8580)


class Hsm(Section):
    """Which HSM is asked, and the files of the software one."""

    backend: Backend = "software"
    keys: FilePath = Field(default_factory=lambda: packaged_key_file("keys.toml"))
    kbpk_file: FilePath = Field(default_factory=lambda: packaged_key_file("kbpk.dev"))
    production: bool = False
    allow_software: bool = False
    budget_ms: Milliseconds = 100


class Vault(Section):
    """The logical names of the keys that hide a PAN."""

    token_key: Name = "pan_token"  # noqa: S105 - the name of a key, not the key
    data_key: Name = "pan_data"


class Unwind(Section):
    """The journal of approvals that may have to be taken back."""

    journal: FilePath = Path("var/unwinds.journal")


class Log(Section):
    """What is logged, and how many lines wait for a slow reader."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    queue_max: Count = 10_000


class Demo(Section):
    """The demo program."""

    load_when_empty: bool = True


class Link(Section):
    """One address that a scheme connects to."""

    name: Name
    listen: ListenAddress
    dialect: Name = "iso87-ascii"
    framing: Name = "2-byte"
    answer_within_ms: Annotated[Whole, between(10, 60_000)] = 250
    margin_ms: Annotated[Whole, between(1, 60_000)] = 50
    in_flight_max: Count = 256
    connections_max: Count = 64
    frame_max: Annotated[Whole, between(64, 65_535)] = 4_096
    idle_timeout_s: Annotated[Whole, between(0, 86_400)] = 0
    zone_pin_key: Name = "zpk"
    pin_block_format: Literal["iso-0", "iso-1", "iso-3", "iso-4"] = "iso-0"
    mac_key: MacKey = ""
    file_updates: bool = False
    file_update_name: FileUpdateName = ""
    file_update_answer_s: Annotated[Whole, between(1, 600)] = 10
    scheme: str = ""


#: Every section by its name; of `links` each.
SECTIONS: dict[str, type[Section]] = {
    "database": Database,
    "admin": Admin,
    "hsm": Hsm,
    "vault": Vault,
    "unwind": Unwind,
    "log": Log,
    "demo": Demo,
    "links": Link,
}


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

    def refusal(self, key: str, reason: str) -> SettingsError:
        """The error of a key that proves wrong later, naming where it was set."""
        return SettingsError(origin(key, self._source), key, reason)

    def check_keys(self, keys: Collection[str]) -> None:
        """Raise `SettingsError` for the first key that is named here and is none of these."""
        named = {f"vault.{name}": getattr(self.vault, name) for name in ("token_key", "data_key")}
        for index, link in enumerate(self.links):
            named[f"links[{index}].zone_pin_key"] = link.zone_pin_key
        for setting, name in named.items():
            if name not in keys:
                raise self.refusal(setting, f"must be one of {', '.join(sorted(keys))}")

    def _anchored(self, folder: Path) -> Self:
        paths = {"database": ("data_dir",), "hsm": ("keys", "kbpk_file"), "unwind": ("journal",)}
        sections = {}
        for name, fields in paths.items():
            section: Section = getattr(self, name)
            absolute = {field: folder / getattr(section, field) for field in fields}
            sections[name] = section.model_copy(update=absolute)
        return self.model_copy(update=sections)


def _contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    """What each value allows and all together do not: key and reason."""
    hsm, links = settings.hsm, settings.links
    if hsm.production and not hsm.allow_software:
        yield "hsm.production", "the software backend is not PCI-capable: allow_software says so"
    for name in ("keys", "kbpk_file"):
        if not getattr(hsm, name).is_file():
            yield f"hsm.{name}", "there is no such file"
    taken = {"admin.listen": settings.admin.listen} if settings.admin.listen else {}
    names: dict[str, str] = {}
    for index, link in enumerate(links):
        here = f"links[{index}]"
        if link.margin_ms >= link.answer_within_ms:
            yield f"{here}.margin_ms", "must be less than answer_within_ms"
        if link.name in names:
            yield f"{here}.name", f"is the name of {names[link.name]} too"
        for key, address in taken.items():
            if link.listen.overlaps(address):
                yield f"{here}.listen", f"is the address of {key} too"
        if link.file_updates and not link.file_update_name:
            yield f"{here}.file_update_name", "must be given where file_updates is true"
        names[link.name] = here
        taken[f"{here}.listen"] = link.listen


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
