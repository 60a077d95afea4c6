"""The pages of the documentation lead where they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.traffic import ROOT

PAGES = sorted(
    path.relative_to(ROOT)
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md"))
)
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
_HEADING = re.compile(r"^#{1,6} +(.+)$", re.MULTILINE)


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in _HEADING.findall(_FENCED.sub("", page))
    }


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link within the project is to a file that is there and to a heading of it."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for target, anchor in _LINK.findall(_FENCED.sub("", text)):
        place = (ROOT / page).parent / target if target else ROOT / page
        assert place.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(place.read_text(encoding="utf-8")), (
                f"{page}: {target}#{anchor}"
            )
