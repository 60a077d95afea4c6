"""
PKCS#11: the `Hsm` protocol over any token with DES: SoftHSM2, a network HSM.

`backend` asks; `formulas` makes card codes, cryptograms and MACs of a token's mechanisms, with keys
that never leave it; `keys` says what a key must be in a token, `token` opens one, `pool` has a
session a thread, `calls` and `codes` are the few functions of the library that python-pkcs11 does
not give; `load` puts a key file's keys into a token.
"""

from keys.pkcs11.backend import Pkcs11Hsm

__all__ = ["Pkcs11Hsm"]
