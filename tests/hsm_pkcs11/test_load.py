"""The command that puts the keys of a key file into a token."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from keys.hsm import KeyRef, MacAlgorithm
from keys.keyfile import Key, read_entries
from keys.pkcs11.load import half_of, key_template
from keys.software.key import TDES
from keys.software.keyblock import Header, wrap
from tests.contract.keys import KEYS
from tests.hsm_pkcs11 import softhsm

KBPK = bytes(range(32))


def table(name: str, *, places: str, kcv: str | None = None) -> str:
    """A key file's table of one of the contract's keys, with its block."""
    key = KEYS[name]
    header = Header(
        version="D", usage=key.usage, algorithm=key.algorithm, mode_of_use=key.mode_of_use
    )
    block = wrap(KBPK, header, key.material)
    return f'[{name}]\nblock = "{block}"\nkcv = "{kcv or key.kcv}"\n{places}\n'


class Command:
    """The command over files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.key_file = folder / "keys.toml"
        self.kbpk_file = folder / "kbpk"
        self.pin_file = folder / "pin"
        self.kbpk_file.write_text(KBPK.hex())
        self.pin_file.write_text(softhsm.PIN + "\n")

    def run(self, *, token: str = softhsm.EMPTY) -> subprocess.CompletedProcess[str]:
        """Run it in a process of its own."""
        home = softhsm.home()
        arguments = ["--module", home.module, "--token", token]
        for option, path in (
            ("--pin-file", self.pin_file),
            ("--keys", self.key_file),
            ("--kbpk-file", self.kbpk_file),
        ):
            arguments += [option, str(path)]
        return subprocess.run(
            [sys.executable, "-m", "keys.pkcs11.load", *arguments],
            env=home.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The command with a protection key and a PIN, and no key file yet."""
    return Command(tmp_path)


async def test_loaded_keys_answer(command: Command) -> None:
    """Appended what it printed, the key file opens the token; a key without label is left out."""
    command.key_file.write_text(
        table("zak", places='pkcs11 = "retail mac"')
        + table("mak_aes", places='pkcs11 = "cmac"')
        + table("zpk", places="")
    )
    ran = command.run()
    assert 0 == ran.returncode, ran.stderr
    with command.key_file.open("a") as file:
        file.write(ran.stdout)
    listed = read_entries(command.key_file)
    assert {"zak", "zak.k1", "mak_aes", "zpk"} == set(listed)
    backend = softhsm.hsm(token=softhsm.EMPTY, listed=listed)
    await backend.open()
    made = await backend.mac(
        KeyRef("zak", KEYS["zak"].kcv), bytes(16), algorithm=MacAlgorithm.ISO9797_3
    )
    assert 8 == len(made)
    await backend.close()

    again = command.run()
    assert 1 == again.returncode
    assert "label 'retail mac': the token has it already; nothing was created\n" == again.stderr
    for shown in (ran.stdout + ran.stderr, again.stdout + again.stderr):
        for key in KEYS.values():
            assert key.material.hex().upper() not in shown.upper()


def test_another_check_value_of_a_half_is_refused(command: Command) -> None:
    """A half that the key file pins otherwise is not created, nor is its key."""
    command.key_file.write_text(
        table("cvk", places='pkcs11 = "pinned"')
        + '[half]\npkcs11 = "pinned.k1"\nusage = "C0"\nalgorithm = "T"\nkcv = "123456"\n'
    )
    ran = command.run()
    assert (1, "") == (ran.returncode, ran.stdout)
    kcv = half_of(KEYS["cvk"]).kcv
    assert f"half: kcv is {kcv}, but 123456 is pinned\n" == ran.stderr
    with softhsm.raw_session(softhsm.EMPTY) as session:
        assert [] == [key for key in session.get_objects() if str(key.label).startswith("pinned")]


def test_its_failures_are_one_line(command: Command) -> None:
    """A token that is not there and a wrong PIN are told in one line, without the PIN."""
    command.key_file.write_text(table("mak_1", places='pkcs11 = "mak_1"'))
    missing = command.run(token="nobody")
    assert (1, 1) == (missing.returncode, missing.stderr.count("\n"))
    assert missing.stderr.startswith("token 'nobody': ")
    command.pin_file.write_text("161803")
    refused = command.run()
    assert (1, "token 'empty': CKR_PIN_INCORRECT\n") == (refused.returncode, refused.stderr)


def test_a_key_of_double_length_may_be_written_in_24_bytes() -> None:
    """K1‖K2‖K1 is the same key as K1‖K2, in the token too."""
    cvk = KEYS["cvk"].material
    long = Key(cvk + cvk[:8], usage="C0", algorithm=TDES, mode_of_use="V")
    assert key_template("x", KEYS["cvk"]) == key_template("x", long)
    assert half_of(KEYS["cvk"]).kcv == half_of(long).kcv
