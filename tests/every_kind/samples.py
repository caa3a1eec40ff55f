"""Values to test the kinds with: strategies for hypothesis, and the classes that every kind has."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from hypothesis import strategies as st

import numaflow_mapper
import numaflow_sinker
import numaflow_sourcetransformer
from numaflow_core.values.datum import BaseDatum
from numaflow_core.values.metadata import UserMetadata
from numaflow_core.values.nack import NackOptions
from numaflow_core.wire.buffers import LARGE

NOW: Final = datetime(2024, 7, 1, 12, 30, 15, 123_456, tzinfo=timezone.utc)

DATUMS: Final[tuple[type[BaseDatum], ...]] = (
    numaflow_mapper.Datum,
    numaflow_sinker.Datum,
    numaflow_sourcetransformer.Datum,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
groups = st.dictionaries(texts, st.dictionaries(texts, st.binary(max_size=8), max_size=3), max_size=3)
"""The content of metadata."""

options = st.builds(
    NackOptions,
    reason=st.none() | texts,
    max_deliveries=st.none() | st.integers(0, 2**32 - 1),
    delay=st.none() | st.integers(0, 10**12).map(lambda ms: timedelta(milliseconds=ms)),
    nack_map=st.none() | st.dictionaries(texts, texts, min_size=1, max_size=3),
)
payloads = st.one_of(
    st.binary(max_size=50), st.sampled_from([0, 127, 128, 2047, 2048, 16_383, LARGE - 1, LARGE, LARGE + 1]).map(bytes)
)
"""Of all sizes around which the encoding changes."""


def tagged(make: Callable[..., Any]) -> st.SearchStrategy[Any]:
    """Messages of any content."""
    return st.builds(
        make,
        payloads,
        keys=st.none() | st.lists(texts, max_size=3),
        tags=st.none() | st.lists(texts, max_size=3),
        user_metadata=st.none() | groups.map(UserMetadata),
    )


def fill(body: Any, keys: list[str], value: bytes, headers: dict[str, str], vertex: str, **metadata: Any) -> None:
    """Set the fields that the requests of all kinds have; ``metadata`` is by the name of the protobuf field."""
    body.SetInParent()
    body.keys.extend(keys)
    body.value = value
    body.headers.update(headers)
    body.metadata.previous_vertex = vertex
    for name, given in metadata.items():
        for group, entries in given.items():
            getattr(body.metadata, name)[group].key_value.update(entries)
