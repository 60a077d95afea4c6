"""The sink that the settings name."""

from __future__ import annotations

from switch.events.files import FileSink
from switch.events.publisher import OnEvent
from switch.events.sink import Sink
from switch.events.stdout import StdoutSink
from switch.settings import Settings


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
