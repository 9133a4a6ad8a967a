"""The functions' quicker JSON protocol writes and reads what botocore's own does."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from typing import Any

import botocore.session
import pytest
from botocore.parsers import JSONParser, ResponseParserFactory
from botocore.serialize import JSONSerializer
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.tests.site_modules import load

OPERATIONS = [
    ("dynamodb", "TransactWriteItems"),
    ("dynamodb", "BatchGetItem"),
    ("dynamodb", "Query"),
    ("dynamodb", "DescribeTable"),
    ("kinesis", "PutRecords"),
    ("kinesis", "GetRecords"),
    ("logs", "PutLogEvents"),
    ("events", "PutEvents"),
    ("stepfunctions", "GetExecutionHistory"),
    ("sagemaker", "CreateTrainingJob"),
    ("sagemaker", "DescribeEndpoint"),
    ("ssm", "GetParametersByPath"),
]


class QuickSerializer(JSONSerializer):
    """Takes the quick way; the class of its own keeps botocore's as it is."""


class QuickParser(JSONParser):
    """Takes the quick way."""


CODEC = load("fleetwin_json_codec")
assert CODEC.install(QuickSerializer, QuickParser)


@cache
def model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def values(shape: Any, depth: int, *, answer: bool) -> st.SearchStrategy[Any]:
    """Return values of a shape as a caller gives them, or as JSON brings them."""
    kind = shape.type_name
    if kind == "structure" and not shape.is_document_type:
        if answer and shape.is_tagged_union:
            return st.just({})
        parts = {
            member.serialization.get("name", name) if answer else name: values(
                member, depth - 1, answer=answer
            )
            for name, member in shape.members.items()
            if depth > 0
        }
        if answer:
            parts = {name: st.none() | part for name, part in parts.items()}
            parts["Unknown"] = st.just("of a later botocore")
        return st.fixed_dictionaries({}, optional=parts)
    if kind in ("list", "map") and depth <= 0:
        return st.just([] if kind == "list" else {})
    if kind == "list":
        one = values(shape.member, depth - 1, answer=answer)
        return st.lists(st.none() | one if answer else one, max_size=3)
    if kind == "map":
        return st.dictionaries(
            st.text(max_size=4), values(shape.value, depth - 1, answer=answer), max_size=3
        )
    if kind == "blob":
        return st.just("aGVsbG8=") if answer else st.binary(max_size=8) | st.text(max_size=4)
    if kind == "timestamp":
        when = st.integers(0, 2_000_000_000)
        return when if answer else when.map(lambda s: datetime.fromtimestamp(s, UTC))
    if kind in ("integer", "long"):
        return st.integers(-(2**31), 2**31)
    if kind in ("float", "double"):
        return st.floats(allow_nan=False, allow_infinity=False) | st.decimals(0, 9, places=2)
    return st.booleans() if kind == "boolean" else st.text(max_size=6)


@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_requests_are_the_same_bytes(service: str, operation: str, data: st.DataObject) -> None:
    asked = model(service).operation_model(operation)
    given_ = data.draw(values(asked.input_shape, 4, answer=False))
    quick = QuickSerializer().serialize_to_request(given_, asked)
    assert quick == JSONSerializer().serialize_to_request(given_, asked)


@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_answers_are_the_same_values(service: str, operation: str, data: st.DataObject) -> None:
    shape = model(service).operation_model(operation).output_shape
    came = data.draw(values(shape, 4, answer=True))
    body = json.dumps(came, default=float).encode()
    response = {"status_code": 200, "headers": {"x-amzn-requestid": "1"}, "body": body}
    quick = QuickParser().parse(response, shape)
    slow = JSONParser().parse(response, shape)
    assert quick == slow
    assert json.dumps(quick, default=str) == json.dumps(slow, default=str)  # The order, too.


def test_an_error_and_a_broken_body_are_read_alike() -> None:
    shape = model("dynamodb").operation_model("TransactWriteItems").output_shape
    reasons = {"CancellationReasons": [{"Code": "None"}], "__type": "x#TransactionCanceled"}
    for status, body in ((400, json.dumps(reasons).encode()), (200, b"{"), (200, b"")):
        response = {"status_code": status, "headers": {}, "body": body}
        assert QuickParser().parse(response, shape) == JSONParser().parse(response, shape)


def test_a_botocore_with_another_kind_of_shape_keeps_its_own_way() -> None:
    class Later(JSONSerializer):
        def _serialize_type_decimal(self) -> None: ...

    assert not CODEC.install(Later, JSONParser)
    assert "_serialize" not in vars(Later)


def json_values(least: int, most: int) -> st.SearchStrategy[Any]:
    """Return values as JSON has them; it has neither NaN nor the infinities."""
    finite = st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(
        st.none() | st.booleans() | st.integers(least, most) | finite | st.text(max_size=6),
        lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=4), part),
    )


@given(json_values(-(2**70), 2**70))
def test_a_text_that_is_written_quickly_says_what_the_module_json_writes(value: Any) -> None:
    text = CODEC.Text()
    assert json.loads(text.dumps(value)) == value
    assert text.dumps(value, separators=(",", ":")) == json.dumps(value, separators=(",", ":"))


@given(json_values(-(2**63), 2**64 - 1))
def test_a_text_is_read_quickly_as_the_module_json_reads_it(value: Any) -> None:
    written = json.dumps(value)
    assert repr(CODEC.Text().loads(written)) == repr(json.loads(written))


def test_one_parser_of_a_session_reads_every_service_as_parsers_of_their_own_do() -> None:
    class Factory(ResponseParserFactory):
        def create_parser(self, protocol_name: str) -> Any:
            assert protocol_name == "json"
            return QuickParser(**vars(self)["_defaults"])

    CODEC.keep_parsers(Factory)
    factory = Factory()
    kept = factory.create_parser("json")
    assert factory.create_parser("json") is kept
    # Both services have shapes of these names, with other members.
    tables = model("dynamodb").operation_model("ListTagsOfResource").output_shape
    streams = model("kinesis").operation_model("ListTagsForStream").output_shape
    for shape, content in (
        (tables, {"Tags": [{"Key": "a", "Value": "b"}], "NextToken": "c", "HasMoreTags": 1}),
        (streams, {"Tags": [{"Key": "a", "Value": "b"}], "NextToken": "c", "HasMoreTags": True}),
    ):
        body = json.dumps(content).encode()
        response = {"status_code": 200, "headers": {}, "body": body}
        assert kept.parse(response, shape) == JSONParser().parse(response, shape)

    factory.set_parser_defaults(timestamp_parser=lambda value: f"at {value}")
    assert factory.create_parser("json") is not kept
    described = model("dynamodb").operation_model("DescribeTable").output_shape
    response["body"] = b'{"Table": {"CreationDateTime": 5}}'
    told = factory.create_parser("json").parse(response, described)
    assert told["Table"] == {"CreationDateTime": "at 5"}


def test_what_json_cannot_hold_is_refused_as_the_module_does() -> None:
    text = CODEC.Text()
    for value in (datetime.now(UTC), b"bytes", {1, 2}, {(1, 2): 3}):
        with pytest.raises(TypeError):
            text.dumps(value)
    with pytest.raises(ValueError, match="Expecting value"):
        text.loads("nothing")
    assert text.JSONDecodeError is json.JSONDecodeError
