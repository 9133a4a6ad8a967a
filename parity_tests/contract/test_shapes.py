"""Every operation of the twin answers in the shape of botocore's model.

Raw answers are held against the output shape to the letter, sent over the wire and read back;
refusals must arrive in boto3 as the exceptions of the service's model.
What moto answers to operations that are forwarded to it is held against them, too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from parity_tests.contract import (
    errors_catalog,
    errors_devices,
    errors_quicksight,
    errors_scaling,
    errors_services,
    errors_storage,
    examples_autoscaling,
    examples_catalog,
    examples_datasync,
    examples_devices,
    examples_events,
    examples_forwarded,
    examples_jobs,
    examples_lake,
    examples_logs,
    examples_quicksight,
    examples_registry,
    examples_sagemaker_jobs,
    examples_sns,
    examples_sqs,
    examples_stacks,
    examples_storage,
    examples_streams,
    examples_tables,
    examples_workflows,
)
from parity_tests.contract.errors import COMMON, DOCUMENTED, NOT_PROVOKED, ErrorCase
from parity_tests.contract.examples import Example, Examples
from parity_tests.contract.shapes import absent, carried, comparable, misfits
from parity_tests.contract.world import World
from simulator.cloud import cloud as cloud_module
from simulator.cloud.cloud import Cloud
from simulator.cloud.validation import operation_model, service_model

EXAMPLES: list[Example] = [
    example
    for module in (
        examples_storage,
        examples_tables,
        examples_streams,
        examples_logs,
        examples_sns,
        examples_sqs,
        examples_jobs,
        examples_quicksight,
        examples_registry,
        examples_sagemaker_jobs,
        examples_lake,
        examples_catalog,
        examples_datasync,
        examples_devices,
        examples_events,
        examples_workflows,
        examples_stacks,
        examples_autoscaling,
        examples_forwarded,
    )
    for group in vars(module).values()
    if isinstance(group, Examples)
    for example in group.all
]
CASES: list[ErrorCase] = [
    *errors_storage.storage.all,
    *errors_services.services.all,
    *errors_catalog.catalog.all,
    *errors_devices.devices.all,
    *errors_quicksight.quicksight.all,
    *errors_scaling.scaling.all,
]

SOURCES = Path(cloud_module.__file__).parent
SERVICES_OF_FILES = {
    ("s3", "aws_chunked"): ("s3",),
    ("dynamodb",): ("dynamodb",),
    ("sns",): ("sns",),
    ("sqs",): ("sqs",),
    ("kinesis", "streams", "shards"): ("kinesis",),
    ("iot",): ("iot", "iot-data"),
    ("logs", "log_"): ("logs",),
    ("alarm", "composite", "dashboards", "extended", "metric"): ("cloudwatch",),
    ("functions", "function_", "event_source", "mapping", "invocations"): ("lambda",),
    ("glue", "partition_expr"): ("glue",),
    ("datasync",): ("datasync",),
    ("quicksight",): ("quicksight",),
    ("lake_formation",): ("lakeformation",),
    ("events", "event_patterns", "event_targets"): ("events",),
    (
        "sagemaker",
        "training",
        "containers",
        "job_records",
        "model_containers",
        "processing_runs",
        "transform",
        "tuning",
    ): ("sagemaker", "sagemaker-runtime"),
    ("workflows", "asl"): ("stepfunctions",),
    ("stacks",): ("cloudformation",),
    ("autoscaling",): ("application-autoscaling",),
}
"""Whose errors the files raise, by the beginnings of their names."""

HEAD_STATUSES = {"404"}
"""The answer to a HEAD has no body; boto3 shows its HTTP status as the code."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Return the project's infrastructure, booted once for all examples."""
    made = World(tmp_path_factory.mktemp("contract"))
    yield made
    made.close()


@pytest.mark.parametrize(
    ("service", "operation", "answer", "finding"),
    [
        ("glue", "GetJob", {"Jobs": []}, "no such member"),
        ("glue", "GetJob", {"Job": {"Timeout": "30"}}, "str instead of integer"),
        ("glue", "GetJob", {"Job": {"Timeout": True}}, "bool instead of integer"),
        ("glue", "GetJob", {"Job": {"Timeout": None}}, "NoneType instead of integer"),
        ("glue", "GetJob", {"Job": {"CreatedOn": 1.5}}, "float instead of timestamp"),
        ("glue", "GetJob", {"Job": {"CreatedOn": datetime(2026, 1, 5)}}, "without a zone"),  # noqa: DTZ001
        ("glue", "GetJob", {"Job": {"WorkerType": "G.3X"}}, "none of"),
        ("glue", "GetJob", {"Job": {"NonOverridableArguments": []}}, "instead of a map"),
        ("kinesis", "PutRecords", {"FailedRecordCount": 0}, "the model requires it"),
        ("lambda", "GetFunction", {"Configuration": {"MemorySize": 0}}, "0 is below 128"),
        ("lambda", "GetFunction", {"Configuration": {"FunctionArn": "x"}}, "does not match"),
        ("s3", "PutBucketPolicy", {"Policy": "{}"}, "has no answer"),
    ],
)
def test_the_check_finds_what_does_not_fit(
    service: str, operation: str, answer: dict[str, Any], finding: str
) -> None:
    assert finding in "\n".join(misfits(operation_model(service, operation).output_shape, answer))


def own_operations(cloud: Cloud) -> set[tuple[str, str]]:
    """Return the (service, operation) that run here and are not forwarded to moto."""
    forwarded = {
        (service, operation)
        for service in cloud.forwarder.services()
        for operation in cloud.forwarder.operations(service)
    }
    return set(cloud.dispatch.supported()) - forwarded


def test_every_operation_has_an_example(world: World) -> None:
    there = set(world.cloud.dispatch.supported())
    with_example = {(example.service, example.operation) for example in EXAMPLES}
    assert sorted(there - with_example) == []
    assert sorted(with_example - there) == []
    assert len(own_operations(world.cloud)) < len(there)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_answer_fits_its_shape_and_survives_the_wire(world: World, example: Example) -> None:
    service, operation = example.service, example.operation
    try:
        answer = world.ask(service, operation, example.make(world))
        assert list(misfits(operation_model(service, operation).output_shape, answer)) == []
        assert absent(answer, example.present) == []
        if not example.present:
            assert answer == {}
        assert comparable(carried(service, operation, answer)) == comparable(answer)
    finally:
        world.settle()


# -- errors


def codes_in(path: Path) -> Iterator[str]:
    """Yield the codes that a source file gives its errors, where it writes them out."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            position = {"AwsError": 0, "ValidationError": 1}.get(node.func.id, 99)
            for given in node.args[position : position + 1]:
                if isinstance(given, ast.Constant):
                    yield str(given.value)


RAISED = sorted(
    {
        (services, code)
        for beginnings, services in SERVICES_OF_FILES.items()
        for path in SOURCES.glob("*.py")
        if path.name.startswith(beginnings)
        for code in codes_in(path)
    }
)


def is_aws_code(service: str, code: str) -> bool:
    """Tell whether AWS has a code: in the service's model, or on a page that lists it."""
    modelled = service_model(service).shape_for_error_code(_any(code)) is not None
    common = code in COMMON and service != "s3"
    return modelled or common or code in DOCUMENTED.get(service, ())


def _any(value: Any) -> Any:
    """Hide a type: botocore's published stubs say that codes are int, shapes without members."""
    return value


@pytest.mark.parametrize(("services", "code"), RAISED, ids=str)
def test_every_code_in_the_sources_is_one_of_aws_and_is_provoked(
    services: tuple[str, ...], code: str
) -> None:
    provoked = {(case.service, case.code) for case in CASES} | set(NOT_PROVOKED)
    assert any((service, code) in provoked for service in services)
    if (services[0], code) not in NOT_PROVOKED:
        assert any(is_aws_code(service, code) for service in services)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.service}.{case.code}")
def test_a_refusal_arrives_as_the_exception_of_the_model(world: World, case: ErrorCase) -> None:
    try:
        params = case.make(world)
        world.become(world.new_role() if case.denied else None)
        with pytest.raises(ClientError) as caught:
            world.ask(case.service, case.operation, params)
    finally:
        world.become(None)
        world.settle()
    response: dict[str, Any] = dict(_any(caught.value.response))
    error, status = response.pop("Error"), response.pop("ResponseMetadata")["HTTPStatusCode"]
    assert error["Code"] == case.code
    shape = service_model(case.service).shape_for_error_code(_any(case.code))
    if shape is None:
        assert case.code in HEAD_STATUSES or is_aws_code(case.service, case.code)
        return
    assert type(caught.value).__name__ == shape.name
    assert status == shape.metadata.get("error", {}).get("httpStatusCode", status)
    assert list(misfits(shape, response)) == []
    assert absent(response, case.fields) == []
    if service_model(case.service).resolved_protocol == "query":
        # Its errors say <Message>, the model's member is "message": boto3 shows Error.Message only.
        assert error["Message"] != ""
        return
    for name in {"message", "Message"} & set(_any(shape).members):
        assert response[name] == error["Message"] != ""
