"""Task tokens: a Task with `.waitForTaskToken` waits until somebody sends its token back.

`asl_tasks` issues a token for each attempt of such a task, as `$$.Task.Token`, and waits for
what SendTaskSuccess or SendTaskFailure says of it; SendTaskHeartbeat puts off the end that
HeartbeatSeconds sets. Tasks of activities have a token too (`asl_activities`). Source: "Wait
for a Callback with Task Token" in the developer guide; the texts of InvalidToken and
TaskTimedOut as callers of AWS have logged them, the others in their style.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import simpy

from simulator.cloud.asl_history import StateFailure
from simulator.cloud.engine import Engine
from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Answer, Call, Operation


class Callback:
    """One attempt of a task that waits: ``outcome`` succeeds with its result or StateFailure.

    ``begun`` is set for an activity's task: it succeeds when a worker has fetched it.
    """

    def __init__(self, engine: Engine, token: str) -> None:
        self.token = token
        self.outcome = engine.env.event()
        self.is_open = True
        self.begun: simpy.Event | None = None
        self.exists: Callable[[], bool] = lambda: True
        self._engine = engine
        self._heard_s = engine.env.now

    def heard(self) -> None:
        """Note a sign of life."""
        self._heard_s = self._engine.env.now

    def silence(self, heartbeat_s: float) -> simpy.Process:
        """Return the event that nothing was heard for ``heartbeat_s``.

        Counts from now, of an activity's task from when a worker fetches it ("Task workflow
        state" in the developer guide).
        """
        self.heard()
        return self._engine.process(self._silence(heartbeat_s))

    def _silence(self, heartbeat_s: float) -> Any:
        if self.begun is not None:
            yield self.begun
            self.heard()
        while True:
            heard_s = self._heard_s
            yield self._engine.env.timeout(heard_s + heartbeat_s - self._engine.env.now)
            if self._heard_s == heard_s:
                return


class Callbacks:
    """All tokens of one twin; a token that was issued is known as long as the twin lives."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._callbacks: dict[str, Callback] = {}

    def operations(self) -> dict[str, Operation]:
        """Return the operations that send a token back; IAM knows no resource for them."""
        return {
            "SendTaskSuccess": Operation(self._success),
            "SendTaskFailure": Operation(self._failure),
            "SendTaskHeartbeat": Operation(self._heartbeat),
        }

    def issue(self) -> Callback:
        """Return a new token to wait for."""
        token = base64.b64encode(self._engine.new_id().encode()).decode()
        callback = self._callbacks[token] = Callback(self._engine, token)
        return callback

    def _open(self, token: str) -> Callback:
        callback = self._callbacks.get(token)
        if callback is None:
            raise AwsError("InvalidToken", "Invalid Token: 'Invalid token'")
        if not callback.exists():
            raise AwsError("TaskDoesNotExist", "Task Does Not Exist: 'Its activity was deleted'")
        if not callback.is_open:
            raise AwsError("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
        return callback

    def _success(self, call: Call) -> Answer:
        try:
            result = json.loads(call.params["output"])
        except ValueError as error:
            raise AwsError("InvalidOutput", f"Invalid Output: '{error}'") from error
        self._settle(call, result)
        return {}

    def _failure(self, call: Call) -> Answer:
        failure = StateFailure(call.params.get("error"), call.params.get("cause"))
        failure.absent = None  # As recorded on AWS.
        self._settle(call, failure)
        return {}

    def _settle(self, call: Call, result: Any) -> None:
        callback = self._open(call.params["taskToken"])
        callback.is_open = False
        callback.outcome.succeed(result)

    def _heartbeat(self, call: Call) -> Answer:
        self._open(call.params["taskToken"]).heard()
        return {}
