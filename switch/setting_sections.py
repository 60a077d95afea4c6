"""The sections of the settings: what each value may be and what it is where nobody says.

Every setting stands in docs/settings.md and in switch.toml.example.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from switch.setting_values import (
    Address,
    Count,
    DatabaseUrl,
    FilePath,
    FileUpdateName,
    HostAddress,
    LinkHeader,
    MaybeFile,
    MaybeHostAddress,
    MaybeListenAddress,
    Milliseconds,
    Name,
    Names,
    NetworkCode,
    NetworkField,
    PayShieldHeader,
    PayShieldLmkId,
    PeerNetworks,
    Station,
    Whole,
    between,
    packaged_key_file,
)


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
    batch_max: Annotated[Whole, between(1, 1_000)] = 128
    connect_timeout_ms: Milliseconds = 5_000
    cards_kept: Annotated[Whole, between(0, 10_000_000)] = 1_000_000
    one_account_per_call: bool = False

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """What each value allows and all together do not: key and reason."""
        if self.one_account_per_call and self.cards_kept:
            # Triggers give cards their versions, and a table that is distributed has none.
            yield "cards_kept", "must be 0 where one_account_per_call is true"

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


class AdminTls(Section):
    """TLS of the admin port: it always listens, and its visitors have a token."""

    certificate: MaybeFile = None
    key: MaybeFile = None


class Admin(Section):
    """The read-only HTTP port; None is off."""

    listen: MaybeListenAddress = Address("127.0.0.1", 8580)
    token_file: MaybeFile = None
    tls: AdminTls = Field(default_factory=AdminTls)

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """What each value allows and all together do not: key and reason."""
        certificate, key = self.tls.certificate, self.tls.key
        if (certificate is None) != (key is None):
            missing, given = ("key", "certificate") if key is None else ("certificate", "key")
            yield f"tls.{missing}", f"must be given where {given} is"
        is_guarded = self.token_file is not None and certificate is not None
        if self.listen is not None and not self.listen.is_loopback and not is_guarded:
            yield "listen", "must be a loopback address where there are not both token_file and tls"


class Aws(Section):
    """AWS Payment Cryptography. Credentials are those of the default chain: a role, best."""

    region: str = ""
    endpoint_url: str = ""
    control_endpoint_url: str = ""
    connections: Annotated[Whole, between(1, 64)] = 16


class PayShield(Section):
    """Thales payShield host commands over TCP."""

    addresses: Annotated[tuple[HostAddress, ...], Field(max_length=8)] = ()
    connections: Annotated[Whole, between(1, 64)] = 4
    header: PayShieldHeader = "0000"
    lmk: Literal["variant", "key-block"] = "variant"
    lmk_id: PayShieldLmkId = ""
    tls_ca: MaybeFile = None
    tls_certificate: MaybeFile = None
    tls_key: MaybeFile = None


class Pkcs11(Section):
    """A PKCS#11 token, such as SoftHSM2's."""

    module: str = ""
    token: str = ""
    pin_file: MaybeFile = None
    sessions: Annotated[Whole, between(1, 64)] = 4


class Hsm(Section):
    """Which HSM is asked, where its keys are, and what is waited for."""

    backend: Literal["software", "aws", "payshield", "pkcs11"] = "software"
    keys: FilePath = Field(default_factory=lambda: packaged_key_file("keys.toml"))
    kbpk_file: FilePath = Field(default_factory=lambda: packaged_key_file("kbpk.dev"))
    production: bool = False
    allow_software: bool = False
    allow_emv_2000: bool = False
    budget_ms: Milliseconds = 100
    in_flight_max: Count = 256
    breaker_failures: Annotated[Whole, between(1, 1_000)] = 10
    ping_every_ms: Milliseconds = 1_000
    aws: Aws = Field(default_factory=Aws)
    payshield: PayShield = Field(default_factory=PayShield)
    pkcs11: Pkcs11 = Field(default_factory=Pkcs11)


class Vault(Section):
    """The logical names of the keys that hide a PAN, all live versions of each."""

    token_keys: Annotated[tuple[Name, ...], Field(min_length=1)] = ("pan_token",)
    data_keys: Annotated[tuple[Name, ...], Field(min_length=1)] = ("pan_data",)
    kms_region: str = ""
    kms_endpoint_url: str = ""


class Unwind(Section):
    """The journal of approvals that may have to be taken back."""

    journal: FilePath = Path("var/unwinds.journal")


class Events(Section):
    """Where events go, and who takes them there."""

    sink: Literal["auto", "none", "file", "stdout", "sqs"] = "auto"
    publisher: Literal["inside", "apart"] = "inside"
    batch_max: Annotated[Whole, between(1, 1_000)] = 100
    folder: FilePath = Path("var/events")
    file_bytes_max: Annotated[Whole, between(4_096, 1_000_000_000)] = 16_000_000
    files_kept: Annotated[Whole, between(1, 10_000)] = 10
    queue_url: str = ""
    region: str = ""
    endpoint_url: str = ""

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """What each value allows and all together do not: key and reason."""
        if self.sink == "sqs" and not self.queue_url:
            yield "queue_url", "must be given where the sink is sqs"
        if self.sink == "stdout" and self.publisher == "inside":
            yield "sink", "stdout needs publisher apart: the switch writes its log there"


class StandIn(Section):
    """The journal of what was approved while the database was away."""

    journal: FilePath = Path("var/stand_ins.journal")


class Stop(Section):
    """How a process ends that others can replace."""

    drain_s: Annotated[Whole, between(0, 3_600)] = 0


class Log(Section):
    """What is logged, and how many lines wait for a slow reader."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    queue_max: Count = 10_000


class Demo(Section):
    """The demo program."""

    load_when_empty: bool = True


class Tls(Section):
    """TLS of a link, and whom it lets in."""

    certificate: MaybeFile = None
    key: MaybeFile = None
    client_ca: MaybeFile = None
    allow: Names = ()
    handshake_timeout_ms: Milliseconds = 5_000
    server_ca: MaybeFile = None
    server_name: str = ""

    @property
    def is_on(self) -> bool:
        """True where the link speaks TLS."""
        return self.certificate is not None or self.server_ca is not None


class Link(Section):
    """One address that a scheme connects to, or that we connect to."""

    name: Name
    listen: MaybeListenAddress = None
    connect: MaybeHostAddress = None
    connections: Annotated[Whole, between(1, 64)] = 1
    connect_timeout_ms: Milliseconds = 5_000
    reconnect_min_ms: Milliseconds = 500
    reconnect_max_ms: Milliseconds = 30_000
    network_management: Literal["auto", "on", "off"] = "auto"
    sign_on_code: NetworkCode = "001"
    sign_off_code: NetworkCode = "002"
    echo_code: NetworkCode = "301"
    echo_after_s: Annotated[Whole, between(0, 86_400)] = 30
    network_answer_s: Annotated[Whole, between(1, 600)] = 5
    unanswered_max: Annotated[Whole, between(1, 100)] = 3
    network_fields: tuple[NetworkField, ...] = ()
    dialect: Name = "iso87-ascii"
    framing: Name = "2-byte"
    header: Literal["none", "tpdu", "fixed", "visa"] = "none"
    header_hex: LinkHeader = ""
    header_echo: bool = True
    header_source: Station = "000000"
    header_destination: Station = "000000"
    answer_within_ms: Annotated[Whole, between(10, 60_000)] = 250
    margin_ms: Annotated[Whole, between(1, 60_000)] = 50
    in_flight_max: Count = 256
    connections_max: Count = 64
    frame_max: Annotated[Whole, between(64, 65_535)] = 4_096
    idle_timeout_s: Annotated[Whole, between(0, 86_400)] = 0
    frame_timeout_s: Annotated[Whole, between(0, 86_400)] = 10
    zone_pin_key: Name = "zpk"
    pin_block_format: Literal["iso-0", "iso-1", "iso-3", "iso-4"] = "iso-0"
    mac_key: str = ""
    mac_algorithm: Literal["iso9797-1-alg1", "iso9797-1-alg3", "aes-cmac", "tdes-cmac"] = (
        "iso9797-1-alg3"
    )
    mac_padding: Literal["method-1", "method-2"] = "method-1"
    mac_network: bool = False
    zone_master_key: str = ""
    zone_key_overlap_s: Annotated[Whole, between(0, 86_400)] = 600
    file_updates: bool = False
    file_update_name: FileUpdateName = ""
    file_update_answer_s: Annotated[Whole, between(1, 600)] = 10
    scheme: str = ""
    peers: PeerNetworks = ()
    tls: Tls = Field(default_factory=Tls)

    @property
    def manages_network(self) -> bool:
        """True where we sign on, ask for echoes and sign off."""
        is_dialled = self.connect is not None
        return self.network_management == "on" or (self.network_management == "auto" and is_dialled)


#: Every section by its name; of `links` each.
SECTIONS: dict[str, type[Section]] = {
    "database": Database,
    "admin": Admin,
    "hsm": Hsm,
    "vault": Vault,
    "unwind": Unwind,
    "events": Events,
    "stand_in": StandIn,
    "stop": Stop,
    "log": Log,
    "demo": Demo,
    "links": Link,
}
