"""
What each question costs over PKCS#11: microseconds, in the token alone and through the backend.

    python -m benchmarks.pkcs11 --module /usr/lib/softhsm/libsofthsm2.so \\
        --token LABEL --pin-file FILE --keys keys.toml

The token and its key file are the user's own; docs/hsm-pkcs11.md makes both for a trial. Keys are
taken by their usage: a C0 key for card codes, E0 for cryptograms, M1, M3 and M6 for MACs; what has
no key is left out. Nothing is written. The token is asked by one thread, in the median of five
rounds; the backend's questions are all asked at once over its sessions.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from keys.hsm import (
    ArpcMethod,
    CardKeyDerivation,
    CardVerificationValue,
    Cryptogram,
    CryptogramScheme,
    MacAlgorithm,
    SessionKeyDerivation,
)
from keys.keyfile import KeyEntry, read_entries
from keys.pkcs11 import Pkcs11Hsm
from keys.pkcs11.formulas import card_code, mac, verify_arqc
from keys.pkcs11.keys import HALF
from keys.pkcs11.token import Token, TokenSession

ROUNDS = 5
PAN = "4761739000000012"
WORDS = CardVerificationValue("3012", "201")
MESSAGE = bytes(256)

#: Never right, so an ARPC is not made; it costs one encryption more.
CRYPTOGRAM = Cryptogram(
    CryptogramScheme(CardKeyDerivation.OPTION_A, SessionKeyDerivation.COMMON, ArpcMethod.METHOD_1),
    PAN,
    "00",
    bytes(2),
    bytes(72),
    bytes(8),
)

_MACS = {
    ("M1", "T"): MacAlgorithm.ISO9797_1,
    ("M3", "T"): MacAlgorithm.ISO9797_3,
    ("M6", "A"): MacAlgorithm.AES_CMAC,
    ("M6", "T"): MacAlgorithm.TDES_CMAC,
}

#: A question of the token, and the same of the backend.
Asked = tuple[str, Callable[[TokenSession], Any], Callable[[Pkcs11Hsm], Awaitable[Any]]]


def questions(entries: dict[str, KeyEntry]) -> Iterator[Asked]:
    """What can be asked of these keys: one question a kind."""
    told = set()
    for entry in entries.values():
        kind = (entry.usage, entry.algorithm)
        if kind in told or entry.places.get("pkcs11", HALF).endswith(HALF):
            continue
        told.add(kind)
        asked = _question(entry)
        if asked is not None:
            yield asked


def _question(entry: KeyEntry) -> Asked | None:
    name, ref = entry.name, entry.ref
    match (entry.usage, entry.algorithm):
        case ("C0", "T"):
            return (
                "card code",
                lambda s: card_code(s, s.keys[name], PAN, WORDS),
                lambda h: h.verify_card_code(ref, WORDS, pan=PAN, code="000"),
            )
        case ("E0", "T"):
            return (
                "ARQC, option A, common session key, 72 bytes",
                lambda s: verify_arqc(s, s.keys[name], CRYPTOGRAM, b"00"),
                lambda h: h.verify_arqc(ref, CRYPTOGRAM, arpc_data=b"00"),
            )
        case kind if kind in _MACS:
            algorithm = _MACS[kind]
            return (
                f"{algorithm.value}, {len(MESSAGE)} bytes",
                lambda s: mac(s, s.keys[name], MESSAGE, algorithm),
                lambda h: h.mac(ref, MESSAGE, algorithm=algorithm),
            )
    return None


def token_us(session: TokenSession, question: Callable[[TokenSession], Any], times: int) -> float:
    """Microseconds of one question in one thread."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(times):
            question(session)
        rounds.append((time.perf_counter() - began) / times * 1e6)
    return statistics.median(rounds)


async def backend_us(
    hsm: Pkcs11Hsm, question: Callable[[Pkcs11Hsm], Awaitable[Any]], times: int
) -> float:
    """Microseconds between answers while all are asked at once: the reciprocal of its ceiling."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await asyncio.gather(*(question(hsm) for _ in range(times)))
        rounds.append((time.perf_counter() - began) / times * 1e6)
    return statistics.median(rounds)


async def measure(arguments: argparse.Namespace) -> None:
    """Measure every question, one line each."""
    entries = read_entries(arguments.keys)
    pin = arguments.pin_file.read_text("utf-8").strip()
    hsm = Pkcs11Hsm(
        entries,
        module=arguments.module,
        token=arguments.token,
        pin=pin,
        sessions=arguments.sessions,
    )
    await hsm.open()
    listed = {name: entry for name, entry in entries.items() if "pkcs11" in entry.places}
    session = Token(arguments.module, arguments.token, pin, listed).open_session()
    print(f"{'microseconds':48}{'token':>8}{'backend':>9}{'a second':>10}")
    for name, of_token, of_backend in questions(listed):
        alone = token_us(session, of_token, arguments.times)
        through = await backend_us(hsm, of_backend, arguments.times)
        print(f"{name:48}{alone:8.0f}{through:9.0f}{1e6 / through:10,.0f}")
    session.close()
    await hsm.close()


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--module", required=True, help="the PKCS#11 library")
    parser.add_argument("--token", required=True, help="its label")
    parser.add_argument("--pin-file", type=Path, required=True, help="the user PIN, on one line")
    parser.add_argument("--keys", type=Path, required=True, help="the key file")
    parser.add_argument("--sessions", type=int, default=4, help="threads (default 4)")
    parser.add_argument("--times", type=int, default=1000, help="questions a round (default 1000)")
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
