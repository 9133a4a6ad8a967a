"""The target `aws`: a stack where it is deployed, reached by boto3 and by nothing else of ours.

Machines are simulated here and publish over HTTPS as fast as the stack takes it; everything after
that happens there, in real time. Event times are the scenario's, so that detections can be held
against those of another target. `simulator.targets` makes one when the user asked for it, and
nothing else does. Where AWS_ENDPOINT_URL leads to a twin that is up, it is all rehearsed on that.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import simpy
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from simulator.errors import EnvironmentMissing, InvariantBroken, SimulatorError
from simulator.target import LooksAhead, StateListener, WorkflowOutcome

PUBLISHERS = 16
"""Connections; a machine always has the same one, so that its messages stay in order."""

WAITING = 64
"""Messages that may wait for each connection before the machines have to."""

SHARD_SHARE = 0.8
"""Of the 1,000 records a second that a shard takes: topic rules drop what it refuses for long."""

POLL_S = 5.0
QUIET_S = 90.0
"""Without a new object in the lake for so long, and two batching windows, all is processed.

Lambda polls a stream once a second and its retries wait some seconds; a minute covers both."""


class DeploymentDiffers(SimulatorError):
    """A deployed stack that cannot run this scenario; says how to deploy it."""


class AwsUnreachable(SimulatorError):
    """An AWS operation that failed for good; names it and has AWS's reason."""


@dataclass
class Accepted:
    """What became of a batch of messages: all wait for their connection."""

    delivered: int
    discarded: int = 0
    discarded_positions: tuple[int, ...] = ()


@dataclass
class Connections:
    """Publishes messages on a few connections at once, those of a machine in their order.

    ``rate_hz`` bounds all of them together. The first failure ends everything: it is raised at
    the next `put` or `flush`.
    """

    send: Callable[[Any], object]
    rate_hz: float
    failure: Exception | None = None
    _queues: list[queue.Queue[Any]] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _next_at: float = 0.0

    def __post_init__(self) -> None:
        for _ in range(PUBLISHERS):
            mine: queue.Queue[Any] = queue.Queue(WAITING)
            self._queues.append(mine)
            self._threads.append(threading.Thread(target=self._work, args=(mine,), daemon=True))
            self._threads[-1].start()

    def put(self, messages: Sequence[Any]) -> None:
        """Take messages; returns when they wait for their connections."""
        for message in messages:
            self._check()
            now = time.monotonic()
            self._next_at = max(self._next_at, now - 1.0) + 1.0 / self.rate_hz
            if self._next_at > now:
                time.sleep(self._next_at - now)
            place = sum(message.client_id.encode()) % PUBLISHERS
            self._queues[place].put(message)

    def flush(self) -> None:
        """Return when everything was sent; raises what went wrong."""
        for each in self._queues:
            each.join()
        self._check()

    def close(self) -> None:
        """End the connections; what still waits is dropped."""
        self.failure = self.failure or InvariantBroken("publishing after the end")
        for each in self._queues:
            each.put(None)
        for thread in self._threads:
            thread.join(10)

    def _check(self) -> None:
        if self.failure is not None:
            raise AwsUnreachable(f"iot-data Publish: {self.failure}") from self.failure

    def _work(self, mine: queue.Queue[Any]) -> None:
        while (message := mine.get()) is not None:
            try:
                if self.failure is None:
                    self.send(message)
            except Exception as error:
                self.failure = error
            finally:
                mine.task_done()


class Deployed:
    """A stack on AWS. ``clients`` makes boto3 clients; ``say`` is told what is waited for."""

    name = "aws"

    def __init__(
        self,
        clients: Callable[[str], Any],
        stacks: Sequence[str],
        start: datetime,
        say: Callable[[str], None],
        quiet_s: float | None = None,
    ) -> None:
        self.clock = simpy.Environment()
        self._start_s = start.timestamp()
        self._make, self._made = clients, dict[str, Any]()
        self._stacks = tuple(stacks)
        self._say = say
        self._quiet_s = QUIET_S if quiet_s is None else quiet_s
        self._resources: list[tuple[str, str]] = []
        self._connections: Connections | None = None

    def epoch_s(self) -> float:
        """Return the time on the machines' clock."""
        return self._start_s + self.clock.now

    def boot(self, parameters: Mapping[str, str]) -> int:
        """Find the stacks and check that they fit; nothing is created or changed.

        Raises DeploymentDiffers for parameters that are others than the scenario's, and for a
        lake that already has readings: what a detector remembers of them would make all new
        ones late.
        """
        account = self.call("sts", "GetCallerIdentity")["Account"]
        self._say(f"account {account}, stacks {', '.join(self._stacks)}")
        wrong: list[str] = []
        window_s = 0.0
        for stack in self._stacks:
            (found,) = self.call("cloudformation", "DescribeStacks", StackName=stack)["Stacks"]
            given = {
                each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])
            }
            wrong += [
                f"{stack}:{name}={value}"
                for name, value in parameters.items()
                if name in given and given[name] != value
            ]
            window_s = max(window_s, float(given.get("MappingWindowS", 0.0)))
            self._resources += self._resources_of(stack)
        if wrong:
            options = " ".join(f"--parameters '{each}'" for each in wrong)
            raise DeploymentDiffers(
                "the stack was deployed with other parameters than this scenario has; deploy it "
                f"with: cdk deploy {' '.join(self._stacks)} {options}"
            )
        raw = self.bucket("raw")
        if next(self._keys(raw, "telemetry/"), None) is not None:
            raise DeploymentDiffers(
                f"{raw} already has readings: a run needs a stack that has seen none; destroy "
                "and deploy it again, or deploy another stage"
            )
        stream = self.name_of("AWS::Kinesis::Stream", "telemetry")
        summary = self.call("kinesis", "DescribeStreamSummary", StreamName=stream)
        shards = summary["StreamDescriptionSummary"]["OpenShardCount"]
        publisher = self._client("iot-data")
        self._connections = Connections(
            lambda message: publisher.publish(topic=message.topic, qos=1, payload=message.payload),
            shards * 1_000.0 * SHARD_SHARE,
        )
        self._quiet_s += 2.0 * window_s
        return len(self._resources)

    def _resources_of(self, stack: str) -> Iterator[tuple[str, str]]:
        token: dict[str, str] = {}
        while True:
            page = self.call("cloudformation", "ListStackResources", StackName=stack, **token)
            for each in page["StackResourceSummaries"]:
                yield each["ResourceType"], each["PhysicalResourceId"]
            if "NextToken" not in page:
                return
            token = {"NextToken": page["NextToken"]}

    def recorded_only(self) -> dict[str, list[str]]:
        """Return nothing: AWS follows what it is told."""
        return {}

    def publish(self, messages: Sequence[Any]) -> Accepted:
        """Hand messages to their machines' connections."""
        if self._connections is None:
            raise InvariantBroken("the target has not booted")
        self._connections.put(messages)
        return Accepted(len(messages))

    def on_alert(self, listener: Callable[[str], None]) -> None:
        """Do nothing: alerts are counted in the inbox at the end, here nobody hears them."""

    def run_until(self, until: simpy.Event | float) -> Any:
        """Let the machines live until an event or a time."""
        return self.clock.run(until)

    def look_ahead(self, machines: LooksAhead) -> None:
        """Each message is sent in its own time."""

    def settle(self, seconds: float) -> None:
        """Wait in real time: the machines stand still meanwhile."""
        self.drain()

    def drain(self, most_s: float = 3_600.0) -> None:
        """Return when all is published and the lake has been quiet; raises InvariantBroken."""
        assert self._connections is not None, "nothing was published before booting"
        self._connections.flush()
        began = changed = time.monotonic()
        seen: tuple[int, int] | None = None
        while time.monotonic() - changed < self._quiet_s:
            there = self._count("raw", ""), self._count("processed", "scores/")
            if there != seen:
                seen, changed = there, time.monotonic()
                self._say(f"{there[0]:,} objects in the raw zone, {there[1]:,} of scores")
            if changed - began > most_s:
                raise InvariantBroken(f"the stream was not worked off within {most_s:.0f} s")
            time.sleep(min(POLL_S, self._quiet_s / 4))

    def _count(self, zone: str, prefix: str) -> int:
        return sum(1 for _ in self._keys(self.bucket(zone), prefix))

    def run_workflow(
        self, arn: str, data: str, name: str, on_state: StateListener
    ) -> WorkflowOutcome:
        """Run an execution to its end, of a name that no run had before."""
        started = self.call(
            "stepfunctions",
            "StartExecution",
            stateMachineArn=arn,
            input=data,
            name=f"{name}-{int(time.time())}",
        )["executionArn"]
        told = 0
        while True:
            described = self.call("stepfunctions", "DescribeExecution", executionArn=started)
            events = self._history(started)
            for event in events[told:]:
                _tell(event, on_state)
            told = len(events)
            if described["status"] != "RUNNING":
                break
            time.sleep(POLL_S)
        return WorkflowOutcome(
            described["name"],
            described["status"],
            len(events),
            described.get("error", ""),
            described.get("cause", ""),
            f"CloudWatch Logs and the console, execution {started}",
            tuple(_durations(events)),
        )

    def _history(self, execution: str) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        token: dict[str, str] = {}
        while True:
            page = self.call(
                "stepfunctions",
                "GetExecutionHistory",
                executionArn=execution,
                maxResults=1_000,
                **token,
            )
            events += page["events"]
            if "nextToken" not in page:
                return events
            token = {"nextToken": page["nextToken"]}

    def name_of(self, type_name: str, ending: str) -> str:
        """Return the physical id of the one resource of a type that ends so."""
        found = [name for kind, name in self._resources if kind == type_name]
        ours = [name for name in found if name.endswith(ending)]
        if len(ours) != 1:
            raise DeploymentDiffers(
                f"{len(ours)} resources of {type_name} in {', '.join(self._stacks)} end in "
                f"{ending}, not 1: deploy this version of the stack"
            )
        return ours[0]

    def bucket(self, zone: str) -> str:
        """Return the name of the bucket of a zone."""
        account = self.call("sts", "GetCallerIdentity")["Account"]
        return self.name_of("AWS::S3::Bucket", f"-{zone}-{account}")

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """Do one operation; raises AwsUnreachable with its name."""
        try:
            answer: dict[str, Any] = getattr(self._client(service), xform_name(operation))(**params)
        except (ClientError, BotoCoreError) as error:
            raise AwsUnreachable(f"{service} {operation}: {error}") from None
        return answer

    def objects(self, bucket: str, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Yield key and content of every object under a prefix, in order of keys."""
        for key in self._keys(bucket, prefix):
            yield key, self.call("s3", "GetObject", Bucket=bucket, Key=key)["Body"].read()

    def _keys(self, bucket: str, prefix: str) -> Iterator[str]:
        token: dict[str, str] = {}
        while True:
            page = self.call("s3", "ListObjectsV2", Bucket=bucket, Prefix=prefix, **token)
            for item in page.get("Contents", []):
                yield item["Key"]
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def note(self, hop: str, began_s: float) -> None:
        """Do nothing: the machines' clock is not the stack's."""

    def hops(self) -> Iterator[tuple[str, float, float]]:
        """Yield nothing, as `note` keeps nothing."""
        return iter(())

    def serve_files(self, host: str, folder: Path) -> None:
        """Raise EnvironmentMissing: DataSync needs an agent beside the file server."""
        raise EnvironmentMissing(
            "--target aws: machines that are repaired write work orders to a file server, which "
            "takes a DataSync agent beside it; choose a scenario without [life]"
        )

    def transfer(self, task_name: str) -> None:
        """Raise EnvironmentMissing, as `serve_files`."""
        self.serve_files(task_name, Path())

    def billable(self) -> dict[str, float]:
        """Return nothing: what was used is on AWS's bill, together with all else of the account."""
        return {}

    def keep(self) -> None:
        """Do nothing: what the run left is where it is deployed."""

    def close(self) -> None:
        """End the connections; what is deployed stays."""
        if self._connections is not None:
            self._connections.close()

    def _client(self, service: str) -> Any:
        if service not in self._made:
            self._made[service] = self._make(service)
        return self._made[service]


def _durations(events: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    """Yield each state that took a second or more, in the order in which they ended."""
    entered: dict[str, datetime] = {}
    for event in events:
        if "stateEnteredEventDetails" in event:
            entered[event["stateEnteredEventDetails"]["name"]] = event["timestamp"]
        elif "stateExitedEventDetails" in event:
            name = event["stateExitedEventDetails"]["name"]
            took_s = (event["timestamp"] - entered[name]).total_seconds()
            if took_s >= 1.0:
                yield name, took_s


def _tell(event: Mapping[str, Any], on_state: StateListener) -> None:
    for key, what in (("stateEnteredEventDetails", "entered"), ("stateExitedEventDetails", "left")):
        if key in event:
            on_state(event[key]["name"], what)
