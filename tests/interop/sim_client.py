"""Asks a link with the public library iso8583sim, in whose environment this script runs.

    sim_client.py PORT    messages on standard input, one a line: ["0800", {"7": "…"}]

Prints each answer as such a line. Nothing of the switch is imported here.
"""

import asyncio
import json
import sys

from iso8583sim.core.types import ISO8583Message
from iso8583sim.net.client import ISO8583Client
from iso8583sim.wire import WireFormat


async def main(port: int) -> None:
    """Ask one after the other, on one connection."""
    layout = WireFormat.ascii_hex()
    async with ISO8583Client("127.0.0.1", port, wire_format=layout, timeout=20) as client:
        for line in sys.stdin:
            mti, fields = json.loads(line)
            request = ISO8583Message(mti, {int(number): text for number, text in fields.items()})
            answer = await client.send(request)
            told = {str(number): text for number, text in answer.fields.items() if number > 1}
            print(json.dumps([answer.mti, told]), flush=True)


asyncio.run(main(int(sys.argv[1])))
