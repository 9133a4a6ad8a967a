"""Data capture of endpoints: requests and answers as JSON lines in S3.

`sagemaker_endpoints` offers each answered invocation. Lines are buffered per variant and written
when the buffer is full, the interval is over, the hour changes or the twin closes, as the
variant's execution role. Format: developer guide, "Capture data from real-time endpoint".
"""

from __future__ import annotations

import base64
import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import simpy

from simulator.cloud.context import Context
from simulator.cloud.endpoint_server import Reply
from simulator.cloud.errors import AwsError
from simulator.cloud.job_s3 import RoleS3, session_of
from simulator.cloud.operations import Params

FLUSH_S = 60.0
"""Modelled: how long a line waits at most on the run's clock before its file is written."""
BUFFER_B = 1_048_576


@dataclass
class _Buffer:
    endpoint: str
    variant: str
    role: str
    destination: str
    lines: list[str] = field(default_factory=list)
    size_b: int = 0
    first: datetime | None = None
    generation: int = 0


class Capture:
    """The capture of every endpoint. Used on the engine's thread only."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._engine = context.engine
        self._owed: dict[tuple[str, str], int] = {}
        self._buffers: dict[tuple[str, str, str], _Buffer] = {}

    def offer(
        self,
        config: Params,
        endpoint: str,
        variant: str,
        role: str,
        request: Params,
        reply: Reply,
    ) -> None:
        """Keep an invocation if its turn has come: of 100, as many as the percentage says."""
        if not config.get("EnableCapture", False):
            return
        key = (endpoint, variant)
        owed = self._owed.get(key, 0) + int(config["InitialSamplingPercentage"])
        self._owed[key] = owed % 100
        if owed < 100:
            return
        now = self._engine.now()
        line = json.dumps(_record(config, request, reply, now, self._engine.new_id()))
        place = (*key, config["DestinationS3Uri"])
        buffer = self._buffers.setdefault(
            place, _Buffer(endpoint, variant, role, config["DestinationS3Uri"].rstrip("/"))
        )
        if buffer.first is not None and f"{buffer.first:%Y%m%d%H}" != f"{now:%Y%m%d%H}":
            self._engine.process(self._write(*self._taken(buffer)))
        if buffer.first is None:
            buffer.first, buffer.role = now, role
            self._engine.process(self._later(buffer, buffer.generation))
        buffer.lines.append(line)
        buffer.size_b += len(line) + 1
        if buffer.size_b >= BUFFER_B:
            self._engine.process(self._write(*self._taken(buffer)))

    def _later(self, buffer: _Buffer, generation: int) -> Generator[simpy.Event, Any, None]:
        # All files at one moment, which is the alarms', too: fewer moments to look at.
        yield self._engine.env.timeout(FLUSH_S - self._engine.env.now % FLUSH_S)
        if buffer.generation == generation:
            yield from self._write(*self._taken(buffer))

    def _taken(self, buffer: _Buffer) -> tuple[_Buffer, str, bytes]:
        """Empty a buffer; return it, the URI of its file and the file's bytes."""
        assert buffer.first is not None
        at = buffer.first
        uri = (
            f"{buffer.destination}/{buffer.endpoint}/{buffer.variant}/{at:%Y/%m/%d/%H}/"
            f"{at:%M-%S}-{at.microsecond // 1000:03d}-{self._engine.new_id()}.jsonl"
        )
        body = ("\n".join(buffer.lines) + "\n").encode()
        buffer.lines, buffer.size_b, buffer.first = [], 0, None
        buffer.generation += 1
        return buffer, uri, body

    def _write(self, buffer: _Buffer, uri: str, body: bytes) -> Generator[simpy.Event, Any, None]:
        """Write one file as the execution role; what it may not write is lost, and logged."""
        try:
            principal = session_of(self._context, buffer.role)
            yield from RoleS3(self._context, principal).put(uri, body)
        except AwsError as error:
            self._context.logs.append(
                f"/aws/sagemaker/Endpoints/{buffer.endpoint}",
                f"{buffer.variant}/data-log",
                [f"ERROR: data capture could not upload to {uri}: {error}"],
            )

    def close(self) -> None:
        """Write what is buffered; for the twin's end, when the clock does not move any more."""
        for buffer in self._buffers.values():
            if buffer.lines:
                for event in self._write(*self._taken(buffer)):
                    self._engine.run(event)


def _record(
    config: Params, request: Params, reply: Reply, now: datetime, event_id: str
) -> dict[str, Any]:
    """Return one line; ``inferenceId`` only if the caller set it."""
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    headers = config.get("CaptureContentTypeHeader", {})
    captured = {}
    if modes & {"Input", "InputAndOutput"}:
        content_type = request.get("ContentType", "")
        captured["endpointInput"] = _side(headers, "INPUT", content_type, request["Body"])
    if modes & {"Output", "InputAndOutput"}:
        content_type = reply.headers.get("content-type", "")
        captured["endpointOutput"] = _side(headers, "OUTPUT", content_type, reply.body)
    event = {"eventId": event_id, "inferenceTime": f"{now:%Y-%m-%dT%H:%M:%SZ}"}
    if "InferenceId" in request:
        event["inferenceId"] = request["InferenceId"]
    return {"captureData": captured, "eventMetadata": event, "eventVersion": "0"}


def _side(headers: Params, mode: str, content_type: str, body: bytes) -> dict[str, str]:
    """Return a body as it is captured: as text only for the types that the header names."""
    encoding = "BASE64"
    for name, types in (("CSV", "CsvContentTypes"), ("JSON", "JsonContentTypes")):
        if _names(headers.get(types, ()), content_type):
            encoding = name
    try:
        data = body.decode() if encoding != "BASE64" else ""
    except UnicodeDecodeError:
        encoding = "BASE64"
    if encoding == "BASE64":
        data = base64.b64encode(body).decode()
    return {"observedContentType": content_type, "mode": mode, "data": data, "encoding": encoding}


def _names(types: Sequence[str], content_type: str) -> bool:
    """Tell whether a type is listed; its parameters (charset) do not matter."""
    plain = content_type.partition(";")[0].strip().lower()
    return any(plain == each.partition(";")[0].strip().lower() for each in types)
