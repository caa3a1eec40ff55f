"""The files beside each example's code: pipelines that hold together, images that can be built, READMEs that tell what
happens."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .running import EXAMPLES, FOLDERS, ROOT, run, start

PLACES = {
    "map": "udf",
    "batchmap": "udf",
    "mapstream": "udf",
    "sourcetransform": "transformer",
    "sink": "udsink",
    "reduce": "udf",
    "reducestream": "udf",
    "sessionreduce": "udf",
    "accumulator": "udf",
    "source": "udsource",
    "sideinput": "sideInputs",
    "sideinput/over_threshold": "udf",
    "servingstore": "store",
}
"""Where in a pipeline the containers of each kind are, or of an example that shows a kind from its other end."""


@pytest.fixture(params=FOLDERS, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def folder(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def whole_spec(folder: Path) -> dict[str, Any]:
    documents = list(yaml.safe_load_all((folder / "pipeline.yaml").read_text(encoding="utf-8")))
    assert len(documents) == 1
    pipeline = documents[0]
    kind = "ServingPipeline" if folder.parent.name == "servingstore" else "Pipeline"
    assert (pipeline["apiVersion"], pipeline["kind"]) == ("numaflow.numaproj.io/v1alpha1", kind)
    assert pipeline["metadata"]["name"] == folder.name.replace("_", "-")
    assert set(pipeline) == {"apiVersion", "kind", "metadata", "spec"}
    result: dict[str, Any] = pipeline["spec"]
    return result


@pytest.fixture
def spec(whole_spec: dict[str, Any]) -> dict[str, Any]:
    """Vertices and edges. In a serving pipeline there is something beside them."""
    pipeline: dict[str, Any] = whole_spec.get("pipeline", whole_spec)
    return pipeline


def imported(folder: Path) -> list[str]:
    """The packages that an example imports."""
    names = re.findall(r"^from (numaflow_\w+) import", (folder / "udf.py").read_text(encoding="utf-8"), re.MULTILINE)
    assert names
    return names


def image(folder: Path) -> str:
    """The image of an example."""
    return f"example.org/numaflow-python/{folder.name.replace('_', '-')}:stable"


def containers(part: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The containers in a pipeline, each with the name of what it is in."""
    if isinstance(part, list):
        for each in part:
            yield from containers(each, place)
    elif isinstance(part, dict):
        for name, value in part.items():
            if name == "container":
                yield place, value
            else:
                yield from containers(value, name)


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
        assert set(vertex) - {"name", "limits", "scale", "securityContext", "sideInputs", "volumes"} in (
            {"source"},
            {"udf"},
            {"sink"},
        )
        assert (name in starts) == ("sink" not in vertex)
        assert (name in ends) == ("source" not in vertex)
    assert set(starts) | set(ends) == set(vertices)


def test_images_are_those_of_examples_and_are_where_their_kinds_belong(
    whole_spec: dict[str, Any], folder: Path
) -> None:
    names = {image(each): each.relative_to(EXAMPLES) for each in FOLDERS}
    assert len(names) == len(FOLDERS)
    places = {each: PLACES.get(name.as_posix(), PLACES[name.parent.name]) for each, name in names.items()}
    found = {(container["image"], place) for place, container in containers(whole_spec)}
    assert (image(folder), places[image(folder)]) in found
    assert found <= set(places.items())


def test_only_side_inputs_need_images_of_several_examples(whole_spec: dict[str, Any], folder: Path) -> None:
    images = {container["image"] for _, container in containers(whole_spec)}
    assert images == {image(folder)} or "sideInputs" in whole_spec


def test_side_inputs_are_those_that_vertices_use(spec: dict[str, Any]) -> None:
    there = [side_input["name"] for side_input in spec.get("sideInputs", ())]
    used = {name for vertex in spec["vertices"] for name in vertex.get("sideInputs", ())}
    assert len(there) == len(used)
    assert set(there) == used


def test_volumes_are_there(spec: dict[str, Any]) -> None:
    for vertex in spec["vertices"]:
        mounted = {mount["name"] for _, each in containers(vertex) for mount in each.get("volumeMounts", ())}
        assert mounted == {volume["name"] for volume in vertex.get("volumes", ())}


def test_conditions_ask_for_tags_that_the_udf_sets(spec: dict[str, Any], folder: Path) -> None:
    source = (folder / "udf.py").read_text(encoding="utf-8")
    for edge in spec["edges"]:
        tags = edge.get("conditions", {}).get("tags", {"values": []})
        assert tags.get("operator", "or") in ("and", "or", "not")
        for tag in tags["values"]:
            assert f'"{tag}"' in source


def test_dockerfile_installs_and_copies_what_there_is_and_runs_it_as_nobody_special(folder: Path) -> None:
    lines = (folder / "Dockerfile").read_text(encoding="utf-8").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    packages = [f'"{name.replace("_", "-")}[uvloop]"' for name in imported(folder)]
    commands = [rest.split() for word, rest in steps if word == "RUN"]
    assert commands == [["pip", "install", "--no-cache-dir", *packages]]
    copied = [source for word, rest in steps if word == "COPY" for source in rest.split()[:-1]]
    assert copied == ["udf.py"]
    assert all((folder / source).is_file() for source in copied)
    assert [rest for word, rest in steps if word == "USER"] == ["65532:65532"]
    assert steps[-1] == ["ENTRYPOINT", '["python", "udf.py"]'], "a shell in between would keep SIGTERM to itself"


def test_readme_names_the_example(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    for name in ("udf.py", "pipeline.yaml"):
        assert str((folder / name).relative_to(ROOT)) in text
    assert f"docker build -t {image(folder)} {folder.relative_to(ROOT)}\n" in text


def test_examples_are_told_of() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for folder in FOLDERS:
        name = folder.relative_to(EXAMPLES)
        assert f"[{name}]({name})" in text


def test_what_the_readme_says_to_run_does_what_it_says(folder: Path, tmp_path: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (_, serve), (_, ask), (_, answer) = blocks[:3]
    *environ, python, runner, udf, _, sock, _, info = shlex.split(serve)
    assert (python, runner) == (".venv/bin/python", "examples/run.py")
    assert udf == str((folder / "udf.py").relative_to(ROOT))
    assert (sock, info) == (f"/tmp/{folder.name}.sock", f"/tmp/{folder.name}.info")
    here = f"{tmp_path}/"
    variables = dict(each.replace("/tmp/", here).split("=", 1) for each in environ)
    running = start(str(folder.relative_to(EXAMPLES)), tmp_path, **variables)
    try:
        (python, _, code) = shlex.split(ask)
        assert python == ".venv/bin/python"
        code = code.replace(sock, "/tmp/sock").replace("/tmp/", here)
        said = run(f"import warnings\nwarnings.simplefilter('ignore', ResourceWarning)\n{code}", tmp_path)
        assert said == answer
        running.stop()
    finally:
        running.kill()
