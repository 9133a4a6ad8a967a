"""A stand-in for AWS: an HTTP endpoint on loopback that delays each operation by a hidden time.

It stands in front of a twin's gateway, in a process of its own, and is asked like LocalStack: by
its URL and the key `test`. Whoever asks sees how long answers take and nothing of `HIDDEN`; only
afterwards does `slow_endpoint` tell what was injected. Run as a program it is the endpoint itself.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from simulator.cloud.cloud import Cloud
from simulator.cloud.errors import AwsError
from simulator.cloud.protocols import parse_request


def sometimes_cold(rng: Random) -> float:
    """Return a mixture: its 99th percentile lies in the part that one call in ten is of."""
    return rng.uniform(0.02, 0.024) if rng.random() < 0.1 else 0.005 + rng.gammavariate(4.0, 0.0005)


HIDDEN: dict[str, Callable[[Random], float]] = {
    "kinesis:PutRecords": sometimes_cold,
    "kinesis:GetRecords": lambda rng: (
        rng.uniform(0.022, 0.026) if rng.random() < 0.12 else rng.uniform(0.006, 0.012)
    ),
    "s3:PutObject": lambda rng: 0.008 + rng.weibullvariate(0.004, 2.0),
    "dynamodb:BatchGetItem": lambda rng: rng.uniform(0.002, 0.006),
    "dynamodb:TransactWriteItems": lambda rng: 0.006 + rng.betavariate(2.0, 3.0) * 0.01,
}
"""Seconds, by operation. Of all others: none."""
CLOCK_RATE = 60.0
"""Of the twin behind: quick, so that its shards refuse nothing to a run that is in a hurry."""
FOREVER_S = 1e9
_TEST_KEY = "Credential=test/"


@dataclass
class Injected:
    """What was injected: seconds by operation, in order."""

    seconds: dict[str, list[float]] = field(default_factory=dict)


@contextlib.contextmanager
def slow_endpoint(seed: int) -> Iterator[tuple[str, Injected]]:
    """Yield the URL of an empty endpoint, and what it has injected, filled when it has ended."""
    server = subprocess.Popen(
        [sys.executable, "-m", __name__, str(seed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    injected = Injected()
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip(), injected
        server.stdin.close()  # It ends when it has nothing more to read.
        injected.seconds |= json.loads(server.stdout.read())
    finally:
        server.stdin.close()
        server.stdout.close()
        server.kill()
        server.wait()


class _Slow(BaseHTTPRequestHandler):
    """Passes a request on to the twin behind, later."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    gateway: str
    key: str
    rngs: dict[str, Random]
    injected: defaultdict[str, list[float]]

    def setup(self) -> None:
        super().setup()
        self._behind = http.client.HTTPConnection(self.gateway)

    def finish(self) -> None:
        self._behind.close()
        super().finish()

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._wait(headers, body)
        signed = headers.get("authorization", "")
        headers["authorization"] = signed.replace(_TEST_KEY, f"Credential={self.key}/")
        self._behind.request(self.command, self.path, body, headers)
        answer = self._behind.getresponse()
        payload = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)

    def _wait(self, headers: dict[str, str], body: bytes) -> None:
        target = urlsplit(self.path)
        with contextlib.suppress(AwsError):
            service, operation, _ = parse_request(
                self.command, target.path, target.query, headers, body
            )
            hop = f"{service}:{operation}"
            if hop in HIDDEN:
                delay_s = max(0.0, HIDDEN[hop](self.rngs[hop]))
                self.injected[hop].append(delay_s)
                time.sleep(delay_s)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _serve(seed: int, state: Path) -> None:
    """Be the endpoint until standard input ends; then print what was injected."""
    cloud = Cloud(datetime.now(UTC), state, seed=seed, speed=CLOCK_RATE)
    _Slow.gateway = urlsplit(cloud.gateway.url).netloc
    _Slow.key = cloud.environment()["AWS_ACCESS_KEY_ID"]
    _Slow.rngs = {hop: Random(f"{seed}/{hop}") for hop in HIDDEN}
    _Slow.injected = defaultdict(list)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Slow)
    server.daemon_threads = True
    ended = cloud.engine.env.event()

    def until_told() -> None:
        sys.stdin.read()
        cloud.engine.call(ended.succeed)

    try:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        threading.Thread(target=until_told, daemon=True).start()
        print("http://{}:{}".format(*server.server_address[:2]), flush=True)
        cloud.engine.env.timeout(FOREVER_S)  # So that something is always left to happen.
        cloud.engine.run(ended)
        print(json.dumps(_Slow.injected), flush=True)
    finally:
        server.shutdown()
        server.server_close()
        cloud.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="fleetwin-") as folder:
        _serve(int(sys.argv[1]), Path(folder))
