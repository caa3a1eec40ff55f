"""Event times from the payload, at the source: what happened before 2022 is dropped, the rest goes two ways."""

import json
from datetime import datetime, timezone
from typing import Any

from numaflow_sourcetransformer import Datum, Message, SourceTransformer, SourceTransformServer

FIRST = datetime(2022, 1, 1, tzinfo=timezone.utc)
NEXT = datetime(2023, 1, 1, tzinfo=timezone.utc)


def time_of(payload: bytes) -> datetime | None:
    """The time in ``{"at": "2022-06-01T12:00:00Z"}``, or ``None`` where there is none."""
    try:
        time = datetime.fromisoformat(json.loads(payload)["at"].replace("Z", "+00:00"))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    # Without this, a time that does not say its zone would be in that of the container.
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


class EventTimeFilter(SourceTransformer):
    def handler(self, keys: list[str], datum: Datum) -> Message:
        time = time_of(datum.value)
        if time is None or time < FIRST:
            # With the event time that came: the one in the payload would hold the watermark back.
            return Message.to_drop(datum.event_time)
        tag = "within-2022" if time < NEXT else "after-2022"
        return Message(datum.value, time, keys=keys, tags=[tag], user_metadata=datum.user_metadata)


def make_server(**options: Any) -> SourceTransformServer:
    return SourceTransformServer(EventTimeFilter(), **options)


if __name__ == "__main__":
    make_server().start()
