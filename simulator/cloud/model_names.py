"""Spells a workflow's parameters as botocore's models do, and answers as workflows do.

Step Functions writes members in PascalCase for every service; boto3 keeps each service's own
spelling (`executionArn`, `Entries`). Values of structures and lists are followed, maps are not.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

from botocore.utils import parse_to_aware_datetime

from simulator.cloud.asl_history import iso
from simulator.cloud.asl_payload import dumps
from simulator.cloud.validation import operation_model, service_model


def to_model_names(service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters with the model's spelling; KeyError names an unknown member."""
    shape = operation_model(service, operation).input_shape
    spelled: dict[str, Any] = _spell(shape, parameters) if shape is not None else {}
    return spelled


def _spell(shape: Any, value: Any) -> Any:
    if isinstance(value, dict):
        if shape.type_name == "structure":
            return _spell_members(shape, value)
        if shape.type_name == "map":
            return {key: _spell(shape.value, item) for key, item in value.items()}
    elif isinstance(value, list) and shape.type_name == "list":
        return [_spell(shape.member, item) for item in value]
    return _spell_scalar(shape.type_name, value)


def _spell_members(shape: Any, value: dict[str, Any]) -> dict[str, Any]:
    names = {name.lower(): name for name in shape.members}
    spelled = {}
    for key, item in value.items():
        if key.lower() not in names:
            raise KeyError(key)
        name = names[key.lower()]
        spelled[name] = _spell(shape.members[name], item)
    return spelled


def _spell_scalar(kind: str, value: Any) -> Any:
    if kind == "blob" and isinstance(value, str):
        return value.encode()
    if kind in ("string", "blob") and isinstance(value, (dict, list)):
        # The message of sns:publish, the body of s3:putObject may be an object; it is sent as JSON.
        return dumps(value) if kind == "string" else dumps(value).encode()
    if kind == "timestamp" and isinstance(value, str):
        # A text that is no time stays one, and is refused by the service's model.
        with suppress(ValueError):
            return parse_to_aware_datetime(value)
    return value


def to_workflow_names(
    service: str, operation: str, answer: dict[str, Any], *, iso_times: bool = False
) -> Any:
    """Return an answer as Step Functions shows it.

    Members are PascalCase (keys of maps stay), times are ISO text for AWS SDK integrations and
    milliseconds for optimised ones. A part of an answer (``JobRun`` of GetJobRun) is recognised
    by its members.
    """
    shape = operation_model(service, operation).output_shape
    return _shown(_part(shape, answer), answer, iso_times)


def _part(shape: Any, answer: dict[str, Any]) -> Any:
    """Return the shape that has the answer's members: the output's or that of its one member."""
    if shape is None or not answer or set(answer) <= set(shape.members):
        return shape
    inner = [m for m in shape.members.values() if m.type_name == "structure"]
    return next((m for m in inner if set(answer) <= set(m.members)), shape)


def _shown(shape: Any, value: Any, iso_times: bool) -> Any:
    if isinstance(value, dict):
        if shape is not None and shape.type_name == "map":
            return {key: _shown(shape.value, item, iso_times) for key, item in value.items()}
        members = {} if shape is None else getattr(shape, "members", {})
        return {
            key[0].upper() + key[1:]: _shown(members.get(key), item, iso_times)
            for key, item in value.items()
        }
    if isinstance(value, list):
        member = getattr(shape, "member", None)
        return [_shown(member, item, iso_times) for item in value]
    if isinstance(value, datetime):
        return iso(value) if iso_times else int(value.timestamp() * 1000)
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def modelled_error(service: str, code: str) -> str | None:
    """Return the name of the model's shape for an error code, ``None`` when it has none."""
    for shape in service_model(service).error_shapes:
        if code in (shape.name, shape.metadata.get("error", {}).get("code")):
            return str(shape.name)
    return None
