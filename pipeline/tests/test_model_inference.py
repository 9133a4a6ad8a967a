"""The endpoint's bodies: what it answers, and what it refuses with which message."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from typing import Any

import numpy as np
import pytest

from pipeline.errors import InvalidRequest
from pipeline.model import inference
from pipeline.model.artefact import Artefact
from pipeline.model.fitting import train
from pipeline.model.server import MAX_BODY_BYTES, Application, Message
from pipeline.tests import healthy


@cache
def trained() -> Artefact:
    return train(healthy.dataset(1), healthy.chosen()).artefact


def body(*features: list[Any], device_id: str = "m0") -> bytes:
    rows = [{"device_id": device_id, "event_time_ms": 1, "features": list(row)} for row in features]
    return json.dumps({"rows": rows}).encode()


def ask(sent: bytes) -> dict[str, Any]:
    request = inference.input_fn(sent, "application/json")
    answer, content_type = inference.output_fn(
        inference.predict_fn(request, trained()), "application/json"
    )
    assert content_type == "application/json"
    parsed: dict[str, Any] = json.loads(answer)
    return parsed


def test_an_answer_has_the_rule_and_one_score_for_each_row() -> None:
    rows = healthy.dataset(1).features[:5]
    answer = ask(body(*rows.tolist()))
    assert answer["model_version"] == trained().version
    assert answer["sensors"] == list(healthy.SENSORS)
    assert answer["enter"] == 1.0
    assert {key: answer[key] for key in ("smoothing_rows", "enter_rows", "exit_rows")} == {
        "smoothing_rows": 3,
        "enter_rows": 2,
        "exit_rows": 3,
    }
    expected = trained().combination.score(trained().model.parts(["m0"] * 5, rows))
    assert answer["scores"] == pytest.approx(expected.tolist())
    assert len(answer["no_model_scores"]) == len(answer["contributions"]) == 5


def test_no_rows_are_answered_with_no_scores() -> None:
    assert ask(b'{"rows": []}')["scores"] == []


def test_a_missing_feature_is_scored_and_a_row_of_nothing_else_is_not() -> None:
    row = [None, *healthy.dataset(1).features[0, 1:].tolist()]
    answer = ask(body(row, [None] * healthy.WIDTH))
    assert answer["scores"][0] >= 0.0
    assert answer["scores"][1] is None
    assert answer["no_model_scores"][1] is None


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", 'list "rows"'),
        (b'{"rows": 3}', 'list "rows"'),
        (b'{"rows": [3]}', "row 0 is not an object"),
        (b'{"rows": [{"features": []}]}', 'row 0 has no "device_id"'),
        (b'{"rows": [{"device_id": "a"}]}', 'row 0 has no list "features"'),
        (body([1.0, True]), "row 0, feature 1 is neither number nor null"),
        (b'{"rows": [{"device_id": "a", "features": [NaN]}]}', "write null"),
        (body([1.0], [1.0, 2.0]), "row 1 has 2 features, row 0 has 1"),
        (body([1.0, 2.0]), f"rows have 2 features, the model takes {healthy.WIDTH}"),
    ],
)
def test_a_body_it_cannot_use_is_refused_with_the_reason(sent: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        ask(sent)


def call(method: str, path: str, sent: bytes = b"", **headers: str) -> tuple[int, bytes]:
    """Send one request to the application and return status and body."""
    answers: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": sent, "more_body": False}

    async def send(message: Message) -> None:
        answers.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        ],
    }
    asyncio.run(Application(trained())(scope, receive, send))
    return answers[0]["status"], answers[1]["body"]


def test_the_server_pings_scores_and_refuses_with_a_status() -> None:
    row = np.zeros(healthy.WIDTH).tolist()
    kind = {"content_type": "application/json; charset=utf-8"}
    assert call("GET", "/ping") == (200, b"")
    status, answer = call("POST", "/invocations", body(row), accept="*/*", **kind)
    assert (status, len(json.loads(answer)["scores"])) == (200, 1)
    status, answer = call("POST", "/invocations", body([1.0]), **kind)
    assert status == 400
    assert "the model takes" in json.loads(answer)["error"]
    assert call("POST", "/invocations", b"1,2", content_type="application/x-npy")[0] == 415
    assert call("POST", "/invocations", body(row), accept="image/png", **kind)[0] == 415
    assert call("POST", "/invocations", b" " * (MAX_BODY_BYTES + 1), **kind)[0] == 413
    assert call("GET", "/models")[0] == 404
