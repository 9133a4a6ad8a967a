"""Runs a state machine: every state a generator on the run's clock.

`workflows.py` starts one Interpreter per execution. Tasks are in `asl_tasks.py`, Map and
Parallel in `asl_fanout.py`; this file has the life of a state: input, work, retry, catch,
output. States in JSONata do their work in `asl_jsonata_states.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from typing import Any, Protocol

import simpy

from simulator.cloud import asl_choice, asl_jsonata_states, asl_payload
from simulator.cloud.asl_callbacks import Callback
from simulator.cloud.asl_history import MAX_PAYLOAD_BYTES, History, StateFailure, Thread, Visit, iso
from simulator.cloud.asl_map_runs import MapRun
from simulator.cloud.asl_paths import PathNotFound, Scope, read, write
from simulator.cloud.asl_payload import IntrinsicFailure, PayloadPathError, dumps, render
from simulator.cloud.engine import Engine

Steps = Generator[simpy.Event, Any, Any]
State = dict[str, Any]

_NOT_TASK_FAILED = ("States.Timeout", "States.Runtime", "States.DataLimitExceeded")
"""What the wildcard States.TaskFailed does not match: "Error names" in the developer guide."""


class Tasks(Protocol):
    """What the interpreter needs of `asl_tasks`."""

    def attempt(self, frame: Frame) -> dict[str, Any]:
        """Begin an attempt; return what the context object has of it (``Task``)."""
        ...

    def run(self, frame: Frame, parameters: Any) -> Steps:
        """Do a Task state's work; return its raw result."""
        ...

    def call(self, service: str, operation: str, parameters: dict[str, Any]) -> Steps:
        """Do one operation as the machine's role, without events; raises AwsError."""
        ...


class Frame:
    """One visit of one state: where it is, what it got, and how to fail in AWS's words."""

    def __init__(
        self,
        interpreter: Interpreter,
        thread: Thread,
        name: str,
        state: State,
        data: Any,
        visit: Visit,
    ) -> None:
        self.interpreter = interpreter
        self.thread = thread
        self.name = name
        self.state = state
        self.raw_input = data
        self.visit = visit
        self.entered_id = visit.entered_id
        self.is_redriven = False
        self.context: dict[str, Any] = {}
        self.callback: Callback | None = None
        # A machine's language is its states' own, unless one says otherwise.
        self.jsonata = state.get("QueryLanguage", interpreter.language) == "JSONata"

    def scope(self, data: Any) -> Scope:
        """Return what paths of this state may refer to."""
        return Scope(data, self.context, self.thread.variables, self.interpreter.engine.new_id)

    def runtime_error(self, text: str) -> StateFailure:
        """Return the failure for a definition or input that cannot be evaluated."""
        where = f"'{self.name}' (entered at the event id #{self.entered_id})"
        return StateFailure(
            "States.Runtime",
            f"An error occurred while executing the state {where}. {text}",
            fatal=True,
        )

    def path(self, path: str | None, data: Any) -> Any:
        """Evaluate InputPath, ItemsPath or OutputPath; ``None`` gives an empty object."""
        if path is None:
            return {}
        try:
            return read(path, self.scope(data))
        except PathNotFound as error:
            raise self.runtime_error(f"Invalid path '{path}' : {error.detail}") from error

    def value_of(self, name: str, data: Any) -> Any:
        """Evaluate a field such as ErrorPath that holds a path or an intrinsic function."""
        return self._payload(
            lambda: asl_payload.evaluate(self.state[name], self.scope(data), name), data
        )

    def render(self, template: Any, data: Any) -> Any:
        """Evaluate Parameters, ItemSelector, ResultSelector or Assign."""
        return self._payload(lambda: render(template, self.scope(data)), data)

    def _payload(self, evaluate: Callable[[], Any], data: Any) -> Any:
        try:
            return evaluate()
        except PayloadPathError as error:
            raise self.runtime_error(
                f"The JSONPath '{error.path}' specified for the field '{error.name}' "
                f"could not be found in the input '{dumps(data)}'"
            ) from error
        except IntrinsicFailure as error:
            raise StateFailure("States.IntrinsicFailure", str(error)) from error


class Interpreter:
    """One execution of one definition."""

    def __init__(
        self,
        engine: Engine,
        definition: dict[str, Any],
        context: dict[str, Any],
        history: History,
        tasks: Tasks,
        on_state: Callable[[str, str], None] | None = None,
        map_runs: dict[str, MapRun] | None = None,
    ) -> None:
        self.engine = engine
        self.definition = definition
        self.language = definition.get("QueryLanguage", "JSONPath")
        self.context = context
        self.history = history
        self.tasks = tasks
        self.map_runs = {} if map_runs is None else map_runs
        self.on_state = on_state or (lambda name, what: None)

    def run(self, data: Any, thread: Thread | None = None) -> Steps:
        """Run the whole machine; return its output or raise StateFailure.

        A thread that has been in a state goes on there.
        """
        return (yield from self.machine(self.definition, data, thread or Thread(), {}))

    def machine(
        self, definition: dict[str, Any], data: Any, thread: Thread, extra: dict[str, Any]
    ) -> Steps:
        """Run the states of a machine, branch or item processor from StartAt to the end."""
        name: str | None = definition["StartAt"]
        if thread.visit is not None:
            name, data = thread.visit.name, thread.visit.data
        while name is not None:
            state = definition["States"][name]
            name, data = yield from self._visit(name, state, data, thread, extra)
        return data

    def _visit(
        self, name: str, state: State, data: Any, thread: Thread, extra: dict[str, Any]
    ) -> Steps:
        kind = state["Type"]
        is_redriven = thread.visit is not None
        if thread.visit is None:
            thread.visit = Visit(name, data, self.history.entered(thread, kind, name, data))
        frame = Frame(self, thread, name, state, data, thread.visit)
        frame.is_redriven = is_redriven
        self.on_state(name, "entered")
        visit: dict[str, Any] = {"Name": name, "EnteredTime": iso(self.engine.now())}
        if "Retry" in state:
            visit["RetryCount"] = 0
        context = frame.context = {**self.context, "State": visit, **extra}
        attempts: dict[int, int] = {}
        while True:
            if kind == "Task":
                frame.context = {**context, **self.tasks.attempt(frame)}
            try:
                next_name, output, assigned = yield from self._work(frame, kind)
                break
            except StateFailure as failure:
                delay_s = self._retry_delay_s(frame, failure, attempts)
                if delay_s is not None:
                    visit["RetryCount"] += 1
                    yield self.engine.env.timeout(delay_s)
                    continue
                if kind in ("Map", "Parallel") and not failure.fatal:
                    self.history.add(thread, f"{kind}StateFailed")
                if failure.error == "States.DataLimitExceeded":
                    # What all parts have said is too much: a redrive runs all of them again.
                    frame.visit.parts.clear()
                try:
                    next_name, output, assigned = self._caught(frame, failure)
                except StateFailure:
                    if kind == "Task" and thread.is_branch and not failure.fatal:
                        # As recorded: of a task in a branch, not of one at the top.
                        self.history.add(thread, "TaskStateAborted", aside=True)
                    raise
                break
            finally:
                # Only the first attempt goes on where another execution of the state ended.
                frame.is_redriven = False
        thread.visit = None
        thread.variables.update(assigned)
        if kind != "Fail":
            self.history.exited(thread, kind, name, output, assigned)
        self.on_state(name, "exited")
        return next_name, output

    def _work(self, frame: Frame, kind: str) -> Steps:
        """Do the state's own work; return (next state, output, assigned variables)."""
        state, data = frame.state, frame.raw_input
        if frame.jsonata:
            found = yield from asl_jsonata_states.work(frame, kind)
            self._check_size(frame, kind, found[1])
            return found
        if kind == "Fail":
            raise self._fail(frame)
        data = frame.path(state.get("InputPath", "$"), data)
        next_name = state.get("Next")
        if kind == "Choice":
            next_name, assigned = self._choose(frame, data)
            return next_name, frame.path(state.get("OutputPath", "$"), data), assigned
        if kind == "Succeed":
            return None, frame.path(state.get("OutputPath", "$"), data), {}
        if kind == "Wait":
            yield self.engine.env.timeout(self._wait_s(frame, data))
            assigned = frame.render(state.get("Assign", {}), data)
            return next_name, frame.path(state.get("OutputPath", "$"), data), assigned
        result = yield from self._result(frame, kind, data)
        if "ResultSelector" in state:
            result = frame.render(state["ResultSelector"], result)
        assigned = frame.render(state.get("Assign", {}), result)
        output = self._placed(frame, state.get("ResultPath", "$"), frame.raw_input, result)
        output = frame.path(state.get("OutputPath", "$"), output)
        self._check_size(frame, kind, output)
        return next_name, output, assigned

    @staticmethod
    def _check_size(frame: Frame, kind: str, output: Any) -> None:
        if len(dumps(output).encode()) > MAX_PAYLOAD_BYTES:
            raise StateFailure(
                "States.DataLimitExceeded",
                f"The state/task '{frame.name}' returned a result with a size exceeding the "
                "maximum number of bytes service limit.",
                fatal=kind == "Pass",
            )

    def _result(self, frame: Frame, kind: str, data: Any) -> Steps:
        state = frame.state
        parameters = data
        if "Parameters" in state and kind != "Map":
            parameters = frame.render(state["Parameters"], data)
        if kind == "Pass":
            return state.get("Result", parameters)
        return (yield from self.performed(frame, kind, parameters))

    def performed(self, frame: Frame, kind: str, parameters: Any) -> Steps:
        """Do what a Task, Parallel or Map state is for; return its result."""
        if kind == "Task":
            return (yield from self.tasks.run(frame, parameters))
        from simulator.cloud import asl_fanout

        if kind == "Parallel":
            return (yield from asl_fanout.run_parallel(frame, parameters))
        return (yield from asl_fanout.run_map(frame, parameters))

    @staticmethod
    def _placed(frame: Frame, path: str | None, data: Any, result: Any) -> Any:
        if path is None:
            return data
        if path == "$":
            return result
        try:
            return write(path, data, result)
        except PathNotFound as error:
            raise StateFailure("States.ResultPathMatchFailure", error.detail) from error

    def _fail(self, frame: Frame) -> StateFailure:
        state, texts = frame.state, {}
        for name in ("Error", "Cause"):
            texts[name] = state.get(name)
            if f"{name}Path" in state:
                texts[name] = frame.value_of(f"{name}Path", frame.raw_input)
                if not isinstance(texts[name], str):
                    raise frame.runtime_error(f"The {name}Path field must refer to a string.")
        return StateFailure(texts["Error"], texts["Cause"])

    @staticmethod
    def _choose(frame: Frame, data: Any) -> tuple[str, dict[str, Any]]:
        for rule in frame.state["Choices"]:
            try:
                if asl_choice.matches(rule, frame.scope(data)):
                    return rule["Next"], frame.render(rule.get("Assign", {}), data)
            except PathNotFound as error:
                path = rule.get("Variable", "")
                raise frame.runtime_error(
                    f"Invalid path '{path}': The choice state's condition path references "
                    f"an invalid value. ({error.detail})"
                ) from error
        if "Default" not in frame.state:
            raise StateFailure(
                "States.NoChoiceMatched",
                f"No choice rule of the state '{frame.name}' matched, and it has no Default.",
            )
        return frame.state["Default"], frame.render(frame.state.get("Assign", {}), data)

    def _wait_s(self, frame: Frame, data: Any) -> float:
        state = frame.state
        if "Seconds" in state:
            return float(state["Seconds"])
        if "SecondsPath" in state:
            return self._seconds_of_path(frame, state["SecondsPath"], data)
        text = state.get("Timestamp")
        if "TimestampPath" in state:
            text = self._referenced(frame, "TimestampPath", data)
        at = asl_choice.timestamp(text)
        if at is None:
            raise frame.runtime_error(
                "The TimestampPath parameter does not reference a valid ISO-8601 extended "
                f"offset date-time format string: {state.get('TimestampPath')} == {text}"
            )
        return max(0.0, at.timestamp() - self.engine.epoch_s())

    def _seconds_of_path(self, frame: Frame, path: str, data: Any) -> float:
        value = self._referenced(frame, "SecondsPath", data)
        if not isinstance(value, int) or isinstance(value, bool):
            raise frame.runtime_error(
                f"The SecondsPath parameter cannot be parsed as a long value: {path} == {value}"
            )
        if value < 0:
            raise frame.runtime_error(
                f"The SecondsPath parameter references a negative value: {path} == {value}"
            )
        return float(value)

    @staticmethod
    def _referenced(frame: Frame, name: str, data: Any) -> Any:
        path = frame.state[name]
        try:
            return read(path, frame.scope(data))
        except PathNotFound as error:
            raise frame.runtime_error(
                f"The {name} parameter does not reference an input value: {path}"
            ) from error

    # -- errors

    @staticmethod
    def _matches(names: list[str], failure: StateFailure) -> bool:
        if failure.error in names or (failure.late and "States.HeartbeatTimeout" in names):
            return True
        if "States.ALL" in names:
            return not failure.fatal
        return "States.TaskFailed" in names and failure.error not in _NOT_TASK_FAILED

    def _retry_delay_s(
        self, frame: Frame, failure: StateFailure, attempts: dict[int, int]
    ) -> float | None:
        """Return how long to wait before the next attempt, ``None`` when there is none left."""
        if failure.fatal:
            return None
        for number, retrier in enumerate(frame.state.get("Retry", [])):
            if not self._matches(retrier["ErrorEquals"], failure):
                continue
            done = attempts.get(number, 0)
            if done >= retrier.get("MaxAttempts", 3):
                return None
            attempts[number] = done + 1
            delay_s = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** done
            delay_s = float(min(delay_s, retrier.get("MaxDelaySeconds", float("inf"))))
            if retrier.get("JitterStrategy") == "FULL":
                # Drawn from names, so that the same execution waits as long in every run.
                named = f"{self.context['Execution']['Id']} {frame.entered_id} {number} {done}"
                return random.Random(named).uniform(0.0, delay_s)
            return delay_s
        return None

    def _caught(self, frame: Frame, failure: StateFailure) -> tuple[str, Any, dict[str, Any]]:
        """Return where the first matching catcher leads; re-raise when there is none."""
        if not failure.fatal:
            for catcher in frame.state.get("Catch", []):
                if self._matches(catcher["ErrorEquals"], failure):
                    output = {
                        "Error": failure.absent if failure.error is None else failure.error,
                        "Cause": failure.absent if failure.cause is None else failure.cause,
                    }
                    if frame.jsonata:
                        return asl_jsonata_states.caught(frame, catcher, output)
                    assigned = frame.render(catcher.get("Assign", {}), output)
                    path = catcher.get("ResultPath", "$")
                    placed = self._placed(frame, path, frame.raw_input, output)
                    return catcher["Next"], placed, assigned
        raise failure
