"""Delete what a stack has made: one resource by taking its calls back, or the whole stack.

Used by `simulator.cloud.cloud` and, for what an update leaves over, by `stack_update`. Source:
CloudFormation User Guide, "DeletionPolicy attribute", "Stack status codes".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.resources import effects_steps
from simulator.cloud.resources.effects import STEPS, Ask, CannotChange
from simulator.cloud.resources.mapping import PERMISSIONS, Made
from simulator.cloud.stack_calls import call_as_root
from simulator.cloud.stack_events import ASKED_FOR, Node, failed_to
from simulator.cloud.stack_state import DELETE, Live
from simulator.cloud.stack_steps import taking_back, undoing
from simulator.cloud.template import Deployment
from simulator.errors import TemplateError


class DeletionFailed(TemplateError):
    """A stack of which something is left, with the reasons."""


def delete(old: Deployment, context: Context) -> Deployment:
    """Delete every resource in the reverse order of need; return the empty stack.

    What DeletionPolicy retains stays and no longer belongs to it. Raises DeletionFailed when
    something could not be deleted: it, and what it needs, are what ``old`` has left.
    """
    events = context.stack_events
    for name in old.parameters:
        events.stack(name, "DELETE_IN_PROGRESS", ASKED_FOR)
    failed: dict[Node, str] = {}
    needed: set[Node] = set()
    for node in list(reversed(old.live)):
        live = old.live[node]
        if node in needed:
            needed |= set(live.needs)
            continue
        problem = deleted(context, node, live, live.on_delete)
        if live.on_delete != DELETE:
            retain(old, node, live)
        if problem:
            failed[node] = f"{'/'.join(node)}: DELETE_FAILED, {problem}"
            needed |= set(live.needs)
            continue
        del old.live[node]
    for name in old.parameters:
        _told_of(context, name, [node for node in failed if node[0] == name])
    if failed:
        _keep_only(old)
        left = ", ".join("/".join(node) for node in old.live)
        raise DeletionFailed("\n".join([*failed.values(), f"what is left: {left}"]))
    return Deployment(overrides=old.overrides, retained=old.retained)


def _told_of(context: Context, name: str, failed: list[Node]) -> None:
    if failed:
        why = failed_to("delete", [logical_id for _, logical_id in failed])
        context.stack_events.stack(name, "DELETE_FAILED", why)
    else:
        context.stack_events.stack(name, "DELETE_COMPLETE")


def deleted(context: Context, node: Node, live: Live, policy: str) -> str:
    """Delete a resource if its policy says so; return why that is not possible, or nothing."""
    created = live.created
    told = (node, created.type, created.physical_id)
    if policy != DELETE:
        context.stack_events.resource(*told, "DELETE_SKIPPED")
        return ""
    context.stack_events.resource(*told, "DELETE_IN_PROGRESS")
    try:
        take_back(context, live.made)
    except (AwsError, CannotChange) as error:
        context.stack_events.resource(*told, "DELETE_FAILED", str(error))
        return str(error)
    context.stack_events.resource(*told, "DELETE_COMPLETE")
    return ""


def retain(deployment: Deployment, node: Node, live: Live) -> None:
    """Remember that a resource exists which is the stack's no longer."""
    last = deployment.retained.get(node, -1)
    deployment.retained[node] = max(last, live.generation)


def _keep_only(deployment: Deployment) -> None:
    left = {id(live.created) for live in deployment.live.values()}
    kept = {key: one for key, one in deployment.resources.items() if id(one) in left}
    deployment.resources = kept
    deployment.outputs = {}


def take_back(context: Context, made: list[Made]) -> None:
    """Undo calls, the last first; each that is undone leaves the list."""
    for one in taking_back(made):
        for ask in undoing(one):
            asked(context, ask)
        made.remove(one)


def asked(context: Context, ask: Ask) -> Mapping[str, Any]:
    """Do one call as the account's root and return its answer."""
    if ask.service == PERMISSIONS:
        getattr(context.iam, ask.operation)(**ask.params)
        return {}
    if ask.service == STEPS:
        effects_steps.TABLE[ask.operation](partial(call_as_root, context), ask.params)
        return {}
    return call_as_root(context, ask.service, ask.operation, ask.params)
