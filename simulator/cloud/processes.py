"""The child processes of one twin: function workers, Spark, training jobs, endpoints.

Every child leads a session of its own, its output arrives on the engine's thread line by line,
and none of them outlives the twin: `close` ends them in order, the lifeline process
(`runtime/lifeline.py`) ends them when the twin is killed. What a child does is no matter here.
"""

from __future__ import annotations

import itertools
import os
import select
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from simulator.cloud.runtime.lifeline import kill_session

if TYPE_CHECKING:
    from simulator.cloud.engine import Engine

OnLine = Callable[[str], None]
OnExit = Callable[[int], None]

RUNTIME = Path(__file__).parent / "runtime"
KEPT_FROM_PARENT = ("PATH", "HOME", "JAVA_HOME", "LD_LIBRARY_PATH", "TMPDIR", "VIRTUAL_ENV")
FAMILY = "FLEETWIN_FAMILY"
"""The variable by which a descendant is found that left its session."""
PACKAGES = "FLEETWIN_PACKAGES"
"""The variable that tells a child which packages it sees: ``installed`` or ``none``, and in both
cases no source tree. Read in `runtime/site/fleetwin_path.py`."""
LINE_LIMIT_B = 1 << 20
"""A longer line is cut into pieces of this size, so that a child cannot fill our memory."""

_families = itertools.count(1)


class Process:
    """One running child and everything that it starts. Made by `Processes.spawn`."""

    def __init__(
        self,
        name: str,
        mark: str,
        popen: subprocess.Popen[bytes],
        on_reaped: Callable[[Process], None],
    ) -> None:
        self.name = name
        self.mark = mark
        """A variable, as ``NAME=value``, that everything which it starts inherits."""
        self.pid: int = popen.pid
        self.tail: deque[str] = deque(maxlen=40)
        """The last lines of output, for error messages."""
        self._popen = popen
        self._on_reaped = on_reaped
        self._lock = threading.Lock()
        self._reaped = threading.Event()
        self._timer: threading.Timer | None = None

    @property
    def stdin(self) -> IO[bytes] | None:
        """The writing end of its standard input, if spawned with ``stdin=PIPE``."""
        return self._popen.stdin

    @property
    def running(self) -> bool:
        """Tell whether it still runs (its last lines may still be on their way)."""
        return not self._reaped.is_set()

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._popen.returncode if self._reaped.is_set() else None

    def terminate(self, grace_s: float) -> None:
        """Send SIGTERM to its process group and SIGKILL to its session ``grace_s`` later.

        Returns at once; the seconds are real ones. `on_exit` tells when it is over.
        """
        with self._lock:
            if self._reaped.is_set():
                return
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGTERM)
            if self._timer is None:
                self._timer = threading.Timer(grace_s, self.kill)
                self._timer.daemon = True
                self._timer.start()

    def kill(self) -> None:
        """Send SIGKILL to its whole session; returns at once."""
        with self._lock:
            if not self._reaped.is_set():
                kill_session(self.pid, self.mark)

    kill_group = kill

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait (really) until it is gone; False when it was not within ``timeout_s``."""
        return self._reaped.wait(timeout_s)

    def _exited(self) -> bool:
        """Tell whether the leader ended; it stays a zombie, so that its pid is not reused."""
        try:
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # Somebody else in this process waited for it.
            return True
        return ended is not None

    def _reap(self) -> int:
        """Wait for the leader's end, kill what it left behind, then collect it."""
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            kill_session(self.pid, self.mark)
            code = self._popen.wait()
            if self._popen.stdin is not None:
                with suppress(OSError):
                    self._popen.stdin.close()
            self._reaped.set()
            if self._timer is not None:
                self._timer.cancel()
        self._on_reaped(self)
        return code


class Processes:
    """Starts, watches and ends the children of one twin. ``state`` is the twin's folder."""

    def __init__(self, engine: Engine, state: Path) -> None:
        self.without_source_trees = False
        """Children then see what is installed and what they are given, not what .pth files add."""
        self._engine = engine
        self._state = state
        self._lock = threading.Lock()
        self._running: dict[int, Process] = {}
        self._threads: dict[int, threading.Thread] = {}
        self._lifeline: subprocess.Popen[bytes] | None = None
        self._closed = False

    def base_environment(self) -> dict[str, str]:
        """Return what any child needs to start and to compute the same numbers every time."""
        kept = {name: os.environ[name] for name in KEPT_FROM_PARENT if os.environ.get(name)}
        return {
            **kept,
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONHASHSEED": "0",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(RUNTIME / "site"),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            **({PACKAGES: "installed"} if self.without_source_trees else {}),
        }

    def spawn(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path | None = None,
        on_line: OnLine | None = None,
        on_exit: OnExit | None = None,
        pass_fds: Sequence[int] = (),
        stdin: int | IO[Any] | None = None,
    ) -> Process:
        """Start a child in a session of its own; ``stdin`` is empty unless given.

        ``on_line`` gets each line of stdout and stderr without its end, ``on_exit`` the exit
        code after the last line; both on the engine's thread. Raises OSError when the
        program cannot be started.
        """
        with self._lock:
            if self._closed:
                raise OSError(f"cannot start {name}: the twin is going down")
            self._start_lifeline()
            family = f"{os.getpid()}-{next(_families)}"
            popen = subprocess.Popen(
                list(argv),
                env={**env, FAMILY: family},
                cwd=cwd,
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=tuple(pass_fds),
                start_new_session=True,
            )
            process = Process(name, f"{FAMILY}={family}", popen, self._forget)
            self._tell_lifeline("+", process)
            self._running[popen.pid] = process
            thread = threading.Thread(
                target=self._watch,
                args=(process, popen, on_line, on_exit),
                name=f"watch {name}",
                daemon=True,
            )
            self._threads[popen.pid] = thread
            thread.start()
        return process

    def close(self, grace_s: float = 3.0) -> None:
        """End every child: SIGTERM, after ``grace_s`` real seconds SIGKILL; return when gone.

        No callback runs afterwards. May be called twice, and from any thread.
        """
        with self._lock:
            self._closed = True
            processes, threads = list(self._running.values()), list(self._threads.values())
        for process in processes:
            process.terminate(grace_s)
        for process in processes:
            if not process.wait(grace_s + 1.0):
                process.kill()
                process.wait(10.0)
        for thread in threads:
            thread.join(5.0)
        if self._lifeline is not None and self._lifeline.stdin is not None:
            with suppress(BrokenPipeError):
                self._lifeline.stdin.close()
            self._lifeline.wait()
            self._lifeline = None

    def _start_lifeline(self) -> None:
        """Start the process that ends the others when we are gone, unless it runs."""
        if self._lifeline is None or self._lifeline.poll() is not None:
            self._lifeline = subprocess.Popen(
                [sys.executable, "-I", "-S", str(RUNTIME / "lifeline.py")],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            for process in self._running.values():
                self._tell_lifeline("+", process)

    def _tell_lifeline(self, sign: str, process: Process) -> None:
        if self._lifeline is not None and self._lifeline.stdin is not None:
            with suppress(BrokenPipeError, ValueError):
                self._lifeline.stdin.write(f"{sign}{process.pid} {process.mark}\n".encode())

    def _forget(self, process: Process) -> None:
        with self._lock:
            self._running.pop(process.pid, None)
            self._threads.pop(process.pid, None)
            self._tell_lifeline("-", process)

    def _watch(
        self,
        process: Process,
        popen: subprocess.Popen[bytes],
        on_line: OnLine | None,
        on_exit: OnExit | None,
    ) -> None:
        """Carry the child's lines, then its exit code, to the engine's thread."""
        assert popen.stdout is not None
        for lines in _batches_of_lines(popen.stdout.fileno(), process._exited):
            process.tail.extend(lines)
            if on_line is not None:
                self._post(_each(on_line, lines))
        popen.stdout.close()
        code = process._reap()
        if on_exit is not None:
            self._post(lambda: on_exit(code))

    def _post(self, work: Callable[[], None]) -> None:
        def unless_closed() -> None:
            if not self._closed:
                work()

        self._engine.post(unless_closed)


def _each(on_line: OnLine, lines: Sequence[str]) -> Callable[[], None]:
    def work() -> None:
        for line in lines:
            on_line(line)

    return work


def _batches_of_lines(fd: int, exited: Callable[[], bool]) -> Iterator[list[str]]:
    """Yield lists of lines as they come; end at end of file, or when the leader is gone.

    A grandchild that keeps the pipe open must not keep a job "running": hence the poll.
    """
    poll = select.poll()
    poll.register(fd, select.POLLIN | select.POLLHUP)
    rest = b""
    while True:
        if not poll.poll(200):
            if exited() and not poll.poll(0):
                break
            continue
        chunk = os.read(fd, 1 << 16)
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > LINE_LIMIT_B:
            lines, rest = [*lines, rest], b""
        if lines:
            yield [line.decode("utf-8", "replace").rstrip("\r") for line in lines]
    if rest:
        yield [rest.decode("utf-8", "replace")]
