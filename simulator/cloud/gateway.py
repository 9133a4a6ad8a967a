"""HTTP over `dispatch`: what boto3, the AWS CLI and Spark's Python talk to.

A thin skin: parse the request with botocore's models, find the caller by the access key,
have the engine's thread execute it, serialise the answer. Listens on loopback only.
`/_fleetwin/sleep` lets a worker's time.sleep wait on the run's clock; `/_fleetwin/confirm` is
the SubscribeURL of subscriptions; `/_fleetwin/deploy` changes the stack (`deployments`).
"""

from __future__ import annotations

import contextlib
import errno
import json
import re
import socket
import socketserver
import threading
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from simulator.cloud import protocols
from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Principal
from simulator.errors import EnvironmentMissing, InvariantBroken, SimulatorError

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/")
_MAX_BODY = 128 * 1024 * 1024
_MAX_HEAD_LINES = 200
_MAX_LINE = 65536
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Gateway:
    """The twin's AWS endpoint on ``http://127.0.0.1:<port>``."""

    def __init__(self, context: Context, port: int = 0) -> None:
        handler = type("Handler", (_Handler,), {"context": context})
        self._context = context
        try:
            self._server = _Server(("127.0.0.1", port), handler)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise EnvironmentMissing(
                f"port {port} on 127.0.0.1 is in use by another program; "
                "choose another with --port, or leave it out for a free one"
            ) from error
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        context.gateway_url = self.url
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="gateway", daemon=True
        )
        self._thread.start()

    def handle(
        self, method: str, path: str, query: str, headers: dict[str, str], body: bytes
    ) -> protocols.Wire:
        """Answer one request of the engine's own thread; names of ``headers`` in lower case.

        The way of a client in this process, which needs no socket and may not wait for one.
        """
        context = self._context

        def execute(principal: Principal, service: str, name: str, params: dict[str, Any]) -> Any:
            answer = context.dispatch(principal, service, name, params)
            return answer if isinstance(answer, dict) else context.engine.run(answer)

        return _answered(context, execute, method, path, query, headers, body)

    def close(self) -> None:
        """Stop listening and drop open connections."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = False
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave a client that hung up alone; everything else answers 500 in the handler."""


class _BadRequest(Exception):
    """What arrived is not HTTP; its text is the answer."""


class _Handler(socketserver.StreamRequestHandler):
    """One connection. The head is parsed here: http.server's takes longer than most calls."""

    context: Context
    rbufsize = wbufsize = 65536
    disable_nagle_algorithm = True
    _closing = False

    def handle(self) -> None:
        """Serve requests until the client hangs up or asks to."""
        try:
            while self._read_head():
                self._serve()
                self.wfile.flush()
                if self._closing:
                    return
        except _BadRequest as error:
            self.command = ""
            self._answer(400, {"Content-Type": "text/plain"}, str(error).encode())
        except (TimeoutError, ConnectionError):
            pass

    def finish(self) -> None:
        """Close both ends; the client may have gone."""
        with contextlib.suppress(OSError):
            super().finish()

    def _read_head(self) -> bool:
        """Read a request's line and headers (names in lower case); False at the end."""
        line = self.rfile.readline(_MAX_LINE)
        while line in (b"\r\n", b"\n"):
            line = self.rfile.readline(_MAX_LINE)
        if not line:
            return False
        words = line.decode("latin-1").split()
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise _BadRequest("this is not an HTTP/1 request")
        self.command, self.path, version = words
        self.headers: dict[str, str] = {}
        while (line := self.rfile.readline(_MAX_LINE)) not in (b"\r\n", b"\n"):
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or len(self.headers) == _MAX_HEAD_LINES:
                raise _BadRequest("the request's headers cannot be read")
            self.headers[name.strip().lower()] = value.strip()
        wish = self.headers.get("connection", "").lower()
        self._closing = wish == "close" or (version == "HTTP/1.0" and wish != "keep-alive")
        return True

    def _serve(self) -> None:
        body = self._body()
        target = urlsplit(self.path)
        if target.path.startswith("/_fleetwin/"):
            self._serve_own(target.path, target.query, body)
            return
        wire = _answered(
            self.context, self._execute, self.command, target.path, target.query, self.headers, body
        )
        self._answer(*wire)

    def _execute(
        self, principal: Principal, service: str, operation: str, params: dict[str, Any]
    ) -> Any:
        context, worker = self.context, principal.worker
        turn_of = worker
        if worker is not None and context.dispatch.commutes(service, operation, params):
            turn_of = None
        return context.engine.call(
            lambda: self._dispatch(principal, service, operation, params), turn_of
        )

    def _dispatch(
        self, principal: Principal, service: str, operation: str, params: dict[str, Any]
    ) -> Any:
        context = self.context
        work = partial(context.dispatch, principal, service, operation, params)
        if principal.worker is None:
            answer = work()
        else:
            order = context.engine.order
            order.acting = principal.worker
            try:
                answer = context.latency.call(f"{service}:{operation}", work, principal.worker)
            finally:
                order.acting = None
        if isinstance(answer, dict):
            return answer
        return context.engine.blocked(principal.worker, answer)

    def _serve_own(self, path: str, query: str, body: bytes) -> None:
        arguments = parse_qs(query)
        if path == "/_fleetwin/sleep":
            worker = arguments["worker"][0]
            seconds = float(arguments["seconds"][0])
            engine = self.context.engine
            engine.call(lambda: engine.blocked(worker, engine.env.timeout(max(0.0, seconds))))
            self._answer(204, {}, b"")
        elif path == "/_fleetwin/confirm":
            self._confirm(arguments)
        elif path == "/_fleetwin/deploy" and self.command == "POST":
            self._deploy(body)
        elif path == "/_fleetwin/health":
            self._answer(200, {"Content-Type": "text/plain"}, b"fleetwin")
        else:
            self._answer(404, {"Content-Type": "text/plain"}, b"no such page")

    def _confirm(self, arguments: dict[str, list[str]]) -> None:
        """Confirm a subscription for whoever visits its SubscribeURL: the token says enough."""
        topic, token = arguments.get("TopicArn", [""])[0], arguments.get("Token", [""])[0]
        try:
            arn = self.context.engine.call(lambda: self.context.confirm_subscription(topic, token))
        except AwsError as error:
            self._answer(error.status, {"Content-Type": "text/plain"}, error.message.encode())
        else:
            self._answer(200, {"Content-Type": "text/plain"}, str(arn).encode())

    def _deploy(self, body: bytes) -> None:
        """Have a deployment carried out for the account's root; 400 is what the twin refuses.

        With ``progress`` in the request the answer is a line of JSON for each event of the stacks
        as it happens, and a last one with ``answer`` or ``error``.
        """
        request = json.loads(body)
        try:
            if _principal(self.context, self.headers, "", "").role_arn is not None:
                raise AwsError("AccessDenied", "only the account's root deploys", 403)
            if request.get("progress"):
                self._deploy_aloud(request)
                return
            answer = self.context.deploy(request, None)
        except SimulatorError as error:
            self._answer(400, {"Content-Type": "text/plain"}, str(error).encode())
        else:
            self._answer(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    def _deploy_aloud(self, request: dict[str, Any]) -> None:
        def say(**what: Any) -> None:
            # Whoever asked may have gone; the deployment goes on.
            with contextlib.suppress(OSError):
                self.wfile.write(json.dumps(what).encode() + b"\n")
                self.wfile.flush()

        self._closing = True
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
        self.wfile.write(head.encode())
        try:
            answer = self.context.deploy(request, lambda event: say(event=event.line()))
        except SimulatorError as error:
            say(error=str(error))
        else:
            say(answer=answer)

    def _body(self) -> bytes:
        if self.headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunked_body()
        length = self.headers.get("content-length") or "0"
        if not length.isdigit():
            raise _BadRequest("Content-Length is not a number")
        if int(length) > _MAX_BODY:
            raise _BadRequest(f"the body is over the twin's limit of {_MAX_BODY} bytes")
        return self._read_whole(int(length)) if length != "0" else b""

    def _read_whole(self, length: int) -> bytes:
        """Return so many bytes; a client that ended in the middle has asked for nothing."""
        body = self.rfile.read(length)
        if len(body) < length:
            raise _BadRequest(f"the body ends after {len(body)} of {length} bytes")
        return body

    def _chunked_body(self) -> bytes:
        parts: list[bytes] = []
        while True:
            try:
                size = int(self.rfile.readline(64).split(b";")[0], 16)
            except ValueError:
                raise _BadRequest("a chunk's length is not a number") from None
            chunk = self._read_whole(size)
            self.rfile.readline(8)
            if not size:
                return b"".join(parts)
            parts.append(chunk)

    def _answer(self, status: int, headers: dict[str, str], payload: bytes) -> None:
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, '')}"]
        names = {name.lower() for name in headers}
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if "content-length" not in names:
            lines.append(f"Content-Length: {len(payload)}")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self.wfile.write(head if self.command == "HEAD" else head + payload)


def _answered(
    context: Context,
    execute: Callable[[Principal, str, str, dict[str, Any]], Any],
    method: str,
    path: str,
    query: str,
    headers: dict[str, str],
    body: bytes,
) -> protocols.Wire:
    """Parse a request, find its caller, have it executed, and serialise answer or error."""
    try:
        service, operation, params = protocols.parse_request(method, path, query, headers, body)
    except AwsError as error:
        return protocols.serialize_refusal(path, query, headers, error)
    except Exception as error:
        return protocols.serialize_refusal(path, query, headers, _failure(error))
    try:
        principal = _principal(context, headers, query, service)
        answer = execute(principal, service, operation, params)
        return protocols.serialize_answer(service, operation, answer)
    except AwsError as error:
        return protocols.serialize_error(service, operation, error)
    except Exception as error:
        return protocols.serialize_error(service, operation, _failure(error))


def _failure(error: Exception) -> AwsError:
    return AwsError("InternalFailure", f"{type(error).__name__}: {error}", 500)


def _principal(context: Context, headers: dict[str, str], query: str, service: str) -> Principal:
    match = _CREDENTIAL.search(headers.get("authorization", ""))
    key = match.group(1) if match else ""
    if not key:
        presigned = parse_qs(query).get("X-Amz-Credential", [""])[0]
        key = presigned.split("/", 1)[0]
    if not key:
        raise AwsError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    return context.iam.principal_for_key(key, service)


def is_ours(url: str) -> bool:
    """Tell whether the server behind a loopback URL is a fleetwin gateway."""
    parts = urlsplit(url)
    if parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise InvariantBroken(f"{url} is not a loopback address")
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=5) as connection:
        connection.sendall(b"GET /_fleetwin/health HTTP/1.0\r\nHost: twin\r\n\r\n")
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
            if answer.endswith(b"fleetwin"):
                return True
    return False
