"""
The ceiling of `switch replay`: how many messages it plays against a server that only answers.

    python -m benchmarks.replay_ceiling

The server is a process of its own that turns each request into an approval without reading
more of it than its length; figures of the player are its own processor time.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import subprocess
import sys
import time

from benchmarks.traffic import DIALECT, make_traffic
from switch.demo.remaking import DemoRemaker
from switch.operate.replay.fresh import Fresh
from switch.operate.replay.playing import Load, LoadPlayer
from switch.operate.replay.scenario import Step, form_of
from switch.operate.replay.tally import Tally
from switch.wire.message import decode

CARDS = 200
IN_FLIGHT = 64
_READ = 1 << 16

#: In the bench's own messages: bits 1 to 64, of which DE39 is to be set; and the end of DE37.
_BITMAP, _DE39 = slice(4, 20), 1 << (64 - 39)
#: What stands behind DE37 has the same length in all of them.
_AFTER_RRN = len(make_traffic(1).tail)


def answer(payload: bytes) -> bytes:
    """A framed 0110 with everything that the 0100 had, and DE39 00."""
    bits = int(payload[_BITMAP], 16) | _DE39
    head, tail = payload[20:-_AFTER_RRN], payload[-_AFTER_RRN:]
    made = b"0110%016X%b00%b" % (bits, head, tail)
    return len(made).to_bytes(2, "big") + made


def serve() -> None:
    """Answer one connection until it is closed; the port stands on the first line."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        one, _ = server.accept()
    with one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        rest = b""
        while data := one.recv(_READ):
            data, at, answers = rest + data, 0, []
            while len(data) >= (start := at + 2) and len(data) >= (
                end := start + (data[at] << 8 | data[at + 1])
            ):
                answers.append(answer(data[start:end]))
                at = end
            rest = data[at:]
            one.sendall(b"".join(answers))


def measure(seconds: float, *, is_fresh: bool) -> Tally:
    """As fast as possible over one connection."""
    traffic = make_traffic(CARDS)
    payloads = [traffic.messages([number], random.random)[2:] for number in range(CARDS)]
    steps = [
        Step(number, "", "0100", dict(decode(payload, DIALECT).fields), payload, None)
        for number, payload in enumerate(payloads, start=1)
    ]
    fresh = (
        Fresh(steps, DIALECT, DemoRemaker(), atc_from=1, stan_from=time.time_ns() // 10**6)
        if is_fresh
        else None
    )
    words = [sys.executable, "-m", "benchmarks.replay_ceiling", "--serve"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        load = Load([f"127.0.0.1:{port}"], in_flight=IN_FLIGHT, rounds=None, seconds=seconds)
        tally = LoadPlayer(steps, DIALECT, form_of("2-byte"), load, fresh=fresh).play()
    assert tally.unanswered == tally.wrong == 0, "the plain server answers everything"
    return tally


def main() -> None:
    """Print one JSON line for messages as recorded, and one for fresh ones."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay_ceiling")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--serve", action="store_true", help="Be the server.")
    given = parser.parse_args()
    if given.serve:
        serve()
        return
    for is_fresh in (False, True):
        tally = measure(given.seconds, is_fresh=is_fresh)
        figures = {
            "messages": "fresh" if is_fresh else "as recorded",
            "messages_per_s": round(tally.rate),
            "cpu_us_per_message": round(tally.cpu_seconds / tally.sent * 1e6, 1),
            "p50_ms": round(tally.figure("p50") * 1000, 3),
            "p99_ms": round(tally.figure("p99") * 1000, 3),
        }
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
