"""
The contract, asked of every backend, and the matrix of backends and operations.

    python -m tests.contract            # all backends
    python -m tests.contract software   # these alone: the others are not counted against them

The exit code is 1 where a cell that should work does not, or could not be tried.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import warnings

from cryptography.utils import CryptographyDeprecationWarning

# psec and pyemv pass short keys, and do so as soon as the cases are made: while they are imported.
warnings.simplefilter("ignore", CryptographyDeprecationWarning)
logging.disable(logging.CRITICAL)

from tests.contract.matrix import BACKENDS  # noqa: E402 - see above
from tests.contract.proving import prove  # noqa: E402 - see above

if __name__ == "__main__":
    named = sys.argv[1:] or list(BACKENDS)
    if unknown := set(named) - set(BACKENDS):
        sys.exit(f"no such backend: {', '.join(sorted(unknown))}; there are {', '.join(BACKENDS)}")
    sys.exit(asyncio.run(prove(named)))
