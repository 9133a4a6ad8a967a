"""Activities: tasks that workers outside fetch with GetActivityTask and answer with their token.

`asl_tasks` offers a Task state's input here; the token is one of `asl_callbacks`. Source:
"Learn about Activities in Step Functions" in the developer guide. The texts of errors follow the
service's others; they are not recorded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import simpy

from simulator.cloud.asl_callbacks import Callback
from simulator.cloud.asl_history import StateFailure
from simulator.cloud.asl_interpreter import Steps
from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Answer, Call, Operation, Params

POLL_S = 60.0
"""How long GetActivityTask waits for a task (API reference)."""


@dataclass
class _Activity:
    arn: str
    name: str
    created: datetime
    offered: deque[tuple[Callback, str]] = field(default_factory=deque)
    pollers: list[simpy.Event] = field(default_factory=list)

    @property
    def shown(self) -> dict[str, Any]:
        return {"activityArn": self.arn, "name": self.name, "creationDate": self.created}


class Activities:
    """The account's activities and the tasks that wait for a worker."""

    def __init__(
        self,
        context: Context,
        check_name: Callable[[str], None],
        paged: Callable[[str, list[dict[str, Any]], Params], Answer],
    ) -> None:
        self._context = context
        self._check_name = check_name
        self._paged = paged
        self._activities: dict[str, _Activity] = {}

    def operations(self) -> dict[str, Operation]:
        """Return the operations that run here."""

        def named(params: Params) -> list[str]:
            return [str(params["activityArn"])]

        return {
            "CreateActivity": Operation(
                self._create, resources=lambda params: [self._arn(params["name"])]
            ),
            "DescribeActivity": Operation(self._describe, resources=named),
            "DeleteActivity": Operation(self._delete, resources=named),
            "ListActivities": Operation(self._list),
            "GetActivityTask": Operation(self._get, resources=named),
        }

    def perform(
        self, arn: str, callback: Callback, text: str, started: Callable[[str], None]
    ) -> Steps:
        """Offer a task; return what its worker answers. ``started`` gets the worker's name."""
        if arn not in self._activities:
            raise StateFailure("ActivityDoesNotExist", _missing(arn).message)
        activity = self._activities[arn]
        callback.exists = lambda: arn in self._activities
        activity.offered.append((callback, text))
        pollers, activity.pollers = activity.pollers, []
        for poller in pollers:
            poller.succeed()
        assert callback.begun is not None
        started((yield callback.begun))
        result = yield callback.outcome
        if isinstance(result, StateFailure):
            raise result
        return result

    def _arn(self, name: str) -> str:
        return self._context.arn("states", f"activity:{name}")

    def _find(self, call: Call) -> _Activity:
        arn = call.params["activityArn"]
        if arn not in self._activities:
            raise _missing(arn)
        return self._activities[arn]

    def _create(self, call: Call) -> Answer:
        name = call.params["name"]
        self._check_name(name)
        made = _Activity(self._arn(name), name, self._context.engine.now())
        activity = self._activities.setdefault(made.arn, made)
        return {"activityArn": activity.arn, "creationDate": activity.created}

    def _describe(self, call: Call) -> Answer:
        return self._find(call).shown

    def _delete(self, call: Call) -> Answer:
        self._activities.pop(call.params["activityArn"], None)
        return {}

    def _list(self, call: Call) -> Answer:
        shown = [activity.shown for activity in self._activities.values()]
        return self._paged("activities", shown, call.params)

    def _get(self, call: Call) -> simpy.Event:
        activity = self._find(call)
        worker = call.params.get("workerName", "")
        return self._context.engine.process(self._poll(activity, worker))

    def _poll(self, activity: _Activity, worker: str) -> Steps:
        """Return the longest waiting task, or nothing when none has come in time."""
        env = self._context.engine.env
        until_s = env.now + POLL_S
        while True:
            while activity.offered:
                callback, text = activity.offered.popleft()
                if callback.is_open:
                    assert callback.begun is not None
                    callback.begun.succeed(worker)
                    return {"taskToken": callback.token, "input": text}
            if env.now >= until_s:
                return {}
            arrival = env.event()
            activity.pollers.append(arrival)
            yield env.any_of([arrival, env.timeout(until_s - env.now)])
            if arrival in activity.pollers:
                activity.pollers.remove(arrival)


def _missing(arn: str) -> AwsError:
    return AwsError("ActivityDoesNotExist", f"Activity Does Not Exist: '{arn}'")
