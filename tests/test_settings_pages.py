"""The page of settings and the example have every setting, with its default."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from switch.setting_sections import SECTIONS
from switch.settings import Settings

ROOT = Path(__file__).parent.parent


def defaults() -> dict[str, str]:
    """Every setting by its dotted name, with its default as TOML writes it."""
    found: dict[str, str] = {}
    for section, model in SECTIONS.items():
        found |= defaults_of("links[]" if model is SECTIONS["links"] else section, model)
    return found


def defaults_of(prefix: str, model: type[BaseModel]) -> dict[str, str]:
    """Those of a section and of the tables in it."""
    found: dict[str, str] = {}
    for name, field in model.model_fields.items():
        value = field.get_default(call_default_factory=True)
        if isinstance(value, BaseModel):
            found |= defaults_of(f"{prefix}.{name}", type(value))
        else:
            found[f"{prefix}.{name}"] = "required" if value is PydanticUndefined else toml(value)
    return found


def toml(value: Any) -> str:
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Path) and value.is_absolute():
        value = value.relative_to(ROOT)
    if isinstance(value, tuple | list):
        return f"[{', '.join(toml(each) for each in value)}]"
    value = "" if value is None else value
    return str(value) if isinstance(value, int) else f'"{value}"'


def test_every_setting_is_documented() -> None:
    """docs/settings.md has exactly the settings of the code, with their defaults."""
    rows = re.findall(
        r"^\| `([a-z_\[\].0-9]+)` \| (?:`([^`]*)`|(required)) \|[^|]*\| \S[^|]*\|$",
        (ROOT / "docs/settings.md").read_text(),
        re.MULTILINE,
    )
    assert defaults() == {name: default or required for name, default, required in rows}


def shown_in(tables: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Every setting of an example by its dotted name, as it stands there."""
    found: dict[str, str] = {}
    for name, value in tables.items():
        if isinstance(value, dict):
            found |= shown_in(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = toml(value)
    return found


def test_the_example_has_every_setting_and_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """switch.toml.example is complete, shows the defaults, and is served as it stands."""
    for variable in [name for name in os.environ if name.upper().startswith("SWITCH_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)  # where there is no switch.toml
    example = tomllib.loads((ROOT / "switch.toml.example").read_text())
    shown = shown_in(example | {"links[]": example.pop("links")[0]})
    required = {"links[].name": '"demo"', "links[].listen": '"127.0.0.1:8583"'}
    assert {**defaults(), **required} == shown
    assert Settings.load().links == Settings.load(ROOT / "switch.toml.example").links
