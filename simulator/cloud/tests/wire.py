"""A boto3 client whose HTTP goes straight into our protocols: no socket, no engine thread.

Tests of services use it to prove that what boto3 sends arrives and what we answer is understood.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlsplit

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from simulator.cloud import protocols, validation
from simulator.cloud.errors import AwsError

Execute = Callable[[str, str, dict[str, Any]], dict[str, Any]]
"""Called with service, operation and parameters; returns the answer or raises AwsError."""


class _Raw:
    """What botocore reads a body from."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, *args: Any, **kwargs: Any) -> Any:
        yield self._body

    def read(self, amount: int | None = None, **kwargs: Any) -> bytes:
        amount = len(self._body) if amount is None else amount
        taken, self._body = self._body[:amount], self._body[amount:]
        return taken

    def tell(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing is open."""


def client_of(service: str, execute: Execute) -> Any:
    """Return a boto3 client of ``service`` whose calls end in ``execute``."""
    client = boto3.client(
        cast(Any, service),
        region_name="us-east-1",
        aws_access_key_id="AKIATEST",
        aws_secret_access_key="secret",
        endpoint_url="http://127.0.0.1:9",
        config=Config(retries={"total_max_attempts": 1}),
    )

    def send(request: Any, **kwargs: Any) -> AWSResponse:
        body = request.body or b""
        if hasattr(body, "read"):
            body = body.read()
        elif not isinstance(body, str | bytes | bytearray):
            body = b"".join(body)
        body = body.encode() if isinstance(body, str) else bytes(body)
        status, headers, payload = answer(
            request.method, request.url, dict(request.headers), body, execute
        )
        lowered = {name.lower(): value for name, value in headers.items()}
        return AWSResponse(request.url, status, cast(Any, lowered), _Raw(payload))

    client.meta.events.register("before-send.*", send)
    return client


def answer(
    method: str, url: str, headers: dict[str, Any], body: bytes, execute: Execute
) -> protocols.Wire:
    """Do with one HTTP request what the gateway does, validating both directions."""
    target = urlsplit(url)
    texts = {
        name.lower(): value.decode() if isinstance(value, bytes) else str(value)
        for name, value in headers.items()
    }
    service, operation = "s3", ""
    try:
        service, operation, params = protocols.parse_request(
            method, target.path, target.query, texts, body
        )
        validation.validate_request(service, operation, params)
        found = execute(service, operation, params)
        validation.validate_answer(service, operation, found)
        return protocols.serialize_answer(service, operation, found)
    except AwsError as error:
        return protocols.serialize_error(service, operation, error)
