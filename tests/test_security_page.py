"""docs/security.md names what there is: files, settings, commands, metrics' alerts."""

from __future__ import annotations

import re
from typing import Any

import pytest

from switch.setting_sections import SECTIONS
from tests.traffic import ROOT
from tests.typed import commands

PAGE = (ROOT / "docs/security.md").read_text()
QUOTED = set(re.findall(r"`([^`\n]+)`", PAGE))


@pytest.mark.parametrize(
    "path", sorted(text for text in QUOTED if re.match(r"(switch|keys|tests|deploy)/", text))
)
def test_a_file_that_is_named_is_there(path: str) -> None:
    """Where the page points to code or a test, there is one."""
    assert (ROOT / path).exists()


def test_a_setting_that_is_named_is_one() -> None:
    """Each `section.setting` of the page, and of links and their tables, is a setting."""
    named = {
        found
        for text in QUOTED
        for found in re.findall(
            r"^((?:database|admin|hsm|vault|unwind|log|links\[\])\.[\w.]+)", text
        )
    }
    assert len(named) > 15
    for name in named:
        section, *rest = name.replace("[]", "").split(".")
        fields = SECTIONS[section].model_fields
        assert rest[0] in fields, name
        if len(rest) > 1:
            inner = fields[rest[0]].annotation
            assert inner is not None
            assert rest[1] in inner.model_fields, name


def test_a_command_that_is_named_is_one() -> None:
    """Each `switch …` and `keys …` of the page is a command."""
    for text in QUOTED:
        words = text.split()
        if words[0] not in ("switch", "keys") or len(words) < 2:
            continue
        known: Any = commands()
        for word in words[words[0] == "switch" :]:
            assert word in known, text
            known = getattr(known[word], "commands", None)
            if known is None:
                break
