"""One configuration of an endpoint, running: its variants, their instances, who gets a request.

`sagemaker_deployments` launches fleets and retires them; `sagemaker_endpoints` asks them. An
instance is a real process (`endpoint_server`). Traffic is shared by smooth weighted round robin,
where AWS chooses at random by the same weights: the shares are the same, and so are two runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import simpy

from simulator.cloud import role_logs
from simulator.cloud.context import Context
from simulator.cloud.endpoint_server import PING_LIMIT_S, EndpointServer, Reply
from simulator.cloud.errors import AwsError
from simulator.cloud.function_workers import Watchdog
from simulator.cloud.job_s3 import session_of
from simulator.cloud.model_containers import laid_out
from simulator.cloud.operations import Params
from simulator.cloud.sagemaker_models import Models
from simulator.errors import SimulatorError


class LaunchFailed(SimulatorError):
    """A fleet did not come up; the text is the endpoint's FailureReason."""


class Shares:
    """Smooth weighted round robin: after any number of turns each is within its share."""

    def __init__(self) -> None:
        self._weights: list[float] = []
        self._owed: list[float] = []

    def turn(self, weights: Sequence[float]) -> int:
        """Return whose turn it is; a weight of 0 never has one. Starts over when weights change."""
        if self._weights != list(weights):
            self._weights, self._owed = list(weights), [0.0] * len(weights)
        self._owed = [owed + weight for owed, weight in zip(self._owed, weights, strict=True)]
        able = [number for number, weight in enumerate(weights) if weight > 0.0]
        chosen = max(able, key=lambda number: (self._owed[number], -number))
        self._owed[chosen] -= sum(weights)
        return chosen


class Instance:
    """One process of a variant, retired only when nobody waits for its answer."""

    def __init__(self, server: EndpointServer) -> None:
        self.server = server
        self._asked = 0
        self._retired = False
        self._restarting: simpy.Event | None = None

    def ask(self, body: bytes, headers: Mapping[str, str]) -> Generator[simpy.Event, Any, Reply]:
        """Return the container's reply; a process that died is started again, as AWS does."""
        self._asked += 1
        try:
            if not self.server.running:
                yield from self._restart()
            reply: Reply = yield self.server.invoke(body, headers)
            return reply
        finally:
            self._asked -= 1
            self._stop_when_idle()

    def _restart(self) -> Generator[simpy.Event, Any, None]:
        """Start it once for all callers that wait."""
        if self._restarting is None:
            self._restarting = self.server.start()
        why_not: str = yield self._restarting
        self._restarting = None
        if why_not:
            raise AwsError("ServiceUnavailable", f"The container cannot be started: {why_not}", 503)

    def retire(self) -> None:
        """End the process after the requests under way."""
        self._retired = True
        self._stop_when_idle()

    def _stop_when_idle(self) -> None:
        if self._retired and not self._asked:
            self.server.stop()


@dataclass
class Variant:
    """One production variant in service; ``settings`` are those of the configuration."""

    name: str
    settings: Params
    image: str
    role: str
    resolved: datetime
    weight: float
    instances: list[Instance] = field(default_factory=list)
    _turns: int = 0

    def instance(self) -> Instance:
        """Return the instance whose turn it is."""
        self._turns += 1
        return self.instances[(self._turns - 1) % len(self.instances)]

    def shown(self) -> Params:
        """Return the variant as DescribeEndpoint shows it."""
        return {
            "VariantName": self.name,
            "DeployedImages": [{"SpecifiedImage": self.image, "ResolutionTime": self.resolved}],
            "CurrentWeight": self.weight,
            "DesiredWeight": self.weight,
            "CurrentInstanceCount": len(self.instances),
            "DesiredInstanceCount": len(self.instances),
        }


@dataclass
class Fleet:
    """All variants of one configuration."""

    config: str
    capture: Params | None
    variants: list[Variant] = field(default_factory=list)
    shares: Shares = field(default_factory=Shares)

    def variant(self, name: str) -> Variant | None:
        """Return a variant by its name."""
        return next((variant for variant in self.variants if variant.name == name), None)

    @property
    def takes_any_order(self) -> bool:
        """Whether it decides neither variant nor capture which of two requests is first."""
        sampled = (self.capture or {}).get("InitialSamplingPercentage", 100)
        return len(self.variants) == 1 and sampled in (0, 100)

    def choose(self) -> Variant:
        """Return the variant whose turn it is."""
        return self.variants[self.shares.turn([variant.weight for variant in self.variants])]

    @property
    def size(self) -> int:
        """Return the number of instances."""
        return sum(len(variant.instances) for variant in self.variants)

    def retire(self) -> None:
        """End every process after the requests under way."""
        for variant in self.variants:
            for instance in variant.instances:
                instance.retire()

    def close(self) -> None:
        """Kill every process; for the twin's end."""
        for variant in self.variants:
            for instance in variant.instances:
                instance.server.close()


class Launcher:
    """Starts the processes of fleets, each with the model fetched as the model's role."""

    def __init__(self, context: Context, models: Models) -> None:
        self._context = context
        self._models = models
        self._watchdog = Watchdog(context.engine)
        self._launches = itertools.count(1)

    def fleet(
        self, endpoint: str, config: str, kept: Mapping[str, Params]
    ) -> Generator[simpy.Event, Any, Fleet]:
        """Return a fleet whose every instance answers /ping; raises LaunchFailed.

        ``kept`` overrides settings of variants by name (RetainAllVariantProperties).
        """
        described = self._models.config(config)
        fleet = Fleet(config, described.get("DataCaptureConfig"))
        try:
            for variant_of in described["ProductionVariants"]:
                settings = {**variant_of, **kept.get(variant_of["VariantName"], {})}
                variant = self._variant(settings)
                fleet.variants.append(variant)
                yield from self.scale(endpoint, variant, settings.get("InitialInstanceCount", 1))
        except (AwsError, ValueError, LaunchFailed) as error:
            fleet.retire()
            why = error.message if isinstance(error, AwsError) else str(error)
            raise LaunchFailed(why) from error
        return fleet

    def _variant(self, settings: Params) -> Variant:
        model = self._models.model(settings["ModelName"])
        return Variant(
            settings["VariantName"],
            settings,
            self._models.container(settings["ModelName"])["Image"],
            model["ExecutionRoleArn"],
            self._context.engine.now(),
            settings.get("InitialVariantWeight", 1.0),
        )

    def scale(
        self, endpoint: str, variant: Variant, count: int
    ) -> Generator[simpy.Event, Any, None]:
        """Start or retire instances until there are ``count``; raises LaunchFailed, AwsError."""
        while len(variant.instances) > count:
            variant.instances.pop().retire()
        new = []
        for _ in range(count - len(variant.instances)):
            server = yield from self._server(endpoint, variant)
            new.append(Instance(server))
        pings = [instance.server.start() for instance in new]
        answers = []
        for ping in pings:
            answers.append((yield ping))
        if why_not := next(filter(None, answers), ""):
            for instance in new:
                instance.retire()
            raise LaunchFailed(
                f"The primary container for production variant {variant.name} did not pass the "
                f"ping health check. Please check CloudWatch logs for this endpoint. ({why_not})"
            )
        variant.instances.extend(new)

    def _server(
        self, endpoint: str, variant: Variant
    ) -> Generator[simpy.Event, Any, EndpointServer]:
        """Fetch and unpack the model as its role, and prepare the container."""
        context = self._context
        container = self._models.container(variant.settings["ModelName"])
        folder = context.state / "sagemaker" / "endpoints" / f"{endpoint}-{next(self._launches)}"
        served = yield from laid_out(context, container, variant.role, folder, {})
        group = f"/aws/sagemaker/Endpoints/{endpoint}"
        principal = session_of(context, variant.role)
        return EndpointServer(
            context,
            self._watchdog,
            endpoint,
            served,
            role_logs.writer(context, principal, group, variant.name),
            variant.settings.get("ContainerStartupHealthCheckTimeoutInSeconds", PING_LIMIT_S),
        )
