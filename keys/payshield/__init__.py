"""
Thales payShield: the `Hsm` protocol over host commands on TCP.

`backend` asks; `commands`, `arqc` and `pin` say what goes and how its reply is read, without I/O;
`frame` and `errors` are the protocol's own; `keys` says where a key is; `link` is one connection
with one question in flight, and `pool` has as many as the HSMs take. What was checked against what
stands in docs/hsm-payshield.md: nothing was against a device.
"""

from keys.payshield.backend import PayShieldHsm

__all__ = ["PayShieldHsm"]
