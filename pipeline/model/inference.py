"""The inference script: SageMaker's four functions, from a request's body to an answer's.

The server calls `model_fn` once and then `input_fn`, `predict_fn`, `output_fn` for each request,
as SageMaker's inference toolkits do. It imports NumPy and orjson only. The bodies:

    application/json: {"rows": [{"device_id": ..., "features": [number or null, ...]}]}
    {"model_version", "smoothing_rows", "enter", "exit", "enter_rows", "exit_rows", "sensors",
     "scores": [...], "no_model_scores": [...], "contributions": [[share per sensor], ...]}
    and of a model with a slow mean also "memory_rows", "level_sensors" and "levels": [[deviation
    per sensor in thresholds], ...]

    application/jsonlines: a row a line, answered by an object a line
    text/csv: device_id and its features a line, answered by score,no_model_score a line

A row without any feature has no score: null, not 0, which would say "healthy".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.errors import InvalidRequest
from pipeline.model import line_formats
from pipeline.model.artefact import Artefact, load

JSON = "application/json"
JSON_LINES = "application/jsonlines"
CSV = "text/csv"

_ROWS_OF = {JSON_LINES: line_formats.rows_of_jsonlines, CSV: line_formats.rows_of_csv}
_ANSWER_OF: dict[str, Callable[[dict[str, Any]], bytes]] = {
    JSON: line_formats.json_of,
    JSON_LINES: line_formats.jsonlines_of,
    CSV: line_formats.csv_of,
}
_ANY = frozenset({"", "*/*", "application/*"})


class UnsupportedType(InvalidRequest):
    """A body in, or a wish for, a format that the endpoint does not have."""


@dataclass(frozen=True)
class Request:
    """The rows of a request; `features` is (n, width) and NaN where the request has null."""

    device_ids: list[str]
    features: NDArray[np.float64]


def model_fn(model_dir: str) -> Artefact:
    """Load the model; raises ModelNotReady."""
    return load(Path(model_dir))


def input_fn(body: bytes, content_type: str) -> Request:
    """Parse a request; raises InvalidRequest that says what is wrong and in which row."""
    kind = content_type.partition(";")[0].strip().lower()
    return _request(_rows_of_json(body) if kind == JSON else _rows_of_lines(body, kind))


def _rows_of_lines(body: bytes, kind: str) -> list[Any]:
    rows_of = _ROWS_OF.get(kind)
    if rows_of is None:
        raise UnsupportedType(f"content type {kind!r} is not one of {', '.join(_ANSWER_OF)}")
    return rows_of(body)


def _rows_of_json(body: bytes) -> list[Any]:
    try:
        parsed = orjson.loads(body)
    except ValueError as error:
        # NaN and Infinity are not JSON either, though some writers write them.
        raise InvalidRequest(
            f"the body is not JSON: {error} (write null for a missing feature)"
        ) from None
    rows = parsed.get("rows") if isinstance(parsed, dict) else None
    if not isinstance(rows, list):
        raise InvalidRequest('the body must be an object with a list "rows"')
    return rows


def _request(rows: list[Any]) -> Request:
    at_once = _at_once(rows)
    return _one_by_one(rows) if at_once is None else at_once


_id_and_features = itemgetter("device_id", "features")
_NUMBERS = {float, int, type(None)}


def _at_once(rows: list[Any]) -> Request | None:
    """Return the rows if all of them are beyond doubt, else None: `_one_by_one` says why."""
    try:
        device_ids, features = zip(*map(_id_and_features, rows), strict=True)
        widths = set(map(len, features))
        right = (
            set(map(type, rows)) == {dict}
            and set(map(type, device_ids)) == {str}
            and all(device_ids)
            and set(map(type, features)) == {list}
            and len(widths) == 1
            and _NUMBERS.issuperset(map(type, chain.from_iterable(features)))
        )
        # NumPy makes NaN of None.
        return Request(list(device_ids), np.array(features, np.float64)) if right else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _one_by_one(rows: list[Any]) -> Request:
    device_ids: list[str] = []
    values: list[list[float]] = []
    for position, row in enumerate(rows):
        device_id, features = _row(row, position)
        if values and len(features) != len(values[0]):
            raise InvalidRequest(
                f"row {position} has {len(features)} features, row 0 has {len(values[0])}"
            )
        device_ids.append(device_id)
        values.append(features)
    width = len(values[0]) if values else 0
    return Request(device_ids, np.array(values, dtype=np.float64).reshape(len(rows), width))


def _row(row: Any, position: int) -> tuple[str, list[float]]:
    if not isinstance(row, dict):
        raise InvalidRequest(f"row {position} is not an object")
    device_id, features = row.get("device_id"), row.get("features")
    if not isinstance(device_id, str) or not device_id:
        raise InvalidRequest(f'row {position} has no "device_id"')
    if not isinstance(features, list):
        raise InvalidRequest(f'row {position} has no list "features"')
    values = []
    for place, value in enumerate(features):
        if value is None:
            values.append(float("nan"))
        elif type(value) in (int, float):
            values.append(_number(value))
        else:
            raise InvalidRequest(f"row {position}, feature {place} is neither number nor null")
    return device_id, values


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def predict_fn(request: Request, artefact: Artefact) -> dict[str, Any]:
    """Score the rows; raises InvalidRequest when they do not have the model's features.

    Scores are arrays (n,), NaN for a row without any feature; contributions (n, n_sensors).
    """
    width = len(artefact.feature_names)
    if request.device_ids and request.features.shape[1] != width:
        raise InvalidRequest(
            f"rows have {request.features.shape[1]} features, the model takes {width}: "
            f"{', '.join(artefact.feature_names)}"
        )
    features = request.features.reshape(len(request.device_ids), width)
    model, rule = artefact.model, artefact.rule
    parts, shares = model.parts_and_contributions(
        request.device_ids, features, artefact.combination.residual_weight
    )
    scores = artefact.combination.score(parts)
    no_model_scores = artefact.combination.no_model_score(parts)
    empty = model.without_values(features, parts)
    scores[empty] = no_model_scores[empty] = np.nan
    answer = {
        "model_version": artefact.version,
        "smoothing_rows": rule.smoothing_rows,
        "enter": rule.enter,
        "exit": rule.exit,
        "enter_rows": rule.enter_rows,
        "exit_rows": rule.exit_rows,
        "scores": scores,
        "no_model_scores": no_model_scores,
        "contributions": shares.round(6, out=shares),
        "sensors": list(model.sensors),
    }
    return answer | _levels(request, artefact, features) if rule.memory_rows else answer


def _levels(request: Request, artefact: Artefact, features: NDArray[np.float64]) -> dict[str, Any]:
    vectors = artefact.model.level_vectors(request.device_ids, features)
    vectors /= artefact.combination.slow_threshold
    return {
        "memory_rows": artefact.rule.memory_rows,
        "level_sensors": list(artefact.level_sensors),
        "levels": vectors.round(6, out=vectors),
    }


def output_fn(prediction: dict[str, Any], accept: str) -> tuple[bytes, str]:
    """Return the answer's body and content type: of those in `accept` the first that it can.

    The default is JSON, as in SageMaker's toolkits; raises UnsupportedType.
    """
    for part in accept.split(","):
        kind = part.partition(";")[0].strip().lower()
        if kind in _ANY:
            kind = JSON
        answer_of = _ANSWER_OF.get(kind)
        if answer_of is not None:
            return answer_of(prediction), kind
    raise UnsupportedType(f"cannot answer in {accept!r}, only in {', '.join(_ANSWER_OF)}")
