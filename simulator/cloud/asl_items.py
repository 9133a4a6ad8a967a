"""The items of a distributed map: read from S3, put into batches.

`asl_distributed` calls it. ItemReader reads a listing or an object in JSON, JSON Lines or CSV;
inventories, manifests and Parquet are refused when the machine is created. Sources: "ItemReader
(Map)" and "ItemBatcher (Map)" in the developer guide.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from simulator.cloud import asl_jsonata_states
from simulator.cloud.asl_history import StateFailure
from simulator.cloud.asl_interpreter import Frame, Steps
from simulator.cloud.asl_payload import dumps
from simulator.cloud.errors import AwsError, NotSupportedByTwin

DELIMITERS = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}
INPUT_TYPES = ("CSV", "JSON", "JSONL")
READERS = {"arn:aws:states:::s3:getObject", "arn:aws:states:::s3:listObjectsV2"}


def read(frame: Frame, data: Any) -> Steps:
    """Return what the state's ItemReader finds; raises StateFailure States.ItemReaderFailed."""
    reader = frame.state["ItemReader"]
    config = reader.get("ReaderConfig", {})
    parameters = parameters_of(frame, "ItemReader", data)
    most = config.get("MaxItems")
    if "MaxItemsPath" in config:
        most = frame.path(config["MaxItemsPath"], data)
    try:
        if reader["Resource"].endswith("listObjectsV2"):
            items = yield from _listed(frame, parameters)
        else:
            answer = yield from frame.interpreter.tasks.call("s3", "GetObject", parameters)
            items = _parsed(bytes(answer["Body"]).decode("utf-8-sig"), config)
    except NotSupportedByTwin:
        raise
    except AwsError as error:
        raise _failed(error.message) from error
    except (ValueError, LookupError, csv.Error) as error:
        raise _failed(f"The object cannot be read as {config['InputType']}: {error}") from error
    return items[:most] if most else items


def _listed(frame: Frame, parameters: dict[str, Any]) -> Steps:
    items: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        request = {**parameters, **token}
        answer = yield from frame.interpreter.tasks.call("s3", "ListObjectsV2", request)
        items += [
            {
                "Etag": entry["ETag"],
                "Key": entry["Key"],
                "LastModified": int(entry["LastModified"].timestamp()),
                "Size": entry["Size"],
                "StorageClass": entry.get("StorageClass", "STANDARD"),
            }
            for entry in answer.get("Contents", [])
        ]
        if not answer.get("IsTruncated"):
            return items
        token = {"ContinuationToken": answer["NextContinuationToken"]}


def _parsed(text: str, config: dict[str, Any]) -> list[Any]:
    kind = config["InputType"]
    if kind == "JSONL":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    if kind == "CSV":
        return list(_rows(text, config))
    value = json.loads(text)
    for escaped in config.get("ItemsPointer", "").split("/")[1:]:
        name = escaped.replace("~1", "/").replace("~0", "~")
        value = value[int(name) if isinstance(value, list) else name]
    if not isinstance(value, list):
        raise ValueError("it is no array")
    return value


def _rows(text: str, config: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield rows by their headers: all values are texts, missing ones empty, further ones lost."""
    delimiter = DELIMITERS[config.get("CSVDelimiter", "COMMA")]
    rows = (row for row in csv.reader(io.StringIO(text), delimiter=delimiter, strict=True) if row)
    headers = config["CSVHeaders"] if config["CSVHeaderLocation"] == "GIVEN" else next(rows, [])
    for row in rows:
        padded = [*row, *[""] * len(headers)]
        yield dict(zip(headers, padded, strict=False))


def _failed(cause: str) -> StateFailure:
    return StateFailure("States.ItemReaderFailed", cause)


def parameters_of(frame: Frame, field: str, data: Any) -> dict[str, Any]:
    """Return the evaluated Parameters or Arguments of ItemReader or ResultWriter."""
    part = frame.state[field]
    if frame.jsonata:
        given: Any = asl_jsonata_states.value(frame, f"{field}/Arguments", part["Arguments"])
    else:
        given = frame.render(part["Parameters"], data)
    return dict(given)


def batches_of(frame: Frame, data: Any, values: list[Any]) -> list[dict[str, Any]]:
    """Return the inputs of children that get several items each (ItemBatcher)."""
    batcher = frame.state["ItemBatcher"]
    most, most_bytes = (
        _limit(frame, batcher, name, data) for name in ("MaxItemsPerBatch", "MaxInputBytesPerBatch")
    )
    shared: dict[str, Any] = {}
    if "BatchInput" in batcher:
        template = batcher["BatchInput"]
        if frame.jsonata:
            shared["BatchInput"] = asl_jsonata_states.value(frame, "BatchInput", template)
        else:
            shared["BatchInput"] = frame.render(template, data)
    batches: list[dict[str, Any]] = []
    room = _Room(most, most_bytes)
    for value in values:
        if not batches or not room.takes(value):
            batches.append({**shared, "Items": []})
            room = _Room(most, most_bytes)
            room.takes(value)
        batches[-1]["Items"].append(value)
    return batches


class _Room:
    """What still fits into a batch; the first item always does."""

    def __init__(self, most: int | None, most_bytes: int | None) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._count = self._bytes = 0

    def takes(self, value: Any) -> bool:
        """Count an item in if it fits."""
        size = len(dumps(value).encode())
        full = self._most is not None and self._count >= self._most
        heavy = self._most_bytes is not None and self._bytes + size > self._most_bytes
        if self._count and (full or heavy):
            return False
        self._count += 1
        self._bytes += size
        return True


def _limit(frame: Frame, batcher: dict[str, Any], name: str, data: Any) -> int | None:
    value = batcher.get(name)
    if f"{name}Path" in batcher:
        value = frame.path(batcher[f"{name}Path"], data)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise frame.runtime_error(f"{name} must be a positive whole number: {dumps(value)}")
    return value


def problems(state: dict[str, Any], where: str, parameters: str) -> Iterator[str]:
    """Yield what is wrong with ItemReader, ItemBatcher and ResultWriter of a distributed map.

    Raises NotSupportedByTwin for a kind of data that the twin does not read.
    """
    reader, batcher = state.get("ItemReader"), state.get("ItemBatcher")
    if reader is not None:
        here = f"{where}/ItemReader"
        yield from _needed(reader, ("Resource", parameters), here)
        if reader.get("Resource") not in READERS:
            raise NotSupportedByTwin(f"the Resource {reader.get('Resource')} at {here}")
        if reader["Resource"].endswith("getObject"):
            yield from _config(reader.get("ReaderConfig", {}), f"{here}/ReaderConfig")
    if batcher is not None and not any(key.startswith("Max") for key in batcher):
        yield f"MaxItemsPerBatch or MaxInputBytesPerBatch is required at {where}/ItemBatcher"
    writer = state.get("ResultWriter")
    if writer is not None and ("Resource" in writer or "WriterConfig" not in writer):
        yield from _needed(writer, ("Resource", parameters), f"{where}/ResultWriter")


def _config(config: dict[str, Any], where: str) -> Iterator[str]:
    yield from _needed(config, ("InputType",), where)
    kind = config.get("InputType", "JSON")
    if kind not in INPUT_TYPES or "Transformation" in config:
        raise NotSupportedByTwin(f"InputType {kind} with {sorted(config)} at {where}")
    if kind == "CSV":
        yield from _needed(config, ("CSVHeaderLocation",), where)
        if config.get("CSVHeaderLocation") == "GIVEN":
            yield from _needed(config, ("CSVHeaders",), where)
        if config.get("CSVDelimiter", "COMMA") not in DELIMITERS:
            yield f"Value is not one of {', '.join(DELIMITERS)} at {where}/CSVDelimiter"


def _needed(part: dict[str, Any], names: tuple[str, ...], where: str) -> Iterator[str]:
    missing = [name for name in names if name not in part]
    if missing:
        yield f"These fields are required: [{', '.join(missing)}] at {where}"
