"""Deployments to a twin that is kept up: asked for by HTTP, carried out between two events.

`fleetwin up` serves them, `fleetwin deploy` and `fleetwin destroy` ask. One is carried out at a
time, on the engine's thread and outside its loop, so that it may itself wait on the clock.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

from simulator.cloud.context import Context
from simulator.cloud.engine import Engine
from simulator.cloud.stack_changes import ChangeSet, removal
from simulator.cloud.stack_events import Listener, StackEvent
from simulator.cloud.template import Deployment
from simulator.errors import SimulatorError

DEPLOY, DESTROY, DRIFT = "deploy", "destroy", "drift"
Request = Mapping[str, Any]
"""``do`` (deploy, destroy, drift), ``dry_run``; of a deployment ``assembly``, ``parameters``."""


_Asked = tuple[Request, Listener | None, Future[dict[str, Any]]]


def _nobody(event: StackEvent) -> None:
    """Be who listens where nobody wants to."""


class _Twin(Protocol):
    """What is needed of `Cloud`."""

    engine: Engine
    context: Context
    deployment: Deployment | None

    def plan(self, assembly: Path, parameters: Mapping[str, str]) -> ChangeSet: ...
    def update(self, changes: ChangeSet) -> list[str]: ...
    def destroy(self) -> None: ...
    def drift(self) -> list[str]: ...


class Deployments:
    """What waits to be deployed to one twin, and the loop that does it."""

    def __init__(self, cloud: _Twin) -> None:
        self._cloud = cloud
        self._asked: queue.SimpleQueue[_Asked] = queue.SimpleQueue()
        self._one = threading.Lock()
        self._stopped = False
        cloud.context.deploy = self.ask

    def ask(self, request: Request, told: Listener | None = None) -> dict[str, Any]:
        """Have a request carried out and return what came of it; from any other thread.

        ``told`` is called with each event of the stacks meanwhile, on the engine's thread. Raises
        SimulatorError: what the twin refuses, what failed and was rolled back.
        """
        answer: Future[dict[str, Any]] = Future()
        # The next one waits here: an interruption would also end what a deployment waits for.
        with self._one:
            self._asked.put((request, told, answer))
            self._cloud.engine.interrupt()
            return answer.result()

    def serve(self) -> None:
        """Let the clock run, and deploy what is asked for, until `stop`."""
        while not self._stopped:
            self._cloud.engine.run(None)
            while not self._asked.empty():
                request, told, answer = self._asked.get()
                try:
                    with self._cloud.context.stack_events.heard_by(told or _nobody):
                        done = self._carried_out(request)
                    answer.set_result(done)
                except SimulatorError as error:
                    answer.set_exception(error)

    def stop(self) -> None:
        """Make `serve` return; from any thread."""
        self._stopped = True
        self._cloud.engine.interrupt()

    def _carried_out(self, request: Request) -> dict[str, Any]:
        if request["do"] == DRIFT:
            deployment = self._cloud.deployment
            live = deployment.live if deployment is not None else {}
            return {"drift": self._cloud.drift(), "resources": len(live)}
        return self._destroyed(request) if request["do"] == DESTROY else self._deployed(request)

    def _deployed(self, request: Request) -> dict[str, Any]:
        cloud, left_behind = self._cloud, []
        changes = cloud.plan(Path(request["assembly"]), request.get("parameters", {}))
        if changes and not request.get("dry_run"):
            left_behind = cloud.update(changes)
        return self._answer(changes.table(), bool(changes), left_behind)

    def _destroyed(self, request: Request) -> dict[str, Any]:
        cloud = self._cloud
        table = removal(cloud.deployment)
        changes = cloud.deployment is not None and bool(cloud.deployment.live)
        if changes and not request.get("dry_run"):
            cloud.destroy()
        return self._answer(table, changes, [])

    def _answer(self, table: str, changes: bool, left_behind: list[str]) -> dict[str, Any]:
        deployment = self._cloud.deployment
        return {
            "table": table,
            "changes": changes,
            "left_behind": left_behind,
            "resources": len(deployment.resources) if deployment is not None else 0,
            "outputs": {n: str(v) for n, v in deployment.outputs.items()} if deployment else {},
        }
