"""What a mapper of one resource type works with: tracked properties, calls, names.

A mapper reads every property first and calls second; the first call checks that nothing was
left unread, so a property that the twin does not know stops the resource before it exists.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.resources.declarations import TAGS, Declared
from simulator.cloud.resources.shapes import as_truth, fit, input_shape
from simulator.cloud.stack_calls import call_as_root
from simulator.errors import TemplateError

NOT_MAPPED = "property is not mapped by the twin"


class Made(NamedTuple):
    """One call that brought a resource, or a part of it, about, and its answer.

    A change of the twin's own decisions is one too: service ``PERMISSIONS``, the method of `Iam`.
    """

    service: str
    operation: str
    params: dict[str, Any]
    answer: Mapping[str, Any]


@dataclass(frozen=True)
class Created:
    """One resource that exists: what Ref gives, what Fn::GetAtt gives.

    ``recorded`` are the properties that change nothing here, with the values asked for; ``made``
    the calls that brought it about.
    """

    stack: str
    logical_id: str
    type: str
    physical_id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    recorded: Mapping[str, Any] = field(default_factory=dict)
    made: tuple[Made, ...] = field(default=(), compare=False, repr=False)

    @property
    def arn(self) -> str:
        """Return the ``Arn`` attribute."""
        return str(self.attributes["Arn"])


PERMISSIONS = "permissions"
_ASKS = ("Describe", "Get", "List")


class Properties:
    """An object's resolved properties; notices which of them were read."""

    def __init__(self, values: Any, path: str, fail: Callable[[str, str], TemplateError]) -> None:
        if not isinstance(values, dict):
            raise fail(path, f"must be an object, not {values!r}")
        self._values: dict[str, Any] = values
        self._path = path
        self._fail = fail
        self._unread = dict.fromkeys(values)
        self._nested: list[Properties] = []

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def take(self, name: str, default: Any = None) -> Any:
        """Return a property, whole: the caller answers for everything inside it."""
        self._unread.pop(name, None)
        return self._values.get(name, default)

    def need(self, name: str) -> Any:
        """Return a property that must be there."""
        if name not in self._values:
            raise self.error(name, "is missing")
        return self.take(name)

    def truth(self, name: str, default: bool = False) -> bool:
        """Return a property that is true or false, also when written as text."""
        value = self.take(name, default)
        try:
            return as_truth(value)
        except ValueError:
            raise self.error(name, f"must be true or false, not {value!r}") from None

    def nested(self, name: str) -> Properties:
        """Return an object inside, tracked too; empty when there is none."""
        inner = Properties(self.take(name, {}), self._below(name), self._fail)
        self._nested.append(inner)
        return inner

    def each(self, name: str) -> Iterator[Properties]:
        """Yield the objects of a list inside, each tracked."""
        for index, value in enumerate(self.take(name, [])):
            inner = Properties(value, f"{self._below(name)}[{index}]", self._fail)
            self._nested.append(inner)
            yield inner

    def rest(self) -> dict[str, Any]:
        """Return what nobody has read yet; the caller answers for all of it."""
        return {name: self.take(name) for name in list(self._unread)}

    def check_all_read(self) -> None:
        """Raise TemplateError for the first property that nobody read, here or inside."""
        for name in self._unread:
            raise self.error(name, NOT_MAPPED)
        for inner in self._nested:
            inner.check_all_read()

    def error(self, name: str, why: str) -> TemplateError:
        """Return the error for one property."""
        return self._fail(self._below(name), why)

    def _below(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name


class Resource:
    """One resource on its way into the twin: its properties, and how to bring it about.

    ``generation`` counts the resources that had this logical id before: names that are generated
    differ. ``made`` fills with the calls that were done, for who has to change or undo them.
    """

    def __init__(
        self,
        stack: str,
        logical_id: str,
        type_name: str,
        values: Any,
        context: Context,
        generation: int = 0,
    ) -> None:
        self.stack = stack
        self.logical_id = logical_id
        self.type = type_name
        self.context = context
        self.generation = generation
        self.made: list[Made] = []
        # Mappers rearrange what they take; the values are those that a template is compared by.
        self.properties = Properties(copy.deepcopy(values), "", self.error)

    def error(self, path: str, why: str) -> TemplateError:
        """Return the one-line error that names stack, logical id, property path and type."""
        place = f"{self.logical_id}.Properties" + (f".{path}" if path else "")
        return TemplateError(f"{self.stack}: {place}: {why} ({self.type})")

    def name(self, property_name: str, *, lower: bool = False, longest: int = 64) -> str:
        """Return the physical name asked for, or a generated one that every run repeats."""
        given = self.properties.take(property_name)
        if given is not None:
            return str(given)
        place = f"{self.context.account}/{self.stack}/{self.own_id()}"
        suffix = hashlib.sha256(place.encode()).hexdigest()[:12].upper()
        name = f"{self.stack}-{self.logical_id}"[: longest - 13] + f"-{suffix}"
        return name.lower() if lower else name

    def own_id(self) -> str:
        """Return the logical id, marked where this is a replacement of an earlier resource."""
        return self.logical_id + (f"-{self.generation}" if self.generation else "")

    def role_arns(self) -> list[str]:
        """Return the roles that exist."""
        return self.context.iam.role_arns()

    def exists(self, service: str, operation: str, params: dict[str, Any], missing: str) -> bool:
        """Ask whether an earlier twin left something; ``missing`` is the error that says no."""
        try:
            call_as_root(self.context, service, operation, params)
        except AwsError as error:
            if error.code != missing:
                raise
            return False
        return True

    def fit(
        self,
        service: str,
        operation: str,
        values: Mapping[str, Any],
        path: str = "",
        renames: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return ``values`` as parameters of an operation; refuse what it does not have."""
        shape = input_shape(service, operation)
        fitted: dict[str, Any] = fit(values, shape, path, renames or {}, self.error)
        return fitted

    def call(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Do one operation as the account's root and return its answer, waiting if need be."""
        self.properties.check_all_read()
        try:
            answer = call_as_root(self.context, service, operation, params)
        except AwsError as error:
            raise self.error("", f"{service}:{operation} answered {error}") from error
        if not operation.startswith(_ASKS):
            self.note(service, operation, params, answer)
        return answer

    def note(
        self, service: str, operation: str, params: dict[str, Any], answer: Mapping[str, Any]
    ) -> None:
        """Remember a call as what brought this resource about."""
        self.made.append(Made(service, operation, params, answer))

    def register(self, change: partial[None]) -> None:
        """Change the twin's permissions; what it refuses becomes this resource's error.

        ``change`` is a method of `Iam` with its arguments by name.
        """
        self.properties.check_all_read()
        try:
            change(self.context.iam)
        except AwsError as error:
            raise self.error("", str(error)) from error
        self.note(PERMISSIONS, change.func.__name__, change.keywords, {})

    def wait_until(self, ready: Callable[[], bool], what: str) -> None:
        """Let the clock move, a second at a time, until ``ready``; give up after a minute."""
        for _ in range(60):
            if ready():
                return
            self.context.engine.run(self.context.engine.env.timeout(1.0))
        raise self.error("", f"{what} did not become ready within 60 s of the run's clock")


Outcome = tuple[str, Mapping[str, Any]]
"""Physical id (what Ref gives) and attributes (what Fn::GetAtt gives)."""

Mapper = Callable[[Resource], Outcome]


@dataclass(frozen=True)
class TypeMapping:
    """How one resource type is brought about, and what becomes of each of its properties."""

    mapper: Mapper
    declared: Mapping[str, Declared]

    def create(self, resource: Resource) -> Created:
        """Bring the resource about and return it. Raises TemplateError."""
        properties = resource.properties
        for name in properties:
            if name not in self.declared:
                raise properties.error(name, NOT_MAPPED)
        unsaid = (name for name, each in self.declared.items() if not each.handed_on)
        kept = {name: properties.take(name) for name in unsaid if name in properties}
        physical_id, attributes = self.mapper(resource)
        properties.check_all_read()
        return Created(
            resource.stack,
            resource.logical_id,
            resource.type,
            physical_id,
            attributes,
            recorded=kept,
            made=tuple(resource.made),
        )


MAPPINGS: dict[str, TypeMapping] = {}
"""Resource type -> mapping; filled by the modules beside this one."""


def maps(type_name: str, declared: Mapping[str, Declared]) -> Callable[[Mapper], Mapper]:
    """Register a mapper. ``declared``: what becomes of each property; of others it gets none."""

    def register(mapper: Mapper) -> Mapper:
        MAPPINGS[type_name] = TypeMapping(mapper, {"Tags": TAGS, **declared})
        return mapper

    return register
