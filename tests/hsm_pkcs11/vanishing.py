"""
Ask a token whose folder vanishes and comes back; print what its answers were, in order.

    python -m tests.hsm_pkcs11.vanishing EMPTY-FOLDER
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from keys.hsm import HsmUnavailable, MacAlgorithm
from keys.pkcs11 import Pkcs11Hsm
from keys.pkcs11.load import create
from keys.software import tdes
from tests.contract.keys import KEYS, REFS
from tests.hsm_pkcs11 import softhsm

KEY = {"mak_1": KEYS["mak_1"]}

#: ISO 9797-1 algorithm 1 over nothing, padded: one block of zeros enciphered.
MAC = tdes.encryptor(KEYS["mak_1"].material)(bytes(8))


async def answer(backend: Pkcs11Hsm) -> str:
    """What a right MAC is told."""
    try:
        verdict = await backend.verify_mac(
            REFS["mak_1"], b"", MAC, algorithm=MacAlgorithm.ISO9797_1
        )
    except HsmUnavailable:
        return "outage"
    return verdict.value


async def main(folder: Path) -> None:
    """Take the folder away, put it back, and tell each change of the answer."""
    module = softhsm.module()
    assert module is not None
    os.environ.update(softhsm.make_tokens(folder, "vanishing"))
    with softhsm.raw_session("vanishing", module) as session:
        create(session, softhsm.objects(KEY))
    backend = Pkcs11Hsm(
        softhsm.entries(KEY), module=module, token="vanishing", pin=softhsm.PIN, sessions=2
    )
    await backend.open()
    told = [await answer(backend)]
    tokens = folder / "tokens"
    for source, target in ((tokens, folder / "away"), (folder / "away", tokens)):
        source.rename(target)
        async with asyncio.timeout(30):
            while (now := await answer(backend)) == told[-1]:  # noqa: ASYNC110 - it is a poll
                await asyncio.sleep(0.05)
        told.append(now)
    await backend.close()
    sys.stdout.write(", ".join(told) + "\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
