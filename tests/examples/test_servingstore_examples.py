"""The serving store on sqlite3."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from numaflow_servingstore import Payload
from numaflow_servingstore.testing import ServingStoreClient

from .running import example


def test_results_add_up_and_outlive_the_server(tmp_path: Path) -> None:
    store = str(tmp_path / "results.sqlite3")
    with (
        example("servingstore/sqlite_store", tmp_path, ServingStoreClient, STORE_FILE=store) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        client.put("a", [Payload("out", b"1")])
        client.put("a", [Payload("other", b"\x00\xff"), Payload("out", b"1")])
        for _ in pool.map(lambda number: client.put("b", [Payload("out", b"%d" % number)]), range(30)):
            pass
        assert client.get("nothing") == []
    with example("servingstore/sqlite_store", tmp_path, ServingStoreClient, STORE_FILE=store) as client:
        assert client.get("a") == [Payload("out", b"1"), Payload("other", b"\x00\xff"), Payload("out", b"1")]
        assert sorted(int(payload.value) for payload in client.get("b")) == list(range(30))
