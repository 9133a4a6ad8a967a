"""JSONata of the Amazon States Language: ``{% ... %}`` in the fields of a state.

The expressions are evaluated by the jsonata-python library; this file gives them what Step
Functions gives them (``$states``, the variables, its six functions), keeps null and nothing
apart, and words what goes wrong. Called by `asl_jsonata_states`, and by `asl_validation` for
the syntax. Source: "Transforming data with JSONata" in the Step Functions developer guide.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from jsonata import Jsonata
from jsonata.jexception import JException
from jsonata.utils import Utils

from simulator.cloud.errors import NotSupportedByTwin

_MAX_RANGE = 1_000
_HASHES = ("MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512")
_KINDS: list[tuple[type | tuple[type, ...], str]] = [
    (bool, "boolean"),
    (str, "string"),
    ((int, float), "number"),
    (list, "array"),
    (dict, "object"),
]


class QueryFailure(Exception):
    """An expression failed: for which field, and in what words of AWS's."""

    def __init__(self, detail: str, field: str | None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


class Scope:
    """What expressions of one state see: ``$states``, variables, the clock and the ids.

    ``now`` is the run's time; ``new_id`` draws from the run's seed, and so does ``$random()``.
    """

    def __init__(
        self,
        states: Mapping[str, Any],
        variables: Mapping[str, Any],
        now: datetime,
        new_id: Callable[[], str],
    ) -> None:
        self._bindings: dict[str, Any] = {
            name: _inward(value) for name, value in {**variables, "states": states}.items()
        }
        self._bindings |= {
            name: Jsonata.JLambda(function) for name, function in _functions(now, new_id).items()
        }

    def value(self, template: Any, field: str, *, expected: tuple[str, ...] = ()) -> Any:
        """Return ``template`` with every expression in it evaluated.

        ``expected`` names the JSON types that the result may have.
        Raises QueryFailure, also for an expression that returns nothing.
        """
        if isinstance(template, dict):
            return {k: self.value(v, f"{field}/{k}") for k, v in template.items()}
        if isinstance(template, list):
            return [self.value(item, f"{field}[{n}]") for n, item in enumerate(template)]
        text = expression_of(template)
        if text is None:
            return template
        value = self._evaluated(text, field)
        if expected and kind_of(value) not in expected:
            shown = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
            raise QueryFailure(
                f"The JSONata expression '{text}' specified for the field '{field}' returned an "
                f"unexpected result type. Expected '{expected[0]}', but was '{kind_of(value)}' "
                f"for value: {shown}",
                field,
            )
        return value

    def _evaluated(self, text: str, field: str) -> Any:
        head = f"The JSONata expression '{text}' specified for the field '{field}'"
        try:
            expression = Jsonata(text)
            expression.set_output_convert_nulls(False)
            value = expression.evaluate(None, self._bindings)
        except NotSupportedByTwin:
            raise
        except (JException, RecursionError, ArithmeticError, TypeError, ValueError) as error:
            raise QueryFailure(
                f"{head} threw an error during evaluation. {error}", field
            ) from error
        if value is None:
            raise QueryFailure(f"{head} returned nothing (undefined).", field)
        return _outward(value, head, field)


def expression_of(value: Any) -> str | None:
    """Return what stands in ``{% ... %}``, or ``None`` for what is no expression."""
    if isinstance(value, str) and value.startswith("{%") and value.endswith("%}"):
        return value[2:-2].strip()
    return None


def kind_of(value: Any) -> str:
    """Return the JSON type of a value, as AWS calls it."""
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "null")


def syntax_errors(template: Any, where: str) -> Iterator[str]:
    """Find expressions that cannot be parsed."""
    if isinstance(template, dict):
        for key, value in template.items():
            yield from syntax_errors(value, f"{where}/{key}")
    elif isinstance(template, list):
        for number, item in enumerate(template):
            yield from syntax_errors(item, f"{where}[{number}]")
    text = expression_of(template)
    if text is not None:
        try:
            Jsonata(text)
        except JException as error:
            yield f"INVALID_JSONATA: {error} at {where}"


def _inward(value: Any) -> Any:
    """Return a JSON value as the library has it: null is an object, ``None`` is nothing."""
    if value is None:
        return Utils.NULL_VALUE
    if isinstance(value, Mapping):
        return {key: _inward(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_inward(one) for one in value]
    return value


def _outward(value: Any, head: str, field: str) -> Any:
    if value is Utils.NULL_VALUE or value is None:
        return None
    if isinstance(value, Mapping):
        return {str(key): _outward(one, head, field) for key, one in value.items()}
    if isinstance(value, (list, range)):
        return [_outward(one, head, field) for one in value]
    if isinstance(value, (str, int, float)):
        return value
    raise QueryFailure(f"{head} returned a value that is not JSON.", field)


def _functions(now: datetime, new_id: Callable[[], str]) -> dict[str, Callable[..., Any]]:
    """Return the functions that Step Functions adds, and those that would ask another clock."""
    return {
        "partition": lambda items, size: [
            items[at : at + int(size)] for at in range(0, len(items), _positive(size))
        ],
        "range": _range,
        "hash": _hash,
        "random": lambda seed=None: random.Random(new_id() if seed is None else seed).random(),
        "uuid": new_id,
        "parse": lambda text: _inward(json.loads(text)),
        "now": lambda *picture: _now(now, *picture),
        "millis": lambda: int(now.timestamp() * 1_000),
        "eval": _eval,
    }


def _positive(size: Any) -> int:
    if size < 1:
        raise ValueError("a chunk has at least one item")
    return int(size)


def _range(first: int, last: int, step: int) -> list[int]:
    numbers = range(int(first), int(last) + (1 if step > 0 else -1), int(step))
    if len(numbers) > _MAX_RANGE:
        raise ValueError(f"more than {_MAX_RANGE} items")
    return list(numbers)


def _hash(text: str, algorithm: str) -> str:
    if algorithm not in _HASHES:
        raise ValueError(f"the algorithm is one of {', '.join(_HASHES)}")
    return hashlib.new(algorithm.replace("-", "").lower(), text.encode()).hexdigest()


def _now(now: datetime, *picture: Any) -> str:
    if picture:
        raise NotSupportedByTwin("$now with a picture (use $fromMillis($millis(), ...))")
    return now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"


def _eval(*_: Any) -> Any:
    # The guide: $eval is not available, $parse is there instead.
    raise ValueError("$eval is not supported; use $parse")
