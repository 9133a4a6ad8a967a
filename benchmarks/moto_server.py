"""moto's own HTTP server as a process of its own: the peer of whatever is measured over HTTP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

PATIENCE_S = 60.0


@contextmanager
def moto_server() -> Iterator[tuple[dict[str, str], float]]:
    """Yield the variables for its clients and the seconds until it answered; end it afterwards.

    Raises RuntimeError when it does not come up.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if server.poll() is not None or time.perf_counter() - began > PATIENCE_S:
                    raise RuntimeError("moto's server did not start") from None
                time.sleep(0.02)
        yield client_variables(f"http://127.0.0.1:{port}"), time.perf_counter() - began
    finally:
        server.terminate()
        server.wait(10)


def client_variables(url: str) -> dict[str, str]:
    """Return the environment variables by which boto3 finds a server of this machine."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
