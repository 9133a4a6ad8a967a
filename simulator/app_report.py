"""What a run of an app did, asked of the twin as anybody could ask an account, and as text.

Called by `app_run`. It counts what ran and says what did not: denied calls, refused operations,
properties that change nothing here. It judges nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from simulator.targets import Embedded

FORMAT = 1
Report = dict[str, Any]


def listen(target: Embedded) -> Counter[str]:
    """Return a count by topic of what is published to SNS from now on."""
    told: Counter[str] = Counter()

    def published(arn: str, message: str) -> None:
        told[arn.rpartition(":")[2]] += 1

    target.cloud.sns.on_publish.append(published)
    return told


def gather(
    target: Embedded, told: Counter[str], for_s: float, resources: int, published: int
) -> Report:
    """Return what an app did within a time, as JSON has it; ``told`` is what `listen` counted."""
    figures = _Figures(target, for_s)
    return {
        "format": FORMAT,
        "seconds": for_s,
        "resources": resources,
        "published": published,
        "functions": [
            {
                "name": name,
                "invocations": figures.sum_of("AWS/Lambda", "Invocations", "FunctionName", name),
                "errors": figures.sum_of("AWS/Lambda", "Errors", "FunctionName", name),
            }
            for name in figures.named("AWS::Lambda::Function")
        ],
        "rules": [
            {
                "name": name,
                "triggered": figures.sum_of("AWS/Events", "TriggeredRules", "RuleName", name),
                "failed": figures.sum_of("AWS/Events", "FailedInvocations", "RuleName", name),
            }
            for name in figures.named("AWS::Events::Rule")
        ],
        "executions": list(_executions(target)),
        "job_runs": list(_job_runs(target, figures)),
        "alarms": list(_alarms(target)),
        "topics": [
            {"name": name, "messages": told[name]}
            for name in sorted({*told, *figures.ends("AWS::SNS::Topic", ":")})
        ],
        "queues": list(_queues(target, figures)),
        "problems": target.cloud.mappings.problems(),
        "denied": [
            {"role": each.role_arn, "action": each.action, "resource": each.resource, "at": step}
            for each, step in sorted(target.cloud.iam.observed.items())
            if not each.allowed
        ],
        "not_supported": sorted(target.cloud.dispatch.missed),
        "recorded_only": {kind: sorted(names) for kind, names in target.recorded_only().items()},
    }


class _Figures:
    """Sums of metrics over a run, and names of the app's resources."""

    def __init__(self, target: Embedded, for_s: float) -> None:
        self._target = target
        self._deployment = target.cloud.deployment
        self._until = target.cloud.engine.now() + timedelta(minutes=1)
        # A period is whole minutes, and one more holds what happened in the last.
        self._period_s = 60 * (int(for_s) // 60 + 2)

    def named(self, type_name: str) -> list[str]:
        """Return the physical ids of a type, sorted."""
        assert self._deployment is not None
        return sorted(str(each.physical_id) for each in self._deployment.find(type_name))

    def ends(self, type_name: str, mark: str) -> list[str]:
        """Return what stands behind the last mark in each physical id."""
        return [each.rpartition(mark)[2] for each in self.named(type_name)]

    def sum_of(self, namespace: str, metric: str, dimension: str, name: str) -> int:
        """Return the sum of a metric's values over the run."""
        points = self._target.call(
            "cloudwatch",
            "GetMetricStatistics",
            Namespace=namespace,
            MetricName=metric,
            Dimensions=[{"Name": dimension, "Value": name.rpartition("|")[2]}],
            StartTime=self._until - timedelta(seconds=self._period_s),
            EndTime=self._until,
            Period=self._period_s,
            Statistics=["Sum"],
        )["Datapoints"]
        return int(sum(point["Sum"] for point in points))


def _executions(target: Embedded) -> Iterator[Report]:
    for execution in target.cloud.workflows.executions():
        yield {
            "workflow": execution.machine.name,
            "name": execution.name,
            "status": execution.status,
            "error": execution.error or "",
        }


def _job_runs(target: Embedded, figures: _Figures) -> Iterator[Report]:
    for job in figures.named("AWS::Glue::Job"):
        for run in target.call("glue", "GetJobRuns", JobName=job)["JobRuns"]:
            error = run.get("ErrorMessage", "")
            yield {"job": job, "id": run["Id"], "status": run["JobRunState"], "error": error}


def _alarms(target: Embedded) -> Iterator[Report]:
    found = target.call(
        "cloudwatch", "DescribeAlarms", AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    changes: dict[str, list[Report]] = {}
    token: dict[str, str] = {}
    while True:
        page = target.call(
            "cloudwatch",
            "DescribeAlarmHistory",
            HistoryItemType="StateUpdate",
            ScanBy="TimestampAscending",
            **token,
        )
        for item in page["AlarmHistoryItems"]:
            change = {"at": item["Timestamp"].isoformat(), "what": item["HistorySummary"]}
            changes.setdefault(item["AlarmName"], []).append(change)
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    for alarm in [*found.get("MetricAlarms", []), *found.get("CompositeAlarms", [])]:
        name = alarm["AlarmName"]
        yield {"name": name, "state": alarm["StateValue"], "changes": changes.get(name, [])}


def _queues(target: Embedded, figures: _Figures) -> Iterator[Report]:
    asked = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    for url in figures.named("AWS::SQS::Queue"):
        held = target.call("sqs", "GetQueueAttributes", QueueUrl=url, AttributeNames=asked)
        counted = sum(int(held["Attributes"][name]) for name in asked)
        yield {"name": url.rpartition("/")[2], "messages": counted}


def text_of(report: Report) -> str:
    """Return the report for a person."""
    lines = [
        f"{report['seconds']:,.0f} s of the clock, {report['resources']} resources, "
        f"{report['published']:,} messages published"
    ]

    def section(title: str, rows: list[str]) -> None:
        if rows:
            lines.extend(["", title, *(f"  {row}" for row in rows)])

    section(
        "functions",
        [
            f"{each['name']}: {each['invocations']:,} invocations, {each['errors']:,} errors"
            for each in report["functions"]
        ],
    )
    section(
        "rules",
        [
            f"{each['name']}: {each['triggered']:,} times, {each['failed']:,} targets failed"
            for each in report["rules"]
        ],
    )
    section("executions", list(_counted(report["executions"], "workflow")))
    section("job runs", list(_counted(report["job_runs"], "job")))
    section("alarms", list(_alarm_lines(report)))
    section(
        "topics", [f"{each['name']}: {each['messages']:,} messages" for each in report["topics"]]
    )
    section(
        "queues", [f"{each['name']}: {each['messages']:,} messages" for each in report["queues"]]
    )
    section("mappings that do not read", report["problems"])
    section("denied", list(_denied_lines(report)))
    section("not supported", [f"{each} was called" for each in report["not_supported"]])
    idle = sum(map(len, report["recorded_only"].values()))
    lines += ["", f"{idle} properties change nothing here: fleetwin assembly FOLDER names them"]
    return "\n".join(lines)


def _counted(entries: list[Report], of: str) -> Iterator[str]:
    """Yield a line for each workflow or job: how many ended how, and why the last one failed."""
    for name in sorted({each[of] for each in entries}):
        own = [each for each in entries if each[of] == name]
        counts = Counter(each["status"] for each in own)
        told = ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items()))
        error = next((each["error"] for each in reversed(own) if each["error"]), "")
        yield f"{name}: {told}" + (f" ({error.splitlines()[0]})" if error else "")


def _alarm_lines(report: Report) -> Iterator[str]:
    for each in report["alarms"]:
        yield f"{each['name']}: {each['state']}, {len(each['changes'])} changes"
        for change in each["changes"]:
            yield f"  {change['at']} {change['what']}"


def _denied_lines(report: Report) -> Iterator[str]:
    for each in report["denied"]:
        at = f", at {each['at']}" if each["at"] else ""
        yield f"{each['role'].rpartition('/')[2]}: {each['action']} on {each['resource']}{at}"
