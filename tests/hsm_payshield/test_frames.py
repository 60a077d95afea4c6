"""Framing, byte for byte as other implementations sent and received it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keys.hsm import ArqcAnswer, HsmRejected, HsmUnavailable, Verdict
from keys.payshield import commands as commands
from keys.payshield.frame import Command, ReplyError, answer, body_of, frame, headers
from tests.hsm_payshield.lmk import unwrap, wrap

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())
FRAMES = {v["name"]: v["inputs"] for v in VECTORS if v["kind"] == "payshield-frame"}
REPLIES = {v["name"]: v["inputs"] for v in VECTORS if v["kind"] == "payshield-reply"}
LMKS = [v for v in VECTORS if v["kind"] == "LMK-variant-U"]

TPK = "U3027C895181D912A91D7DF0ED78AC6FB"
PVK = "U80AE3F8D63B08F9C13652E5416D76E8D"
ZPK_1, ZPK_2 = "UBB224A0D70899E7D216A4DDDA615C078", "UEE424E608E9CF0071E239F9E15032C81"
BLOCK_P0 = "S00072P0TB00E0001EA421618B34F5FA1A77F7CF6480111B97CF0FAE7BD77D589EC921EF9"
BLOCK_P0_2 = "S00072P0TB00E00010D869FE84C1F77AE64E0019151533363D4CCE7E1C3F89F3D86115EE8"
BLOCK_E0 = "S00072E0TN00S00012574E37226ADAA76E5B8F2C4F14AD34F1F054EF52CB56BE2F4D03BEA"
BLOCK_C0 = "S00072C0TN00E0001A417975993E2331918759DD1656AC94306BE01C19FDE29E83A93AB42"
BLOCK_K0 = "S00072K0TB00E0001DB045F29C053EEFF7B9425B3A88C7258EB7EA7E40E2C47878647072A"
BLOCK_M1 = "S00072M1TN00E0001FFE01E95CF21BDD0D74B6BEB70E3D90842C137DCA39C1B162C6238D5"
CVK = "UE16D4CD9EAB610034BDE2A50935BCFBE"
TAK, ZAK = "U5FFE8014DA383D44C24AB41E37DB252F", "UF759EF72F15F88933CB9B86E54C9DC83"
MK_AC, MK_AC_KW = "U562B7C198A58D28851F15517CDABA60E", "U418E7E54279CEA4D298485F9F8F4AFD2"
MESSAGE = b"22\x1c002000001\x1c\x1c05151009\x1cF\x1c60000"
CHECKED = bytes.fromhex(
    "0000000000000000000000000288800004800002881712200184F01F9D1402030018000018000000"
)
CHECKED_KW = bytes.fromhex(
    "00000001000000000000000006088010040000060818010201B21BB356180000030FA50180300000"
    "0000000000000000000F00000000000000000000000000000000000000000000"
)
CHECKED_BLOCK = bytes.fromhex(
    "00000000000000000000000009780000000000097820121431C2C6A0915800740003A00000000000"
)


def _ibm(terminal: bool) -> Command[Verdict]:
    return commands.verify_offset(
        TPK,
        PVK,
        pin_block=bytes.fromhex("A69F9E7646904B68"),
        format_code="01",
        pan="5400089000090",
        offset="876955",
        decimalization_table="0123456789123456",
        validation_data="5022654000N2",
        terminal=terminal,
    )


def _translate(from_key: str, to_key: str, block: str, account: str, terminal: bool = False) -> Any:
    return commands.translate_pin(
        from_key,
        to_key,
        pin_block=bytes.fromhex(block),
        from_format="01",
        to_format="01",
        pan=account + "0",
        terminal=terminal,
    )


def _kq(
    key: str, card: str, atc: str, number: str, data: bytes, arqc: str, arc: bytes | None
) -> Any:
    return commands.verify_arqc_kq(
        key,
        scheme="0",
        pan=card[:-2],
        pan_sequence_number=card[-2:],
        atc=bytes.fromhex(atc),
        unpredictable_number=bytes.fromhex(number),
        data=data,
        arqc=bytes.fromhex(arqc),
        arc=arc,
    )


def _kw(csu: bytes | None = None, proprietary: bytes = b"") -> Command[ArqcAnswer]:
    return commands.verify_arqc_kw(
        MK_AC_KW,
        option_b=False,
        pan="78040200000018",
        pan_sequence_number="00",
        atc=bytes.fromhex("0003"),
        data=CHECKED_KW,
        arqc=bytes.fromhex("F67B7E07A55DF243"),
        csu=csu,
        proprietary=proprietary,
    )


#: Name of the published frame, its header, its LMK identifier, the command with its inputs.
BUILT: list[tuple[str, str, str | None, Callable[[], Command[Any]]]] = [
    (
        "CY verify CVV",
        "0011",
        None,
        lambda: commands.verify_cvv(
            CVK, code="463", pan="502265400089000092", expiry="2010", service_code="620"
        ),
    ),
    (
        "CY key block",
        "0011",
        None,
        lambda: commands.verify_cvv(
            BLOCK_C0, code="181", pan="502265400089000092", expiry="2010", service_code="620"
        ),
    ),
    (
        "DC verify PVV",
        "0002",
        None,
        lambda: commands.verify_pvv(
            TPK,
            PVK,
            pin_block=bytes.fromhex("A69F9E7646904B68"),
            format_code="01",
            pan="5400089000090",
            pvki="4",
            pvv="2914",
            terminal=True,
        ),
    ),
    ("EA verify IBM offset", "0028", None, lambda: _ibm(False)),
    ("DA verify IBM offset", "0011", None, lambda: _ibm(True)),
    (
        "CC translate ZPK->ZPK",
        "0011",
        None,
        lambda: _translate(ZPK_1, ZPK_2, "14D3E09CD3B6456E", "540028800010"),
    ),
    (
        "CA translate TPK->ZPK",
        "0011",
        None,
        lambda: _translate(
            "U6C091AE30ABB19B3EB6C4C3B8D08C071", ZPK_1, "3C7C732E667A9BC6", "540028800010", True
        ),
    ),
    (
        "CC key blocks, LMK 01",
        "0011",
        "01",
        lambda: _translate(BLOCK_P0, BLOCK_P0_2, "AD72F973446E84E7", "850103093936"),
    ),
    (
        "KQ verify ARQC (mode 0, scheme 0)",
        "0002",
        None,
        lambda: _kq(
            MK_AC, "7804020000000000", "0018", "84F01F9D", CHECKED, "0A994C22203060C4", None
        ),
    ),
    (
        "KQ mode 1, key block, LMK 01",
        "0002",
        "01",
        lambda: _kq(
            BLOCK_E0,
            "5600000000000001",
            "7400",
            "C2C6A091",
            CHECKED_BLOCK,
            "0A994C22203060C4",
            b"00",
        ),
    ),
    ("KW verify ARQC scheme 2 (EMV CSK)", "0002", None, _kw),
    (
        "M6 MAC alg3",
        "0002",
        None,
        lambda: commands.generate_mac(TAK, "003", MESSAGE, algorithm="3", size=4, text=True),
    ),
    (
        "M6 MAC alg3, binary, ZAK",
        "0002",
        None,
        lambda: commands.generate_mac(ZAK, "008", MESSAGE, algorithm="3", size=4),
    ),
    (
        "M6 MAC alg1, key block",
        "0002",
        None,
        lambda: commands.generate_mac(BLOCK_M1, "FFF", MESSAGE, algorithm="1", size=4, text=True),
    ),
    (
        "M8 verify",
        "0002",
        None,
        lambda: commands.verify_mac(
            TAK, "003", MESSAGE, bytes.fromhex("C57E4295"), algorithm="3", text=True
        ),
    ),
    ("B2 echo", "9999", None, lambda: commands.echo(b"PING")),
    (
        "BU check value, PVK",
        "0011",
        None,
        lambda: commands.key_check_value("U77338F74A19E3BB39062A5A479473FC8", "002"),
    ),
    (
        "BU check value, key block",
        "0011",
        None,
        lambda: commands.key_check_value(BLOCK_K0, "FFF"),
    ),
]


@pytest.mark.parametrize(("name", "header", "lmk_id", "build"), BUILT, ids=[b[0] for b in BUILT])
def test_command_is_built_as_published(
    name: str, header: str, lmk_id: str | None, build: Callable[[], Command[Any]]
) -> None:
    """Given the same inputs, a command is the published frame, byte for byte."""
    published = bytes.fromhex(FRAMES[name]["request_hex"])
    built = frame(header, build(), lmk_id)
    assert published == built[2:]
    assert len(published) == int.from_bytes(built[:2], "big")


def test_diagnostics_of_a_real_device() -> None:
    """NC is framed as a payShield 10K took it, and its answer is read, length included."""
    published = FRAMES["NC diagnostics (real payShield 10K)"]
    assert bytes.fromhex(published["request_hex"]) == frame("HEAD", commands.diagnostics())
    (reply,) = (
        v["outputs"]["response_hex"] for v in VECTORS if v["name"].startswith("NC diagnostics")
    )
    body = body_of(bytes.fromhex(reply))
    assert body is not None
    expected = commands.Diagnostics("5D67270000000000", "1500-0023")
    assert expected == answer(commands.diagnostics(), "HEAD", body)


def test_arpc_alone_has_the_fields_that_we_send() -> None:
    """The published commands for an ARPC alone have our fields, less the data, in their mode."""
    kq = _kq(MK_AC, "7804020000000000", "0018", "84F01F9D", CHECKED, "0A994C22203060C4", b"00")
    checked = b"28" + CHECKED + b";"
    published = bytes.fromhex(FRAMES["KQ ARPC only (mode 2)"]["request_hex"])
    assert published == b"0002KQ2" + kq.fields[1:].replace(checked, b"")
    kw = commands.verify_arqc_kw(
        "U518763AC61FB53E22306C1D85978C39C",
        option_b=False,
        pan="32390100000121",
        pan_sequence_number="01",
        atc=bytes.fromhex("005B"),
        data=CHECKED,
        arqc=bytes.fromhex("DDA6BCC881C093AD"),
        csu=bytes(4),
        proprietary=bytes.fromhex("8080040000"),
    )
    published = bytes.fromhex(FRAMES["KW ARPC method 2 only (mode 4)"]["request_hex"])
    assert kw.fields[:1] == b"3"
    assert published == b"0002KW4" + kw.fields[1:].replace(checked, b"")


def test_every_published_frame_is_looked_at() -> None:
    """No published frame is left out."""
    others = {
        "NC diagnostics (real payShield 10K)",
        "KQ ARPC only (mode 2)",
        "KW ARPC method 2 only (mode 4)",
    }
    assert set(FRAMES) == {built[0] for built in BUILT} | others


def _read(name: str, command: Command[Any]) -> Any:
    published = REPLIES[name]
    assert published["command"] == command.code
    body = bytes.fromhex(published["reply_hex"])
    return answer(command, body[:4].decode(), body)


def test_published_replies_are_read() -> None:
    """Verdicts, ARPCs, MACs, check values and PIN blocks are taken from published replies."""
    cvv, ibm = BUILT[0][3](), _ibm(True)
    kq = _kq(MK_AC, "7804020000000000", "0018", "84F01F9D", CHECKED, "0A994C22203060C4", b"00")
    translated = _translate(ZPK_1, ZPK_2, "14D3E09CD3B6456E", "540028800010")
    arpc = bytes.fromhex("95BD8DFD502CA21F")
    assert Verdict.MATCH is _read("CY right", cvv)
    assert Verdict.MISMATCH is _read("CY wrong", cvv)
    assert Verdict.MATCH is _read("DA warning", ibm)
    assert Verdict.MISMATCH is _read("DA wrong", ibm)
    assert ArqcAnswer(Verdict.MATCH, arpc) == _read("KQ ARPC", kq)
    assert ArqcAnswer(Verdict.MISMATCH) == _read("KQ wrong, diagnostics", kq)
    method_2 = ArqcAnswer(Verdict.MATCH, bytes.fromhex("A62169F3"))
    assert method_2 == _read("KW ARPC method 2", _kw(csu=bytes(4)))
    assert ArqcAnswer(Verdict.MISMATCH) == _read("KW wrong", _kw())
    mac = commands.generate_mac(TAK, "003", MESSAGE, algorithm="3", size=4)
    assert bytes.fromhex("C57E4295") == _read("M6 four bytes", mac)
    assert "8FFED1" == _read("BU six digits", commands.key_check_value(CVK, "402"))
    assert bytes.fromhex("0E4A2BFA78E244FF") == _read("CC translated", translated)


def test_published_refusals_are_refusals() -> None:
    """A parity error and an unreadable block to translate are refused, in words."""
    with pytest.raises(HsmRejected, match="BU: error 10: first key: parity"):
        _read("BU parity error", commands.key_check_value(CVK, "402"))
    with pytest.raises(HsmRejected, match="CC: error 20: pin_block: cannot be read"):
        _read("CC unreadable", _translate(ZPK_1, ZPK_2, "14D3E09CD3B6456E", "540028800010"))


@pytest.mark.parametrize("vector", LMKS, ids=[v["name"] for v in LMKS])
def test_peer_enciphers_keys_as_published(vector: dict[str, Any]) -> None:
    """The peer's LMK variants give the published enciphered keys, and take them back."""
    pair, variant = bytes.fromhex(vector["inputs"]["lmk"]), vector["inputs"]["variant"]
    key = bytes.fromhex(vector["inputs"]["key"])
    assert vector["outputs"]["wrapped"] == wrap(key, pair, variant)
    assert key == unwrap(vector["outputs"]["wrapped"], pair, variant)


def test_headers_count_within_their_length() -> None:
    """Requests have headers of the configured length, each another until all were used."""
    four, long, one = headers("0000"), headers("SWITCH01"), headers("X")
    assert ["0000", "0001"] == [next(four), next(four)]
    assert ["SWIT0000", "SWIT0001"] == [next(long), next(long)]
    assert 36 == len({next(one) for _ in range(36)})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"0000",
        b"0000CZ",
        b"0000CZ0",
        b"0001CZ00",
        b"0000CX00",
        b"0000CY00",
        b"0000CZ00x",
        b"0000CZ01x",
    ],
)
def test_reply_of_another_form_is_none(body: bytes) -> None:
    """Short, of another header or code, or with more in it: it is no reply, and no verdict."""
    with pytest.raises(ReplyError):
        answer(BUILT[0][3](), "0000", body)


def test_what_is_not_known_is_an_outage() -> None:
    """An error code that is not in the table is no verdict; its bytes are not repeated."""
    with pytest.raises(HsmUnavailable, match="not known") as raised:
        answer(BUILT[0][3](), "0000", b"0000CZ\xff~")
    assert "~" not in str(raised.value)


def test_part_of_a_frame_is_waited_for_and_more_is_refused() -> None:
    """A frame is read once it is whole; a byte after it is one that nobody asked for."""
    whole = b"\x00\x080000CZ00"
    assert all(body_of(whole[:size]) is None for size in range(len(whole)))
    assert b"0000CZ00" == body_of(whole)
    with pytest.raises(ReplyError):
        body_of(whole + b"\0")


def test_validation_data_name_the_account() -> None:
    """The last five account digits become `N`; data without them cannot be asked about."""
    written = commands.inserted_validation_data
    assert "0001234NFFFF" == written("000123456789FFFF", "4540001234567890")
    assert "4540001234N0" == written("4540001234567890", "4540001234567890")
    assert "FFFN0000000A" == written("fff567890000000a", "4540001234567890")
    with pytest.raises(HsmRejected, match="validation_data"):
        written("0000000000000000", "4540001234567890")
