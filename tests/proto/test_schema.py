"""The wire schema is frozen: the tables below say what the dataplane speaks, independently of the .proto files."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

ROOT = Path(__file__).resolve().parents[2]
GENERATE = ROOT / "proto" / "generate.py"

# Fields by number, as "[repeated|optional] <type> <name>". Types of the message's own package are written without it.
# "optional" is explicit presence; a field of a message type has presence without it too.
MESSAGES: dict[str, dict[int, str]] = {
    # core
    "numaflow.metadata.v1.Metadata": {
        1: "string previous_vertex",
        2: "map<string, KeyValueGroup> sys_metadata",
        3: "map<string, KeyValueGroup> user_metadata",
    },
    "numaflow.metadata.v1.KeyValueGroup": {1: "map<string, bytes> key_value"},
    "numaflow.nack.v1.NackOptions": {
        1: "optional string reason",
        2: "optional uint32 max_deliveries",
        3: "optional uint64 delay",
        4: "map<string, string> nack_map",
    },
    "numaflow.ready.v1.ReadyResponse": {1: "bool ready"},
    "numaflow.rpc.v1.Status": {1: "int32 code", 2: "string message", 3: "repeated google.protobuf.Any details"},
    "numaflow.rpc.v1.DebugInfo": {1: "repeated string stack_entries", 2: "string detail"},
    # map
    "numaflow.map.v1.MapRequest": {
        1: "MapRequest.Request request",
        2: "string id",
        3: "optional Handshake handshake",
        4: "optional TransmissionStatus status",
    },
    "numaflow.map.v1.MapRequest.Request": {
        1: "repeated string keys",
        2: "bytes value",
        3: "google.protobuf.Timestamp event_time",
        4: "google.protobuf.Timestamp watermark",
        5: "map<string, string> headers",
        6: "numaflow.metadata.v1.Metadata metadata",
    },
    "numaflow.map.v1.MapResponse": {
        1: "repeated MapResponse.Result results",
        2: "string id",
        3: "optional Handshake handshake",
        4: "optional TransmissionStatus status",
    },
    "numaflow.map.v1.MapResponse.Result": {
        1: "repeated string keys",
        2: "bytes value",
        3: "repeated string tags",
        4: "numaflow.metadata.v1.Metadata metadata",
        5: "optional numaflow.nack.v1.NackOptions nack_options",
    },
    "numaflow.map.v1.Handshake": {1: "bool sot"},
    "numaflow.map.v1.TransmissionStatus": {1: "bool eot"},
    # source transform
    "numaflow.sourcetransformer.v1.SourceTransformRequest": {
        1: "SourceTransformRequest.Request request",
        2: "optional Handshake handshake",
    },
    "numaflow.sourcetransformer.v1.SourceTransformRequest.Request": {
        1: "repeated string keys",
        2: "bytes value",
        3: "google.protobuf.Timestamp event_time",
        4: "google.protobuf.Timestamp watermark",
        5: "map<string, string> headers",
        6: "string id",
        7: "numaflow.metadata.v1.Metadata metadata",
    },
    "numaflow.sourcetransformer.v1.SourceTransformResponse": {
        1: "repeated SourceTransformResponse.Result results",
        2: "string id",
        3: "optional Handshake handshake",
    },
    "numaflow.sourcetransformer.v1.SourceTransformResponse.Result": {
        1: "repeated string keys",
        2: "bytes value",
        3: "google.protobuf.Timestamp event_time",
        4: "repeated string tags",
        5: "numaflow.metadata.v1.Metadata metadata",
        6: "optional numaflow.nack.v1.NackOptions nack_options",
    },
    "numaflow.sourcetransformer.v1.Handshake": {1: "bool sot"},
    # source
    "numaflow.source.v1.ReadRequest": {1: "ReadRequest.Request request", 2: "optional Handshake handshake"},
    "numaflow.source.v1.ReadRequest.Request": {1: "uint64 num_records", 2: "uint32 timeout_in_ms"},
    "numaflow.source.v1.ReadResponse": {
        1: "ReadResponse.Result result",
        2: "ReadResponse.Status status",
        3: "optional Handshake handshake",
    },
    "numaflow.source.v1.ReadResponse.Result": {
        1: "bytes payload",
        2: "Offset offset",
        3: "google.protobuf.Timestamp event_time",
        4: "repeated string keys",
        5: "map<string, string> headers",
        6: "numaflow.metadata.v1.Metadata metadata",
    },
    "numaflow.source.v1.ReadResponse.Status": {
        1: "bool eot",
        2: "ReadResponse.Status.Code code",
        3: "optional ReadResponse.Status.Error error",
        4: "optional string msg",
    },
    "numaflow.source.v1.AckRequest": {1: "AckRequest.Request request", 2: "optional Handshake handshake"},
    "numaflow.source.v1.AckRequest.Request": {1: "repeated Offset offsets"},
    "numaflow.source.v1.AckResponse": {1: "AckResponse.Result result", 2: "optional Handshake handshake"},
    "numaflow.source.v1.AckResponse.Result": {1: "google.protobuf.Empty success"},
    "numaflow.source.v1.NackRequest": {1: "repeated NackRequest.Request request"},
    "numaflow.source.v1.NackRequest.Request": {
        1: "repeated Offset offsets",
        2: "optional numaflow.nack.v1.NackOptions nack_options",
    },
    "numaflow.source.v1.NackResponse": {1: "NackResponse.Result result"},
    "numaflow.source.v1.NackResponse.Result": {1: "google.protobuf.Empty success"},
    "numaflow.source.v1.PendingResponse": {1: "PendingResponse.Result result"},
    "numaflow.source.v1.PendingResponse.Result": {1: "int64 count"},
    "numaflow.source.v1.PartitionsResponse": {1: "PartitionsResponse.Result result"},
    "numaflow.source.v1.PartitionsResponse.Result": {
        1: "repeated int32 partitions",
        2: "optional int32 total_partitions",
    },
    "numaflow.source.v1.Offset": {1: "bytes offset", 2: "int32 partition_id"},
    "numaflow.source.v1.Handshake": {1: "bool sot"},
    # sink
    "numaflow.sink.v1.SinkRequest": {
        1: "SinkRequest.Request request",
        2: "TransmissionStatus status",
        3: "optional Handshake handshake",
    },
    "numaflow.sink.v1.SinkRequest.Request": {
        1: "repeated string keys",
        2: "bytes value",
        3: "google.protobuf.Timestamp event_time",
        4: "google.protobuf.Timestamp watermark",
        5: "string id",
        6: "map<string, string> headers",
        7: "numaflow.metadata.v1.Metadata metadata",
    },
    "numaflow.sink.v1.SinkResponse": {
        1: "repeated SinkResponse.Result results",
        2: "optional Handshake handshake",
        3: "optional TransmissionStatus status",
    },
    "numaflow.sink.v1.SinkResponse.Result": {
        1: "string id",
        2: "Status status",
        3: "string err_msg",
        4: "optional bytes serve_response",
        5: "optional SinkResponse.Result.Message on_success_msg",
        6: "optional numaflow.nack.v1.NackOptions nack_options",
    },
    "numaflow.sink.v1.SinkResponse.Result.Message": {
        1: "bytes value",
        2: "repeated string keys",
        3: "numaflow.metadata.v1.Metadata metadata",
    },
    "numaflow.sink.v1.Handshake": {1: "bool sot"},
    "numaflow.sink.v1.TransmissionStatus": {1: "bool eot"},
    # reduce
    "numaflow.reduce.v1.ReduceRequest": {
        1: "ReduceRequest.Payload payload",
        2: "ReduceRequest.WindowOperation operation",
    },
    "numaflow.reduce.v1.ReduceRequest.Payload": {
        1: "repeated string keys",
        2: "bytes value",
        3: "google.protobuf.Timestamp event_time",
        4: "google.protobuf.Timestamp watermark",
        5: "map<string, string> headers",
        6: "numaflow.metadata.v1.Metadata metadata",
    },
    "numaflow.reduce.v1.ReduceRequest.WindowOperation": {
        1: "ReduceRequest.WindowOperation.Event event",
        2: "repeated Window windows",
    },
    "numaflow.reduce.v1.ReduceResponse": {1: "ReduceResponse.Result result", 2: "Window window", 3: "bool EOF"},
    "numaflow.reduce.v1.ReduceResponse.Result": {
        1: "repeated string keys",
        2: "bytes value",
        3: "repeated string tags",
        4: "numaflow.metadata.v1.Metadata metadata",
    },
    "numaflow.reduce.v1.Window": {
        1: "google.protobuf.Timestamp start",
        2: "google.protobuf.Timestamp end",
        3: "string slot",
    },
    # session reduce
    "numaflow.sessionreduce.v1.SessionReduceRequest": {
        1: "SessionReduceRequest.Payload payload",
        2: "SessionReduceRequest.WindowOperation operation",
    },
    "numaflow.sessionreduce.v1.SessionReduceRequest.Payload": {
        1: "repeated string keys",
        2: "bytes value",
        3: "google.protobuf.Timestamp event_time",
        4: "google.protobuf.Timestamp watermark",
        5: "map<string, string> headers",
        6: "numaflow.metadata.v1.Metadata metadata",
    },
    "numaflow.sessionreduce.v1.SessionReduceRequest.WindowOperation": {
        1: "SessionReduceRequest.WindowOperation.Event event",
        2: "repeated KeyedWindow keyedWindows",
    },
    "numaflow.sessionreduce.v1.SessionReduceResponse": {
        1: "SessionReduceResponse.Result result",
        2: "KeyedWindow keyedWindow",
        3: "bool EOF",
    },
    "numaflow.sessionreduce.v1.SessionReduceResponse.Result": {
        1: "repeated string keys",
        2: "bytes value",
        3: "repeated string tags",
        4: "numaflow.metadata.v1.Metadata metadata",
    },
    "numaflow.sessionreduce.v1.KeyedWindow": {
        1: "google.protobuf.Timestamp start",
        2: "google.protobuf.Timestamp end",
        3: "string slot",
        4: "repeated string keys",
    },
    # accumulator
    "numaflow.accumulator.v1.Payload": {
        1: "repeated string keys",
        2: "bytes value",
        3: "google.protobuf.Timestamp event_time",
        4: "google.protobuf.Timestamp watermark",
        5: "string id",
        6: "map<string, string> headers",
        7: "numaflow.metadata.v1.Metadata metadata",
    },
    "numaflow.accumulator.v1.AccumulatorRequest": {
        1: "Payload payload",
        2: "AccumulatorRequest.WindowOperation operation",
    },
    "numaflow.accumulator.v1.AccumulatorRequest.WindowOperation": {
        1: "AccumulatorRequest.WindowOperation.Event event",
        2: "KeyedWindow keyedWindow",
    },
    "numaflow.accumulator.v1.AccumulatorResponse": {
        1: "Payload payload",
        2: "KeyedWindow window",
        3: "repeated string tags",
        4: "bool EOF",
    },
    "numaflow.accumulator.v1.KeyedWindow": {
        1: "google.protobuf.Timestamp start",
        2: "google.protobuf.Timestamp end",
        3: "string slot",
        4: "repeated string keys",
    },
    # side input
    "numaflow.sideinput.v1.SideInputResponse": {
        1: "bytes value",
        2: "bool no_broadcast",
        3: "numaflow.metadata.v1.Metadata metadata",
    },
    # serving store
    "numaflow.serving.v1.Payload": {1: "string origin", 2: "bytes value"},
    "numaflow.serving.v1.PutRequest": {1: "string id", 2: "repeated Payload payloads"},
    "numaflow.serving.v1.PutResponse": {1: "bool success"},
    "numaflow.serving.v1.GetRequest": {1: "string id"},
    "numaflow.serving.v1.GetResponse": {1: "string id", 2: "repeated Payload payloads"},
}

ENUMS: dict[str, dict[int, str]] = {
    "numaflow.source.v1.ReadResponse.Status.Code": {0: "SUCCESS", 1: "FAILURE"},
    "numaflow.source.v1.ReadResponse.Status.Error": {0: "UNACKED", 1: "OTHER"},
    "numaflow.sink.v1.Status": {
        0: "SUCCESS",
        1: "FAILURE",
        2: "FALLBACK",
        3: "SERVE",
        4: "ON_SUCCESS",
        5: "NACK",
    },
    "numaflow.reduce.v1.ReduceRequest.WindowOperation.Event": {0: "OPEN", 1: "CLOSE", 4: "APPEND"},
    "numaflow.sessionreduce.v1.SessionReduceRequest.WindowOperation.Event": {
        0: "OPEN",
        1: "CLOSE",
        2: "EXPAND",
        3: "MERGE",
        4: "APPEND",
    },
    "numaflow.accumulator.v1.AccumulatorRequest.WindowOperation.Event": {0: "OPEN", 1: "CLOSE", 2: "APPEND"},
}

# By the path on the wire, which has the upstream service name: that of our proto package without "numaflow.".
RPCS: dict[str, str] = {
    "/map.v1.Map/MapFn": "stream MapRequest -> stream MapResponse",
    "/sourcetransformer.v1.SourceTransform/SourceTransformFn": (
        "stream SourceTransformRequest -> stream SourceTransformResponse"
    ),
    "/source.v1.Source/ReadFn": "stream ReadRequest -> stream ReadResponse",
    "/source.v1.Source/AckFn": "stream AckRequest -> stream AckResponse",
    "/source.v1.Source/NackFn": "NackRequest -> NackResponse",
    "/source.v1.Source/PendingFn": "google.protobuf.Empty -> PendingResponse",
    "/source.v1.Source/PartitionsFn": "google.protobuf.Empty -> PartitionsResponse",
    "/sink.v1.Sink/SinkFn": "stream SinkRequest -> stream SinkResponse",
    "/reduce.v1.Reduce/ReduceFn": "stream ReduceRequest -> stream ReduceResponse",
    "/sessionreduce.v1.SessionReduce/SessionReduceFn": ("stream SessionReduceRequest -> stream SessionReduceResponse"),
    "/accumulator.v1.Accumulator/AccumulateFn": "stream AccumulatorRequest -> stream AccumulatorResponse",
    "/sideinput.v1.SideInput/RetrieveSideInput": "google.protobuf.Empty -> SideInputResponse",
    "/serving.v1.ServingStore/Put": "PutRequest -> PutResponse",
    "/serving.v1.ServingStore/Get": "GetRequest -> GetResponse",
    # Every service has it.
    "/map.v1.Map/IsReady": "google.protobuf.Empty -> numaflow.ready.v1.ReadyResponse",
    "/sourcetransformer.v1.SourceTransform/IsReady": "google.protobuf.Empty -> numaflow.ready.v1.ReadyResponse",
    "/source.v1.Source/IsReady": "google.protobuf.Empty -> numaflow.ready.v1.ReadyResponse",
    "/sink.v1.Sink/IsReady": "google.protobuf.Empty -> numaflow.ready.v1.ReadyResponse",
    "/reduce.v1.Reduce/IsReady": "google.protobuf.Empty -> numaflow.ready.v1.ReadyResponse",
    "/sessionreduce.v1.SessionReduce/IsReady": "google.protobuf.Empty -> numaflow.ready.v1.ReadyResponse",
    "/accumulator.v1.Accumulator/IsReady": "google.protobuf.Empty -> numaflow.ready.v1.ReadyResponse",
    "/sideinput.v1.SideInput/IsReady": "google.protobuf.Empty -> numaflow.ready.v1.ReadyResponse",
    "/serving.v1.ServingStore/IsReady": "google.protobuf.Empty -> numaflow.ready.v1.ReadyResponse",
}


def run_generate(*arguments: str) -> None:
    done = subprocess.run([sys.executable, str(GENERATE), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"proto/generate.py {' '.join(arguments)}\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[FileDescriptorProto]:
    """All sources, compiled by protoc now: not the modules that are checked in."""
    path = tmp_path_factory.mktemp("schema") / "all.binpb"
    run_generate("--descriptor-set", str(path))
    return list(FileDescriptorSet.FromString(path.read_bytes()).file)


def local(type_name: str, package: str) -> str:
    """Turn a fully qualified name into the spelling of the tables."""
    return type_name.removeprefix(".").removeprefix(f"{package}.")


def type_of(field: FieldDescriptorProto, package: str) -> str:
    if field.type_name:
        return local(field.type_name, package)
    return FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()


def is_entry(message: DescriptorProto) -> bool:
    """Whether a message is the hidden entry type of a map field."""
    return message.options.map_entry


def spell(field: FieldDescriptorProto, message: DescriptorProto, package: str) -> str:
    for entry in filter(is_entry, message.nested_type):
        if field.type_name.endswith(f".{entry.name}"):
            key, value = sorted(entry.field, key=lambda f: f.number)
            return f"map<{type_of(key, package)}, {type_of(value, package)}> {field.name}"
    label = ""
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        label = "repeated "
    elif field.proto3_optional:
        label = "optional "
    return f"{label}{type_of(field, package)} {field.name}"


def walk(file: FileDescriptorProto) -> Iterator[tuple[str, DescriptorProto]]:
    """Yield every message of a file, also nested ones, with its full name; not the entry types of map fields."""
    pending = [(f"{file.package}.{message.name}", message) for message in file.message_type]
    while pending:
        name, message = pending.pop()
        yield name, message
        pending.extend((f"{name}.{nested.name}", nested) for nested in message.nested_type if not is_entry(nested))


def enums_of(file: FileDescriptorProto) -> Iterator[tuple[str, EnumDescriptorProto]]:
    yield from ((f"{file.package}.{enum.name}", enum) for enum in file.enum_type)
    for name, message in walk(file):
        yield from ((f"{name}.{enum.name}", enum) for enum in message.enum_type)


def test_every_message_has_its_fields_and_numbers(files: list[FileDescriptorProto]) -> None:
    found = {
        name: {field.number: spell(field, message, file.package) for field in message.field}
        for file in files
        for name, message in walk(file)
    }
    assert found == MESSAGES


def test_optional_is_the_only_use_of_oneof(files: list[FileDescriptorProto]) -> None:
    for file in files:
        for name, message in walk(file):
            optional = [field.name for field in message.field if field.proto3_optional]
            in_oneof = [field.name for field in message.field if field.HasField("oneof_index")]
            assert in_oneof == optional, name


def test_every_enum_has_its_values(files: list[FileDescriptorProto]) -> None:
    found = {name: {v.number: v.name for v in enum.value} for file in files for name, enum in enums_of(file)}
    assert found == ENUMS


def test_every_rpc_has_its_path_types_and_streams(files: list[FileDescriptorProto]) -> None:
    found: dict[str, str] = {}
    for file in files:
        for service in file.service:
            for method in service.method:
                request = "stream " * method.client_streaming + local(method.input_type, file.package)
                response = "stream " * method.server_streaming + local(method.output_type, file.package)
                path = f"/{file.package.removeprefix('numaflow.')}.{service.name}/{method.name}"
                found[path] = f"{request} -> {response}"
    assert found == RPCS


def test_a_proto_package_belongs_to_one_file_of_one_distribution(files: list[FileDescriptorProto]) -> None:
    assert all(file.syntax == "proto3" for file in files)
    assert all(re.fullmatch(r"numaflow\.[a-z]+\.v1", file.package) for file in files)
    assert all(re.fullmatch(r"numaflow_[a-z]+/_proto/[a-z_]+\.proto", file.name) for file in files)
    assert [package for package, count in Counter(file.package for file in files).items() if count > 1] == []


def test_a_kind_imports_only_core(files: list[FileDescriptorProto]) -> None:
    for file in files:
        imported = {name.partition("/_proto/")[0] for name in file.dependency}
        assert {name for name in imported if not name.startswith("google/protobuf/")} <= {"numaflow_core"}, file.name


def test_generated_files_are_up_to_date() -> None:
    run_generate("--check")


def test_generated_modules_import_on_old_protobuf_runtimes() -> None:
    modules = sorted(ROOT.glob("packages/*/src/*/_proto/*_pb2.py"))
    assert modules
    for module in modules:
        text = module.read_text(encoding="utf-8")
        assert "\n# Protobuf Python Version: 5.26.1\n" in text, module
        assert "runtime_version" not in text, module
        assert "ValidateProtobufRuntimeVersion" not in text, module
