"""Every way in which a command refuses: one line that says what to do, and no traceback."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.process import command
from tests.traffic import GOLDEN, ROOT
from tests.typed import typed

KEYS = (ROOT / "keys/dev/keys.toml").read_text()
#: Where nobody listens: a port that only root may have, for a service that nobody has.
NOWHERE = "127.0.0.1:1"
NO_DATABASE = {"database__url": f"postgresql://{NOWHERE}/x"}
SCENARIO = str(GOLDEN / "scenario.jsonl")
LINK = '[[links]]\nname = "a"\nlisten = "127.0.0.1:0"\n'
SIGNS_ON = LINK + "network_management = 'on'\n"
#: A dialect whose DE128 is too short for a MAC.
NARROW = (ROOT / "specs/iso87_ascii.toml").read_text()
NARROW = NARROW.replace('"mac_2",                                "b 8"', '"mac_2", "b 3"')

Words = tuple[str, ...]

#: What is typed → what the line must name.
TYPED: dict[str, Words] = {
    "nope":                                   ("nope",),
    "run --nope":                             ("--nope",),
    "demo cards":                             ("--count",),
    "demo cards --count 0":                   ("--count",),
    "demo cards --count many":                ("--count",),
    "run --config no.toml":                   ("no.toml",),
    "describe no.hex":                        ("no.hex",),
    "describe .":                             (".",),
    "describe --dialect klingon":             ("klingon", "iso87-ascii"),
    "dialects check no.toml":                 ("no.toml",),
    "dialects check SCENARIO":                ("scenario.jsonl", ".toml"),
    "replay no.jsonl":                        ("no.jsonl",),
    "replay SCENARIO --to 127.0.0.1:1":       (NOWHERE, "is the switch running?"),
    "replay SCENARIO --to nowhere":           ("nowhere", "host:port"),
    "replay SCENARIO --dialect klingon":      ("klingon", "iso87-ascii"),
    "replay SCENARIO --framing 3-byte":       ("3-byte", "2-byte"),
    "replay SCENARIO --speed 1":              ("no times", "--rate"),
    "replay SCENARIO --speed 0":              ("--speed",),
    "replay SCENARIO --rate 5 --poisson 5":   ("--rate", "--poisson"),
    "replay SCENARIO --rate 5 --in-flight 5": ("--in-flight",),
    "replay SCENARIO --expect p99":           ("p99", "unanswered"),
    "replay SCENARIO --fresh --to 127.0.0.1:1": (NOWHERE, "is the switch running?"),
    "simulate 127.0.0.1:1":                   (NOWHERE, "is the switch running?"),
    "simulate nowhere":                       ("nowhere", "host:port"),
    "simulate --for ever":                    ("--for", "1h30m"),
    "simulate --for 0s":                      ("--for",),
    "simulate --speed 0.5":                   ("--speed",),
    "simulate --dialect klingon":             ("klingon", "iso87-ascii"),
    "simulate --framing 3-byte":              ("3-byte", "2-byte"),
    "simulate --expect stood_in":             ("stood_in", "unacknowledged"),
    "simulate --mix no.toml":                 ("no.toml",),
    "simulate --mac-key imk_ac":              ("--mac-key", "zak"),
}  # fmt: skip

#: A setting of `switch run` → what the line must name.
SETTINGS: list[tuple[str, str, Words]] = [
    ("log__levl",              "info",                  ("levl",)),
    ("log__level",             "loud",                  ("log.level",)),
    ("links__0__listen",       "127.0.0.1:99999",       ("listen", "65535")),
    ("links__0__dialect",      "klingon",               ("dialect", "iso87-ascii")),
    ("links__0__framing",      "3-byte",                ("framing", "2-byte")),
    ("links__0__framing",      "visa-inclusive",        ("framing", "2-bcd-inclusive, 4-byte")),
    ("links__0__header",       "fixed",                 ("links[0].header_hex", "fixed")),
    ("links__0__zone_pin_key", "zzz",                   ("zone_pin_key", "zpk")),
    ("links__0__zone_pin_key", "cvk",                   ("zone_pin_key", "P0")),
    ("links__0__zone_pin_key", "zpk_aes",               ("zone_pin_key", "TDES", "iso-0")),
    ("links__0__pin_block_format", "iso-4",             ("zone_pin_key", "AES", "iso-4")),
    ("links__0__mac_key",      "cvk",                   ("mac_key", "M3")),
    ("links__0__mac_key",      "none",                  ("mac_key", "zak")),
    ("links__0__mac_key",      "zpk_aes",               ("mac_key", "TDES", "iso9797-1-alg3")),
    ("admin__listen",          "0.0.0.0:8580",          ("admin.listen", "loopback")),
    ("hsm__keys",              "no.toml",               ("hsm.keys",)),
    ("database__url",          "mysql://x",             ("database.url",)),
    ("database__url",          NO_DATABASE["database__url"], (NOWHERE,)),
    ("unwind__journal",        "/proc/no/journal",      ("/proc/no/journal",)),
]  # fmt: skip

#: What stands in a file → what is typed, with which settings, and what the line must name.
FILES: dict[str, tuple[str, str, str, dict[str, str], Words]] = {
    "settings not TOML": (
        "switch.toml", "x", "run", {}, ("switch.toml", "TOML")),
    "network field too long": (
        "switch.toml", SIGNS_ON + "network_fields = ['33=123456789012']", "run", {},
        ("links[0].network_fields", "forwarding_institution")),
    "network field of no dialect": (
        "switch.toml", SIGNS_ON + "network_fields = ['1=1']", "run", {},
        ("links[0].network_fields", "de_1")),
    "network field that is ours": (
        "switch.toml", SIGNS_ON + "network_fields = ['11=000001']", "run", {},
        ("links[0].network_fields", "DE11")),
    "unknown setting": (
        "switch.toml", "[log]\nlevl = 1\n" + LINK, "run", {}, ("switch.toml", "log.levl")),
    "unknown section": (
        "switch.toml", "[lgo]\n" + LINK, "run", {}, ("switch.toml", "lgo")),
    "wrong check value": (
        "k.toml", KEYS.replace("BA6A21", "BA6A22"), "run", {"hsm__keys": "k.toml"}, ("cvk",)),
    "no key file": (
        "k.toml", "x = 1", "run", {"hsm__keys": "k.toml"}, ("k.toml",)),
    "no protection key": (
        "kbpk", "zz", "run", {"hsm__kbpk_file": "kbpk"}, ("kbpk",)),
    "no room for a MAC": (
        "narrow.toml", NARROW, "run",
        {"links__0__dialect": "narrow.toml", "links__0__mac_key": "zak"}, ("mac_key", "narrow")),
    "no PIN key": (
        "k.toml", KEYS.replace("[pvk]", "[pvk2]"), "demo cards --count 1",
        {"hsm__keys": "k.toml"}, ("hsm.keys", "pvk")),
    "var is a file": (
        "var", "", "run", {}, ("var",)),
    "a bad scenario": (
        "a.jsonl", "{}\n[", "replay a.jsonl", {}, ("a.jsonl", "line 2")),
    "no capture": (
        "a.pcap", "x", "replay a.pcap", {}, ("a.pcap", "capture")),
}  # fmt: skip


@pytest.fixture(autouse=True)
def empty_folder(quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder without settings."""
    for name in os.environ:
        if name.startswith("SWITCH_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(quick_path)
    return quick_path


def check(words: str, said: Words, **settings: str) -> None:
    """A command is refused in one line that has these words; what was logged before is JSON."""
    refused = typed(*words.split(), settings=settings)
    assert 1 == refused.exit_code
    assert refused.stderr.startswith("switch: ")
    assert 1 == refused.stderr.count("\n"), refused.stderr
    assert [] == [word for word in said if word not in refused.stderr], refused.stderr


@pytest.mark.parametrize(("words", "said"), TYPED.items())
def test_what_cannot_be_typed(words: str, said: Words) -> None:
    """A wrong word, a file or a link that is not there."""
    check(words.replace("SCENARIO", SCENARIO), said)


@pytest.mark.parametrize(("key", "value", "said"), SETTINGS)
def test_what_cannot_be_set(key: str, value: str, said: Words) -> None:
    """A setting that cannot be served, found before or while things are started."""
    started = {"admin__listen": "", "links__0__listen": "127.0.0.1:0"}
    check("run", said, **started | {key: value})


@pytest.mark.parametrize(
    ("name", "content", "words", "settings", "said"), FILES.values(), ids=FILES
)
def test_what_cannot_be_read(
    empty_folder: Path, name: str, content: str, words: str, settings: dict[str, str],
    said: Words,
) -> None:  # fmt: skip
    """A file that says what cannot be."""
    (empty_folder / name).write_text(content)
    check(words, said, **settings)


#: Settings of which only a start finds out: it asks the database, and opens the journal.
FOUND_AT_START = (NO_DATABASE["database__url"], "/proc/no/journal")


@pytest.mark.parametrize(
    ("key", "value", "said"), [row for row in SETTINGS if row[1] not in FOUND_AT_START]
)
def test_a_look_finds_what_a_start_would(
    empty_folder: Path, key: str, value: str, said: Words
) -> None:
    """`switch check` refuses the same settings with the same words, and leaves nothing behind."""
    started = {"admin__listen": "", "links__0__listen": "127.0.0.1:0"}
    check("check", said, **started | {key: value})
    assert [] == list(empty_folder.iterdir())


@pytest.mark.parametrize(
    "case",
    [name for name, (file, _, words, *_) in FILES.items() if words == "run" and file != "var"],
)
def test_a_look_reads_the_files_of_a_start(empty_folder: Path, case: str) -> None:
    """It reads key file, protection key and dialects; of the database's folder it knows nothing."""
    name, content, _, settings, said = FILES[case]
    (empty_folder / name).write_text(content)
    check("check", said, **settings)


def test_a_look_at_what_can_be_served(empty_folder: Path) -> None:
    """Each link is told with its dialect and address, also beside a switch that has the port."""
    (empty_folder / "switch.toml").write_text(LINK + SIGNS_ON.replace('"a"', '"b"').replace(
        'listen = "127.0.0.1:0"', 'connect = "127.0.0.1:9"'))  # fmt: skip
    said = typed("check")
    assert (0, "") == (said.exit_code, said.stderr)
    assert said.stdout.splitlines()[:2] == [
        "link a: iso87-ascii, listens on 127.0.0.1:0",
        "link b: iso87-ascii, dials 127.0.0.1:9",
    ]


@pytest.mark.parametrize("words", ["migrate", "demo reset", "demo cards --count 1"])
def test_a_database_that_is_not_there(words: str) -> None:
    """Each command that needs a database names the one that it cannot reach."""
    check(words, (NOWHERE,), **NO_DATABASE)


def test_published_keys_in_production() -> None:
    """The development keys are refused where settings say production."""
    for words in ("run", "check"):
        check(words, ("published",), hsm__production="true", hsm__allow_software="true")


@pytest.mark.parametrize("words", ["run", "migrate"])
def test_a_refusal_tells_no_password(words: str) -> None:
    """The password of a database that is not there stands in no line."""
    url = f"postgresql://switch:hunter2@{NOWHERE}/switch?sslpassword=hunter3"
    refused = typed(words, settings={"database__url": url})
    assert 1 == refused.exit_code
    assert "hunter" not in refused.output


def test_a_process_refuses_the_same_way(empty_folder: Path) -> None:
    """As a real process: one line on standard error, JSON alone on standard output, exit code 1."""
    refused = command("run", folder=empty_folder, settings=NO_DATABASE)
    assert 1 == refused.returncode
    assert refused.stderr.startswith("switch: database ")
    assert 1 == refused.stderr.count("\n")
    assert refused.stdout
    for line in refused.stdout.splitlines():
        assert isinstance(json.loads(line), dict)
