"""
What a terminal, a card and a network make over a message, made with the demo's published keys.

For `switch replay --fresh` and `switch simulate`. No other key is ever read here: who could have
cryptograms made under an issuer's own keys could make cards.
"""

from __future__ import annotations

from collections.abc import Mapping

from keys.hsm import HsmRejected
from keys.keyfile import load as load_keys
from keys.keyfile import read_kbpk
from keys.software import issuing
from keys.software.key import Key
from keys.software.mac import iso9797_algorithm_3
from switch.demo.program import PROGRAM_ID, read_program
from switch.rules.cryptogram import signed
from switch.rules.program import Program
from switch.setting_values import packaged_key_file

_MASTER_KEY, _MAC_KEY = "imk_ac", "zak"


def demo_keys() -> Mapping[str, Key]:
    """The published keys by name. There is no way to have another key file read here."""
    return load_keys(packaged_key_file("keys.toml"), read_kbpk(packaged_key_file("kbpk.dev")))


class DemoRemaker:
    """Cryptograms of the demo program's cards, and codes under the demo link's MAC key.

    The codes are those of a link that says nothing else: ISO 9797-1 algorithm 3, method 1.
    """

    def __init__(self) -> None:
        keys = demo_keys()
        demo = read_program().program
        self._program = Program.parse(PROGRAM_ID, demo["name"], demo["settings"])
        self._master_key = keys[_MASTER_KEY]
        self.mac = iso9797_algorithm_3(keys[_MAC_KEY].material)

    def arqc(self, pan: str, pan_sequence_number: str, tags: Mapping[str, str]) -> str | None:
        """The cryptogram over chip data (tag → hex); none where they do not allow one."""
        try:
            over = signed(tags, self._program)
            made = issuing.arqc(
                self._master_key,
                over.scheme,
                pan=pan,
                pan_sequence_number=pan_sequence_number,
                atc=over.atc,
                data=over.data,
                unpredictable_number=over.unpredictable_number,
            )
        except (HsmRejected, ValueError):  # a CryptogramError among them
            return None
        return made.hex().upper()
