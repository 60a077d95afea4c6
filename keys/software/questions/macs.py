"""Message authentication codes, made and verified."""

from __future__ import annotations

import hmac

from keys.hsm import KeyRef, MacAlgorithm, Verdict
from keys.software import mac as formulas
from keys.software.key import AES, TDES
from keys.software.questions.comparing import MATCH, MISMATCH
from keys.software.questions.keyring import KeyRing, Use

#: A message's authentication code may be cut, but not below this many bytes.
MAC_LENGTH_MIN = 4

#: TR-31 usage, cipher and preparation of each algorithm.
_ALGORITHMS = {
    MacAlgorithm.ISO9797_1: ("M1", TDES, formulas.iso9797_algorithm_1),
    MacAlgorithm.ISO9797_3: ("M3", TDES, formulas.iso9797_algorithm_3),
    MacAlgorithm.AES_CMAC: ("M6", AES, formulas.aes_cmac),
    MacAlgorithm.TDES_CMAC: ("M6", TDES, formulas.tdes_cmac),
}


class Macs:
    """Answers `mac` and `verify_mac`."""

    def __init__(self, ring: KeyRing) -> None:
        self._make = {
            name: ring.prepare(Use("making MACs", frozenset({usage}), cipher, "CGN"), prepare)
            for name, (usage, cipher, prepare) in _ALGORITHMS.items()
        }
        self._verify = {
            name: ring.prepare(Use("verifying MACs", frozenset({usage}), cipher, "CVN"), prepare)
            for name, (usage, cipher, prepare) in _ALGORITHMS.items()
        }

    def make(self, key: KeyRef, data: bytes, algorithm: MacAlgorithm) -> bytes:
        """Make a code, the algorithm's full length."""
        return self._make[algorithm].find(key)(data)

    def verify(self, key: KeyRef, data: bytes, mac: bytes, algorithm: MacAlgorithm) -> Verdict:
        """Compare a code; less than four bytes of it is a mismatch."""
        expected = self._verify[algorithm].find(key)(data)
        long_enough = len(mac) >= MAC_LENGTH_MIN
        same = hmac.compare_digest(expected[: len(mac)], mac)
        return MATCH if long_enough and same else MISMATCH
