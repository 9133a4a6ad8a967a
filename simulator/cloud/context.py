"""What every service of the stand-in shares: clock, dispatch, permissions, processes, places."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.cloud.errors import AwsError
from simulator.cloud.isolation import Isolation, Plain
from simulator.cloud.key_use import KeyUse
from simulator.cloud.latency import Latency
from simulator.cloud.stack_events import Listener, StackEvents
from simulator.errors import EnvironmentMissing

if TYPE_CHECKING:
    from simulator.cloud.dispatch import Dispatch
    from simulator.cloud.engine import Engine
    from simulator.cloud.iam import Iam
    from simulator.cloud.logs import Logs
    from simulator.cloud.metrics import Metrics
    from simulator.cloud.processes import Processes

Emit = Callable[[str, str, Mapping[str, Any], Sequence[str]], object]


def _unheard(
    source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str]
) -> None:
    """Be where events go while there is no EventBridge."""


def _no_topic(topic_arn: str, token: str) -> str:
    """Be where subscriptions are confirmed while there is no SNS."""
    raise AwsError("NotFound", "Topic does not exist", 404)


def _not_deploying(request: Mapping[str, Any], told: Listener | None = None) -> dict[str, Any]:
    """Be who is asked for deployments where nobody carries them out."""
    raise EnvironmentMissing("this twin takes no deployments; one that `fleetwin up` keeps up does")


def _any_task(resource: Any) -> None:
    """Be who is asked whether a Task could run while there is no Step Functions."""


def _staged() -> None:
    """Be what brings S3's files up to date where they are the objects themselves."""


@dataclass
class Context:
    """One twin's shared parts. ``state`` is the folder in which it keeps everything.

    ``assets`` maps an asset's key (as templates name it: the hash in an S3 key
    ``<hash>.zip`` or in an image tag) to the source folder or archive that stands for it.
    ``gateway_url`` is empty until the gateway listens.
    """

    engine: Engine
    dispatch: Dispatch
    iam: Iam
    processes: Processes
    state: Path
    account: str = "000000000000"
    region: str = "us-east-1"
    gateway_url: str = ""
    assets: dict[str, Path] = field(default_factory=dict)
    self_contained: frozenset[str] = frozenset()
    """Keys of functions' assets that hold all packages which they import: they see no others."""
    emit: Emit = field(default=_unheard)
    """Offers an event to EventBridge's rules: source, detail type, detail, ARNs."""
    seed: int = 0
    """Of what services draw: latencies."""
    isolation: Isolation = field(default_factory=Plain)
    """How the processes of SageMaker's containers are started."""
    confirm_subscription: Callable[[str, str], str] = field(default=_no_topic)
    """Confirms a subscription to a topic (ARN) by its token; returns the subscription's ARN."""
    check_task: Callable[[Any], None] = field(default=_any_task)
    """Raises NotSupportedByTwin for a Task's resource (`asl_resources`) that could not run here."""
    stage: Callable[[], None] = field(default=_staged)
    """Called before a job reads S3's files: where objects are elsewhere, it fetches them."""
    s3a_jars: tuple[Path, ...] = ()
    """With these Spark reads what a job may only read through the gateway, not from files."""
    deploy: Callable[[Mapping[str, Any], Listener | None], dict[str, Any]] = field(
        default=_not_deploying
    )
    """Changes the stack (`deployments`) and tells of each step; called by the gateway's threads."""
    stack_events: StackEvents = field(init=False)
    cloudwatch: Metrics = field(init=False)
    logs: Logs = field(init=False)
    latency: Latency = field(init=False)
    keys: KeyUse = field(init=False)

    def __post_init__(self) -> None:
        self.latency = Latency(self.engine, self.seed)
        self.keys = KeyUse(self.iam)
        self.stack_events = StackEvents(self.engine.now, self.arn)

    def arn(self, service: str, resource: str, *, regional: bool = True) -> str:
        """Return ``arn:aws:<service>:<region>:<account>:<resource>``; S3 and IAM have no region."""
        region = self.region if regional else ""
        account = "" if service == "s3" else self.account
        return f"arn:aws:{service}:{region}:{account}:{resource}"

    def child_environment(self, role_arn: str, session: str, worker: str) -> dict[str, str]:
        """Return the variables that make a child process call this twin as a session of a role.

        The child gets nothing of the parent's environment but what a process needs to start,
        so neither real credentials nor profiles leak into it. ``worker`` names it on the clock.
        """
        key, secret, token = self.iam.issue_credentials(role_arn, session, worker)
        return {
            **self.processes.base_environment(),
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_SESSION_TOKEN": token,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.gateway_url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "FLEETWIN_WORKER": worker,
        }
