"""Events as lines of standard output, for whoever reads a pipe."""

from __future__ import annotations

import os
from collections.abc import Sequence

from switch.events.event import Event
from switch.events.sink import SinkUnavailable

_STDOUT = 1


class StdoutSink:
    """A JSON object a line. What is written is out: whether it was read is not known."""

    name = "stdout"

    def publish(self, events: Sequence[Event]) -> None:
        """Write them. See `Sink.publish`; a reader that does not read is waited for."""
        data = memoryview(b"".join(event.body + b"\n" for event in events))
        try:
            while data:
                data = data[os.write(_STDOUT, data) :]
        except OSError as error:
            raise SinkUnavailable(f"standard output: {error.strerror}") from None

    def close(self) -> None:
        """There is nothing to let go of."""
