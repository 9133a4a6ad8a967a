"""CloudFormation's intrinsic functions: references found, conditions judged, values resolved.

Used by `template`. A function that is not here, or a reference that leads nowhere, is a
TemplateError in one line that names stack, logical id and property path; nothing is ever
replaced by a guess. Source: CloudFormation Template Reference, "Intrinsic functions".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.errors import TemplateError

JsonObject = dict[str, Any]

NO_VALUE = object()
"""What AWS::NoValue stands for: the property, or list item, is left out."""

_SUB = re.compile(r"\$\{(!?)([^}]*)\}")


class DynamicReference(TemplateError):
    """A value that CloudFormation would fetch from elsewhere when it creates the resource."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What a value needs: a resource (of this stack) or an output (of any stack).

    ``stack`` is empty for an export, which is looked up by its name alone; ``path`` is where
    in the template it stands.
    """

    kind: str
    stack: str
    name: str
    path: str


@dataclass
class Scope:
    """What names mean inside one stack."""

    stack: str
    parameters: dict[str, Any]
    pseudo: Mapping[str, str]
    resource_ids: frozenset[str] = frozenset()
    condition_bodies: Mapping[str, Any] = field(default_factory=dict)
    value_of: Callable[[str, str | None], Any] | None = None
    """(logical id, attribute or None for Ref) -> value; raises KeyError when there is none."""
    output_of: Callable[[str, str], Any] | None = None
    """(stack, output) or ("", export name) -> value; raises KeyError when there is none."""
    _judged: dict[str, bool | None] = field(default_factory=dict)

    # -- conditions

    def condition(self, name: str, path: str) -> bool:
        """Return the truth of a named condition. Raises TemplateError for a circular one."""
        if name not in self._judged:
            if name not in self.condition_bodies:
                raise self.error(path, f"there is no condition {name}")
            self._judged[name] = None
            try:
                self._judged[name] = self._truth(self.condition_bodies[name], f"Conditions.{name}")
            except TemplateError:
                # Who asks next is told the same, not that it depends on itself.
                del self._judged[name]
                raise
        truth = self._judged[name]
        if truth is None:
            raise self.error(path, f"condition {name} depends on itself")
        return truth

    def _truth(self, body: Any, path: str) -> bool:
        if isinstance(body, dict) and isinstance(body.get("Condition"), str):
            return self.condition(body["Condition"], path)
        function, argument = _intrinsic(body)
        if function == "Fn::Equals":
            left, right = (self.resolve(each, path) for each in argument)
            return bool(left == right)
        if function == "Fn::Not":
            return not self._truth(argument[0], path)
        if function == "Fn::And":
            return all(self._truth(each, path) for each in argument)
        if function == "Fn::Or":
            return any(self._truth(each, path) for each in argument)
        raise self.error(path, f"{function or body!r} is not a condition the twin can judge")

    # -- values

    def resolve(self, value: Any, path: str) -> Any:
        """Return ``value`` with every intrinsic function replaced by what it gives."""
        if isinstance(value, list):
            items = [self.resolve(each, f"{path}[{i}]") for i, each in enumerate(value)]
            return [item for item in items if item is not NO_VALUE]
        if isinstance(value, str):
            if "{{resolve:" in value:
                why = f"dynamic reference {value} is not supported by the twin"
                raise DynamicReference(str(self.error(path, why)))
            return value
        if not isinstance(value, dict):
            return value
        function, argument = _intrinsic(value)
        if function:
            return self._call(function, argument, path)
        resolved = {key: self.resolve(each, f"{path}.{key}") for key, each in value.items()}
        return {key: each for key, each in resolved.items() if each is not NO_VALUE}

    def _call(self, function: str, argument: Any, path: str) -> Any:
        """Apply one function; the first table's functions want their argument unresolved."""
        unresolved: dict[str, Callable[[Any, str], Any]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._attribute,
            "Fn::If": self._chosen,
            "Fn::Sub": self._sub,
            "Fn::GetStackOutput": lambda a, p: self._output(*self._stack_output(a, p), p),
        }
        if function in unresolved:
            return unresolved[function](argument, path)
        resolved: dict[str, Callable[[Any, str], Any]] = {
            "Fn::ImportValue": lambda a, p: self._output("", str(a), p),
            "Fn::Join": self._join,
            "Fn::Split": self._split,
            "Fn::Select": self._select,
            "Fn::ToJsonString": lambda a, p: json.dumps(a, separators=(",", ":")),
        }
        if function in resolved:
            return resolved[function](self.resolve(argument, path), path)
        raise self._unknown(function, path)

    def _attribute(self, argument: Any, path: str) -> Any:
        logical_id, attribute = self._get_att(argument, path)
        return self._lookup(logical_id, attribute, path)

    def _chosen(self, argument: Any, path: str) -> Any:
        return self.resolve(self._branch(argument, path), path)

    def _branch(self, argument: Any, path: str) -> Any:
        name, yes, no = self._arguments(argument, 3, "Fn::If", path)
        return yes if self.condition(name, path) else no

    def _join(self, argument: Any, path: str) -> str:
        delimiter, parts = self._arguments(argument, 2, "Fn::Join", path)
        if not isinstance(parts, list):
            raise self.error(path, f"Fn::Join needs a list, not {parts!r}")
        return str(delimiter).join(_text(part) for part in parts)

    def _split(self, argument: Any, path: str) -> list[str]:
        delimiter, text = self._arguments(argument, 2, "Fn::Split", path)
        return str(text).split(str(delimiter))

    def _select(self, argument: Any, path: str) -> Any:
        index, choices = self._arguments(argument, 2, "Fn::Select", path)
        try:
            return choices[int(index)]
        except (IndexError, ValueError, TypeError):
            raise self.error(path, f"Fn::Select {index!r} of {choices!r}") from None

    def _ref(self, name: str, path: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in self.pseudo:
            return self.pseudo[name]
        if name in self.parameters:
            value = self.parameters[name]
            if value is None:
                raise self.error(path, f"parameter {name} has neither a default nor a value")
            return value
        return self._lookup(name, None, path)

    def _lookup(self, logical_id: str, attribute: str | None, path: str) -> Any:
        what = f"Ref {logical_id}" if attribute is None else f"Fn::GetAtt {logical_id}.{attribute}"
        if self.value_of is None:
            raise self.error(path, f"{what} cannot be used here")
        if logical_id not in self.resource_ids:
            raise self.error(path, f"{what} leads to nothing in this stack")
        try:
            return self.value_of(logical_id, attribute)
        except KeyError:
            raise self.error(path, f"{what} is not known to the twin") from None

    def _output(self, stack: str, name: str, path: str) -> Any:
        what = f"Fn::GetStackOutput {stack}.{name}" if stack else f"Fn::ImportValue {name}"
        try:
            if self.output_of is None:
                raise KeyError(name)
            return self.output_of(stack, name)
        except KeyError:
            raise self.error(path, f"{what} leads to nothing in this assembly") from None

    def _sub(self, argument: Any, path: str) -> str:
        text, own = self._sub_parts(argument, path)

        def replace(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return "${" + name + "}"
            if name in own:
                return _text(self.resolve(own[name], path))
            if "." in name and not name.startswith("AWS::"):
                return _text(self._call("Fn::GetAtt", name, path))
            return _text(self._ref(name, path))

        return _SUB.sub(replace, text)

    def _sub_parts(self, argument: Any, path: str) -> tuple[str, Mapping[str, Any]]:
        if isinstance(argument, str):
            return argument, {}
        text, own = self._arguments(argument, 2, "Fn::Sub", path)
        return text, own

    def _get_att(self, argument: Any, path: str) -> tuple[str, str]:
        parts = argument.split(".", 1) if isinstance(argument, str) else argument
        logical_id, attribute = self._arguments(parts, 2, "Fn::GetAtt", path)
        return logical_id, str(self.resolve(attribute, path))

    def _stack_output(self, argument: Any, path: str) -> tuple[str, str]:
        extra = set(argument) - {"StackName", "OutputName", "Region"}
        if extra:
            raise self.error(path, f"Fn::GetStackOutput with {min(extra)} is not supported")
        region = argument.get("Region", self.pseudo["AWS::Region"])
        if self.resolve(region, path) != self.pseudo["AWS::Region"]:
            raise self.error(path, "Fn::GetStackOutput from another region is not supported")
        stack = self.resolve(argument["StackName"], path)
        return stack, self.resolve(argument["OutputName"], path)

    def _arguments(self, argument: Any, count: int, function: str, path: str) -> Any:
        if not isinstance(argument, list) or len(argument) != count:
            raise self.error(path, f"{function} takes {count} arguments, got {argument!r}")
        return argument

    # -- references

    def references(self, value: Any, path: str) -> Iterator[Reference]:
        """Yield what ``value`` needs before it can be resolved; check that it exists.

        Raises TemplateError for unknown functions, so that a template that cannot be
        resolved is refused before the first call.
        """
        if isinstance(value, list):
            for index, each in enumerate(value):
                yield from self.references(each, f"{path}[{index}]")
        if not isinstance(value, dict):
            return
        function, argument = _intrinsic(value)
        if function in ("", "Fn::Join", "Fn::Split", "Fn::Select", "Fn::ToJsonString"):
            for key, each in value.items():
                yield from self.references(each, path if function else f"{path}.{key}")
        elif function == "Fn::If":
            yield from self.references(self._branch(argument, path), path)
        elif function == "Fn::Sub":
            yield from self._sub_references(argument, path)
        elif function in ("Ref", "Fn::GetAtt"):
            name = argument if function == "Ref" else self._get_att(argument, path)[0]
            yield from self._needed(name, path)
        elif function == "Fn::GetStackOutput":
            yield Reference("output", *self._stack_output(argument, path), path)
        elif function == "Fn::ImportValue":
            yield Reference("output", "", str(self.resolve(argument, path)), path)
        else:
            raise self._unknown(function, path)

    def faults(
        self, value: Any, path: str, check: Callable[[Reference], None]
    ) -> Iterator[TemplateError]:
        """Yield what is wrong with each place in ``value``, as `references` and `resolve` find it.

        ``check`` raises TemplateError for a reference that leads nowhere. ``value_of`` may make
        values up: of a place that needs one only what no value could mend is a fault.
        """
        function, argument = _intrinsic(value)
        if isinstance(value, list):
            for index, each in enumerate(value):
                yield from self.faults(each, f"{path}[{index}]", check)
        elif isinstance(value, dict) and not function:
            for key, each in value.items():
                yield from self.faults(each, f"{path}.{key}", check)
        elif function == "Fn::If":
            try:
                branch = self._branch(argument, path)
            except TemplateError as error:
                yield error
            else:
                yield from self.faults(branch, path, check)
        else:
            yield from self._fault(value, path, check)

    def _fault(
        self, value: Any, path: str, check: Callable[[Reference], None]
    ) -> Iterator[TemplateError]:
        needed: list[Reference] | None = None
        try:
            found = list(self.references(value, path))
            for each in found:
                check(each)
            needed = found
            self.resolve(value, path)
        except TemplateError as error:
            if not needed or isinstance(error, DynamicReference):
                yield error
        except (LookupError, TypeError, ValueError):
            pass  # Of what is made up, or no argument of the function: its creation will tell.

    def _sub_references(self, argument: Any, path: str) -> Iterator[Reference]:
        text, own = self._sub_parts(argument, path)
        yield from self.references(list(own.values()), path)
        for literal, name in _SUB.findall(text):
            if not literal and name not in own:
                pseudo = name.startswith("AWS::")
                yield from self._needed(name if pseudo else name.partition(".")[0], path)

    def _needed(self, name: str, path: str) -> Iterator[Reference]:
        if name == "AWS::NoValue" or name in self.pseudo or name in self.parameters:
            return
        if name not in self.resource_ids:
            raise self.error(path, f"Ref {name} leads to nothing in this stack")
        yield Reference("resource", self.stack, name, path)

    def _unknown(self, function: str, path: str) -> TemplateError:
        return self.error(path, f"{function} is not an intrinsic function the twin resolves")

    def error(self, path: str, why: str) -> TemplateError:
        """Return the one-line error for a place in this stack."""
        return TemplateError(f"{self.stack}: {path}: {why}")


def _intrinsic(value: Any) -> tuple[str, Any]:
    """Return (function, argument) of an intrinsic call, or ("", None) for plain data."""
    if isinstance(value, dict) and len(value) == 1:
        ((name, argument),) = value.items()
        if name.startswith("Fn::") or (name == "Ref" and isinstance(argument, str)):
            return name, argument
    return "", None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
