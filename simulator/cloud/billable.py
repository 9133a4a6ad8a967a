"""What a run used of what AWS charges for, in the units that it is charged in.

Asked for once a run is over, by `simulator.targets`. Requests are counted where all go through
(`metered`); the rest is read from what the services themselves answer and
measure. It knows no prices: names are those of `simulator/plan/prices.json` where that has one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from simulator.cloud.errors import AwsError
from simulator.cloud.metered import Metered
from simulator.cloud.metrics import RESOLUTION_S, Metrics
from simulator.cloud.streams import Stream

_S3_PUTS = ("Put", "Copy", "Create", "Upload", "Complete", "List", "Restore")
_S3_FREE = ("Delete", "Abort")
"""S3 has one price for PUT, COPY, POST and LIST, none for deletions, and that of GET for others."""

Ask = Callable[..., Mapping[str, Any]]


def billable_units(
    metered: Metered,
    metrics: Metrics,
    ask: Ask,
    jobs: Iterable[str],
    streams: Iterable[Stream],
    now: datetime,
) -> dict[str, float]:
    """Return the units used up to ``now``, by name, without those of which there are none.

    ``ask(service, operation, **params)`` does an operation as the account's root; ``jobs`` are the
    names of the Glue jobs; ``streams`` are asked for no answer, whose times are another clock's
    where an endpoint has the streams.
    """
    # First of all: what is asked for the others below is counted as requests, too.
    found = {**_requests(metered), **_measured(metrics, ask)}
    found["Kinesis shard hours"] = sum(
        len(each.shards) * _hours(each.created_at, now) for each in streams
    )
    found["Glue DPU-hours"] = _dpu_hours(ask, jobs)
    found["SageMaker instance hours"] = _instance_hours(ask, now)
    found["Step Functions transitions"] = float(_transitions(ask))
    alarms = ask("cloudwatch", "DescribeAlarms", AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    found["CloudWatch alarms"] = float(
        len(alarms.get("MetricAlarms", ())) + len(alarms.get("CompositeAlarms", ()))
    )
    return {name: round(units, 6) for name, units in sorted(found.items()) if units}


def _requests(metered: Metered) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    found["Kinesis PUT payload units"] = float(metered.payload_units)
    found["IoT messages"] = float(metered.messages)
    for (service, operation), count in metered.requests.items():
        if service == "s3" and not operation.startswith(_S3_FREE):
            found["S3 PUT requests" if operation.startswith(_S3_PUTS) else "S3 GET requests"] += (
                count
            )
        elif service in ("sns", "sqs"):
            found[f"{service.upper()} requests"] += count
        elif service == "dynamodb":
            reads = operation.startswith(("Get", "BatchGet", "Query", "Scan", "TransactGet"))
            found["DynamoDB read requests" if reads else "DynamoDB write requests"] += count
        elif service == "sagemaker-runtime":
            found["SageMaker invocations"] += count
    return found


def _measured(metrics: Metrics, ask: Ask) -> dict[str, float]:
    """Return what the services' own metrics say."""
    found: dict[str, float] = defaultdict(float)
    custom = set()
    memory_gb: dict[str, float] = {}
    for key in metrics.known():
        namespace, name, dimensions = key
        if not namespace.startswith("AWS/"):
            custom.add(key)
            continue
        unit = _UNIT_OF.get((namespace, name))
        if unit is None:
            continue
        total = sum(value for _, value in metrics.points(key, "Sum", RESOLUTION_S))
        if unit == "Lambda GB-seconds":
            function = dict(dimensions)["FunctionName"]
            if function not in memory_gb:
                memory_gb[function] = _memory_gb(ask, function)
            total *= memory_gb[function] / 1000.0
        found[unit] += total
    found["CloudWatch metrics"] = float(len(custom))
    return found


_UNIT_OF = {
    ("AWS/IoT", "Success"): "IoT actions",
    ("AWS/IoT", "Failure"): "IoT actions",
    ("AWS/IoT", "ErrorActionSuccess"): "IoT actions",
    ("AWS/Lambda", "Invocations"): "Lambda requests",
    ("AWS/Lambda", "Duration"): "Lambda GB-seconds",
}


def _memory_gb(ask: Ask, function: str) -> float:
    try:
        answer = ask("lambda", "GetFunctionConfiguration", FunctionName=function)
    except AwsError:  # Deleted meanwhile.
        return 0.0
    return float(answer["MemorySize"]) / 1024.0


def _pages(ask: Ask, service: str, operation: str, member: str, **params: Any) -> Iterator[Any]:
    token: dict[str, Any] = {}
    while True:
        page = ask(service, operation, **params, **token)
        yield from page.get(member, ())
        name = next((each for each in ("NextToken", "nextToken") if page.get(each)), None)
        if name is None:
            return
        token = {name: page[name]}


def _hours(since: datetime, until: datetime) -> float:
    return max(0.0, (until - since).total_seconds()) / 3600.0


def _dpu_hours(ask: Ask, jobs: Iterable[str]) -> float:
    runs = (
        run for job in jobs for run in _pages(ask, "glue", "GetJobRuns", "JobRuns", JobName=job)
    )
    return sum(run.get("DPUSeconds") or 0.0 for run in runs) / 3600.0


def _instance_hours(ask: Ask, now: datetime) -> float:
    """Return the hours of jobs, and of the endpoints that are there now."""
    seconds = 0.0
    for each in _pages(ask, "sagemaker", "ListTrainingJobs", "TrainingJobSummaries"):
        job = ask("sagemaker", "DescribeTrainingJob", TrainingJobName=each["TrainingJobName"])
        instances = job["ResourceConfig"].get("InstanceCount", 1)
        seconds += (job.get("BillableTimeInSeconds") or 0) * instances
    for each in _pages(ask, "sagemaker", "ListProcessingJobs", "ProcessingJobSummaries"):
        name = each["ProcessingJobName"]
        job = ask("sagemaker", "DescribeProcessingJob", ProcessingJobName=name)
        instances = job["ProcessingResources"]["ClusterConfig"]["InstanceCount"]
        seconds += instances * _ran_s(job, "Processing", now)
    for each in _pages(ask, "sagemaker", "ListTransformJobs", "TransformJobSummaries"):
        name = each["TransformJobName"]
        job = ask("sagemaker", "DescribeTransformJob", TransformJobName=name)
        seconds += job["TransformResources"]["InstanceCount"] * _ran_s(job, "Transform", now)
    hours = seconds / 3600.0
    for each in _pages(ask, "sagemaker", "ListEndpoints", "Endpoints"):
        shown = ask("sagemaker", "DescribeEndpoint", EndpointName=each["EndpointName"])
        instances = sum(v["CurrentInstanceCount"] for v in shown.get("ProductionVariants", ()))
        hours += instances * _hours(shown["CreationTime"], now)
    return hours


def _ran_s(job: Mapping[str, Any], kind: str, now: datetime) -> float:
    started = job.get(f"{kind}StartTime")
    if started is None:
        return 0.0
    ended = job.get(f"{kind}EndTime") or now
    return float((ended - started).total_seconds())


def _transitions(ask: Ask) -> int:
    """Return how many states standard executions entered."""
    found = 0
    for machine in _pages(ask, "stepfunctions", "ListStateMachines", "stateMachines"):
        arn = machine["stateMachineArn"]
        if machine["type"] != "STANDARD":
            continue
        for execution in _pages(
            ask, "stepfunctions", "ListExecutions", "executions", stateMachineArn=arn
        ):
            events = _pages(
                ask,
                "stepfunctions",
                "GetExecutionHistory",
                "events",
                executionArn=execution["executionArn"],
                maxResults=1000,
            )
            found += sum(event["type"].endswith("StateEntered") for event in events)
    return found
