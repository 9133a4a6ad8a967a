"""The only file that knows which target a run is on.

A target brings up what stands behind the AWS endpoint, hands the machines a way to publish and
the composition root a way to look. `embedded` is this process and its children, on the run's own
clock; `localstack` the same with another endpoint behind it; `aws` a deployed stack.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import simpy
from botocore.config import Config

from simulator.aws_endpoint import (
    LOCALSTACK,
    account_session,
    local_session,
    not_of_aws,
    only_here,
)
from simulator.cloud import iam_store
from simulator.cloud.assembly import load_assembly
from simulator.cloud.cloud import Cloud
from simulator.cloud.gateway import is_ours
from simulator.cloud.isolation import PLAIN
from simulator.cloud.java import find_java
from simulator.cloud.remote_endpoint import RemoteEndpoint
from simulator.cloud.survey import Row
from simulator.cloud.template import deploy, left_out_of, survey_of
from simulator.cloud.workflows import Execution
from simulator.deployed import PUBLISHERS, Deployed
from simulator.errors import AssetsError, EnvironmentMissing, InvariantBroken, TransferFailed
from simulator.parity.recorder import RUN_NAME, Partner
from simulator.target import LooksAhead, Packed, StateListener, WorkflowOutcome

ROOT = Path(__file__).parents[1]
SNAPSHOT = ROOT / "infra_cdk" / "snapshots"
_SYNTH = "write them with `cdk synth`, ours with `make synth`"
PARTNER_START = datetime(2026, 1, 5, tzinfo=UTC)


def template_default(parameter: str, assembly: Path = SNAPSHOT) -> str:
    """Return a template parameter's default; raises EnvironmentMissing without templates."""
    for path in sorted(assembly.glob("*.template.json")):
        declared = json.loads(path.read_text(encoding="utf-8")).get("Parameters", {})
        if parameter in declared:
            return str(declared[parameter]["Default"])
    raise EnvironmentMissing(f"no template in {assembly} has the parameter {parameter}: {_SYNTH}")


def quiet_twin(start: datetime, state: Path, assembly: Path = SNAPSHOT, **stack: str) -> Cloud:
    """Return a twin on a state folder with the stack's resources, but no Spark and no workers.

    For commands that fill the lake; ``stack`` are parameters of the template. Roles of an earlier
    twin are kept; the rules that start workflows are off. The caller closes it.
    """
    cloud = Cloud(start, state)
    try:
        iam_store.restore(cloud.iam, state)
        deploy(load_assembly(assembly), cloud.context, stack)
        for rule in cloud.call("events", "ListRules")["Rules"]:
            cloud.call("events", "DisableRule", Name=rule["Name"])
    except BaseException:
        cloud.close()
        raise
    return cloud


def look_at(
    assembly: Path, start: datetime, state: Path, parameters: Mapping[str, str]
) -> tuple[list[Row], dict[str, list[str]]]:
    """Return what the twin makes of each resource type, and what conditions leave out.

    Creates nothing. Raises TemplateError for a folder that is no assembly.
    """
    with closing(Cloud(start, state)) as cloud:
        asked = (load_assembly(assembly), cloud.context, parameters)
        return survey_of(*asked), left_out_of(*asked)


def clients_of(target: str, region: str, endpoint: str | None) -> Callable[[str], Any]:
    """Return what makes boto3 clients of a target that is not ours; `partner_of` asks before.

    Raises EnvironmentMissing for another target, or an endpoint that is not on loopback.
    """
    if target == "localstack":
        only_here(endpoint)
        session = local_session("test", "test", region)
        address = {"endpoint_url": endpoint}
    elif target == "aws" and endpoint is None:
        session, address = boto3.session.Session(region_name=region), {}
    else:
        raise EnvironmentMissing(f"--target {target}: choose embedded, localstack or aws")
    make: Any = session.client  # Its overloads want a literal.
    # A throttled call is an answer like any other and must not be asked again.
    once = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    return lambda service: make(service, config=once, **address)


@contextmanager
def partner_of(
    target: str, region: str, endpoint: str | None, twin_of: Callable[..., Any], *, asked: bool
) -> Iterator[Partner]:
    """Yield whom a conversation is held with; a twin that ``twin_of`` made for it ends with it.

    Raises EnvironmentMissing for another name, an address elsewhere, and aws not ``asked`` for.
    """
    if target == "embedded" and endpoint is None:
        folder = tempfile.TemporaryDirectory(prefix="fleetwin-")
        with folder, closing(twin_of(PARTNER_START, Path(folder.name))) as twin:
            yield Partner(target, region, twin.client, twin.advance, twin.target.epoch_s)
        return
    if target == "aws" and not asked:
        raise EnvironmentMissing(
            "--target aws makes things in the account of your credentials and costs some cents; "
            "add --yes if that is what you want"
        )
    url = (endpoint or LOCALSTACK) if target == "localstack" else endpoint
    clients, absent = clients_of(target, region, url), frozenset[str]()
    if url:
        with closing(RemoteEndpoint(url)) as remote:
            absent = frozenset(remote.check())
    run = f"{RUN_NAME}-{time.time_ns():x}"  # Others may have left something there.
    yield Partner(target, region, clients, time.sleep, time.monotonic, run, absent)


def is_deployed(target: str, endpoint: str | None) -> bool:
    """Tell whether a run is on a deployed stack, not on a twin of this process."""
    return target == "aws" and endpoint is None


def deployed(
    start: datetime, assembly: Path, *, asked: bool, say: Callable[[str], None]
) -> Deployed:
    """Return an assembly's stacks where they are deployed: with the credentials boto3 finds.

    Raises EnvironmentMissing unless the user ``asked`` for it in so many words, and without a
    region or credentials.
    """
    if not asked:
        raise EnvironmentMissing(
            "--target aws publishes to the stack in your AWS account, which costs money: add --yes"
        )
    make: Any = account_session().client  # Its overloads want a literal.
    patient = Config(
        retries={"mode": "standard", "max_attempts": 8}, max_pool_connections=PUBLISHERS
    )
    names = [stack.name for stack in load_assembly(assembly).stacks]
    return Deployed(lambda service: make(service, config=patient), names, start, say)


def remote_of(target: str, endpoint: str | None) -> RemoteEndpoint | None:
    """Return the endpoint behind a run on ``target``, None for an embedded one; say what it lacks.

    Raises EnvironmentMissing, also where `check` does.
    """
    if target == "embedded" and endpoint is None:
        return None
    if target != "localstack":
        raise EnvironmentMissing(
            f"--target {target}: choose embedded, localstack or, for a run, aws; --endpoint is "
            "for localstack"
        )
    url = endpoint or LOCALSTACK
    not_of_aws(url)
    remote = RemoteEndpoint(url)
    for service in remote.check():
        print(f"fleetwin: {url} does not execute {service}; the twin does", file=sys.stderr)
    return remote


class Embedded:
    """The whole of AWS that the pipeline needs, in this process, with no account and no Docker."""

    name = "embedded"

    def __init__(
        self,
        start: datetime,
        state: Path,
        *,
        speed: float | None,
        seed: int,
        port: int = 0,
        assembly: Path = SNAPSHOT,
        cold: bool = False,
        isolation: str = PLAIN,
        remote: RemoteEndpoint | None = None,
        assets: Packed | None = None,
    ) -> None:
        """Start nothing yet. ``assets`` are run instead of the sources that the assembly names."""
        if not (assembly / "manifest.json").exists():
            raise EnvironmentMissing(f"no templates in {assembly}: {_SYNTH}")
        find_java()  # Missed now, not when a job starts.
        if remote is not None:
            self.name = "localstack"
        self._state = state
        self.cloud = Cloud(
            start, state, speed=speed, seed=seed, port=port, isolation=isolation, remote=remote
        )
        self._assembly, self._assets = assembly, assets
        self._policies: list[str] = []
        self._provisioned: set[str] = set()
        if cold:
            self.cloud.glue.start_cold()
        if not is_ours(self.cloud.gateway.url):
            raise InvariantBroken("another program answers on the gateway's port")

    @property
    def clock(self) -> simpy.Environment:
        """Return the environment on whose clock machines and cloud live."""
        return self.cloud.engine.env

    def boot(self, parameters: Mapping[str, str], *, prewarmed: bool = True) -> int:
        """Create the template's resources and start the workers; return how many resources.

        Without ``prewarmed`` these start when first needed. Raises AssetsError (unusable assets).
        """
        archives = self._assets.lay_out(self._state / "assets") if self._assets else None
        deployment = self.cloud.boot(
            self._assembly, parameters, prewarmed=prewarmed, archives=archives
        )
        self._policies = [each.physical_id for each in deployment.find("AWS::IoT::Policy")]
        if prewarmed:
            self.cloud.engine.run(self.cloud.prewarm())
            failures = self.cloud.functions.invocations.load_failures()
            if self._assets and failures:
                name, why = min(failures.items())
                raise AssetsError(
                    f"the function {name} does not load from {self._assets.folder}: {why}"
                )
        return len(deployment.resources)

    def recorded_only(self) -> dict[str, list[str]]:
        """Return the template's properties that change nothing here, by resource type."""
        return dict(self.cloud.deployment.recorded_only) if self.cloud.deployment else {}

    def publish(self, messages: Sequence[Any]) -> Any:
        """Take MQTT messages from the machines (the broker's side of the connection).

        Where the stack has IoT policies, a machine is provisioned before its first message.
        """
        if self._policies:
            for client_id in {each.client_id for each in messages} - self._provisioned:
                self.provision(client_id)
        return self.cloud.iot.publish_batch(messages)

    def look_ahead(self, machines: LooksAhead) -> None:
        """Let machines hand over several seconds' messages together where nobody could tell."""
        self.cloud.look_ahead(machines.look_ahead)

    def provision(self, client_id: str) -> None:
        """Make a machine's thing, and attach its certificate to it and the policies to that.

        On AWS whoever brings machines into service does the same with their certificates.
        """
        certificate = self.cloud.iot.access.certificate_of(client_id)
        self.call("iot", "CreateThing", thingName=client_id)
        self.call("iot", "AttachThingPrincipal", thingName=client_id, principal=certificate)
        for policy in self._policies:
            self.call("iot", "AttachPolicy", policyName=policy, target=certificate)
        self._provisioned.add(client_id)

    def on_alert(self, listener: Callable[[str], None]) -> None:
        """Have ``listener`` told of every message of the alert topic when it is published."""
        topic = self.name_of("AWS::SNS::Topic", "alerts")
        self.cloud.sns.on_publish.append(
            lambda arn, message: listener(message) if arn == topic else None
        )

    def epoch_s(self) -> float:
        """Return the time on the clock, in seconds since 1970."""
        return self.cloud.engine.epoch_s()

    def run_until(self, until: simpy.Event | float) -> Any:
        """Let the clock run until an event, or a time in seconds since the start."""
        return self.cloud.engine.run(until)

    def settle(self, seconds: float) -> None:
        """Let what was published be stored; machines go on publishing meanwhile."""
        self.run_until(self.clock.now + seconds)

    def drain(self, most_s: float = 3_600.0) -> None:
        """Run until everything that was published has been processed."""
        env = self.clock
        patience = env.timeout(most_s)
        while not self.cloud.iot.idle():
            self.run_until(env.now + 1.0)
            if patience.processed:
                raise InvariantBroken(f"topic rules still busy after {most_s:.0f} s")
        self.run_until(env.any_of([self.cloud.mappings.drained_event(), patience]))
        if patience.processed:
            problems = "; ".join(self.cloud.mappings.problems()) or "no problem reported"
            raise InvariantBroken(
                f"the stream was not worked off within {most_s:.0f} s of the clock: {problems}"
            )
        while not self.cloud.sns.idle():
            self.run_until(env.now + 1.0)

    def name_of(self, type_name: str, ending: str) -> str:
        """Return the physical name of the one resource of a type whose name ends so."""
        deployment = self.cloud.deployment
        if deployment is None:
            raise InvariantBroken("the target has not booted")
        return str(deployment.named(type_name, ending).physical_id)

    def bucket(self, zone: str) -> str:
        """Return the name of the bucket of a zone (raw, processed, artefacts)."""
        return self.name_of("AWS::S3::Bucket", f"-{zone}-{self.cloud.context.account}")

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """Do one AWS operation as the account's root."""
        return self.cloud.call(service, operation, **params)

    def start_workflow(self, arn: str, data: str, name: str, on_state: StateListener) -> Execution:
        """Start an execution; `run_until` its `done` event."""
        self.cloud.workflows.watch(lambda execution, state, what: on_state(state, what))
        answer = self.call(
            "stepfunctions", "StartExecution", stateMachineArn=arn, input=data, name=name
        )
        return self.cloud.workflows.execution(answer["executionArn"])

    def objects(self, bucket: str, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Yield key and content of every object under a prefix, in order of keys."""
        token: dict[str, str] = {}
        while True:
            page = self.call("s3", "ListObjectsV2", Bucket=bucket, Prefix=prefix, **token)
            for item in page.get("Contents", []):
                yield item["Key"], self.cloud.s3.open_path(bucket, item["Key"]).read_bytes()
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def run_workflow(
        self, arn: str, data: str, name: str, on_state: StateListener
    ) -> WorkflowOutcome:
        """Run an execution to its end on the clock."""
        execution = self.start_workflow(arn, data, name, on_state)
        self.run_until(execution.done)
        return WorkflowOutcome(
            execution.name,
            execution.status,
            len(execution.history.events),
            execution.error or "",
            execution.cause or "",
            f"{self.cloud.context.state}/logs",
        )

    def note(self, hop: str, began_s: float) -> None:
        """Keep that a hop began then on the run's clock, and ends now."""
        self.cloud.latency.note(hop, began_s)

    def hops(self) -> Iterator[tuple[str, float, float]]:
        """Yield every hop that was gone: name, beginning and duration in seconds."""
        yield from self.cloud.latency.samples

    def billable(self) -> dict[str, float]:
        """Return the units used of what AWS charges for, by name."""
        return self.cloud.billable()

    def keep(self) -> None:
        """Keep the dashboards' figures for `fleetwin dashboard`."""
        self.cloud.keep_dashboards()

    def serve_files(self, host: str, folder: Path) -> None:
        """Have a folder of this machine be what DataSync finds on a file server."""
        self.cloud.datasync.exports[host] = folder.resolve()

    def transfer(self, task_name: str) -> None:
        """Run a DataSync task to its end; raises TransferFailed."""
        every = self.call("datasync", "ListTasks")["Tasks"]
        (task,) = (each["TaskArn"] for each in every if each["Name"].endswith(f"-{task_name}"))
        arn = self.call("datasync", "StartTaskExecution", TaskArn=task)["TaskExecutionArn"]
        self.run_until(self.cloud.datasync.wait_event(arn))
        ended = self.call("datasync", "DescribeTaskExecution", TaskExecutionArn=arn)
        if (reason := ended["Status"]) != "SUCCESS":
            reason = ended.get("Result", {}).get("ErrorDetail", reason)
            raise TransferFailed(f"the DataSync task {task_name} failed: {reason}")

    def environment(self) -> dict[str, str]:
        """Return the variables with which boto3 or the AWS CLI talk to this target."""
        return self.cloud.environment()

    def close(self) -> None:
        """End everything that this target started; archives that it unpacked are removed."""
        self.cloud.close()
        for name in ("assets", "functions") if self._assets else ():
            shutil.rmtree(self._state / name, ignore_errors=True)
