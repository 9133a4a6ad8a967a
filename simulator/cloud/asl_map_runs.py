"""Map runs: what ListMapRuns, DescribeMapRun and UpdateMapRun tell and change.

`asl_distributed` keeps a MapRun for each distributed map that begins; `workflows_executions`
registers the operations. Source: the three operations in the API reference. From memory, not
recorded: that the latest run comes first in a list, and the text of what cannot be updated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import simpy

from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Answer, Call, Operation, Params

MOST_AT_ONCE = 1_000
"""Iterations side by side where a state does not say how many."""

COUNTED = ("running", "succeeded", "failed", "timedOut", "aborted")
"""What a child execution can be; that it is pending is what is left."""


class Slots(simpy.Resource):
    """Room for so many iterations at once; it can be changed while they run."""

    def resize(self, concurrency: int) -> None:
        """Make room for ``concurrency``, 0: no limit. Who has a place keeps it."""
        self._capacity = concurrency or MOST_AT_ONCE
        for _ in range(min(len(self.queue), self._capacity - self.count)):
            self._trigger_put(None)  # Each lets one in.


@dataclass
class Child:
    """A child execution of a map run, with ``items`` items."""

    name: str
    input: Any
    started: datetime
    items: int = 1
    status: str = "RUNNING"
    stopped: datetime | None = None
    output: Any = None
    failure: Any = None


@dataclass
class MapRun:
    """One run of a distributed map.

    ``tolerated_count`` and ``tolerated_percentage`` are as the state or an update says them,
    None where neither does; ``items`` and ``executions`` are known when the items are.
    """

    arn: str
    execution_arn: str
    machine_arn: str
    started: datetime
    children: Mapping[int, Child]
    concurrency: int = 0
    tolerated_count: int | None = None
    tolerated_percentage: float | None = None
    items: int = 0
    executions: int = 0
    written: bool = False
    status: str = "RUNNING"
    stopped: datetime | None = None
    redrives: int = 0
    redriven: datetime | None = None
    slots: Slots | None = field(default=None, repr=False)

    def tolerated(self) -> int:
        """Return how many items may fail: neither bound may be exceeded (States Language)."""
        bounds = [] if self.tolerated_count is None else [self.tolerated_count]
        if self.tolerated_percentage is not None:
            bounds.append(int(self.items * self.tolerated_percentage / 100))
        return min(bounds, default=0)

    def end(self, status: str, at: datetime) -> None:
        """Note how the run ended."""
        self.status, self.stopped, self.slots = status, at, None

    def again(self, at: datetime) -> None:
        """Note that a redrive goes on with the run."""
        self.status, self.stopped, self.redriven = "RUNNING", None, at
        self.redrives += 1

    def counts(self, total: int, weight: Callable[[Child], int]) -> dict[str, int]:
        """Return how many items or executions are in which status."""
        found: Counter[str] = Counter()
        for child in self.children.values():
            found[child.status.lower()] += weight(child)
        answer = {name: found[name.lower()] for name in COUNTED}
        ended = answer["succeeded"] + answer["failed"] + answer["aborted"]
        return {
            "pending": total - sum(answer.values()),
            **answer,
            "total": total,
            "resultsWritten": ended if self.written else 0,
        }


class MapRuns:
    """The map runs of all executions, in the order of their start."""

    def __init__(
        self,
        check_execution: Callable[[str], object],
        paged: Callable[[str, Sequence[dict[str, Any]], Params], Answer],
    ) -> None:
        self._check_execution = check_execution
        self._paged = paged
        self.runs: dict[str, MapRun] = {}
        """By ARN; interpreters enter those that begin."""

    def operations(self) -> dict[str, Operation]:
        """Return the three operations."""

        def of(parameter: str) -> Callable[[Params], list[str]]:
            return lambda params: [params[parameter]]

        return {
            "ListMapRuns": Operation(self._list, resources=of("executionArn")),
            "DescribeMapRun": Operation(self._describe, resources=of("mapRunArn")),
            "UpdateMapRun": Operation(self._update, resources=of("mapRunArn")),
        }

    def _named(self, arn: str) -> MapRun:
        if arn not in self.runs:
            raise AwsError("ResourceNotFound", f"Resource not found: '{arn}'")
        return self.runs[arn]

    def _list(self, call: Call) -> Answer:
        arn = call.params["executionArn"]
        self._check_execution(arn)
        mine = [run for run in self.runs.values() if run.execution_arn == arn]
        listed = [
            {
                "executionArn": run.execution_arn,
                "mapRunArn": run.arn,
                "stateMachineArn": run.machine_arn,
                "startDate": run.started,
                **({"stopDate": run.stopped} if run.stopped else {}),
            }
            for run in reversed(mine)
        ]
        return self._paged("mapRuns", listed, call.params)

    def _describe(self, call: Call) -> Answer:
        run = self._named(call.params["mapRunArn"])
        times = {"stopDate": run.stopped, "redriveDate": run.redriven}
        return {
            "mapRunArn": run.arn,
            "executionArn": run.execution_arn,
            "status": run.status,
            "startDate": run.started,
            "maxConcurrency": run.concurrency,
            "toleratedFailurePercentage": float(run.tolerated_percentage or 0.0),
            "toleratedFailureCount": run.tolerated_count or 0,
            "itemCounts": run.counts(run.items, lambda child: child.items),
            "executionCounts": run.counts(run.executions, lambda child: 1),
            "redriveCount": run.redrives,
            **{name: at for name, at in times.items() if at},
        }

    def _update(self, call: Call) -> Answer:
        """Change the limits of a run that is under way; what has begun goes on."""
        params = call.params
        run = self._named(params["mapRunArn"])
        if run.status != "RUNNING":
            raise AwsError("ValidationException", f"Map Run is not running: '{run.arn}'")
        run.concurrency = params.get("maxConcurrency", run.concurrency)
        run.tolerated_count = params.get("toleratedFailureCount", run.tolerated_count)
        run.tolerated_percentage = params.get(
            "toleratedFailurePercentage", run.tolerated_percentage
        )
        if run.slots is not None:
            run.slots.resize(run.concurrency)
        return {}
