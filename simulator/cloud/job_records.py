"""What SageMaker's jobs have in common: one record each, unique names, lists, stops, events.

Used by the services of training, processing, transform and tuning jobs; what a job does is in
`training_runs`, `processing_runs`, `transform_runs` and `tuning_runs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

import simpy

from simulator.cloud.containers import Container
from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Answer, Call, Params
from simulator.cloud.pages import page

ENDED = frozenset({"Completed", "Failed", "Stopped"})
FAILURE_CHARS = 1024
"""FailureReason's longest (API reference, FailureReason)."""


class JobError(Exception):
    """Ends a job as Failed; the text is its FailureReason."""


@dataclass
class JobRecord:
    """One job; ``params`` are those of its Create operation."""

    name: str
    arn: str
    params: Params
    created: datetime
    ended: simpy.Event
    stop: simpy.Event
    status: str = "InProgress"
    failure: str = ""
    modified: datetime = field(init=False)
    started: datetime | None = None
    finished: datetime | None = None
    container: Container | None = None

    def __post_init__(self) -> None:
        self.modified = self.created


@dataclass(frozen=True)
class Kind:
    """How AWS spells one sort of job. ``stem`` begins its members: ``ProcessingJob``."""

    stem: str
    resource: str
    words: str
    end_member: str
    event: str

    @property
    def name(self) -> str:
        """Return the member that holds a job's name."""
        return f"{self.stem}Name"


R = TypeVar("R", bound=JobRecord)


class JobBook(Generic[R]):
    """The jobs of one kind by name, in the order of their creation."""

    def __init__(self, context: Context, kind: Kind, describe: Callable[[R], Answer]) -> None:
        self._context = context
        self._kind = kind
        self._describe = describe
        self.jobs: dict[str, R] = {}

    def arn(self, name: str) -> str:
        """Return the ARN of a job, which may not exist."""
        return self._context.arn("sagemaker", f"{self._kind.resource}/{name.lower()}")

    def arns(self, params: Params) -> Sequence[str]:
        """Return what IAM is asked about."""
        return (self.arn(params[self._kind.name]),)

    def check_new(self, name: str) -> None:
        """Raise ResourceInUse for a name that was used before."""
        if name in self.jobs:
            raise AwsError(
                "ResourceInUse",
                "Job name must be unique within an AWS account and region, and a job with this "
                f"name already exists ({self.arn(name)})",
            )

    def job(self, name: str) -> R:
        """Return a job; raises ResourceNotFound."""
        if name not in self.jobs:
            raise AwsError("ResourceNotFound", f"Could not find requested job with name: {name}")
        return self.jobs[name]

    def add(self, job: R) -> None:
        """Keep a job and tell of its beginning."""
        self.jobs[job.name] = job
        self.tell(job)

    def tell(self, job: R) -> None:
        """Send EventBridge a job's state: its description, times in milliseconds.

        Source: SageMaker developer guide, "Events that SageMaker sends to EventBridge".
        """
        detail = {**self._describe(job), "Tags": {}}
        self._context.emit("aws.sagemaker", self._kind.event, _in_json(detail), [job.arn])

    def enter(self, job: R, status: str) -> None:
        """Change a job's status and tell of it."""
        job.status, job.modified = status, self._context.engine.now()
        self.tell(job)

    def finish(self, job: R, status: str, failure: str = "") -> None:
        """End a job."""
        job.failure = failure[:FAILURE_CHARS]
        job.finished = self._context.engine.now()
        self.enter(job, status)
        job.ended.succeed(status)

    def request_stop(self, call: Call) -> R:
        """Mark a job as Stopping; raises ValidationException for one that has ended."""
        job = self.job(call.params[self._kind.name])
        if job.status in ENDED:
            raise AwsError(
                "ValidationException",
                f"The request was rejected because the {self._kind.words} is in status "
                f"{job.status}.",
            )
        if not job.stop.triggered:
            job.stop.succeed()
            self.enter(job, "Stopping")
        return job

    def list(
        self,
        call: Call,
        more: Callable[[R], Answer] = lambda job: {},
        sort_by: str = "CreationTime",
        order: str = "Ascending",
    ) -> Answer:
        """Return a page of summaries; ``more`` are members that only this kind has."""
        params, stem = call.params, self._kind.stem
        found = [job for job in self.jobs.values() if matches(job, params)]
        keys: Mapping[str, Callable[[R], Any]] = {
            "Name": lambda job: job.name,
            "Status": lambda job: job.status,
            "CreationTime": lambda job: job.created,
        }
        found.sort(
            key=keys[params.get("SortBy", sort_by)],
            reverse=params.get("SortOrder", order) == "Descending",
        )
        shown, token = page(
            found, params.get("MaxResults", 10), params.get("NextToken"), "ValidationException"
        )
        answer: Answer = {f"{stem}Summaries": [self._summary(job) | more(job) for job in shown]}
        return answer if token is None else answer | {"NextToken": token}

    def _summary(self, job: R) -> Answer:
        stem = self._kind.stem
        summary: Answer = {
            f"{stem}Name": job.name,
            f"{stem}Arn": job.arn,
            f"{stem}Status": job.status,
            "CreationTime": job.created,
            "LastModifiedTime": job.modified,
        }
        return summary if job.finished is None else summary | {self._kind.end_member: job.finished}


def matches(job: JobRecord, params: Params) -> bool:
    """Tell whether a job passes the filters that all lists have."""
    return (
        params.get("NameContains", "") in job.name
        and params.get("StatusEquals", job.status) == job.status
        and between(job.created, params, "CreationTime")
        and between(job.modified, params, "LastModifiedTime")
    )


def between(moment: datetime, params: Params, name: str) -> bool:
    """Tell whether a time lies between ``<name>After`` and ``<name>Before``."""
    after, before = params.get(f"{name}After"), params.get(f"{name}Before")
    return (after is None or moment > after) and (before is None or moment < before)


def known(members: Mapping[str, Any]) -> Answer:
    """Return the members that have a value."""
    return {name: value for name, value in members.items() if value is not None and value != ""}


def emit_training(context: Context, arn: str, description: Answer) -> None:
    """Tell EventBridge of a training job's state."""
    detail = _in_json({**description, "Tags": {}})
    context.emit("aws.sagemaker", "SageMaker Training Job State Change", detail, [arn])


def _in_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _in_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_in_json(item) for item in value]
    return int(value.timestamp() * 1000) if isinstance(value, datetime) else value
