"""One twin: every service of the stand-in, wired together on one clock.

`simulator.targets` makes it; nothing else in the project knows all the parts. `boot` applies a
synthesized assembly, `close` ends everything that was started.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import simpy

from simulator.cloud import dashboards_store, iam_store, iam_usage, workflows_store
from simulator.cloud.alarms import Alarms
from simulator.cloud.asl_tasks import Job
from simulator.cloud.assembly import Archives, load_assembly
from simulator.cloud.autoscaling import AutoScaling
from simulator.cloud.billable import billable_units
from simulator.cloud.context import Context
from simulator.cloud.dashboards import Dashboards
from simulator.cloud.datasync import DataSync
from simulator.cloud.dispatch import Dispatch
from simulator.cloud.drift import drift
from simulator.cloud.dynamodb import DynamoDb
from simulator.cloud.engine import Engine
from simulator.cloud.errors import NotSupportedByTwin
from simulator.cloud.event_source_mappings import EventSourceMappings
from simulator.cloud.events import Events
from simulator.cloud.forward import Forwarder
from simulator.cloud.functions import Functions
from simulator.cloud.gateway import Gateway
from simulator.cloud.glue import Glue
from simulator.cloud.glue_catalog import Catalog
from simulator.cloud.glue_partitions import Partitions
from simulator.cloud.iam import Iam
from simulator.cloud.iot import Iot
from simulator.cloud.isolation import PLAIN
from simulator.cloud.isolation import isolation as isolation_named
from simulator.cloud.kinesis import Kinesis
from simulator.cloud.lake_formation import LakeFormation
from simulator.cloud.logs import Logs
from simulator.cloud.metric_queries import MetricQueries
from simulator.cloud.metrics import Metrics
from simulator.cloud.processes import Processes
from simulator.cloud.quicksight import QuickSight
from simulator.cloud.quotas import Quotas
from simulator.cloud.remote import Behind
from simulator.cloud.remote_endpoint import RemoteEndpoint
from simulator.cloud.s3 import S3
from simulator.cloud.sagemaker_endpoints import Endpoints
from simulator.cloud.sagemaker_jobs import TrainingJobs
from simulator.cloud.sagemaker_processing import ProcessingJobs
from simulator.cloud.sagemaker_transform import TransformJobs
from simulator.cloud.sagemaker_tuning import TuningJobs
from simulator.cloud.sns import Sns
from simulator.cloud.spark_s3a import find_s3a_jars
from simulator.cloud.sqs import Sqs
from simulator.cloud.stack_changes import ChangeSet, plan
from simulator.cloud.stack_deletion import delete
from simulator.cloud.stack_update import update
from simulator.cloud.stacks import Stacks
from simulator.cloud.state_lock import StateLock
from simulator.cloud.template import Deployment, deploy
from simulator.cloud.unnoticed import Unnoticed
from simulator.cloud.workflows import Workflows
from simulator.errors import EnvironmentMissing


class Cloud:
    """The stand-in for one account and region.

    ``speed`` is virtual seconds per real second, ``None`` as fast as possible; ``port`` 0 takes
    a free one. Everything it keeps is under ``state``. ``isolation`` names how the processes of
    SageMaker's containers are kept apart; raises EnvironmentMissing when that cannot work here.
    What a ``remote`` endpoint executes is forwarded to it; `close` leaves its contents.
    """

    def __init__(
        self,
        start: datetime,
        state: Path,
        *,
        speed: float | None = None,
        seed: int = 0,
        port: int = 0,
        account: str = "000000000000",
        region: str = "us-east-1",
        isolation: str = PLAIN,
        remote: RemoteEndpoint | None = None,
    ) -> None:
        keep_apart = isolation_named(isolation)
        state = state.resolve()  # Spark and the containers get file:// URLs made from it
        self._lock = StateLock(state)
        self.engine = Engine(start, speed, seed)
        iam = Iam(account, region)
        dispatch = Dispatch(iam, Quotas(self.engine))
        self.processes = Processes(self.engine, state)
        self.context = Context(
            self.engine, dispatch, iam, self.processes, state, account, region, seed=seed
        )
        context = self.context
        if remote is not None:
            context.s3a_jars = find_s3a_jars()
        self.latency = context.latency
        context.isolation = keep_apart
        self.dispatch = dispatch
        self.iam = iam
        self.metrics = context.cloudwatch = Metrics(context)
        self.logs = context.logs = Logs(context)
        self.s3 = S3(context)
        self.events = Events(context, self.s3.tells_eventbridge)
        context.emit = self.events.emit
        self.s3.store.listeners.append(self.events.object_created)
        self.dynamodb = DynamoDb(context)
        self.kinesis = Kinesis(context)
        self.iot = Iot(context)
        self.quicksight = QuickSight(context)
        self.functions = Functions(context)
        self.mappings = EventSourceMappings(context, self.functions, self.kinesis)
        self.catalog = Catalog(context)
        self.partitions = Partitions(context, self.catalog)
        self.lake_formation = LakeFormation(context, self.catalog.store)
        self.catalog.guard = self.lake_formation.permissions
        self.glue = Glue(context, self.s3, self.lake_formation.permissions)
        self.datasync = DataSync(context)
        self.training = TrainingJobs(context)
        self.tuning = TuningJobs(context, self.training)
        self.processing = ProcessingJobs(context)
        self.endpoints = Endpoints(context)
        self.transform = TransformJobs(context, self.endpoints.models)
        self.alarms = Alarms(context, self.metrics)
        self.dashboards = Dashboards(context)
        self.workflows = Workflows(context, self._jobs(), self.metrics.record)
        self.forwarder = Forwarder(context, seed, remote)
        self.sqs, self.sns = Sqs(context), Sns(context)
        context.confirm_subscription = self.sns.confirm
        self._register()
        self._behind: Behind | None = None
        if remote is not None:
            self._behind = Behind(
                remote,
                context,
                dispatch,
                s3=self.s3,
                kinesis=self.kinesis,
                sns=self.sns,
                sqs=self.sqs,
                dynamodb=self.dynamodb,
                cloudwatch=(self.metrics, self.alarms, self.dashboards),
                logs=self.logs,
                events=self.events,
            )
        self.gateway = Gateway(context, port)
        self.deployment: Deployment | None = None

    def look_ahead(self, start: Callable[[Unnoticed], Callable[[float], None]]) -> None:
        """Have machines ask `Unnoticed` before they publish, where it knows all that could notice.

        ``start`` returns what the engine is to call before the clock moves. On a paced clock each
        message is published in its time, for those who watch.
        """
        alone = self._behind is None and not self.latency.takes_time
        if alone and self.engine.speed is None:
            unnoticed = Unnoticed(self.engine, self.iot, self.kinesis)
            self.engine.before_moving = start(unnoticed)

    def boot(
        self,
        assembly: Path,
        parameters: Mapping[str, str],
        *,
        prewarmed: bool = True,
        archives: Archives | None = None,
    ) -> Deployment:
        """Create every resource of an assembly; raises TemplateError before the first call.

        The Spark host starts meanwhile, in the background: it takes longest to come up.
        With ``archives`` no process sees a source tree, nor do functions that are self-contained
        see the packages that are installed.
        """
        read = load_assembly(assembly)
        if archives is not None:
            read = archives.instead_of_sources(read)
            self.context.processes.without_source_trees = True
            self.context.self_contained = archives.self_contained
        if prewarmed:
            self.glue.prewarm()
        self.deployment = deploy(read, self.context, parameters)
        if self._behind is not None:
            missing = self._behind.missing(self.deployment.resources.items())
            if missing:
                raise EnvironmentMissing(
                    f"the endpoint {self._behind.url} has not got what was created there: "
                    f"{', '.join(missing)}; start it afresh"
                )
        iam_store.save(self.iam, self.context.state)
        return self.deployment

    def plan(self, assembly: Path, parameters: Mapping[str, str]) -> ChangeSet:
        """Return what an assembly would change; raises TemplateError for what cannot be."""
        return plan(self._deployed(), load_assembly(assembly), self.context, parameters)

    def update(self, changes: ChangeSet) -> list[str]:
        """Apply a change set; return what the clean-up could not delete.

        Raises UpdateFailed, everything being as before.
        """
        done = update(self._deployed(), changes, self.context)
        self.deployment = done.deployment
        iam_store.save(self.iam, self.context.state)
        return done.left_behind

    def destroy(self) -> None:
        """Delete the stack; raises DeletionFailed with what is left."""
        try:
            self.deployment = delete(self._deployed(), self.context)
        finally:
            iam_store.save(self.iam, self.context.state)

    def drift(self) -> list[str]:
        """Return where the describe operations answer otherwise than the template asks for."""
        return drift(self.deployment.live if self.deployment is not None else {}, self.call)

    def _deployed(self) -> Deployment:
        if self._behind is not None:
            raise NotSupportedByTwin("an update of what another endpoint executes")
        if self.context.processes.without_source_trees:
            raise NotSupportedByTwin("an update of a twin that runs built archives")
        return self.deployment or Deployment()

    def prewarm(self) -> simpy.Process:
        """Start the functions' workers; the event succeeds when they can run."""
        return self.functions.prewarm()

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """Do one operation as the account's root, running the clock where it must wait."""
        answer = self.dispatch(self.dispatch.root, service, operation, params)
        if isinstance(answer, simpy.Event):
            answer = self.engine.run(answer)
        assert isinstance(answer, dict)
        return answer

    def idle(self) -> bool:
        """Tell whether everything that was published has been processed."""
        return self.iot.idle() and self.mappings.idle() and self.sns.idle()

    def environment(self) -> dict[str, str]:
        """Return what a person exports so that boto3 or the AWS CLI talk to this twin."""
        key, secret = self.iam.root_credentials()
        return {
            "AWS_ENDPOINT_URL": self.gateway.url,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": self.context.region,
            "AWS_DEFAULT_REGION": self.context.region,
        }

    def billable(self) -> dict[str, float]:
        """Return the units used of what AWS charges for, by name (`billable`)."""
        return billable_units(
            self.dispatch.metered,
            self.metrics,
            self.call,
            self.glue.names,
            self.kinesis.streams.by_name.values(),
            self.engine.now(),
        )

    def keep_dashboards(self) -> None:
        """Write what the dashboards show up to now (`dashboards_store`)."""
        dashboards_store.save(
            self.dashboards.bodies(),
            self.metrics,
            self.alarms.changes(),
            (self.engine.start.timestamp(), self.engine.epoch_s()),
            self.context.state,
        )

    def close(self) -> None:
        """End every process and the gateway; may be called more than once.

        What cannot be kept, as on a full disk, keeps nothing else from being ended.
        """
        state = self.context.state
        with ExitStack() as ends:  # the last one first
            ends.callback(self._lock.release)
            if self._behind is not None:
                ends.callback(self._behind.close)
            ends.callback(self.s3.close)
            ends.callback(self.logs.close)
            ends.callback(lambda: workflows_store.save(self.workflows.executions(), state))
            ends.callback(iam_usage.save, self.iam, state)
            ends.callback(iam_store.save, self.iam, state)
            ends.callback(self.lake_formation.close)
            ends.callback(self.catalog.close)
            ends.callback(self.gateway.close)
            ends.callback(self.processes.close)
            ends.callback(self.transform.close)
            ends.callback(self.endpoints.close)

    def _register(self) -> None:
        scaling = AutoScaling(self.context, self.alarms, self.endpoints)
        own: list[tuple[str, Mapping[str, Any]]] = [
            ("s3", self.s3.operations()),
            ("dynamodb", self.dynamodb.operations()),
            ("kinesis", self.kinesis.operations()),
            ("iot", self.iot.operations()),
            ("quicksight", self.quicksight.operations()),
            ("iot-data", self.iot.data_operations()),
            ("lambda", self.functions.operations()),
            ("lambda", self.mappings.operations()),
            ("glue", self.glue.operations()),
            ("glue", self.catalog.operations()),
            ("glue", self.partitions.operations()),
            ("lakeformation", self.lake_formation.operations()),
            ("events", self.events.operations()),
            ("datasync", self.datasync.operations()),
            ("sagemaker", self.training.operations()),
            ("sagemaker", self.tuning.operations()),
            ("sagemaker", self.processing.operations()),
            ("sagemaker", self.transform.operations()),
            ("sagemaker", scaling.guarding(self.endpoints.operations())),
            ("application-autoscaling", scaling.operations()),
            ("sagemaker-runtime", self.endpoints.runtime_operations()),
            ("cloudwatch", self.metrics.operations()),
            ("cloudwatch", MetricQueries(self.metrics).operations()),
            ("cloudwatch", self.alarms.operations()),
            ("cloudwatch", self.dashboards.operations()),
            ("logs", self.logs.operations()),
            ("stepfunctions", self.workflows.operations()),
            ("sns", self.sns.operations()),
            ("sqs", self.sqs.operations()),
            ("cloudformation", Stacks(self.context, lambda: self.deployment).operations()),
        ]
        for service, operations in own:
            self.dispatch.register(service, operations)
        for service in self.forwarder.services():
            self.dispatch.register(service, self.forwarder.operations(service))

    def _jobs(self) -> dict[tuple[str, str], Job]:
        """Say how a workflow's `.sync` follows the jobs that really run here."""
        return {
            ("glue", "StartJobRun"): Job(
                wait=lambda request, answer: self.glue.wait_event(answer["JobRunId"]),
                describe=lambda request, answer: (
                    "GetJobRun",
                    {"JobName": request["JobName"], "RunId": answer["JobRunId"]},
                ),
                result=lambda described: dict(described["JobRun"]),
                succeeded=lambda result: result["JobRunState"] == "SUCCEEDED",
            ),
            ("sagemaker", "CreateTrainingJob"): _sagemaker_job("TrainingJob", self.training),
            ("sagemaker", "CreateProcessingJob"): _sagemaker_job("ProcessingJob", self.processing),
            ("sagemaker", "CreateTransformJob"): _sagemaker_job("TransformJob", self.transform),
            ("sagemaker", "CreateHyperParameterTuningJob"): _sagemaker_job(
                "HyperParameterTuningJob", self.tuning
            ),
        }


class _Waited(Protocol):
    """What `.sync` needs of a service of jobs."""

    def wait_event(self, name: str) -> simpy.Event:
        """Return the event of a job's end."""


def _sagemaker_job(stem: str, service: _Waited) -> Job:
    """Say how `.sync` follows one kind of SageMaker's jobs, whose members begin with ``stem``."""
    name = f"{stem}Name"
    return Job(
        wait=lambda request, answer: service.wait_event(request[name]),
        describe=lambda request, answer: (f"Describe{stem}", {name: request[name]}),
        result=dict,
        succeeded=lambda result: result[f"{stem}Status"] == "Completed",
        cancel=lambda request, answer: (f"Stop{stem}", {name: request[name]}),
    )
