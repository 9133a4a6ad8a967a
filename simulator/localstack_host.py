"""LocalStack in host mode, without Docker: `make localstack` installs and starts it.

A standard-library program: it finds a Python 3.13 that really runs, makes an environment of its
own with pinned versions, and starts LocalStack so that it listens on loopback only. It knows
nothing of the twin; `fleetwin run --target localstack` finds it by its address.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from simulator.errors import EnvironmentMissing

ROOT = Path(__file__).parents[1]
VERSION = "4.14.0"
KINESIS = "kinesis-local@0.5.2"
"""What LocalStack executes Kinesis with; a package of npm's."""

PRELOAD = Path(__file__).with_name("localstack_loopback.cjs")
VARIABLE = "FLEETWIN_LOCALSTACK"
"""Names an environment that `install` has made, with its files below it, for the parity tests."""

Popen = subprocess.Popen[bytes]
_READY_WITHIN_S = 90.0
_END_WITHIN_S = 8.0
_ASK = "import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 13))"


def python_313(candidates: Iterator[str] | None = None) -> str:
    """Return a Python 3.13 that runs; a name on PATH may be a shim that only prints an error.

    Raises EnvironmentMissing when there is none.
    """
    for candidate in candidates if candidates is not None else _candidates():
        try:
            done = subprocess.run(
                [candidate, "-c", _ASK], capture_output=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return candidate
    raise EnvironmentMissing(
        f"LocalStack {VERSION} needs Python 3.13 and none runs here: install it (pyenv, uv or "
        "apt), or name it with PYTHON313=/path/to/python3.13"
    )


def _candidates() -> Iterator[str]:
    if named := os.environ.get("PYTHON313"):
        yield named
        return
    if found := shutil.which("python3.13"):
        yield found
    homes = (os.environ.get("PYENV_ROOT", "~/.pyenv"), "~/.local/share/uv")
    for home, pattern in zip(homes, ("versions/3.13*", "python/cpython-3.13*"), strict=True):
        for folder in sorted(Path(home).expanduser().glob(pattern)):
            yield str(folder / "bin" / "python3.13")


def settings(folder: Path, port: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Return LocalStack's variables: all files below ``folder``, all listeners on loopback."""
    preload = f"{environment.get('NODE_OPTIONS', '')} --require {PRELOAD}".strip()
    return {
        **environment,
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        # The default server ignores the address above and listens on every one.
        "GATEWAY_SERVER": "hypercorn",
        "NODE_OPTIONS": preload,
        "FILESYSTEM_ROOT": str(folder),
        "OVERRIDE_IN_DOCKER": "0",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DISABLE_EVENTS": "1",
    }


def install(environment: Path, folder: Path) -> Path:
    """Install what is missing, once; return the environment's Python."""
    python = environment / "bin" / "python"
    stamp = environment / f".localstack-{VERSION}"
    if not stamp.exists():
        base = python_313()
        print("installing LocalStack (once; 520 MB, a minute or two) ...", flush=True)
        _do([base, "-m", "venv", str(environment)])
        constraints = str(ROOT / "constraints-localstack.txt")
        wanted = f"localstack-core[runtime]=={VERSION}"
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _do([*pip, wanted, "-c", constraints])
        stamp.touch()
    libraries = folder / "var" / "lib" / "localstack" / "lib"
    target = _kinesis(folder).parents[1]
    if not _kinesis(folder).is_dir():
        npm = shutil.which("npm")
        if npm is None:
            raise EnvironmentMissing("LocalStack's Kinesis needs Node and npm: install Node 20")
        target.mkdir(parents=True, exist_ok=True)
        _do([npm, "install", "--silent", "--prefix", str(target), KINESIS])
    java = shutil.which("java")
    for release in ("11", "21") if java is not None else ():
        # LocalStack would download one.
        link = libraries / "java" / release
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(Path(str(java)).resolve().parents[1])
    return python


def prepared() -> Path | None:
    """Return the environment that FLEETWIN_LOCALSTACK names, if it is ready.

    Only where somebody asks: the journey takes minutes there. Ready is one with LocalStack and
    what executes Kinesis: nothing is installed for it any more.
    """
    if not os.environ.get(VARIABLE):
        return None
    environment = Path(os.environ[VARIABLE]).absolute()
    is_ready = (environment / f".localstack-{VERSION}").exists()
    return environment if is_ready and _kinesis(environment / "files").is_dir() else None


def _kinesis(folder: Path) -> Path:
    name, _, version = KINESIS.partition("@")
    libraries = folder / "var" / "lib" / "localstack" / "lib"
    return libraries / name / version / "node_modules" / name


@contextlib.contextmanager
def running(python: Path, folder: Path, port: int = 0) -> Iterator[tuple[str, Popen]]:
    """Start LocalStack, empty; yield its URL and its process, and end both.

    ``port`` 0 takes a free one. Raises EnvironmentMissing when it does not start.
    """
    if port == 0:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            port = held.getsockname()[1]
    log = folder / "localstack.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [str(python), "-m", "localstack.runtime.main"],
            env=settings(folder, port, os.environ),
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(server, url, log)
        yield url, server
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(timeout=_END_WITHIN_S)
        # Its shutdown may hang; what it started is in its process group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def serve(python: Path, folder: Path, port: int) -> int:
    """Run LocalStack until it ends or a signal comes; return its exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with running(python, folder, port) as (url, server):
            print(f"LocalStack {VERSION} is at {url}, its files in {folder}; Ctrl-C ends it")
            sys.stdout.flush()
            return server.wait()
    except KeyboardInterrupt:
        return 0


def _wait(server: Popen, url: str, log: Path) -> None:
    until_s = time.monotonic() + _READY_WITHIN_S
    while server.poll() is None and time.monotonic() < until_s:
        try:
            with urllib.request.urlopen(f"{url}/_localstack/health", timeout=5):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.2)
    raise EnvironmentMissing(f"LocalStack did not start; its log is {log}")


def _do(command: list[str]) -> None:
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise EnvironmentMissing(f"this failed, see its output above: {' '.join(command)}")


def main() -> None:
    """Install and run; one line for an error."""
    parser = argparse.ArgumentParser(description="LocalStack without Docker, on loopback only")
    parser.add_argument("--environment", type=Path, default=ROOT / ".venv-localstack")
    parser.add_argument("--state", type=Path, help="its files; default: below the environment")
    parser.add_argument("--port", type=int, default=4566)
    chosen = parser.parse_args()
    state = (chosen.state or chosen.environment / "files").resolve()
    try:
        python = install(chosen.environment.resolve(), state)
        sys.exit(serve(python, state, chosen.port))
    except EnvironmentMissing as error:
        print(f"localstack: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
