"""The session reduce examples answer as their READMEs say."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

from numaflow_sessionreducer import Datum
from numaflow_sessionreducer.testing import SessionReduceClient

from .running import example

START = datetime(2024, 5, 6, 9, 30, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)


def pages(user: str, *seconds: float) -> list[Datum]:
    return [Datum([user], b"/", START + timedelta(seconds=each), START) for each in seconds]


def test_visits_are_merged_by_a_page_that_comes_late(tmp_path: Path) -> None:
    with example("sessionreduce/visits", tmp_path, SessionReduceClient) as client:
        apart = client.reduce(pages("ann", 0, 20, 130), MINUTE)
        merged = client.reduce(pages("ann", 0, 20, 130, 75) + pages("bob", *range(101)), MINUTE)
    found = [
        sorted(
            ((json.loads(each.message.value), each.message.tags) for each in results if each.message),
            key=lambda told: told[0]["seconds"],
        )
        for results in (apart, merged)
    ]
    assert found == [
        [
            ({"user": "ann", "pages": 1, "seconds": 0}, ["human"]),
            ({"user": "ann", "pages": 2, "seconds": 20}, ["human"]),
        ],
        [
            ({"user": "bob", "pages": 101, "seconds": 100}, ["robot"]),
            ({"user": "ann", "pages": 4, "seconds": 130}, ["human"]),
        ],
    ]
