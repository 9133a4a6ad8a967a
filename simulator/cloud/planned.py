"""A resource as it would be: its mapper runs, and what it calls is noted and not done.

Used by `stack_changes` and `stack_update`. A call that was made for the resource as it is gets
the answer of then; a new one gets an invented answer, which nothing is ever made with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from simulator.cloud.context import Context
from simulator.cloud.resources import MAPPINGS, Created, Resource
from simulator.cloud.resources.effects import CannotChange
from simulator.cloud.resources.mapping import PERMISSIONS, Made
from simulator.cloud.stack_events import Node
from simulator.cloud.stack_steps import key_of


class Invented(dict[str, Any]):
    """An answer that has every member: text, or an object where AWS nests one."""

    def __init__(self, arn: str) -> None:
        super().__init__()
        self._arn = arn

    def __missing__(self, name: str) -> Any:
        if name.endswith(("Metadata", "Description")):
            return Invented(self._arn)
        return f"{self._arn}/{name}"


class Planned(Resource):
    """A resource that is only looked at."""

    def __init__(
        self,
        node: Node,
        type_name: str,
        values: Any,
        context: Context,
        *,
        generation: int = 0,
        before: Sequence[Made] = (),
        roles: Iterable[str] = (),
    ) -> None:
        super().__init__(*node, type_name, values, context, generation)
        self._before = {_key(made): made.answer for made in before}
        self._roles = list(roles)

    def call(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Note a call; answer as before, or with what is invented."""
        self.properties.check_all_read()
        made = Made(service, operation, params, {})
        invented = Invented(self.context.arn("twin", f"{self.stack}/{self.own_id()}"))
        answer = self._before.get(_key(made), invented)
        self.note(service, operation, params, answer)
        return dict(answer) if answer is not invented else invented

    def register(self, change: partial[None]) -> None:
        """Note a change of the twin's permissions."""
        self.properties.check_all_read()
        self.note(PERMISSIONS, change.func.__name__, change.keywords, {})

    def exists(self, service: str, operation: str, params: dict[str, Any], missing: str) -> bool:
        """Take it that an earlier twin left nothing."""
        return False

    def role_arns(self) -> list[str]:
        """Return the roles that exist and those that are planned."""
        return sorted({*super().role_arns(), *self._roles})

    def wait_until(self, ready: Callable[[], bool], what: str) -> None:
        """Wait for nothing."""

    def run(self) -> Created:
        """Have the mapper go through; raises TemplateError for what it refuses."""
        return MAPPINGS[self.type].create(self)


def _key(made: Made) -> tuple[str, str, str]:
    try:
        return key_of(made)
    except CannotChange:
        return made.service, made.operation, ""


def roles_in(planned: Mapping[Node, Created]) -> list[str]:
    """Return the ARNs of the roles among planned resources."""
    return [each.arn for each in planned.values() if each.type == "AWS::IAM::Role"]
