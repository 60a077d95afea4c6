"""Public implementations of the protocol, as clients: sign-on, echo, authorization, reversal."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from switch.wire.message import Message
from tests.process import PATIENCE_SECONDS, Switch
from tests.traffic import ROOT, change, code, load_card, stripe

HERE = Path(__file__).parent
#: What `make interop` sets up, from hashed lock files.
INSTALLED = Path(os.environ.get("SWITCH_INTEROP", ROOT / "var" / "interop"))
ZERO_AMOUNTS = f"{0:042d}"


def python_client(port: int) -> list[str]:
    """The command of iso8583sim's client."""
    python = INSTALLED / "venv" / "bin" / "python"
    if not python.exists():
        pytest.skip("NOT SHOWN: iso8583sim is not installed (`make interop`)")
    return [str(python), str(HERE / "sim_client.py"), str(port)]


def node_client(port: int) -> list[str]:
    """The command of iso_8583's client."""
    if shutil.which("node") is None or not (INSTALLED / "node_modules").is_dir():
        pytest.skip("NOT SHOWN: node or iso_8583 is not installed (`make interop`)")
    return ["node", str(HERE / "node_client.js"), str(port), str(INSTALLED)]


def conversation(command: list[str], *requests: Message) -> list[Message]:
    """What the client's own library says was answered."""
    lines = [json.dumps([each.mti, {str(de): v for de, v in each.fields.items()}])
             for each in requests]  # fmt: skip
    ran = subprocess.run(
        command, input="\n".join(lines), capture_output=True, text=True,
        timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert "" == ran.stderr
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    return [Message(mti, {int(de): v for de, v in fields.items()}) for mti, fields in answers]


def managing(network_code: str, stan: str) -> Message:
    """A network management request."""
    return Message("0800", {7: "1122120000", 11: stan, 70: network_code})


def reversal(original: Message) -> Message:
    """The whole of it taken back (0420)."""
    fields = original.fields
    originals = f"{original.mti}{fields[11]}{fields[7]}{fields[32]:0>11}{0:011d}"
    taken_back = change(
        original, mti="0420", de_11="800009", de_90=originals, de_95=ZERO_AMOUNTS, de_35=None
    )
    return change(taken_back, de_39="17") if original.fields.get(39) else taken_back


@pytest.mark.parametrize("name", ["iso8583sim", "iso_8583"])
def test_a_public_client(switch: Switch, name: str) -> None:
    """It signs on, is answered an echo, buys and takes it back; the account is as it was."""
    is_python = name == "iso8583sim"
    port = switch.port("demo" if is_python else "raw")
    command = python_client(port) if is_python else node_client(port)
    bought = stripe(load_card(0 if is_python else 1), 1234)
    answers = conversation(
        command, managing("001", "800001"), managing("301", "800002"), bought, reversal(bought)
    )
    assert ["0810", "0810", "0110", "0430"] == [answer.mti for answer in answers]
    assert ["00"] * 4 == [code(answer) for answer in answers]
    assert bought.fields[37] == answers[2].fields[37]
    assert 6 == len(answers[2].fields[38])
    effects = [line["effect"] for line in switch.lines("message") if line["mti"] == "0420"]
    assert "reversed" == effects[-1]
