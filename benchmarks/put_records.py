"""Client of the PutRecords measurement, in a process of its own so that it costs no server time.

Run by `benchmarks.pipeline` with the environment of the server under test:
``python -m benchmarks.put_records STREAM REQUESTS raw|boto3``. Prints one line of JSON. ``raw``
sends requests that boto3 has built and signed beforehand, over one kept connection: what is
measured then is the server, as building one takes boto3 longer than ours takes to serve it.
"""

from __future__ import annotations

import json
import random
import socket
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import boto3

RECORDS = 500
RECORD_BYTES = 200
WARM_UP = 2
RAW, BOTO3 = "raw", "boto3"


class _Taken(Exception):
    """Ends a call of boto3 once its request is built."""


class Connection:
    """HTTP over one socket; opened again only when the server closes it, as moto's does."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._socket: socket.socket | None = None

    def ask(self, request: bytes) -> bytes:
        """Send a request and return its answer's body; raises RuntimeError unless it is a 200."""
        if self._socket is None:
            self._socket = socket.create_connection(self._address)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more(data)
        head = data[:end].lower()
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError(data[:300].decode("latin-1"))
        size = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        while len(data) < end + 4 + size:
            data += self._more(data)
        if b"connection: close" in head or head.startswith(b"http/1.0"):
            self._socket.close()
            self._socket = None
        return data[end + 4 :]

    def _more(self, data: bytes) -> bytes:
        assert self._socket is not None
        chunk = self._socket.recv(1 << 20)
        if not chunk:
            raise RuntimeError(f"the server closed the connection after {len(data)} bytes")
        return chunk


def batches(count: int) -> list[list[dict[str, Any]]]:
    """Return the records of so many requests; no partition key comes twice."""
    rng = random.Random(0)
    return [
        [
            {"Data": rng.randbytes(RECORD_BYTES), "PartitionKey": f"{rng.getrandbits(64):x}"}
            for _ in range(RECORDS)
        ]
        for _ in range(count)
    ]


def prepared(client: Any, stream: str, count: int) -> list[bytes]:
    """Return whole requests as boto3 would send them, signed now."""
    found: list[bytes] = []

    def take(request: Any, **_: Any) -> None:
        parts = urlsplit(request.url)
        body = request.body if isinstance(request.body, bytes) else request.body.encode()
        lines = [f"POST {parts.path or '/'} HTTP/1.1", f"Host: {parts.netloc}"]
        for name, value in request.headers.items():
            text = value.decode("latin-1") if isinstance(value, bytes) else value
            if name.lower() != "content-length":
                lines.append(f"{name}: {text}")
        lines.append(f"Content-Length: {len(body)}")
        found.append("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        raise _Taken

    client.meta.events.register("before-send", take)
    for records in batches(count):
        try:
            client.put_records(StreamName=stream, Records=records)
        except _Taken:
            continue
    return found


def main(stream: str, requests: int, how: str) -> None:
    """Put ``requests`` times RECORDS records; print seconds and records refused."""
    client = boto3.client("kinesis")
    failed = 0
    if how == RAW:
        sent = prepared(client, stream, requests + WARM_UP)
        connection = Connection(client.meta.endpoint_url)
        for request in sent[:WARM_UP]:
            failed += json.loads(connection.ask(request))["FailedRecordCount"]
        began = time.perf_counter()
        for request in sent[WARM_UP:]:
            failed += json.loads(connection.ask(request))["FailedRecordCount"]
    else:
        for number, records in enumerate(batches(requests + WARM_UP)):
            if number == WARM_UP:
                began = time.perf_counter()
            answer = client.put_records(StreamName=stream, Records=records)
            failed += answer["FailedRecordCount"]
    print(json.dumps({"seconds": time.perf_counter() - began, "failed": failed}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
