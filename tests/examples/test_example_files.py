"""The files beside each example's code: pipelines that hold together, images that can be built."""

from pathlib import Path
from typing import Any

import pytest
import yaml

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDERS = sorted(path.parent for path in EXAMPLES.glob("*/*/udf.py"))


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def spec(folder: Path) -> dict[str, Any]:
    documents = list(yaml.safe_load_all((folder / "pipeline.yaml").read_text(encoding="utf-8")))
    assert len(documents) == 1
    pipeline = documents[0]
    assert (pipeline["apiVersion"], pipeline["kind"]) == ("numaflow.numaproj.io/v1alpha1", "Pipeline")
    assert pipeline["metadata"]["name"] == folder.name.replace("_", "-")
    assert set(pipeline) == {"apiVersion", "kind", "metadata", "spec"}
    result: dict[str, Any] = pipeline["spec"]
    return result


def test_every_example_has_its_files(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} - {"__pycache__"} == {
        "Dockerfile",
        "README.md",
        "pipeline.yaml",
        "udf.py",
    }


def test_edges_connect_all_vertices(spec: dict[str, Any]) -> None:
    vertices = {vertex["name"]: vertex for vertex in spec["vertices"]}
    assert len(vertices) == len(spec["vertices"])
    for edge in spec["edges"]:
        assert set(edge) <= {"from", "to", "conditions"}
    starts, ends = ([edge[side] for edge in spec["edges"]] for side in ("from", "to"))
    for name, vertex in vertices.items():
        assert set(vertex) - {"name"} in ({"source"}, {"udf"}, {"sink"})
        assert (name in starts) == ("sink" not in vertex)
        assert (name in ends) == ("source" not in vertex)
    assert set(starts) | set(ends) == set(vertices)


def test_image_has_the_name_of_the_example(spec: dict[str, Any], folder: Path) -> None:
    containers = [vertex["udf"]["container"] for vertex in spec["vertices"] if "udf" in vertex]
    assert [container["image"] for container in containers] == [
        f"example.org/numaflow-python/{folder.name.replace('_', '-')}:stable"
    ]


def test_conditions_ask_for_tags_that_the_udf_sets(spec: dict[str, Any], folder: Path) -> None:
    source = (folder / "udf.py").read_text(encoding="utf-8")
    for edge in spec["edges"]:
        tags = edge.get("conditions", {}).get("tags", {"values": []})
        assert tags.get("operator", "or") in ("and", "or", "not")
        for tag in tags["values"]:
            assert f'"{tag}"' in source


def test_dockerfile_copies_what_there_is_and_runs_it_as_nobody_special(folder: Path) -> None:
    lines = (folder / "Dockerfile").read_text(encoding="utf-8").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    copied = [source for word, rest in steps if word == "COPY" for source in rest.split()[:-1]]
    assert copied == ["udf.py"]
    assert all((folder / source).is_file() for source in copied)
    assert [rest for word, rest in steps if word == "USER"] == ["65532:65532"]
    assert steps[-1] == ["ENTRYPOINT", '["python", "udf.py"]'], "a shell in between would keep SIGTERM to itself"


def test_readme_names_the_example(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    path = folder.relative_to(EXAMPLES.parent)
    assert f"{path}/udf.py" in text
    assert f"{path}/pipeline.yaml" in text
