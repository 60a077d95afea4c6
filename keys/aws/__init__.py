"""
AWS Payment Cryptography: the `Hsm` protocol over its data plane, by boto3.

`backend` asks; the pages of questions (`card_codes`, `pins`, `cryptograms`, `macs`) say what, as
values; `calls` makes one call and reads its answer or its failure; `pool` has the threads and
their connections; `held` compares the keys at start; `pin_blocks` tells a wrong PIN from a block
that is none. What is known of the real service, and what is not, stands in docs/hsm-aws.md.
"""

from keys.aws.backend import AwsHsm

__all__ = ["AwsHsm"]
