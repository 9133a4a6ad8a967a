"""Bodies with one row a line: JSON Lines and CSV, as Batch Transform splits and assembles them.

Called by `pipeline.model.inference`. It turns text into rows and answers into text; whether rows
fit the model is decided there.
"""

from __future__ import annotations

import csv
import io
import math
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.errors import InvalidRequest


def rows_of_jsonlines(body: bytes) -> list[Any]:
    """Return one parsed value a line; raises InvalidRequest with the number of the row."""
    rows = []
    for position, line in enumerate(body.removesuffix(b"\n").split(b"\n") if body else ()):
        try:
            rows.append(orjson.loads(line))
        except ValueError as error:
            raise InvalidRequest(
                f"row {position} is not JSON: {error} (write null for a missing feature)"
            ) from None
    return rows


def rows_of_csv(body: bytes) -> list[Any]:
    """Return {"device_id", "features"} a line; an empty field is a missing feature.

    SageMaker's CSV has no header. Raises InvalidRequest with the place of what is no number.
    """
    try:
        lines = list(csv.reader(io.StringIO(body.decode("utf-8"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidRequest(f"the body is not CSV: {error}") from None
    return [_row_of_csv(fields, position) for position, fields in enumerate(lines)]


def _row_of_csv(fields: list[str], position: int) -> dict[str, Any]:
    if not fields or not fields[0]:
        raise InvalidRequest(f"row {position} has no device id in its first field")
    try:
        features = [float(field) if field else None for field in fields[1:]]
        if all(value is None or math.isfinite(value) for value in features):
            return {"device_id": fields[0], "features": features}
    except ValueError:
        pass
    place, field = next(
        (place, field) for place, field in enumerate(fields[1:]) if field and not _is_number(field)
    )
    raise InvalidRequest(
        f"row {position}, feature {place} is not a number: {field[:40]!r} "
        "(leave a missing feature empty)"
    )


def _is_number(field: str) -> bool:
    try:
        return math.isfinite(float(field))
    except ValueError:
        return False


def json_of(prediction: dict[str, Any]) -> bytes:
    """Return the whole prediction as one object, an array as its numbers, NaN as null."""
    return orjson.dumps(prediction, option=orjson.OPT_SERIALIZE_NUMPY)


def nullable(scores: NDArray[np.float64]) -> list[float | None]:
    """Return (n,) scores as a list, None where there is none."""
    return [None if math.isnan(score) else score for score in scores.tolist()]


def jsonlines_of(prediction: dict[str, Any]) -> bytes:
    """Return one object a row: model_version, score, no_model_score, contributions."""
    version = prediction["model_version"]
    rows = zip(
        nullable(prediction["scores"]),
        nullable(prediction["no_model_scores"]),
        prediction["contributions"].tolist(),
        strict=True,
    )
    return b"".join(
        orjson.dumps(
            {
                "model_version": version,
                "score": score,
                "no_model_score": no_model_score,
                "contributions": shares,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for score, no_model_score, shares in rows
    )


def csv_of(prediction: dict[str, Any]) -> bytes:
    """Return `score,no_model_score` a row, both empty where there is no score."""
    rows = zip(nullable(prediction["scores"]), nullable(prediction["no_model_scores"]), strict=True)
    return "".join(
        "{},{}\n".format(*("" if value is None else value for value in row)) for row in rows
    ).encode("ascii")
