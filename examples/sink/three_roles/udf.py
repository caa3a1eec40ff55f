"""Three sinks in one image: the one that writes, the one for what cannot be written, and the one for receipts."""

import json
import logging
import os
from collections.abc import Iterator
from typing import Any

from numaflow_sinker import Datum, Message, Response, SinkServer, UserMetadata

logger = logging.getLogger(__name__)


def order_of(payload: bytes) -> int | None:
    """The number in ``{"order": 7}``, or ``None`` where there is none."""
    try:
        order = json.loads(payload)["order"]
    except (ValueError, TypeError, KeyError):
        return None
    return order if isinstance(order, int) else None


def write_orders(datums: Iterator[Datum]) -> Iterator[Response]:
    for datum in datums:
        order = order_of(datum.value)
        if order is None:
            yield Response.as_fallback(datum.id)  # the fallback sink gets the message as it came
            continue
        logger.info("order %d", order)
        metadata = UserMetadata({"receipt": {"id": datum.id.encode()}})
        receipt = Message(b"order %d written" % order, keys=datum.keys, user_metadata=metadata)
        yield Response.as_on_success(datum.id, receipt)


def keep_dead_letters(datums: Iterator[Datum]) -> Iterator[Response]:
    for datum in datums:
        logger.warning("no order: %.200r", datum.value)
        yield Response.as_success(datum.id)


def send_receipts(datums: Iterator[Datum]) -> Iterator[Response]:
    for datum in datums:
        logger.info("receipt: %s", datum.value.decode())
        yield Response.as_success(datum.id)


HANDLERS = {"udsink": write_orders, "fb-udsink": keep_dead_letters, "ons-udsink": send_receipts}


def make_server(**options: Any) -> SinkServer:
    # The same variable tells the server where to listen.
    role = os.environ.get("NUMAFLOW_UD_CONTAINER_TYPE", "udsink")
    return SinkServer(HANDLERS[role], **options)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    make_server().start()
