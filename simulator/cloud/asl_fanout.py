"""Map and Parallel: several threads of one execution on the run's clock.

Inline maps write their iterations into the execution's history; distributed ones are in
`asl_distributed.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import simpy

from simulator.cloud import asl_jsonata_states
from simulator.cloud.asl_history import StateFailure, Thread, Visit
from simulator.cloud.asl_interpreter import Frame, Interpreter, Steps
from simulator.cloud.asl_map_runs import MOST_AT_ONCE, Slots
from simulator.cloud.asl_payload import dumps
from simulator.cloud.errors import AwsError


def run_parallel(frame: Frame, data: Any) -> Steps:
    """Run all branches with the same input; return the list of their outputs."""
    interpreter, thread = frame.interpreter, frame.thread
    history, branches, visit = interpreter.history, frame.state["Branches"], frame.visit
    if not goes_on(frame):
        history.add(thread, "ParallelStateStarted")
        visit.parts = {index: thread.fork(is_branch=True) for index in range(len(branches))}
    processes = [
        interpreter.engine.process(
            _guarded(_part(visit, index, interpreter.machine(branch, data, visit.parts[index], {})))
        )
        for index, branch in enumerate(branches)
    ]
    try:
        outputs = yield from _gather(interpreter, processes)
    finally:
        thread.last_id = max(fork.last_id for fork in visit.parts.values())
    history.add(thread, "ParallelStateSucceeded", aside=True)
    return outputs


def run_map(frame: Frame, data: Any) -> Steps:
    """Run the item processor once for every item; return the list of outputs in item order."""
    state, thread = frame.state, frame.thread
    processor = state.get("ItemProcessor") or state["Iterator"]
    if processor.get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED":
        from simulator.cloud import asl_distributed

        return (yield from asl_distributed.run(frame, data, processor))
    items = items_of(frame, data)
    concurrency = concurrency_of(frame, data)
    history = frame.interpreter.history
    if not goes_on(frame):
        history.add(thread, "MapStateStarted", {"length": len(items)})
    iterations = Iterations(frame, processor, data, items)
    slots = Slots(frame.interpreter.engine.env, concurrency or MOST_AT_ONCE)
    outputs = yield from iterations.run(slots, lambda: 0)
    thread.last_id = iterations.last_succeeded_id or thread.last_id
    history.add(thread, "MapStateSucceeded", aside=True)
    return outputs


NOT_READ = object()
"""Stands for what an ItemReader found where there is none."""


def items_of(frame: Frame, data: Any, found: Any = NOT_READ) -> list[Any]:
    """Return the items of a map: of its input, or of what its ItemReader found."""
    if frame.jsonata:
        # Items takes the place of ItemsPath; what is read has none (it has been parsed already).
        items: Any = asl_jsonata_states.map_items(frame) if found is NOT_READ else found
    else:
        path = frame.state.get("ItemsPath", "$")
        items = frame.path(path, data if found is NOT_READ else found)
    if not isinstance(items, list):
        raise frame.runtime_error(
            f'Reference path "{frame.state.get("ItemsPath", "$")}" must point to array.'
        )
    return items


class Iterations:
    """The iterations of one visit of one Map state."""

    def __init__(
        self, frame: Frame, processor: dict[str, Any], data: Any, items: list[Any]
    ) -> None:
        self.frame = frame
        self.processor = processor
        self.items = items
        self._data = data
        self._failed = 0
        self.last_succeeded_id = 0

    def run(self, slots: Slots, tolerated: Callable[[], int]) -> Steps:
        """Start iterations as slots get free; stop at the first failure that is too many.

        ``tolerated`` tells how many items may fail: that can change meanwhile.
        """
        interpreter = self.frame.interpreter
        processes = [
            interpreter.engine.process(_guarded(self._iteration(index, slots, tolerated)))
            for index in range(len(self.items))
        ]
        outputs = yield from _gather(interpreter, processes)
        return [output for output in outputs if not isinstance(output, StateFailure)]

    def _iteration(self, index: int, slots: Slots, tolerated: Callable[[], int]) -> Steps:
        with slots.request() as slot:
            yield slot
            try:
                return (yield from _part(self.frame.visit, index, self._item(index)))
            except StateFailure as failure:
                self._failed += self.weight_of(index)
                if self._failed > tolerated():
                    raise self.too_many(failure) from failure
                return failure

    def _item(self, index: int) -> Steps:
        return (yield from self.performed(index, self.value_of(index), self._extra(index)))

    def _extra(self, index: int) -> dict[str, Any]:
        """Return what the context object has of an iteration."""
        return {"Map": {"Item": {"Index": index, "Value": self.items[index]}}}

    def value_of(self, index: int) -> Any:
        """Return the input of an iteration: its item, or what ItemSelector makes of it."""
        frame = self.frame
        selector = frame.state.get("ItemSelector", frame.state.get("Parameters"))
        if selector is None:
            return self.items[index]
        context = frame.context
        frame.context = {**context, **self._extra(index)}
        try:
            return self._selected(selector)
        finally:
            frame.context = context

    def weight_of(self, index: int) -> int:
        """Return how many items fail with an iteration."""
        return 1

    def too_many(self, failure: StateFailure) -> StateFailure:
        """Return the failure of the state, given the last one that it could not bear."""
        return failure

    def fork(self, index: int) -> Thread:
        """Return the iteration's thread: a new one, or the one that a redrive goes on with."""
        parts = self.frame.visit.parts
        if index not in parts:
            parts[index] = self.frame.thread.fork()
        return parts[index]

    def _selected(self, selector: Any) -> Any:
        if self.frame.jsonata:
            return asl_jsonata_states.value(self.frame, "ItemSelector", selector)
        return self.frame.render(selector, self._data)

    def performed(self, index: int, value: Any, extra: dict[str, Any]) -> Steps:
        """Run one iteration; its events are in the execution's history."""
        frame, history = self.frame, self.frame.interpreter.history
        fork = self.fork(index)
        where = {"name": frame.name, "index": index}
        history.add(fork, "MapIterationStarted", where)
        try:
            output = yield from frame.interpreter.machine(self.processor, value, fork, extra)
        except StateFailure as failure:
            if not failure.fatal:
                history.add(fork, "MapIterationFailed", where, aside=True)
                frame.thread.last_id = fork.last_id
            raise
        except simpy.Interrupt:
            history.add(fork, "MapIterationAborted", where)
            raise
        self.last_succeeded_id = history.add(fork, "MapIterationSucceeded", where, aside=True)
        frame.thread.last_id = fork.last_id
        return output


def goes_on(frame: Frame) -> bool:
    """Prepare the parts of a Map or Parallel; tell whether a redrive goes on with those there."""
    visit = frame.visit
    if frame.is_redriven and visit.parts:
        for index, part in visit.parts.items():
            if index not in visit.outputs:
                part.last_id = frame.thread.last_id
        return True
    visit.parts, visit.outputs = {}, {}
    return False


def _part(visit: Visit, index: int, steps: Steps) -> Steps:
    """Run a branch or an iteration, unless it has succeeded before."""
    if index not in visit.outputs:
        visit.outputs[index] = yield from steps
    return visit.outputs[index]


def _guarded(steps: Steps) -> Steps:
    """Return (succeeded, output or failure), so that no process fails unobserved."""
    try:
        return True, (yield from steps)
    except StateFailure as failure:
        return False, failure
    except AwsError as error:
        return False, StateFailure("States.Runtime", error.message, fatal=True)
    except simpy.Interrupt:
        return False, StateFailure("States.BranchFailed", "aborted with the state around it")


def _gather(interpreter: Interpreter, processes: list[simpy.Process]) -> Steps:
    """Wait for all and return their outputs; at the first failure end the rest and raise it.

    When the one who waits is interrupted itself (the execution was stopped, or a branch around
    this state failed), the processes end with it.
    """
    settled = interpreter.engine.env.event()
    left = len(processes)
    first_failure: list[StateFailure] = []

    def note(process: simpy.Event) -> None:
        nonlocal left
        if not process.ok:  # A defect of ours, not a failure of the state: SimPy raises it.
            return
        left -= 1
        succeeded, value = _value(process)
        if not succeeded and not first_failure:
            first_failure.append(value)
        if not settled.triggered and (left == 0 or not succeeded):
            settled.succeed()

    for process in processes:
        assert process.callbacks is not None
        process.callbacks.append(note)
    interrupted: simpy.Interrupt | None = None
    try:
        if processes:
            yield settled
    except simpy.Interrupt as interrupt:
        interrupted = interrupt
    running = [process for process in processes if process.is_alive]
    for process in running:
        process.interrupt()
    if running:
        # They write their last events (MapIterationAborted) before what ends them is told.
        yield interpreter.engine.env.all_of(running)
    if interrupted is not None:
        raise interrupted
    if first_failure:
        raise first_failure[0]
    return [_value(process)[1] for process in processes]


def _value(process: simpy.Event) -> tuple[bool, Any]:
    """Return what `_guarded` returned."""
    value: Any = process.value
    succeeded, output = value
    return bool(succeeded), output


def _integer(frame: Frame, name: str, data: Any) -> int | float | None:
    """Return a number given literally or by path (``NamePath``); ``None`` when absent."""
    if frame.jsonata:
        return asl_jsonata_states.number(frame, name)
    if f"{name}Path" not in frame.state:
        value: int | float | None = frame.state.get(name)
        return value
    path = frame.state[f"{name}Path"]
    value = frame.path(path, data)
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        value = int(value)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or (name != "ToleratedFailurePercentage" and not isinstance(value, int)):
        shown = value if isinstance(value, str) else dumps(value)
        kind = "number" if name == "ToleratedFailurePercentage" else "integer"
        raise frame.runtime_error(
            f'The {name}Path field refers to value "{shown}" which is not a valid {kind}: {path}'
        )
    return value


def concurrency_of(frame: Frame, data: Any) -> int:
    """Return how many iterations may run at once; 0 where nothing is said."""
    value = _integer(frame, "MaxConcurrency", data) or 0
    if value < 0:
        raise frame.runtime_error("MaxConcurrency cannot be negative.")
    return int(value)


def tolerances_of(frame: Frame, data: Any) -> tuple[int | None, float | None]:
    """Return how many items, and what percentage of them, may fail; None where nothing is said."""
    count = _integer(frame, "ToleratedFailureCount", data)
    percentage = _integer(frame, "ToleratedFailurePercentage", data)
    if count is not None and count < 0:
        raise frame.runtime_error("ToleratedFailureCount cannot be negative.")
    if percentage is not None and not 0 <= percentage <= 100:
        raise frame.runtime_error("ToleratedFailurePercentage must be between 0 and 100.")
    return None if count is None else int(count), percentage
