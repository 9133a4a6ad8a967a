"""A booted twin inside a test: boto3 clients without sockets, a clock that the test moves.

Made by the fixture `fleetwin` (`plugin`). Everything happens on the test's own thread: a client's
call is executed when it is made, the clock moves when the test says so or when a call waits.
Functions and jobs are real processes, started when they are first needed.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import simpy
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from simulator.aws_endpoint import local_session
from simulator.cloud.isolation import PLAIN
from simulator.cloud.remote_endpoint import RemoteEndpoint
from simulator.cloud.resources import Created
from simulator.fleet.delivery import Message
from simulator.target import Packed
from simulator.targets import SNAPSHOT, Embedded


class Twin:
    """A twin of one assembly with a state folder of its own; close it when it is done."""

    def __init__(
        self,
        start: datetime,
        state: Path,
        *,
        assembly: Path = SNAPSHOT,
        parameters: Mapping[str, str] | None = None,
        seed: int = 0,
        isolation: str = PLAIN,
        assets: Packed | None = None,
        remote: RemoteEndpoint | None = None,
    ) -> None:
        self.target = Embedded(
            start,
            state,
            speed=None,
            seed=seed,
            assembly=assembly,
            isolation=isolation,
            assets=assets,
            remote=remote,
        )
        self._clients: dict[str, Any] = {}
        try:
            self.target.boot(parameters or {}, prewarmed=False)
        except BaseException:
            self.target.close()
            raise

    def close(self) -> None:
        """End every process that was started."""
        self.target.close()

    # -- AWS

    def client(self, service: str) -> Any:
        """Return a boto3 client, as the account's root, whose calls the twin answers."""
        if service not in self._clients:
            variables = self.target.environment()
            session = local_session(
                variables["AWS_ACCESS_KEY_ID"],
                variables["AWS_SECRET_ACCESS_KEY"],
                variables["AWS_DEFAULT_REGION"],
            )
            make: Any = session.client  # Its overloads want a literal.
            client = make(service, endpoint_url=variables["AWS_ENDPOINT_URL"])
            # What a handler returns here is the answer, and nothing is sent.
            client.meta.events.register("before-send", self._answer)
            self._clients[service] = client
        return self._clients[service]

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """Do one operation without boto3 in between; names are those of the API."""
        return self.target.call(service, operation, **params)

    def resource(self, type_name: str, ending: str = "") -> Created:
        """Return the one resource of a type whose physical id ends so."""
        deployment = self.target.cloud.deployment
        assert deployment is not None
        return deployment.named(type_name, ending)

    def _answer(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        target = urlsplit(request.url)
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        status, answered, payload = self.target.cloud.gateway.handle(
            request.method, target.path, target.query, headers, _bytes(request.body)
        )
        names = {name.lower() for name in answered}
        if "content-length" not in names:
            answered = {**answered, "Content-Length": str(len(payload))}
        return AWSResponse(request.url, status, answered, _Payload(payload))  # type: ignore[arg-type]

    # -- devices

    def publish(
        self, topic: str, payload: Mapping[str, Any] | bytes, client_id: str = "test"
    ) -> None:
        """Publish an MQTT message as a device does; topic rules take it from there."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.target.publish([Message(topic, body, client_id, self.target.clock.now)])

    # -- the clock

    @property
    def now(self) -> datetime:
        """Return the time of the run's clock, aware UTC."""
        return self.target.cloud.engine.now()

    def advance(self, seconds: float) -> None:
        """Let the clock move: schedules, windows, alarms and waits happen on the way."""
        self.target.run_until(self.target.clock.now + seconds)

    def drain(self, most_s: float = 3_600.0) -> None:
        """Run until everything that was published has been processed."""
        self.target.drain(most_s)

    def wait(self, event: simpy.Event) -> Any:
        """Run until an event of the twin, and return its value."""
        return self.target.run_until(event)


class _Payload(io.BytesIO):
    """An answer's body as botocore reads it from urllib3."""

    def stream(self, amount: int = 65_536, **_: object) -> Iterator[bytes]:
        """Yield the body in pieces."""
        while piece := self.read(amount):
            yield piece


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    return bytes(body.read()) if hasattr(body, "read") else bytes(body)
