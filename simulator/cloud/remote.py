"""Put another endpoint behind the twin's own gateway: what it executes is forwarded to it.

Dispatch, permissions, quotas and validation stay the twin's; only what an operation does is
replaced. SSM and reads of IAM are forwarded by `simulator.cloud.forward` instead of going to
moto. Made by `simulator.cloud.cloud` with a twin; it asks for what is `missing` after its template
is deployed, and ends with `close`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from simulator.cloud.alarms import Alarms
from simulator.cloud.context import Context
from simulator.cloud.dashboards import Dashboards
from simulator.cloud.dispatch import Dispatch
from simulator.cloud.dynamodb import DynamoDb
from simulator.cloud.engine import SimGenerator
from simulator.cloud.errors import AwsError
from simulator.cloud.events import Events
from simulator.cloud.kinesis import Kinesis
from simulator.cloud.logs import Logs
from simulator.cloud.metrics import Metrics
from simulator.cloud.operations import Call, Execute
from simulator.cloud.remote_cloudwatch import RemoteCloudWatch
from simulator.cloud.remote_endpoint import RemoteEndpoint
from simulator.cloud.remote_events import RemoteEvents
from simulator.cloud.remote_iam import RemoteIam
from simulator.cloud.remote_kinesis import RemoteKinesis
from simulator.cloud.remote_logs import RemoteLogs
from simulator.cloud.remote_resources import missing_there
from simulator.cloud.remote_s3 import RemoteS3
from simulator.cloud.remote_sns import RemoteSns
from simulator.cloud.remote_sqs import RemoteSqs
from simulator.cloud.resources import Created
from simulator.cloud.s3 import S3
from simulator.cloud.sns import Sns
from simulator.cloud.sqs import Sqs
from simulator.errors import EnvironmentMissing

FLUSH_S = 60.0
"""How often, on the run's clock, metrics and log events go there: a metric's resolution."""


class Behind:
    """An endpoint behind a twin's services; they are executed there from now on."""

    def __init__(
        self,
        remote: RemoteEndpoint,
        context: Context,
        dispatch: Dispatch,
        *,
        s3: S3,
        kinesis: Kinesis,
        sns: Sns,
        sqs: Sqs,
        dynamodb: DynamoDb,
        cloudwatch: tuple[Metrics, Alarms, Dashboards],
        logs: Logs,
        events: Events,
    ) -> None:
        self.url = remote.url
        self._remote = remote
        remote.waited = context.latency.waited
        self._flushes: list[Callable[[], None]] = []
        objects = RemoteS3(s3, remote)
        context.stage = objects.refresh
        tables: dict[str, dict[str, Execute]] = {
            "s3": objects.executes(),
            "kinesis": RemoteKinesis(context, kinesis, remote).executes(),
            "sns": RemoteSns(sns, remote).executes(),
            "sqs": RemoteSqs(context, sqs, remote).executes(),
            "dynamodb": {
                name: _forwarded(remote, "dynamodb", name) for name in dynamodb.operations()
            },
        }
        # These listen to the twin's services, so they are only made where somebody takes it.
        if "cloudwatch" in remote.services:
            watched = RemoteCloudWatch(*cloudwatch, remote)
            tables["cloudwatch"] = watched.executes()
            self._flushes.append(watched.flush)
        if "logs" in remote.services:
            logged = RemoteLogs(context, logs, remote)
            tables["logs"] = logged.executes()
            self._flushes.append(logged.flush)
        if "events" in remote.services:
            tables["events"] = RemoteEvents(events, remote).executes()
        if "iam" in remote.services:
            self._flushes.append(RemoteIam(context.iam, remote).flush)
        for service, executes in tables.items():
            if service in remote.services:
                for name, execute in executes.items():
                    dispatch.replace(service, name, execute)
        if self._flushes:
            context.engine.process(self._every_minute(context))

    def missing(self, resources: Iterable[tuple[str, Created]]) -> list[str]:
        """Return the logical ids of forwarded resources that the endpoint does not know."""
        self.flush()
        return missing_there(self._remote, resources)

    def flush(self) -> None:
        """Send what waits: metrics, log events, roles and policies."""
        for flush in self._flushes:
            flush()

    def close(self) -> None:
        """Send what waits and close the connections; an endpoint that has ended gets nothing."""
        try:
            self.flush()
        except AwsError as error:
            print(f"fleetwin: {self._remote.url} did not take the rest: {error}", file=sys.stderr)
        self._remote.close()

    def _every_minute(self, context: Context) -> SimGenerator:
        while True:
            yield context.engine.env.timeout(FLUSH_S)
            try:
                self.flush()
            except AwsError as error:
                raise EnvironmentMissing(
                    f"the endpoint {self._remote.url} did not take what was recorded: {error}"
                ) from None


def _forwarded(remote: RemoteEndpoint, service: str, operation: str) -> Execute:
    def execute(call: Call) -> Any:
        return remote.forward(service, operation, call.params)

    return execute
