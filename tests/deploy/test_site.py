"""What is deployed where: site.toml, and what the pods may ask of Payment Cryptography."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from deploy.cdk.payment_keys import ACTIONS, PAYMENT_KEYS
from deploy.cdk.site import SiteError, load
from keys.keyfile import read_entries
from tests.traffic import ROOT

EXAMPLE = ROOT / "deploy/cdk/site.toml.example"

#: What is changed in the example, to what, and what is said of it.
REFUSED = [
    (
        'from = ["192.0.2.0/28", ',
        'from = ["0.0.0.0/0", ',
        r"schemes\[0\]\.from: 0\.0\.0\.0/0 is too wide",
    ),
    (
        'from = ["192.0.2.0/28", ',
        'from = ["::/0", ',
        r"schemes\[0\]\.from: must be an IPv4 network",
    ),
    ('from = ["192.0.2.0/28", ', 'from = ["192.0.2.1/28", ', r"schemes\[0\]\.from: must be"),
    ("port = 8583", "port = 443", r"schemes\[0\]\.port: must be 1024 to 65535"),
    ("[[schemes]]", "[[scheme]]", r"schemes: at least one"),
    ('account = "111122223333"', 'account = "1111"', r"account: must be the twelve digits"),
    ("readers = 2", "readers = 0", r"readers: must be 1 to 14"),
    ("readers = 2", "reader = 2", r"readers: must be"),
    ('region = "eu-west-1"', 'region = "eu-central-1"', r"standby\.zones: must be zones of"),
    ('"eu-west-1c"]', '"eu-west-1b"]', r"standby\.zones: must be 3 different zones"),
    ('network = "10.81.0.0/16"', 'network = "10.80.0.0/16"', r"standby\.network: must not overlap"),
    ('network = "10.81.0.0/16"', 'network = "8.8.0.0/16"', r"standby\.network: must be a private"),
    ('zak = "eeeeeeeeeeeeeeee"', "", r"standby\.keys: must name all keys.*zak"),
    ("[primary]", "[first]", r"primary: a table"),
    ('name = "switch"', 'name = "switch"\nnmae = "x"', r"nmae: unknown setting"),
    ("[primary]", "[primary", r"is no TOML"),
]


def test_the_example_is_a_site() -> None:
    """The example can be used as it stands, and makes both regions."""
    site = load(EXAMPLE)
    assert [region.role for region in site.regions] == ["primary", "standby"]


def test_without_the_primarys_keys_there_is_no_standby(tmp_path: Path) -> None:
    """The standby's stacks are made once the primary's keys are known."""
    text = re.sub(r"\[standby\.keys\]\n(?:\w+ = .*\n)+", "", EXAMPLE.read_text())
    path = tmp_path / "site.toml"
    path.write_text(text)
    assert [region.role for region in load(path).regions] == ["primary"]


@pytest.mark.parametrize(("old", "new", "said"), REFUSED)
def test_what_cannot_be_used_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    """A refusal names the file, the setting and what it must be, in one line."""
    text = EXAMPLE.read_text()
    assert old in text
    path = tmp_path / "site.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(SiteError, match=said) as refused:
        load(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


def test_a_missing_site_says_what_to_copy(tmp_path: Path) -> None:
    """Without site.toml the refusal says where to begin."""
    with pytest.raises(SiteError, match=r"copy deploy/cdk/site\.toml\.example"):
        load(tmp_path / "site.toml")


def test_the_pods_may_do_what_the_switch_calls_and_nothing_else() -> None:
    """Payment Cryptography is asked for exactly what the role permits."""
    asked = set()
    for page in (ROOT / "keys/aws").glob("*.py"):
        asked |= set(re.findall(r'"((?:get|verify|translate|generate)_[a-z_]+)"', page.read_text()))
    camel = {"".join(word.capitalize() for word in operation.split("_")) for operation in asked}
    assert camel == {action.removeprefix("payment-cryptography:") for action in ACTIONS}


def test_the_page_of_the_hsm_has_the_same_permissions() -> None:
    """docs/hsm-aws.md and the role say the same."""
    page = (ROOT / "docs/hsm-aws.md").read_text()
    policy = json.loads(page[page.index('    {\n      "Version"') : page.index("\nNarrow")])
    assert set(policy["Statement"][0]["Action"]) == set(ACTIONS)


def test_the_key_file_names_the_payment_keys() -> None:
    """deploy/keys.toml.example has every key that is made, by its alias."""
    entries = read_entries(ROOT / "deploy/keys.toml.example")
    assert {name: entry.places["aws"] for name, entry in entries.items()} == {
        key.name: key.alias for key in PAYMENT_KEYS
    }
