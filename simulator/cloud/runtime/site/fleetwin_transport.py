"""A short way from boto3 in a function's process to the twin's gateway on loopback.

boto3 builds, signs, retries and parses as ever; only the exchange of bytes is done here, on one
kept connection a thread, because urllib3's bookkeeping took a third of each of the tens of
thousands of calls of a run. Whatever is unusual (another host, a streamed or chunked body)
returns None, and botocore sends it itself. Imports nothing of the project.
"""

from __future__ import annotations

import io
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import botocore
from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict
from botocore.config import Config
from botocore.endpoint import Endpoint
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError
from botocore.regions import EndpointRulesetResolver

ONE_ENDPOINT = ("dynamodb", "sagemaker-runtime")
"""Services whose endpoint no call's parameters change."""

ONE_A_BUCKET = ("PutObject", "GetObject", "HeadObject", "DeleteObject")
"""Operations of S3 whose endpoint depends on the bucket and on no other parameter."""


class Body(io.BytesIO):
    """An answer's body with the method of urllib3's that botocore uses."""

    def stream(self, amt: int = 65536, decode_content: bool | None = None) -> Iterator[bytes]:
        """Yield what is left."""
        rest = self.read()
        if rest:
            yield rest


class Headers(HeadersDict):
    """botocore's headers, which can be read without asking for each one by its name."""

    def pairs(self) -> Iterator[tuple[str, Any]]:
        """Yield names and values as `items` does."""
        return ((str(key), value) for key, value in vars(self)["_dict"].items())


def prepared(request: Any) -> AWSPreparedRequest | None:
    """Make a signed request ready to be sent as botocore does, which copies its headers twice.

    None, with nothing changed, leaves a body or a header of an unusual kind to botocore.
    """
    body = request.data
    if body is None or body == b"":
        body, length = None, 0
    elif isinstance(body, (bytes, bytearray)):
        length = len(body)
    elif type(body) is io.BytesIO:
        length = body.getbuffer().nbytes - body.tell()
    else:
        return None
    if request.params or request.method in ("GET", "HEAD", "OPTIONS"):
        return None
    headers: Any = Headers()
    for name, value in request.headers.raw_items():
        if not isinstance(value, (str, bytes)) or not value.isascii():
            return None
        headers[name] = value.encode() if isinstance(value, str) else value
    if "Transfer-Encoding" in headers:
        return None
    if "Content-Length" not in headers:
        headers["Content-Length"] = str(length)
    return AWSPreparedRequest(
        request.method, request.url, headers, body, request.stream_output, request.context
    )


class Transport:
    """Sends the requests for one endpoint; safe for threads, each has a connection."""

    def __init__(self, endpoint_url: str) -> None:
        parts = urlsplit(endpoint_url)
        self._prefix = endpoint_url.rstrip("/") + "/"
        self._address = (parts.hostname or "", parts.port or 80)
        self._host = parts.netloc.encode()
        self._here = threading.local()

    def send(self, request: Any, **_: Any) -> AWSResponse | None:
        """Answer botocore's ``before-send``: exchange the request, or leave it to botocore."""
        body = b"" if request.body is None else request.body
        if isinstance(body, str):
            body = body.encode()
        elif isinstance(body, io.BytesIO):  # What botocore makes of put_object's bytes.
            body = body.getvalue()[body.tell() :]
        if not request.url.startswith(self._prefix) or not isinstance(body, (bytes, bytearray)):
            return None
        if "Transfer-Encoding" in request.headers:
            return None
        message = self._message(request, bytes(body))
        kept = getattr(self._here, "connection", None)
        if kept is not None:
            try:
                return self._exchange(kept, message, request)
            except (ConnectionResetError, BrokenPipeError):
                self.close()  # It was closed while idle: nothing of the request was served.
        try:
            fresh = socket.create_connection(self._address)
        except OSError as error:
            raise EndpointConnectionError(endpoint_url=request.url, error=error) from error
        fresh.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._here.connection = fresh, fresh.makefile("rb", 65536)
        try:
            return self._exchange(self._here.connection, message, request)
        except OSError as error:
            self.close()
            raise ConnectionClosedError(endpoint_url=request.url, error=error) from error

    def _message(self, request: Any, body: bytes) -> bytes:
        target = request.url[len(self._prefix) - 1 :]
        lines = [f"{request.method} {target} HTTP/1.1".encode("latin-1"), b"Host: " + self._host]
        headers = request.headers
        for name, value in headers.pairs() if type(headers) is Headers else headers.items():
            if name.lower() in ("expect", "host", "content-length"):
                continue
            text = value if isinstance(value, bytes) else str(value).encode("latin-1")
            lines.append(name.encode("latin-1") + b": " + text)
        lines.append(b"Content-Length: %d\r\n\r\n" % len(body))
        return b"\r\n".join(lines) + body

    def _exchange(self, connection: Any, message: bytes, request: Any) -> AWSResponse:
        sender, answers = connection
        sender.sendall(message)
        line = answers.readline()
        if not line:
            raise ConnectionResetError("the gateway closed the connection")
        status = int(line.split(b" ", 2)[1])
        headers = Headers()
        length, close = 0, False
        while (line := answers.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name] = value = value.strip()
            lowered = name.lower()
            if lowered == "content-length":
                length = int(value)
            elif lowered == "connection":
                close = value.lower() == "close"
        if request.method == "HEAD" or status in (204, 304):
            length = 0
        body = answers.read(length) if length else b""
        if len(body) < length:
            raise ConnectionAbortedError(f"{len(body)} of {length} bytes of an answer came")
        if close:
            self.close()
        response = AWSResponse(request.url, status, {}, Body(body))  # type: ignore[arg-type]
        response.headers = headers
        return response

    def close(self) -> None:
        """Close this thread's connection; the next request opens another."""
        connection = getattr(self._here, "connection", None)
        self._here.connection = None
        for part in connection or ():
            part.close()


def place_of(service: str, operation: str, arguments: Any, context: Any) -> str | None:
    """Return what a call has its endpoint in common with others by, None when with none."""
    if service in ONE_ENDPOINT:
        return service
    bucket = (arguments or {}).get("Bucket")
    if service != "s3" or operation not in ONE_A_BUCKET or not isinstance(bucket, str):
        return None
    # A presigned URL may be for S3's global endpoint, an ARN has the region in it.
    if bucket.startswith("arn:") or (context or {}).get("use_global_endpoint"):
        return None
    return f"s3/{bucket}"


def remember_endpoints(resolver: Any) -> None:
    """Have a resolver of botocore's, which is a client's, work out the same endpoint once.

    The rules look through all items of a transaction for ARNs, and ask a dozen parameters of S3's
    anew.
    """
    long_way = resolver.construct_endpoint

    def construct(self: Any, operation_model: Any, call_args: Any, request_context: Any) -> Any:
        service = self._service_model.service_name
        place = place_of(service, operation_model.name, call_args, request_context)
        if place is None:
            return long_way(self, operation_model, call_args, request_context)
        known = self.__dict__.setdefault("fleetwin_endpoints", {})
        if place not in known:
            known[place] = long_way(self, operation_model, call_args, request_context)
        return known[place]

    resolver.construct_endpoint = construct


def prepare_quickly(endpoint: Any) -> None:
    """Have botocore's endpoints make requests ready on the quick way, where there is one."""
    if "context" not in AWSPreparedRequest.__init__.__code__.co_varnames:
        return  # An older botocore, which a function brought with it.
    long_way = endpoint.prepare_request

    def prepare_request(self: Any, request: Any) -> Any:
        return prepared(request) or long_way(self, request)

    endpoint.prepare_request = prepare_request


def install() -> Transport | None:
    """Use the short way in every session made from now on, if the endpoint is on loopback."""
    url = os.environ.get("AWS_ENDPOINT_URL", "")
    if urlsplit(url).hostname != "127.0.0.1" or not url.startswith("http://"):
        return None
    transport = Transport(url)

    def prepare(session: Any) -> None:
        session.register("before-send", transport.send)
        if session.get_default_client_config() is None:
            # Composing the long text takes a tenth of a call.
            session.set_default_client_config(Config(user_agent=session.user_agent()))

    botocore.register_initializer(prepare)
    remember_endpoints(EndpointRulesetResolver)
    prepare_quickly(Endpoint)
    return transport
