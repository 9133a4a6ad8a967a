"""One running model server: started, checked to be ours, asked over kept connections.

Used by `sagemaker_fleets` and `transform_runs` on the engine's thread. HTTP happens on threads
of its own, because the server may call the twin while it answers; the clock stands meanwhile.
"""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import TypeVar

import psutil
import simpy

from simulator.cloud.containers import HUNG_S, Container
from simulator.cloud.context import Context
from simulator.cloud.function_workers import Watchdog
from simulator.cloud.model_containers import Served

PING_LIMIT_S = 240.0
"""A server must pass /ping within 4 minutes of its start (developer guide, hosting), or within
ContainerStartupHealthCheckTimeoutInSeconds."""
PING_TIMEOUT_S = 2.0
INVOKE_TIMEOUT_S = 60.0
STOP_GRACE_S = 30.0
PORT_TRIES = 3
ENDING_S = 0.5
"""Real seconds in which a process that no longer answers may be seen to have ended."""

CHUNK_B = 1 << 16
CHUNKED = {"Transfer-Encoding": "chunked"}
"""A header that has a body sent in pieces, without its length before it."""

T = TypeVar("T")

_launches = itertools.count(1)
_holds = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the container answered; status 0 when it did not answer, ``hung`` when not in time."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    hung: bool = False


class EndpointServer:
    """A `serve` process of one production variant or transform job.

    ``at_once`` is how many requests may be under way, each of which must be answered within
    ``timeout_s`` real seconds, `INVOKE_TIMEOUT_S` where it is None.
    """

    def __init__(
        self,
        context: Context,
        watchdog: Watchdog,
        name: str,
        served: Served,
        on_line: Callable[[str], None],
        health_check_s: float = PING_LIMIT_S,
        *,
        at_once: int = 1,
        timeout_s: float | None = None,
    ) -> None:
        self._name = f"endpoint/{name}/{next(_launches)}"
        self._context = context
        self._engine = context.engine
        self._watchdog = watchdog
        self._served = served
        self._on_line = on_line
        # Starting is computing, and a run gives up a container that computes for longer.
        self._health_check_s = min(health_check_s, HUNG_S - 10.0)
        self._timeout_s = min(INVOKE_TIMEOUT_S if timeout_s is None else timeout_s, HUNG_S - 10.0)
        self._container: Container | None = None
        self._port = 0
        self._idle: list[HTTPConnection] = []
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix=self._name)
        self._tries = 0
        self._stopped = False

    @property
    def running(self) -> bool:
        """Tell whether its process runs."""
        return self._container is not None and self._container.process.running

    def start(self) -> simpy.Event:
        """Start the process; the event succeeds with "" when /ping answers, else with why not."""
        started = self._engine.env.event()
        self._launch(started)
        return started

    def _launch(self, started: simpy.Event) -> None:
        self._tries += 1
        # A name on the clock of its own: one that ended may still be waited for.
        worker = f"{self._name}.{self._tries}"
        self._port = _free_port()
        self._idle = []
        container = Container(
            self._context,
            self._watchdog,
            worker,
            [*self._served.image.entrypoint, "serve"],
            {
                **self._served.environ(worker),
                "SAGEMAKER_BIND_TO_PORT": str(self._port),
                "SAGEMAKER_BIND_TO_HOST": "127.0.0.1",
            },
            self._served.image,
            self._served.folder,
            self._on_line,
        )
        self._container = container
        hold = self._hold(container, self._health_check_s + 10.0)

        def pinged(why_not: str) -> None:
            self._release(container, hold)
            again = self._tries < PORT_TRIES and not self._stopped
            if why_not and again and self._stolen_port():
                container.stop(0.0)
                self._launch(started)
            else:
                started.succeed(why_not)

        self._in_thread(lambda: self._ping_until_ready(container), pinged)

    def _hold(self, container: Container, limit_s: float) -> int:
        """Stop the clock until our thread has the answer, even if the process ends before."""
        # Negative, because others arm the same watchdog by their ids.
        hold = -next(_holds)
        self._engine.begin_computing(container.worker)
        self._watchdog.arm(hold, limit_s, container.process.kill)
        return hold

    def _release(self, container: Container, hold: int) -> None:
        self._watchdog.disarm(hold)
        if self._engine.is_computing(container.worker):
            self._engine.end_computing(container.worker)
        else:
            self._watchdog.bury(container.worker)

    def _in_thread(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Do ``work`` on a thread of ours, ``then`` on the engine's; there its error is raised."""

        def done(future: Future[T]) -> None:
            self._engine.post(lambda: then(future.result()))

        self._threads.submit(work).add_done_callback(done)

    def _ping_until_ready(self, container: Container) -> str:
        deadline = time.monotonic() + self._health_check_s
        while time.monotonic() < deadline:
            if not container.process.running:
                return f"the container ended with exit code {container.process.returncode}"
            status = self._ping()
            if status == 200:
                if not _listens(container.process.pid, self._port):
                    return f"another program answers on port {self._port}"
                return ""
            time.sleep(0.02)
        return f"no answer to /ping within {self._health_check_s:.0f} s"

    def _ping(self) -> int:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=PING_TIMEOUT_S)
        try:
            connection.request("GET", "/ping")
            response = connection.getresponse()
            response.read()
        except (OSError, HTTPException):
            return 0
        finally:
            connection.close()
        return response.status

    def _stolen_port(self) -> bool:
        """Tell whether somebody else got the port between our choice and the server's start."""
        return not self.running and self._ping() != 0

    def invoke(self, body: bytes, headers: Mapping[str, str]) -> simpy.Event:
        """POST /invocations; the event succeeds with a `Reply`, the clock stands until then."""
        return self._ask("POST", "/invocations", body, headers)

    def execution_parameters(self) -> simpy.Event:
        """GET /execution-parameters; the event succeeds with a `Reply`."""
        return self._ask("GET", "/execution-parameters", b"", {})

    def _ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> simpy.Event:
        assert self._container is not None
        container, answered = self._container, self._engine.env.event()
        hold = self._hold(container, self._timeout_s + 30.0)

        def finish(reply: Reply) -> None:
            self._release(container, hold)
            answered.succeed(reply)

        self._in_thread(lambda: self._exchange(method, path, body, headers), finish)
        return answered

    def _exchange(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Ask over a kept connection; once more over a new one if the server had closed it."""
        kept = self._idle
        fresh = not kept
        connection = self._connected() if fresh else kept.pop()
        try:
            chunked = headers.keys() >= CHUNKED.keys()
            connection.request(
                method,
                path,
                body=_pieces(body) if chunked else body or None,
                headers=dict(headers),
                encode_chunked=chunked,
            )
            response = connection.getresponse()
            answer = response.read()
        except TimeoutError:
            connection.close()
            return Reply(0, b"", {}, hung=True)
        except (OSError, HTTPException):
            connection.close()
            if not fresh:
                return self._exchange(method, path, body, headers)
            # If it is ending, the next request must find it ended, however quick that comes.
            if self._container is not None:
                self._container.process.wait(ENDING_S)
            return Reply(0, b"", {})
        kept.append(connection)
        return Reply(response.status, answer, {k.lower(): v for k, v in response.getheaders()})

    def _connected(self) -> HTTPConnection:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=self._timeout_s)
        with suppress(OSError):
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _drop(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def stop(self) -> None:
        """SIGTERM, 30 s, SIGKILL; neither the clock nor the caller waits for it."""
        self._stopped = True
        if self._container is not None:
            self._container.process.terminate(STOP_GRACE_S)
        with suppress(RuntimeError):  # It was stopped before.
            self._threads.submit(self._drop)
        self._threads.shutdown(wait=False)

    def close(self) -> None:
        """Kill the process and wait for the threads that talk to it; for the twin's end."""
        if self._container is not None:
            self._container.process.kill()
        with suppress(RuntimeError):  # It was stopped before.
            self._threads.submit(self._drop)
        self._threads.shutdown()


def _pieces(body: bytes) -> Iterator[bytes]:
    for first in range(0, len(body), CHUNK_B):
        yield body[first : first + CHUNK_B]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(pid: int, port: int) -> bool:
    """Tell whether the process or one of its children listens on the port."""
    try:
        leader = psutil.Process(pid)
        family = [leader, *leader.children(recursive=True)]
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            for process in family
            for connection in process.net_connections("inet")
        )
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        # macOS shows connections to root only; a server that answered is then taken as ours.
        return True
