"""The model server's HTTP side, for endpoints and Batch Transform, as an ASGI application.

`GET /ping`, `POST /invocations`, and `GET /execution-parameters`, by which Batch Transform asks
how it may send what its caller left open.

SageMaker's hosting contract: 200 with an empty body from /ping once the model is loaded, any
2xx from /invocations; another status reaches the caller as ModelError with that status and
the body as its message.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from pipeline.errors import InvalidRequest
from pipeline.model import inference
from pipeline.model.artefact import Artefact

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# InvokeEndpoint: "Body", Length Constraints: Maximum length of 6291456.
MAX_BODY_BYTES = 6_291_456

# One process computes, one request at a time; more in flight would only wait in it.
MAX_CONCURRENT_TRANSFORMS = 1


class TooLarge(InvalidRequest):
    """A body beyond the limit."""


def body_limit(env: Mapping[str, str]) -> int:
    """Return how many bytes a body may have: those of an endpoint, or what a transform job says.

    SageMaker tells a transform job's container by SAGEMAKER_BATCH, and its payload, if the
    caller set it, by SAGEMAKER_MAX_PAYLOAD_IN_MB, where 0 stands for files of any size.
    Raises ValueError when that is not a number.
    """
    # "true" on AWS, "True" in the SDK's local mode.
    if env.get("SAGEMAKER_BATCH", "").lower() != "true":
        return MAX_BODY_BYTES
    payload = int(env.get("SAGEMAKER_MAX_PAYLOAD_IN_MB", "6"))
    return payload * 2**20 if payload else sys.maxsize


class Application:
    """An ASGI 3 application that serves one loaded model."""

    def __init__(self, artefact: Artefact, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._artefact = artefact
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection's request."""
        if scope["type"] != "http":
            return
        route = scope["method"], scope["path"]
        if route == ("GET", "/ping"):
            await _answer(send, 200, b"", "text/plain")
        elif route == ("POST", "/invocations"):
            status, body, content_type = await self._invoke(scope, receive)
            await _answer(send, status, body, content_type)
        elif route == ("GET", "/execution-parameters"):
            await _answer(send, 200, self._execution_parameters(), inference.JSON)
        else:
            await _answer(send, 404, *_error(f"no {route[0]} {route[1]} here"))

    def _execution_parameters(self) -> bytes:
        parameters = {
            "MaxConcurrentTransforms": MAX_CONCURRENT_TRANSFORMS,
            "BatchStrategy": "MULTI_RECORD",
            "MaxPayloadInMB": min(self._max_body_bytes, MAX_BODY_BYTES) // 2**20,
        }
        return json.dumps(parameters).encode()

    async def _invoke(self, scope: Message, receive: Receive) -> tuple[int, bytes, str]:
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        try:
            body = await _body(receive, self._max_body_bytes)
            kind = headers.get("content-type", inference.JSON)
            request = inference.input_fn(body, kind)
            prediction = inference.predict_fn(request, self._artefact)
            # Who takes anything gets the form that he sent: a transform job joins the two.
            accept = headers.get("accept", "*/*")
            return 200, *inference.output_fn(prediction, kind if accept == "*/*" else accept)
        except TooLarge:
            return 413, *_error(f"the body has more than {self._max_body_bytes} bytes")
        except inference.UnsupportedType as error:
            return 415, *_error(str(error))
        except InvalidRequest as error:
            return 400, *_error(str(error))


async def _body(receive: Receive, limit: int) -> bytes:
    """Read a body; one beyond the limit is read to its end, so that its sender gets the answer."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        if not message.get("more_body", False):
            break
    if size > limit:
        raise TooLarge
    return b"".join(chunks)


def _error(message: str) -> tuple[bytes, str]:
    return json.dumps({"error": message}).encode(), inference.JSON


async def _answer(send: Send, status: int, body: bytes, content_type: str) -> None:
    headers = [
        (b"content-type", content_type.encode("latin-1")),
        (b"content-length", str(len(body)).encode("latin-1")),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
