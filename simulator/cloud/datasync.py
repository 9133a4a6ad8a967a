"""AWS DataSync of the twin: tasks and their executions, which really copy files.

Called by `dispatch` on the engine's thread. Locations are in `datasync_locations`, the copying
in `datasync_transfer`. One execution of a task runs at a time, and one at a time through an
agent; others wait in the order of their start. Folders themselves are not copied: S3 of the
twin has no keys that end in a slash. A location of a kind without an operation here does not
exist (EFS, FSx, HDFS, object storage).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import simpy

from simulator.cloud import schedules
from simulator.cloud.context import Context
from simulator.cloud.datasync_buckets import BucketPlace
from simulator.cloud.datasync_executions import ENDED, Execution, described
from simulator.cloud.datasync_locations import Location, Locations, agents_of, paged
from simulator.cloud.datasync_places import FileFailed, LocalPlace, Place
from simulator.cloud.datasync_report import Report
from simulator.cloud.datasync_settings import (
    Filters,
    defaults_of,
    invalid,
    options_of,
    refuse_unsupported,
)
from simulator.cloud.datasync_transfer import Transfer
from simulator.cloud.datasync_updates import Updates
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Answer, Call, Operation, Params

_KEPT = (
    "Name",
    "CloudWatchLogGroupArn",
    "Includes",
    "Excludes",
    "Schedule",
    "TaskReportConfig",
)
MOST_QUEUED = 50
"""Executions of one task that may wait (DataSync user guide, quotas)."""


def schedule_of(expression: str) -> schedules.Next:
    """Return a task's schedule; tasks run at most once an hour (DataSync user guide)."""
    return schedules.parse(expression, "InvalidRequestException", schedules.HOUR_S)


@dataclass
class _Task:
    arn: str
    params: Params
    options: dict[str, Any]
    created: datetime
    executions: list[Execution] = field(default_factory=list)
    schedule: int = 0

    @property
    def open(self) -> list[Execution]:
        return [one for one in self.executions if one.status not in ENDED]


class DataSync:
    """The service: `operations` for `dispatch`, and `exports` for whoever starts the twin."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._locations = Locations(context)
        self._locations.in_use = self._uses
        self._transfer = Transfer(context, self._connect, self._reporter)
        self._tasks: dict[str, _Task] = {}
        self._turns: dict[str, simpy.Resource] = {}

    @property
    def exports(self) -> dict[str, Path]:
        """Return host name -> folder of the file servers; to be changed in place."""
        return self._locations.exports

    def wait_event(self, execution_arn: str) -> simpy.Event:
        """Return the event of an execution's end, whatever its status then is."""
        return self._execution(execution_arn)[1].ended

    def operations(self) -> dict[str, Operation]:
        """Return every operation that runs here, keyed by botocore's name."""
        by_task: dict[str, Any] = {
            "DescribeTask": self._describe,
            "UpdateTask": self._update,
            "DeleteTask": self._delete,
            "StartTaskExecution": self._start,
        }
        by_execution: dict[str, Any] = {
            "DescribeTaskExecution": self._describe_execution,
            "CancelTaskExecution": self._cancel,
            "UpdateTaskExecution": self._update_execution,
        }
        table = self._locations.operations() | Updates(self._locations).operations()
        table |= {
            "CreateTask": Operation(self._create),
            "ListTasks": Operation(self._list),
            "ListTaskExecutions": Operation(self._list_executions),
        }
        table |= {
            name: Operation(execute, lambda params: (params["TaskArn"],))
            for name, execute in by_task.items()
        }
        return table | {
            name: Operation(execute, lambda params: (params["TaskExecutionArn"],))
            for name, execute in by_execution.items()
        }

    # -- tasks

    def _uses(self, location_arn: str) -> bool:
        ends = ("SourceLocationArn", "DestinationLocationArn")
        return any(
            location_arn in (task.params[end] for end in ends) for task in self._tasks.values()
        )

    def _task(self, arn: str) -> _Task:
        task = self._tasks.get(arn)
        if task is None:
            raise invalid(f"Task {arn.rpartition('/')[2]} is not found.", "TaskNotFound")
        return task

    def _create(self, call: Call) -> Answer:
        params = call.params
        self._check(params, "CreateTask")
        source, destination = (
            self._locations.location(params[end])
            for end in ("SourceLocationArn", "DestinationLocationArn")
        )
        if source.kind != "s3" and destination.kind != "s3":
            raise invalid("One of the locations of a task must be an S3 location.")
        if (source.kind, source.host) == (destination.kind, destination.host):
            folders = sorted((source.folder + "/", destination.folder + "/"), key=len)
            if folders[1].startswith(folders[0]) or folders[0] == "/":
                raise invalid("Source and destination of a task must not overlap.")
        mode = params.get("TaskMode", "BASIC")
        options = options_of(params.get("Options", {}), defaults_of(mode), mode)
        identifier = self._context.engine.new_id().replace("-", "")[:17]
        arn = self._context.arn("datasync", f"task/task-{identifier}")
        task = _Task(arn, dict(params), options, self._context.engine.now())
        self._tasks[arn] = task
        self._reschedule(task)
        return {"TaskArn": arn}

    def _check(self, params: Params, operation: str) -> None:
        """Refuse what could not run later: filters, schedules, reports that cannot be read."""
        refuse_unsupported(operation, params)
        Filters(params.get("Includes", ()), params.get("Excludes", ()))
        if "Schedule" in params:
            schedule_of(params["Schedule"]["ScheduleExpression"])

    def _describe(self, call: Call) -> Answer:
        task = self._task(call.params["TaskArn"])
        answer: Answer = {
            "TaskArn": task.arn,
            "Status": "AVAILABLE",
            "SourceLocationArn": task.params["SourceLocationArn"],
            "DestinationLocationArn": task.params["DestinationLocationArn"],
            "Options": dict(task.options),
            "CreationTime": task.created,
            "TaskMode": task.params.get("TaskMode", "BASIC"),
            **{name: task.params[name] for name in _KEPT if name in task.params},
        }
        answer["Status"], error = self._status(task)
        if error:
            answer["ErrorCode"], answer["ErrorDetail"] = "LocationUnreachable", error
        if running := task.open:
            answer["CurrentTaskExecutionArn"] = running[0].arn
        return answer

    def _status(self, task: _Task) -> tuple[str, str]:
        statuses = [execution.status for execution in task.open]
        if any(status != "QUEUED" for status in statuses):
            return "RUNNING", ""
        if statuses:
            return "QUEUED", ""
        for end in ("SourceLocationArn", "DestinationLocationArn"):
            location = self._locations.location(task.params[end])
            if location.kind != "s3":
                try:
                    self._locations.local_folder(location)
                except FileNotFoundError as error:
                    return "UNAVAILABLE", str(error)
        return "AVAILABLE", ""

    def _update(self, call: Call) -> Answer:
        task, params = self._task(call.params["TaskArn"]), call.params
        self._check(params, "UpdateTask")
        mode = task.params.get("TaskMode", "BASIC")
        task.options = options_of(params.get("Options", {}), task.options, mode)
        task.params |= {name: params[name] for name in _KEPT if name in params}
        if "Schedule" in params:
            self._reschedule(task)
        return {}

    def _list(self, call: Call) -> Answer:
        found = []
        for task in self._tasks.values():
            ends = (task.params["SourceLocationArn"], task.params["DestinationLocationArn"])
            for rule in call.params.get("Filters", ()):
                if (rule["Name"], rule["Operator"]) != ("LocationId", "Equals"):
                    raise NotSupportedByTwin(f"datasync:ListTasks by {rule['Name']}")
                if not set(rule["Values"]) & set(ends):
                    break
            else:
                named = {"Name": task.params["Name"]} if "Name" in task.params else {}
                mode = task.params.get("TaskMode", "BASIC")
                status = self._status(task)[0]
                found.append({"TaskArn": task.arn, "Status": status, "TaskMode": mode, **named})
        return paged("Tasks", found, call.params)

    def _delete(self, call: Call) -> Answer:
        task = self._task(call.params["TaskArn"])
        if task.open:
            raise invalid("A task cannot be deleted while an execution of it is under way.")
        task.schedule += 1
        del self._tasks[task.arn]
        return {}

    # -- schedules

    def _reschedule(self, task: _Task) -> None:
        task.schedule += 1
        schedule = task.params.get("Schedule", {})
        if schedule.get("ScheduleExpression") and schedule.get("Status", "ENABLED") == "ENABLED":
            following = schedule_of(schedule["ScheduleExpression"])
            self._context.engine.process(self._on_schedule(task, task.schedule, following))

    def _on_schedule(
        self, task: _Task, generation: int, following: schedules.Next
    ) -> Generator[simpy.Event, Any, None]:
        """Start the task when it is due, until its schedule changes; a busy task is left alone."""
        engine = self._context.engine
        while (at := following(engine.now())) is not None:
            yield engine.env.timeout((at - engine.now()).total_seconds())
            if task.schedule != generation:
                return
            if not task.open:
                self._begin(task, {})

    # -- executions

    def _execution(self, arn: str) -> tuple[_Task, Execution]:
        task = self._tasks.get(arn.rpartition("/execution/")[0])
        for execution in task.executions if task else ():
            if execution.arn == arn:
                assert task is not None
                return task, execution
        raise invalid(f"Task execution {arn} is not found.", "TaskExecutionNotFound")

    def _start(self, call: Call) -> Answer:
        task = self._task(call.params["TaskArn"])
        self._check(call.params, "StartTaskExecution")
        return {"TaskExecutionArn": self._begin(task, call.params).arn}

    def _begin(self, task: _Task, params: Params) -> Execution:
        engine, mode = self._context.engine, task.params.get("TaskMode", "BASIC")
        options = options_of(params.get("OverrideOptions", {}), task.options, mode)
        waiting = task.open
        if waiting and options["TaskQueueing"] == "DISABLED":
            raise invalid("The task is running and its queueing is disabled.", "TaskRunning")
        if len(waiting) > MOST_QUEUED:
            raise invalid(f"More than {MOST_QUEUED} executions of the task are queued.")
        identifier = engine.new_id().replace("-", "")[:17]
        both = {**task.params, **params}
        group = task.params.get("CloudWatchLogGroupArn", "").partition(":log-group:")[2]
        execution = Execution(
            arn=f"{task.arn}/execution/exec-{identifier}",
            task_arn=task.arn,
            mode=mode,
            options=options,
            includes=both.get("Includes", []),
            excludes=both.get("Excludes", []),
            report=both.get("TaskReportConfig"),
            log_group=group.removesuffix(":*"),
            created=engine.now(),
            ended=engine.env.event(),
            cancel=engine.env.event(),
        )
        task.executions.append(execution)
        engine.process(self._run(task, execution))
        return execution

    def _run(self, task: _Task, execution: Execution) -> Generator[simpy.Event, Any, None]:
        """Wait for the task's and the agents' turns, then be the transfer."""
        env = self._context.engine.env
        with ExitStack() as held:
            for name in (task.arn, *self._agents(task)):
                turn = self._turns.setdefault(name, simpy.Resource(env))
                request = held.enter_context(turn.request())
                yield request | execution.cancel
                if execution.cancel.triggered:
                    execution.fail("Cancelled", "The task execution was cancelled.")
                    execution.status, execution.finished = "ERROR", self._context.engine.now()
                    execution.ended.succeed(execution.status)
                    return
            yield from self._transfer.run(execution)
        detail = {"State": execution.status}
        name = "DataSync Task Execution State Change"
        self._context.emit("aws.datasync", name, detail, [execution.arn])
        execution.ended.succeed(execution.status)

    def _agents(self, task: _Task) -> Sequence[str]:
        if task.params.get("TaskMode", "BASIC") == "ENHANCED":
            return ()
        ends = ("SourceLocationArn", "DestinationLocationArn")
        locations = (self._locations.location(task.params[end]) for end in ends)
        return sorted({arn for location in locations for arn in agents_of(location)})

    def _describe_execution(self, call: Call) -> Answer:
        return described(self._execution(call.params["TaskExecutionArn"])[1])

    def _list_executions(self, call: Call) -> Answer:
        if "TaskArn" in call.params:
            tasks = [self._task(call.params["TaskArn"])]
        else:
            tasks = list(self._tasks.values())
        found = [
            {"TaskExecutionArn": one.arn, "Status": one.status, "TaskMode": one.mode}
            for task in tasks
            for one in task.executions
        ]
        return paged("TaskExecutions", found, call.params)

    def _cancel(self, call: Call) -> Answer:
        execution = self._execution(call.params["TaskExecutionArn"])[1]
        if execution.status in ENDED:
            raise invalid("The task execution has ended.", "TaskExecutionNotRunning")
        if not execution.cancel.triggered:
            execution.status = "CANCELLING"
            execution.cancel.succeed()
        return {}

    def _update_execution(self, call: Call) -> Answer:
        execution = self._execution(call.params["TaskExecutionArn"])[1]
        if set(call.params["Options"]) - {"BytesPerSecond"}:
            raise invalid("Only BytesPerSecond of a running task execution can be changed.")
        if execution.status in ENDED:
            raise invalid("The task execution has ended.", "TaskExecutionNotRunning")
        execution.options = options_of(call.params["Options"], execution.options, execution.mode)
        return {}

    # -- for the transfer

    def _connect(self, execution: Execution) -> tuple[Place, Place]:
        task = self._tasks[execution.task_arn]
        source, destination = (
            self._place(self._locations.location(task.params[end]), execution)
            for end in ("SourceLocationArn", "DestinationLocationArn")
        )
        return source, destination

    def _place(self, location: Location, execution: Execution) -> Place:
        if location.kind == "s3":
            role = location.params["S3Config"]["BucketAccessRoleArn"]
            storage = location.params.get("S3StorageClass", "STANDARD")
            return self._bucket(role, location.host, location.folder, execution, storage)
        try:
            folder = self._locations.local_folder(location)
        except FileNotFoundError as error:
            raise FileFailed("LocationUnreachable", str(error)) from None
        return LocalPlace(folder, execution.options, posix=location.kind == "nfs")

    def _bucket(
        self, role: str, bucket: str, folder: str, execution: Execution, storage: str = "STANDARD"
    ) -> BucketPlace:
        try:
            caller = self._locations.session(role, execution.task_arn)
        except AwsError as error:
            raise FileFailed("AssumeRoleAccessDenied", error.message) from None
        options = execution.options
        return BucketPlace(self._context, caller, bucket, folder, options, storage)

    def _reporter(self, execution: Execution) -> Report:
        def put(key: str, body: bytes) -> None:
            assert execution.report is not None
            s3 = execution.report["Destination"]["S3"]
            bucket = s3["S3BucketArn"].rpartition(":::")[2]
            folder = s3.get("Subdirectory", "").strip("/")
            try:
                place = self._bucket(s3["BucketAccessRoleArn"], bucket, folder, execution)
            except FileFailed as failure:
                raise AwsError(failure.code, failure.detail) from None
            place.call("PutObject", "/" + key, Body=body, ContentType="application/json")

        return Report(execution, put)
