"""The sink that the settings name."""

from __future__ import annotations

import asyncio

from switch.events.files import FileSink
from switch.events.publisher import OnEvent
from switch.events.sink import Sink, SinkUnavailable
from switch.events.stdout import StdoutSink
from switch.settings import Settings

#: How long a start waits for what SQS says of the queue, seconds: decisions need no SQS.
CHECK_SECONDS = 3.0


def sink_of(settings: Settings, *, on_event: OnEvent) -> Sink | None:
    """Where events go; none where they go nowhere. Touches nothing yet."""
    events = settings.events
    match settings.event_sink:
        case "file":
            return FileSink(events.folder, bytes_max=events.file_bytes_max, kept=events.files_kept)
        case "stdout":
            return StdoutSink()
        case "sqs":
            # Imported where it is used: other sinks do not pay for boto3.
            from switch.events.sqs import SqsSink

            return SqsSink(
                events.queue_url,
                region=events.region,
                endpoint_url=events.endpoint_url,
                on_event=on_event,
            )
    return None


async def check_sink(settings: Settings) -> None:
    """Raise `SettingsError` where events would go to a queue that they must not go to.

    One of which SQS tells nothing is looked at again before the first event goes out.
    """
    if settings.event_sink != "sqs":
        return
    from switch.events.sqs import QueueRefused, SqsSink

    sink = sink_of(settings, on_event=lambda *_, **__: None)
    assert isinstance(sink, SqsSink)  # noqa: S101 - for mypy
    try:
        await asyncio.to_thread(sink.check, within=CHECK_SECONDS)
    except QueueRefused as error:
        raise settings.refusal("events.queue_url", error.reason) from None
    except SinkUnavailable:
        pass
    finally:
        sink.close()
