"""Bodies with one row a line: the same scores as in JSON, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InvalidRequest
from pipeline.model import inference
from pipeline.model.server import MAX_BODY_BYTES, body_limit
from pipeline.tests import healthy
from pipeline.tests.test_model_inference import ask, call, trained

VALUES = st.none() | st.floats(-1e6, 1e6) | st.integers(-1_000, 1_000)
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["m0", "a, b", 'a "quoted" one', "ünit"]),
        st.lists(VALUES, min_size=healthy.WIDTH, max_size=healthy.WIDTH),
    ),
    max_size=4,
)


def as_json(rows: list[tuple[str, list[Any]]]) -> bytes:
    listed = [{"device_id": unit, "features": features} for unit, features in rows]
    return json.dumps({"rows": listed}).encode()


def as_lines(rows: list[tuple[str, list[Any]]]) -> bytes:
    lines = [json.dumps({"device_id": unit, "features": features}) for unit, features in rows]
    return "".join(f"{line}\n" for line in lines).encode()


def as_csv(rows: list[tuple[str, list[Any]]]) -> bytes:
    quoted = ['"{}"'.format(unit.replace('"', '""')) for unit, _ in rows]
    values = [["" if value is None else repr(value) for value in features] for _, features in rows]
    lines = [",".join([unit, *fields]) for unit, fields in zip(quoted, values, strict=True)]
    return "".join(f"{line}\n" for line in lines).encode()


def answer(sent: bytes, kind: str) -> str:
    prediction = inference.predict_fn(inference.input_fn(sent, kind), trained())
    body, answered = inference.output_fn(prediction, kind)
    assert answered == kind
    return body.decode()


@settings(deadline=None)
@given(ROWS)
def test_all_three_forms_of_the_same_rows_have_the_same_scores(
    rows: list[tuple[str, list[Any]]],
) -> None:
    expected = ask(as_json(rows))
    lines = [json.loads(line) for line in answer(as_lines(rows), inference.JSON_LINES).splitlines()]
    assert [line["score"] for line in lines] == expected["scores"]
    assert [line["no_model_score"] for line in lines] == expected["no_model_scores"]
    assert [line["contributions"] for line in lines] == expected["contributions"]
    assert {line["model_version"] for line in lines} <= {expected["model_version"]}
    pairs = [line.split(",") for line in answer(as_csv(rows), inference.CSV).splitlines()]
    found = [[float(field) if field else None for field in pair] for pair in pairs]
    assert [pair[0] for pair in found] == expected["scores"]
    assert [pair[1] for pair in found] == expected["no_model_scores"]


@pytest.mark.parametrize(
    ("kind", "sent", "message"),
    [
        ("application/jsonlines", b'{"device_id": "a", "features": [1]}\n{\n', "row 1 is not JSON"),
        ("application/jsonlines", b'{"device_id": "a", "features": [NaN]}', "write null"),
        ("application/jsonlines", b"3\n", "row 0 is not an object"),
        ("application/jsonlines", b"\n", "row 0 is not JSON"),
        ("application/jsonlines", b'{"features": [1]}\n', 'row 0 has no "device_id"'),
        ("text/csv", b"a,1,nan\n", "row 0, feature 1 is not a number: 'nan'"),
        ("text/csv", b"a,1\nb,inf\n", "row 1, feature 0 is not a number"),
        ("text/csv", b"device_id,rms\n", "row 0, feature 0 is not a number: 'rms'"),
        ("text/csv", b"a,1\n\nb,1\n", "row 1 has no device id"),
        ("text/csv", b",1\n", "row 0 has no device id"),
        ("text/csv", b"a,1\nb,1,2\n", "row 1 has 2 features, row 0 has 1"),
        ("text/csv", b'"a,1\n', "not CSV"),
        ("text/csv", b"\xff,1\n", "not CSV"),
        ("text/csv", b"a,1,2\n", f"rows have 2 features, the model takes {healthy.WIDTH}"),
    ],
)
def test_a_line_it_cannot_use_is_refused_with_its_place(
    kind: str, sent: bytes, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        answer(sent, kind)


def test_the_server_answers_in_the_form_that_was_sent_unless_another_is_wanted() -> None:
    rows = [("m0", [0.0] * healthy.WIDTH)] * 2
    csv = {"content_type": "text/csv; charset=utf-8"}
    status, body = call("POST", "/invocations", as_csv(rows), **csv)
    assert (status, body.count(b"\n"), body.count(b",")) == (200, 2, 2)
    lines = call("POST", "/invocations", as_csv(rows), accept="application/jsonlines", **csv)[1]
    assert [json.loads(line)["score"] for line in lines.splitlines()] == [
        float(line.split(b",")[0]) for line in body.splitlines()
    ]
    whole = call("POST", "/invocations", as_csv(rows), accept="application/json;q=1, */*", **csv)
    assert len(json.loads(whole[1])["scores"]) == 2
    assert call("POST", "/invocations", b"a,1\n", **csv)[0] == 400


def test_batch_transform_is_told_how_to_send() -> None:
    status, body = call("GET", "/execution-parameters")
    assert status == 200
    assert json.loads(body) == {
        "MaxConcurrentTransforms": 1,
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": 6,
    }


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, MAX_BODY_BYTES),
        ({"SAGEMAKER_MAX_PAYLOAD_IN_MB": "20"}, MAX_BODY_BYTES),
        ({"SAGEMAKER_BATCH": "True"}, 6 * 2**20),
        ({"SAGEMAKER_BATCH": "true", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "20"}, 20 * 2**20),
    ],
)
def test_a_transform_job_may_raise_the_limit_of_a_body(
    variables: dict[str, str], expected: int
) -> None:
    assert body_limit(variables) == expected
    assert (
        body_limit(variables | {"SAGEMAKER_BATCH": "true", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "0"})
        > 1e15
    )
