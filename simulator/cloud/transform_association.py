"""Filters a transform job's input, joins it with the results, filters what is kept.

Used by `transform_runs`, record by record. Source: SageMaker API reference, DataProcessing;
developer guide, "Associate Prediction Results with Input Records".
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from simulator.cloud import transform_paths
from simulator.cloud.operations import Params
from simulator.cloud.transform_paths import WHOLE, Path
from simulator.cloud.transform_records import BadRecord, lines

JSON_TYPES = ("application/json", "application/jsonlines")
_OUTPUT, _INPUT = "SageMakerOutput", "SageMakerInput"


@dataclass(frozen=True)
class Association:
    """DataProcessing of one job. ``is_csv`` is the form of what is filtered and joined."""

    before: Path
    after: Path
    joins: bool
    is_csv: bool
    by_line: bool

    @property
    def looks_at_results(self) -> bool:
        """Tell whether each result must be told from the next."""
        return self.joins or self.after != WHOLE

    def to_model(self, record: bytes) -> bytes:
        """Return what of a record the container is sent; raises BadRecord."""
        return record if self.before == WHOLE else self._selected(self.before, record)

    def results(self, batch: Sequence[bytes], answer: bytes) -> list[bytes]:
        """Return what is kept of an answer to some whole records; raises BadRecord."""
        if not self.looks_at_results:
            return [answer]
        found = lines(answer) if self.by_line else [answer]
        if len(found) != len(batch):
            raise BadRecord(
                "ClientError: Fail to join data: mismatched line count between the input "
                f"({len(batch)}) and the output ({len(found)})"
            )
        return [self._kept(record, result) for record, result in zip(batch, found, strict=True)]

    def _kept(self, record: bytes, result: bytes) -> bytes:
        joined = self._joined(record, result) if self.joins else result
        return joined if self.after == WHOLE else self._selected(self.after, joined)

    def _joined(self, record: bytes, result: bytes) -> bytes:
        if self.is_csv:
            return record + b"," + result
        given, said = _read(record), _read(result)
        if not isinstance(given, dict):
            return _written({_INPUT: given, _OUTPUT: said})
        return _written({**given, _OUTPUT: said})

    def _selected(self, path: Path, record: bytes) -> bytes:
        value = _row(record) if self.is_csv else _read(record)
        try:
            chosen = transform_paths.select(path, value)
        except LookupError as error:
            raise BadRecord(f"ClientError: Unable to apply the filter: {error}") from error
        return _line(chosen) if self.is_csv else _written(chosen)


def association(params: Params) -> Association:
    """Return the association that CreateTransformJob's parameters ask for; raises ValueError."""
    asked, source, target = (
        params.get("DataProcessing", {}),
        params["TransformInput"],
        params["TransformOutput"],
    )
    before = transform_paths.parse(asked.get("InputFilter", "$"))
    after = transform_paths.parse(asked.get("OutputFilter", "$"))
    joins = asked.get("JoinSource", "None") == "Input"
    split = source.get("SplitType", "None")
    types = set()
    if before != WHOLE or joins:
        types.add(_media_type(source.get("ContentType", "")))
    if after != WHOLE or joins:
        types.add(_media_type(target.get("Accept", "")))
    if len(types) > 1 or not types <= {"text/csv", *JSON_TYPES}:
        raise ValueError(
            "DataProcessing needs ContentType and Accept of the same value, one of text/csv, "
            "application/json and application/jsonlines"
        )
    is_csv = types == {"text/csv"}
    if is_csv and not (transform_paths.only_places(before) and transform_paths.only_places(after)):
        raise ValueError("only JSONPath expressions with indexes can be applied to CSV data")
    if (joins or is_csv) and split != target.get("AssembleWith", "None"):
        raise ValueError("SplitType and AssembleWith must be the same to associate data")
    if is_csv and split != "Line":
        raise ValueError("SplitType and AssembleWith must be Line to associate text/csv")
    return Association(before, after, joins, is_csv, split == "Line")


def _media_type(text: str) -> str:
    return text.partition(";")[0].strip().lower()


def _read(record: bytes) -> Any:
    try:
        return json.loads(record)
    except ValueError as error:
        raise BadRecord(f"ClientError: Unable to parse data as JSON: {error}") from error


def _written(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _row(record: bytes) -> list[str]:
    try:
        rows = list(csv.reader([record.decode()], strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadRecord(f"ClientError: Unable to parse data as CSV: {error}") from error
    return rows[0] if rows else []


def _line(chosen: Any) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow(
        chosen if isinstance(chosen, list) else [chosen]
    )
    return written.getvalue().encode()
