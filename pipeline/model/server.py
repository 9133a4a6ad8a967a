"""The endpoint's HTTP side: `GET /ping` and `POST /invocations` as an ASGI application.

SageMaker's hosting contract: 200 with an empty body from /ping once the model is loaded, any
2xx from /invocations; another status reaches the caller as ModelError with that status and
the body as its message.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from pipeline.errors import InvalidRequest
from pipeline.model import inference
from pipeline.model.artefact import Artefact

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# InvokeEndpoint: "Body", Length Constraints: Maximum length of 6291456.
MAX_BODY_BYTES = 6_291_456


class TooLarge(InvalidRequest):
    """A body beyond the endpoint's limit."""


class Application:
    """An ASGI 3 application that serves one loaded model."""

    def __init__(self, artefact: Artefact) -> None:
        self._artefact = artefact

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
        else:
            await _answer(send, 404, *_error(f"no {route[0]} {route[1]} here"))

    async def _invoke(self, scope: Message, receive: Receive) -> tuple[int, bytes, str]:
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        try:
            body = await _body(receive)
            request = inference.input_fn(body, headers.get("content-type", inference.JSON))
            prediction = inference.predict_fn(request, self._artefact)
            return 200, *inference.output_fn(prediction, headers.get("accept", "*/*"))
        except TooLarge:
            return 413, *_error(f"the body has more than {MAX_BODY_BYTES} bytes")
        except inference.UnsupportedType as error:
            return 415, *_error(str(error))
        except InvalidRequest as error:
            return 400, *_error(str(error))


async def _body(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise TooLarge
        chunks.append(chunk)
        if not message.get("more_body", False):
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
