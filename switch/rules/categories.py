"""Merchant categories, one by one or by range, as a program's rules name them."""

from __future__ import annotations

import re

_CATEGORIES = re.compile(r"([0-9]{4})(?:-([0-9]{4}))?")


def categories(text: object) -> list[str]:
    """Every merchant category code of `5411`, or of `3501-3999`.

    Raises `ValueError` where it is neither.
    """
    match = _CATEGORIES.fullmatch(text) if isinstance(text, str) else None
    if match is None or (match[2] or match[1]) < match[1]:
        raise ValueError(f"{text!r} is no MCC and no range of MCCs")
    return [f"{code:04d}" for code in range(int(match[1]), int(match[2] or match[1]) + 1)]
