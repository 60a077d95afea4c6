"""A page's steps are those that its reader would take."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.walkthroughs.__main__ import PAGES
from tests.walkthroughs.stage import ROOT
from tests.walkthroughs.steps import (
    Command,
    Interrupt,
    Open,
    PageError,
    Says,
    Step,
    Write,
    steps_of,
)

PAGE = """\
# A page

    $ indented is for reading

## First

```console
$ one
said
…

$ two \\
    more
```

```sh
three '
four'
```

```text
five
```

```toml
# var/switch.toml
[log]
```

```toml
[log]
```

## Second

<!-- walk: terminal first until "started" -->
```console
$ serve
```

Other words.

<!-- walk: first says -->
```json
{"event":"…"}
```

<!-- walk: not here, it takes a server -->
```console
$ six
```

<!-- walk: Ctrl-C first -->
"""


def test_a_page_and_its_steps() -> None:
    """Every kind of fence and mark, with heading and line; what is for reading is no step."""
    assert [
        Command("First", 8, "one", ("said", "…", "")),
        Command("First", 12, "two \\\n    more"),
        Command("First", 16, "three '\nfour'", ("five",)),
        Write("First", 25, "var/switch.toml", "# var/switch.toml\n[log]\n"),
        Open("Second", 37, "first", "serve", '"started"'),
        Says("Second", 44, "first", ('{"event":"…"}',)),
        Interrupt("Second", 53, "first"),
    ] == steps_of(PAGE)


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("```sh\nls", "line 1: the fence is not closed"),
        ("a\n<!-- walk: first says -->\nb", "line 2: no fence follows"),
        ("<!-- walk: first says -->", "line 1: no fence follows"),
        ("<!-- walk: nope -->\n```sh\nls\n```", "line 2: there is no mark “nope”"),
        ("<!-- walk: not here -->\n```sh\nls\n```", "line 2: there is no mark “not here”"),
        ("```console\nls\n```", "line 2: a console begins"),
        ("```console\n```", "line 1: a console begins"),
        ("<!-- walk: terminal a until b -->\n```console\n$ a\n$ b\n```", "line 2: a terminal"),
    ],
)
def test_what_is_no_step(page: str, said: str) -> None:
    """A page that would be walked through otherwise than it was meant is refused by the line."""
    with pytest.raises(PageError, match=said):
        steps_of(page)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.sampled_from([*PAGE.splitlines(), "````", "text", "```text"])))
def test_any_page(lines: list[str]) -> None:
    """Whatever the lines of a page, they are steps in its order, or refused in one line."""
    steps, refused = list[Step](), ""
    try:
        steps = steps_of("\n".join(lines))
    except PageError as error:
        refused = str(error)
    assert "\n" not in refused
    assert sorted(step.line for step in steps) == [step.line for step in steps]


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_of_the_project(page: str) -> None:
    """Each page has steps, and every terminal that is waited for or interrupted was opened."""
    steps = steps_of((ROOT / page).read_text(encoding="utf-8"))
    opened = set()
    for step in steps:
        if isinstance(step, Open):
            opened.add(step.name)
        elif isinstance(step, Says | Interrupt):
            assert step.name in opened, f"{page}, line {step.line}"
    assert any(isinstance(step, Command) for step in steps)
