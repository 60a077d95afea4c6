"""What the settings are, and what is refused."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from switch.settings import Address, Settings, SettingsError

ROOT = Path(__file__).parent.parent
LINK = '[[links]]\nname = "a"\nlisten = "127.0.0.1:9001"\n'
SECOND = '[[links]]\nname = "b"\n'
ONE_LINK = "links: at least one [[links]] is needed"
NO_LINKS = "links: must be [[links]]; variables count them from 0 without a gap"
EITHER = "links[{}].listen: give either listen or connect"
FEWER_CONNECTIONS = "links[0].connections: must be connections_max at most"
SHORTER_PAUSE = "links[0].reconnect_min_ms: must be reconnect_max_ms at most"
NETWORK_MANAGEMENT = "links[0].network_management: must be 'auto', 'on' or 'off'"
NO_IPV6 = "links[0].listen: must be host:port, and an IPv6 host stands in brackets"
NO_MAC = "links[0].mac_network: needs a mac_key"
PEER = "links[0].peers[0]: must be an address or a network, as 10.0.0.0/8"
TLS = LINK + "[links.tls]\n"
SERVER_CA = "links[0].tls.server_ca: must be given where a link with TLS dials"
DIALLED_TLS = SECOND + "connect = 'h:1'\n[links.tls]\n"
DEADLINE = "links[0].answer_within_ms: must be 10 to 60000"
NO_NUMBER = "links[0].answer_within_ms: must be a whole number"
MARGIN = "links[0].margin_ms: must be less than answer_within_ms"
PIN_BLOCK = "links[0].pin_block_format: must be 'iso-0', 'iso-1', 'iso-3' or 'iso-4'"
TAKEN = "links[1].listen: is the address of links[0].listen too"
ADMIN = "admin.listen: must be a loopback address where there are not both token_file and tls"
BACKEND = "hsm.backend: must be 'software', 'aws', 'payshield' or 'pkcs11'"
PRODUCTION = "hsm.production: the software backend is not PCI-capable: allow_software says so"
LEVEL = "log.level: must be 'debug', 'info', 'warning' or 'error'"
NO_TABLE = "is not TOML: Expected ']' at the end of a table declaration (at line 1, column 10)"
HSM = '[hsm]\nkeys = "keys.toml"\nkbpk_file = "kbpk"\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder with two key files, and no variable of ours."""
    for variable in [name for name in os.environ if name.upper().startswith("SWITCH_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keys.toml").touch()
    (tmp_path / "kbpk").touch()
    return tmp_path


def load(text: str) -> Settings:
    Path("switch.toml").write_text(text)
    return Settings.load()


def refusal(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(text)
    assert caught.value.__cause__ is None
    return str(caught.value)


HEADERS = "links[0].header: must be 'none', 'tpdu', 'fixed' or 'visa'"
HEADER_HEX = "links[0].header_hex: must be hexadecimal digits of 32 bytes at most, two for each"
FIXED = "links[0].header_hex: must be given with header fixed: it is as long as every header"
ECHO = "links[0].header_echo: may be false with header fixed alone"

REFUSED = [
    # the file                                         the line, after "switch.toml: "
    ("[databse]\nurl = 'embedded'", "databse: unknown section, did you mean database?"),
    ("[zzz]", "zzz: unknown section"),
    ("_env_file = 'x'", "_env_file: unknown section"),
    ("database = 3\n" + LINK, "database: must be a table"),
    ("[database]\nurll = 'x'\n" + LINK, "database.urll: unknown key, did you mean url?"),
    ('[database]\n"a\\nb" = 1\n' + LINK, "database.a?b: unknown key"),
    (LINK + "framming = '2-byte'", "links[0].framming: unknown key, did you mean framing?"),
    ("[[links]]\nnam = 'a'", "links[0].nam: unknown key, did you mean name?"),
    ("", ONE_LINK),
    ("links = []", ONE_LINK),
    ("links = 3", "links: must be [[links]]"),
    ("links = [3]", "links[0]: must be a table"),
    ("[links]\nname = 'a'", NO_LINKS),
    ("[[links]]\nname = 'a'", EITHER.format(0)),
    (LINK + SECOND, EITHER.format(1)),
    (SECOND + "listen = '9001'", "links[0].listen: must be host:port"),
    (SECOND + "listen = 9001", "links[0].listen: must be host:port"),
    (SECOND + "listen = 'h:70000'", "links[0].listen: the port must be 0 to 65535"),
    (SECOND + "listen = 'h:-1'", "links[0].listen: must be host:port"),
    (SECOND + "listen = '::1:9001'", "links[0].listen: must be host:port"),
    (SECOND + "listen = '[::g]:1'", "links[0].listen: must be host:port"),
    (SECOND + "listen = '[1:2]:1'", NO_IPV6),
    (LINK + "tls = 3", "links[0].tls: must be a table"),
    (LINK + "peers = ['10.0.0.1/8']", PEER),
    (LINK + "peers = ['example.com']", PEER),
    (LINK + "peers = '10.0.0.0/8'", 'links[0].peers: must be a list: ["…", "…"]'),
    (TLS + "certifcate = 'x'", "links[0].tls.certifcate: unknown key, did you mean certificate?"),
    (HSM + TLS + "certificate = 'x'", "links[0].tls.key: must be given where certificate is"),
    (HSM + TLS + "key = 'x'", "links[0].tls.certificate: must be given where key is"),
    (HSM + TLS + "client_ca = 'x'", "links[0].tls.certificate: must be given where client_ca is"),
    (HSM + TLS + "server_ca = 'x'", "links[0].tls.certificate: must be given where server_ca is"),
    (HSM + TLS + "allow = ['DNS:x']", "links[0].tls.certificate: must be given where allow is"),
    (
        HSM + TLS + "certificate = 'x'\nkey = 'x'\nallow = ['DNS:x']",
        "links[0].tls.client_ca: must be given where allow is",
    ),
    (HSM + DIALLED_TLS + "certificate = 'x'", SERVER_CA),
    (HSM + DIALLED_TLS + "server_name = 'x'", SERVER_CA),
    (
        HSM + DIALLED_TLS + "server_ca = 'x'\nkey = 'x'",
        "links[0].tls.certificate: must be given where key is",
    ),
    (
        HSM + DIALLED_TLS + "server_ca = 'x'\nclient_ca = 'x'",
        "links[0].tls.client_ca: is for links that listen",
    ),
    (
        HSM + SECOND + "connect = 'h:1'\npeers = ['10.0.0.0/8']",
        "links[0].peers: is for links that listen",
    ),
    (TLS + "allow = ['']", "links[0].tls.allow[0]: must not be empty"),
    (TLS + "handshake_timeout_ms = 0", "links[0].tls.handshake_timeout_ms: must be 1 to 600000"),
    (LINK + "connect = 'h:1'", EITHER.format(0)),
    (SECOND + "connect = 'h'", "links[0].connect: must be host:port"),
    (SECOND + "connect = 'h:0'", "links[0].connect: the port must be 1 to 65535"),
    (LINK + "connections = 65", "links[0].connections: must be 1 to 64"),
    (LINK + "connections = 3\nconnections_max = 2", FEWER_CONNECTIONS),
    (LINK + "reconnect_min_ms = 9\nreconnect_max_ms = 8", SHORTER_PAUSE),
    (LINK + "network_management = 'yes'", NETWORK_MANAGEMENT),
    (LINK + "sign_on_code = '1'", "links[0].sign_on_code: must be three digits, or empty"),
    (LINK + "echo_after_s = -1", "links[0].echo_after_s: must be 0 to 86400"),
    (LINK + "network_fields = ['x']", "links[0].network_fields[0]: must be DE=value, as 33=000001"),
    (LINK + "mac_network = true", NO_MAC),
    (LINK + "answer_within_ms = 9", DEADLINE),
    (LINK + "answer_within_ms = 60001", DEADLINE),
    (LINK + "answer_within_ms = 'x'", NO_NUMBER),
    (LINK + "answer_within_ms = 99.5", NO_NUMBER),
    (LINK + "answer_within_ms = true", NO_NUMBER),
    (LINK + "margin_ms = 250", MARGIN),
    (LINK + "answer_within_ms = 50", MARGIN),
    (LINK + "margin_ms = 0", "links[0].margin_ms: must be 1 to 60000"),
    (LINK + "in_flight_max = 0", "links[0].in_flight_max: must be 1 to 1000000"),
    (LINK + "connections_max = -1", "links[0].connections_max: must be 1 to 1000000"),
    (LINK + "frame_max = 65536", "links[0].frame_max: must be 64 to 65535"),
    (LINK + "header = 'tpduu'", HEADERS),
    (LINK + "header_hex = '6'", HEADER_HEX),
    (LINK + "header_hex = '6x'", HEADER_HEX),
    (LINK + "header = 'fixed'\nheader_hex = '" + "00" * 33 + "'", HEADER_HEX),
    (LINK + "header_hex = '60'", "links[0].header_hex: is not of header none"),
    (LINK + "header = 'visa'\nheader_hex = '60'", "links[0].header_hex: is not of header visa"),
    (LINK + "header = 'fixed'", FIXED),
    (
        LINK + "header = 'tpdu'\nheader_hex = '60'",
        "links[0].header_hex: must be 5 bytes with header tpdu",
    ),
    (LINK + "header = 'tpdu'\nheader_echo = false", ECHO),
    (LINK + "header_echo = false", ECHO),
    (
        LINK + "header = 'visa'\nheader_source = '12345'",
        "links[0].header_source: must be six digits",
    ),
    (LINK + "header_source = '123456'", "links[0].header_source: is of header visa alone"),
    (
        LINK + "header_destination = '123456'",
        "links[0].header_destination: is of header visa alone",
    ),
    (LINK + "idle_timeout_s = -1", "links[0].idle_timeout_s: must be 0 to 86400"),
    (LINK + "dialect = ''", "links[0].dialect: must not be empty"),
    (LINK + "zone_pin_key = 3", "links[0].zone_pin_key: must be text"),
    (LINK + "pin_block_format = 'iso-2'", PIN_BLOCK),
    (HSM + LINK + SECOND + "listen = '127.0.0.1:9001'", TAKEN),
    (HSM + LINK + SECOND + "listen = '0.0.0.0:9001'", TAKEN),
    (HSM + LINK + SECOND + "listen = 'localhost:9001'", TAKEN),
    (
        HSM + SECOND + "listen = '127.0.0.1:8580'",
        "links[0].listen: is the address of admin.listen too",
    ),
    (HSM + LINK + LINK.replace("9001", "9002"), "links[1].name: is the name of links[0] too"),
    ("[admin]\nlisten = '0.0.0.0:8580'\n" + LINK, ADMIN),
    ("[admin]\nlisten = '0.0.0.0:8580'\ntoken_file = 'x'\n" + LINK, ADMIN),
    ("[admin]\nlisten = '0.0.0.0:8580'\ntls = {certificate = 'x', key = 'x'}\n" + LINK, ADMIN),
    (
        "[admin]\ntls = {certificate = 'x'}\n" + LINK,
        "admin.tls.key: must be given where certificate is",
    ),
    ("[admin]\ntls = {key = 'x'}\n" + LINK, "admin.tls.certificate: must be given where key is"),
    ("[admin]\nlisten = 'example.com:80'\n" + LINK, ADMIN),
    ("[hsm]\nbackend = 'thales'\n" + LINK, BACKEND),
    (
        "[hsm]\nbackend = 'payshield'\n" + LINK,
        "hsm.payshield.addresses: must name one host:port at least",
    ),
    (
        "[hsm]\nbackend = 'payshield'\n[hsm.payshield]\naddresses = ['x']\n" + LINK,
        "hsm.payshield.addresses[0]: must be host:port",
    ),
    (
        "[hsm.payshield]\nadresses = ['x:1']\n" + LINK,
        "hsm.payshield.adresses: unknown key, did you mean addresses?",
    ),
    (
        "[hsm]\nbackend = 'pkcs11'\n" + LINK,
        "hsm.pkcs11.module: must be given where the backend is pkcs11",
    ),
    (HSM + "production = true\n" + LINK, PRODUCTION),
    (HSM + "production = 'maybe'\n" + LINK, "hsm.production: must be true or false"),
    (HSM.replace("keys.toml", "none") + LINK, "hsm.keys: there is no such file"),
    (HSM.replace('"kbpk"', "'none'") + LINK, "hsm.kbpk_file: there is no such file"),
    (HSM.replace('"kbpk"', "''") + LINK, "hsm.kbpk_file: must not be empty"),
    ("[hsm]\nbudget_ms = 0\n" + LINK, "hsm.budget_ms: must be 1 to 600000"),
    ("[log]\nlevel = 'loud'\n" + LINK, LEVEL),
    ("[log]\nqueue_max = 0\n" + LINK, "log.queue_max: must be 1 to 1000000"),
    ("[database]\nconnections = 0\n" + LINK, "database.connections: must be 1 to 100"),
    ("[database]\nbatch_max = 0\n" + LINK, "database.batch_max: must be 1 to 1000"),
    (
        "[database]\none_account_per_call = true\n" + LINK,
        "database.cards_kept: must be 0 where one_account_per_call is true",
    ),
    ("[unwind]\njournal = 3\n" + LINK, "unwind.journal: must be text"),
    ("[vault]\ntoken_keys = ['']\n" + LINK, "vault.token_keys[0]: must not be empty"),
    ("[vault]\ntoken_keys = []\n" + LINK, "vault.token_keys: must name one at least"),
    ("[vault]\ntoken_key = 'x'\n" + LINK, "vault.token_key: is a list now: token_keys"),
]


@pytest.mark.parametrize(("text", "line"), REFUSED)
def test_nonsense_is_refused_in_one_line(text: str, line: str) -> None:
    """A refusal names the file, the key and the reason."""
    told = refusal(text)
    assert f"switch.toml: {line}" == told
    assert told.isprintable()


REFUSED_VARIABLES = [
    # variable                                 value            the line
    ("SWITCH_LOG__LEVEL", "loud", LEVEL),
    ("switch_log__queue_max", "0", "log.queue_max: must be 1 to 1000000"),
    ("SWITCH_LINKS__0__LISTEN", "x", "links[0].listen: must be host:port"),
    ("SWITCH_LINKS__0__ANSWER_WITHIN_MS", "", NO_NUMBER),
    ("SWITCH_LINKS__0__LISTN", "h:1", "links[0].listn: unknown key, did you mean listen?"),
    ("SWITCH_LINKS__0__TLS", "3", "links[0].tls: must be a table"),
    ("SWITCH_LINKS__0__PEERS", '["x"]', PEER),
    ("SWITCH_LINKS", "[]", "links: name one setting: SWITCH_LINKS__…"),
    ("SWITCH_DATABASE", "{}", "database: name one setting: SWITCH_DATABASE__…"),
    ("SWITCH_DATABASE_URL", "embedded", "database_url: unknown section, did you mean database?"),
    ("SWITCH_SERVICE_HOST", "10.0.0.1", "service_host: unknown section"),
    ("SWITCH_HSM__PRODUCTION", "true", PRODUCTION),
]


@pytest.mark.parametrize(("variable", "value", "line"), REFUSED_VARIABLES)
def test_a_refused_variable_is_named(
    variable: str, value: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the environment set wrong is told by the variable, not by the file."""
    monkeypatch.setenv(variable, value)
    assert f"{variable}: {line}" == refusal(HSM + LINK)


def test_lists_and_tables_of_a_link_can_be_variables(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list is JSON there; files are relative to the folder of the settings' file."""
    monkeypatch.setenv("SWITCH_LINKS__0__PEERS", '["10.0.0.0/8", "::1"]')
    monkeypatch.setenv("SWITCH_LINKS__0__TLS__ALLOW", '["DNS:a", "DN:CN=b,O=c"]')
    for name in ("CERTIFICATE", "KEY", "CLIENT_CA"):
        monkeypatch.setenv(f"SWITCH_LINKS__0__TLS__{name}", name.lower())
    link = load(HSM + LINK).links[0]
    assert link.peers == ("10.0.0.0/8", "::1/128")
    assert link.tls.allow == ("DNS:a", "DN:CN=b,O=c")
    assert link.tls.certificate == folder / "certificate"
    assert link.tls.is_on


def test_links_of_the_environment_leave_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable for a link that is not there is refused."""
    monkeypatch.setenv("SWITCH_LINKS__2__LISTEN", "127.0.0.1:1")
    assert f"switch.toml: {NO_LINKS}" == refusal(HSM + LINK)


def test_the_environment_outranks_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """One value of one link changes; all others stay."""
    monkeypatch.setenv("SWITCH_LINKS__0__LISTEN", "[::1]:0")
    monkeypatch.setenv("SWITCH_LINKS__1__NAME", "b")
    monkeypatch.setenv("SWITCH_LINKS__1__LISTEN", "127.0.0.1:9002")
    monkeypatch.setenv("SWITCH_DATABASE__CONNECTIONS", "7")
    monkeypatch.setenv("SWITCH_ADMIN__LISTEN", "")
    monkeypatch.setenv("SWITCH_DEMO__LOAD_WHEN_EMPTY", "no")
    settings = load(HSM + "[database]\nconnections = 3\nbatch_max = 9\n" + LINK + "frame_max = 99")
    assert [link.name for link in settings.links] == ["a", "b"]
    assert Address("::1", 0) == settings.links[0].listen
    assert str(settings.links[0].listen) == "[::1]:0"
    assert settings.links[0].frame_max == 99
    assert (settings.database.connections, settings.database.batch_max) == (7, 9)
    assert settings.admin.listen is None
    assert not settings.demo.load_when_empty


def test_without_a_file_the_demo_is_served(folder: Path) -> None:
    """The demo needs no file, and its keys come with the package."""
    settings = Settings.load()
    assert [("demo", "iso87-ascii", "2-byte", Address("127.0.0.1", 8583))] == [
        (link.name, link.dialect, link.framing, link.listen) for link in settings.links
    ]
    assert settings.hsm.keys == ROOT / "keys/dev/keys.toml"
    assert settings.hsm.kbpk_file == ROOT / "keys/dev/kbpk.dev"
    assert folder / "var/postgres" == settings.database.data_dir


def test_the_file_is_found_in_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--config outranks SWITCH_CONFIG, and that ./switch.toml."""
    for name in ("here", "variable", "option"):
        text = HSM + LINK.replace('"a"', f'"{name}"')
        (folder / ("switch.toml" if name == "here" else name)).write_text(text)
    assert Settings.load().links[0].name == "here"
    monkeypatch.setenv("SWITCH_CONFIG", "variable")
    assert Settings.load().links[0].name == "variable"
    assert Settings.load(Path("option")).links[0].name == "option"


def test_paths_are_relative_to_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same file means the same wherever it is used from."""
    (folder / "etc").mkdir()
    (folder / "etc/s.toml").write_text(
        '[hsm]\nkeys = "../keys.toml"\nkbpk_file = "../kbpk"\n'
        f'[unwind]\njournal = "{folder}/j"\n[database]\ndata_dir = "data"\n' + LINK
    )
    settings = Settings.load(Path("etc/s.toml"))
    assert folder / "etc/data" == settings.database.data_dir
    assert folder / "etc/../keys.toml" == settings.hsm.keys
    assert folder / "j" == settings.unwind.journal


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "none.toml: cannot be read: No such file or directory"),
        (b"a = \xff", "none.toml: is not UTF-8 text"),
        (b"[database\n", f"none.toml: {NO_TABLE}"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(content: bytes | None, line: str) -> None:
    """A missing or broken file is no reason to serve something else."""
    if content is not None:
        Path("none.toml").write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        Settings.load(Path("none.toml"))
    assert line == str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hunter2@db:port/x",
        "postgresql://user:hunter2@db:0/x",
        "postgresql://user:hunter2@a:1,b:port/x",
        "postgresql://user:hunter2@a:1,,b/x",
        "mysql://user:hunter2@db/x",
        "user=me password=hunter2",
        "postgresql:hunter2",
        "postgresql://[hunter2",
    ],
)
def test_a_password_is_never_told(url: str) -> None:
    """A refused URL is not repeated."""
    line = refusal(f'[database]\nurl = "{url}"\n' + HSM + LINK)
    assert (
        line == 'switch.toml: database.url: must be "embedded" or '
        "postgresql://user:password@host:port/database"
    )


def test_a_password_is_in_no_repr() -> None:
    """Settings can be printed; the URL for logs has neither user nor options."""
    settings = load(
        '[database]\nurl = "postgresql://me:hunter2@db:5433/x?password=hunter2"\n' + HSM + LINK
    )
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert "hunter2" not in text
    assert settings.database.url_public == "postgresql://db:5433/x"
    assert not settings.database.is_embedded
    assert load(HSM + LINK).database.url_public == "embedded"


def test_a_url_of_several_servers() -> None:
    """A primary and its standbys can be named, and are told in logs as they stand."""
    url = "postgresql://me:hunter2@a:5432,b:5433/x?target_session_attrs=read-write"
    settings = load(f'[database]\nurl = "{url}"\n' + HSM + LINK)
    assert settings.database.url_public == "postgresql://a:5432,b:5433/x"


def test_settings_do_not_change() -> None:
    """What was checked at start stays."""
    settings = load(HSM + LINK)
    with pytest.raises(ValidationError):
        settings.links[0].frame_max = 1
    with pytest.raises(ValidationError):
        settings.log = settings.log


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"pan_data", "zpk"}, "switch.toml: vault.token_keys: must be one of pan_data, zpk"),
        ({"pan_data", "pan_token"}, "links[0].zone_pin_key: must be one of pan_data, pan_token"),
    ],
)
def test_a_key_that_is_not_there_is_refused(keys: set[str], line: str) -> None:
    """A key's name is checked where the keys are known, and refused like any other setting."""
    settings = load(HSM + LINK)
    settings.check_keys({"pan_token", "pan_data", "zpk"})
    with pytest.raises(SettingsError) as caught:
        settings.check_keys(keys)
    assert str(caught.value).endswith(line)


def test_addresses_overlap_where_both_cannot_be_listened_on() -> None:
    """Every host of a family takes the port from each of its hosts."""
    pairs = [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "0.0.0.0", True),  # noqa: S104 - the case itself
        ("::1", "::", True),
        ("::1", "127.0.0.1", False),
        ("a.example", "a.example", True),
        ("a.example", "b.example", False),
    ]
    for one, other, overlaps in pairs:
        assert overlaps == Address(one, 1).overlaps(Address(other, 1))
        assert overlaps == Address(other, 1).overlaps(Address(one, 1))
        assert not Address(one, 1).overlaps(Address(other, 2))
        assert not Address(one, 0).overlaps(Address(other, 0))
