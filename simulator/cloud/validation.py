"""Do parameters and answers fit botocore's service models?

`dispatch` validates every request, tests every answer. botocore's own validator has the last
word and finds the errors; a compiled check in front of it says "fits" ten times faster, because
a batch of 500 records passes here for each call. Models load once, when first asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import botocore.loaders
from botocore.model import (
    ListShape,
    MapShape,
    OperationModel,
    ServiceModel,
    Shape,
    StructureShape,
)
from botocore.validate import ParamValidator

from simulator.cloud.errors import NotSupportedByTwin, ValidationError
from simulator.errors import InvariantBroken

Check = Callable[[Any], bool]
"""True: the value fits. False: ask botocore."""

_lock = threading.RLock()
_VALIDATOR = ParamValidator()


@cache
def _loader() -> botocore.loaders.Loader:
    return botocore.loaders.Loader(include_default_search_paths=True)


@cache
def service_names() -> frozenset[str]:
    """Return the names of all services that botocore knows."""
    return frozenset(_loader().list_available_services("service-2"))


@cache
def _service_model(service: str) -> ServiceModel:
    if service not in service_names():
        raise NotSupportedByTwin(f"the service {service}")
    # The gateway's threads come here too, and loading a model twice costs half a second.
    with _lock:
        return ServiceModel(_loader().load_service_model(service, "service-2"), service)


def service_model(service: str) -> ServiceModel:
    """Return botocore's model of a service; raise NotSupportedByTwin for an unknown name."""
    return _service_model(service)


@cache
def operation_model(service: str, operation: str) -> OperationModel:
    """Return botocore's model of an operation; raise NotSupportedByTwin for an unknown one."""
    model = service_model(service)
    if operation not in model.operation_names:
        raise NotSupportedByTwin(f"{service}:{operation}")
    return model.operation_model(operation)


def validate_request(service: str, operation: str, params: dict[str, Any]) -> None:
    """Raise ValidationError in AWS's words when ``params`` do not fit the request's model."""
    shape = operation_model(service, operation).input_shape
    if shape is None:
        if params:
            raise ValidationError(f"Unknown parameters in input: {', '.join(sorted(params))}")
        return
    if check_of(shape)(params):
        return
    errors = _VALIDATOR.validate(params, shape)
    if errors.has_errors():
        raise ValidationError(_in_aws_words(errors._errors, errors.generate_report()))


def validate_answer(service: str, operation: str, answer: dict[str, Any]) -> None:
    """Raise InvariantBroken when an answer of ours does not fit the response's model."""
    shape = operation_model(service, operation).output_shape
    if shape is None:
        if answer:
            raise InvariantBroken(f"{service}:{operation} has no answer, ours is {answer}")
        return
    if check_of(shape)(answer):
        return
    errors = _VALIDATOR.validate(answer, shape)
    # Minima are those of requests: AWS itself answers NumberOfDecreasesToday 0 where the model
    # says 1 at least.
    if any(reason not in ("invalid range", "invalid length") for reason, _, _ in errors._errors):
        report = errors.generate_report()
        raise InvariantBroken(f"the answer of {service}:{operation} does not fit: {report}")


def _in_aws_words(errors: list[tuple[str, str, dict[str, Any]]], report: str) -> str:
    """Return botocore's findings as a service words its constraint violations."""
    found = []
    lines = report.splitlines()
    for (reason, name, details), line in zip(errors, lines, strict=False):
        path = _aws_path(name)
        if reason == "missing required field":
            wanted = details["required_name"]
            at = f"{path}.{_lower_first(wanted)}" if path else _lower_first(wanted)
            found.append(
                f"Value null at '{at}' failed to satisfy constraint: Member must not be null"
            )
        elif reason in ("invalid length", "invalid range"):
            what = "length" if reason == "invalid length" else "value"
            shown = details["param"]
            least = details["min_allowed"]
            found.append(
                f"Value '{shown}' at '{path}' failed to satisfy constraint: Member must have"
                f" {what} greater than or equal to {least}"
            )
        else:
            found.append(line)
    plural = "" if len(found) == 1 else "s"
    return f"{len(found)} validation error{plural} detected: {'; '.join(found)}"


def _aws_path(name: str) -> str:
    """Return ``.Records[0].Data`` as ``records.1.member.data``."""
    parts = []
    for part in name.lstrip(".").split("."):
        label, _, index = part.partition("[")
        parts.append(_lower_first(label))
        if index.rstrip("]").isdigit():
            parts.append(f"{int(index.rstrip(']')) + 1}.member")
    return ".".join(part for part in parts if part)


def _lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]


# -- compiled checks

_checks: dict[tuple[str, int], Check] = {}
_compiling: set[tuple[str, int]] = set()


def shape_key(shape: Shape) -> tuple[str, int]:
    """Return what tells shapes apart: the name, and the model that it is a name in.

    botocore makes a new object for each mention of a shape, so identity would not do.
    """
    return shape.name, id(vars(shape)["_shape_resolver"])


def check_of(shape: Shape) -> Check:
    """Return the compiled check of a shape; shapes of one model and name share it."""
    # The metadata of a member (its minimum, for example) belongs to the shape's name in a
    # model, so name and model say everything that a check looks at.
    key = shape_key(shape)
    found = _checks.get(key)
    if found is not None:
        return found
    with _lock:
        if key in _compiling:
            # Recursive shapes (AttributeValue) meet themselves while they are compiled.
            return lambda value: _finished(key, value)
        _compiling.add(key)
        try:
            _checks[key] = _compile(shape)
        finally:
            _compiling.discard(key)
        return _checks[key]


def _finished(key: tuple[str, int], value: Any) -> bool:
    found = _checks.get(key)
    if found is None:
        # Another thread is about to publish it.
        with _lock:
            found = _checks[key]
    return found(value)


def _compile(shape: Shape) -> Check:  # noqa: PLR0911 - one return for each kind
    if isinstance(shape, StructureShape):
        return _compile_structure(shape)
    if isinstance(shape, ListShape):
        return _compile_list(shape)
    if isinstance(shape, MapShape):
        return _compile_map(shape)
    kind = shape.type_name
    least = shape.metadata.get("min")
    if kind in ("string", "character"):
        if least:
            return lambda value: isinstance(value, str) and len(value) >= least
        return lambda value: isinstance(value, str)
    if kind in ("integer", "long"):
        if least is not None:
            return lambda value: isinstance(value, int) and value >= least
        return lambda value: isinstance(value, int)
    if kind in ("float", "double") and least is None:
        return lambda value: isinstance(value, float | int)
    if kind == "boolean":
        return lambda value: isinstance(value, bool)
    if kind == "blob":
        return lambda value: isinstance(value, bytes | bytearray | str)
    if kind == "timestamp":
        return lambda value: isinstance(value, datetime)
    return lambda value: False


def _compile_structure(shape: StructureShape) -> Check:
    if shape.is_document_type or shape.serialization.get("jsonvalue"):
        return lambda value: False
    members = {name: check_of(member) for name, member in shape.members.items()}
    # botocore's clients fill an idempotency token in; calls within the twin have none.
    required = tuple(
        name
        for name in shape.required_members
        if not shape.members[name].metadata.get("idempotencyToken")
    )
    if shape.is_tagged_union:

        def union(value: Any) -> bool:
            if not isinstance(value, dict) or len(value) != 1:
                return False
            [(name, member)] = value.items()
            check = members.get(name)
            return check is not None and check(member)

        return union

    def structure(value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        for name in required:
            if name not in value:
                return False
        for name, member in value.items():
            check = members.get(name)
            if check is None or not check(member):
                return False
        return True

    return structure


def _compile_list(shape: ListShape) -> Check:
    element = check_of(shape.member)
    least = shape.metadata.get("min", 0)
    columns = _compile_columns(shape.member)

    def elements(value: Any) -> bool:
        if not isinstance(value, list | tuple) or len(value) < least:
            return False
        return (columns is not None and columns(value)) or all(map(element, value))

    return elements


_PLAIN: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "boolean": (bool,),
    "blob": (bytes, str),
}
"""Types that fit for certain; what else may fit (a bytearray) is for the check of one element."""


def _compile_columns(shape: Shape) -> Callable[[Sequence[Any]], bool] | None:
    """Return a check of many flat structures at once, member by member; None for other shapes.

    True only where every element fits: it looks at the same members of all, and the records of
    a PutRecords have the same. False says nothing.
    """
    if not isinstance(shape, StructureShape) or shape.is_document_type or shape.is_tagged_union:
        return None
    if any(member.type_name not in _PLAIN for member in shape.members.values()):
        return None
    members = {
        name: (frozenset(_PLAIN[member.type_name]), member.metadata.get("min"))
        for name, member in shape.members.items()
    }
    required = frozenset(shape.required_members)

    def columns(value: Sequence[Any]) -> bool:
        if set(map(type, value)) != {dict}:
            return False
        names = value[0].keys()
        if not required <= names <= members.keys() or any(one.keys() != names for one in value):
            return False
        for name in names:
            types, least = members[name]
            column = [one[name] for one in value]
            if not types.issuperset(map(type, column)):
                return False
            if least and min(map(len, column) if str in types else column) < least:
                return False
        return True

    return columns


def _compile_map(shape: MapShape) -> Check:
    key_check, value_check = check_of(shape.key), check_of(shape.value)

    def entries(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and all(map(key_check, value))
            and all(map(value_check, value.values()))
        )

    return entries
