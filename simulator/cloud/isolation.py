"""How the process of a SageMaker container is kept apart from this machine.

`Plain` runs it as it is and leads the paths of /opt/ml to the job's folder. `Bubblewrap` gives it
a file system of its own (Linux): the true /opt/ml, a /tmp, and nothing else that can be written;
the packages, the image and the system can be read. `simulator.cloud.containers` starts what
`launch` returns. Functions and Spark are not kept apart.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from simulator.cloud.processes import RUNTIME
from simulator.errors import EnvironmentMissing

if TYPE_CHECKING:
    from simulator.cloud.containers import Image

PLAIN, BUBBLEWRAP = "plain", "bubblewrap"
NAMES = (PLAIN, BUBBLEWRAP)
BASE = Path("/opt/ml")
"""Where SageMaker lays out what a container reads and writes."""
SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "nix", "sys")
"""Folders of the root that a program may need to start; the others do not exist for it."""
PACKAGE_FOLDERS = ("site-packages", "dist-packages")
"""Installed packages, also those that a .pth file of the environment adds; no source trees."""
PROBE_S = 20.0


@dataclass(frozen=True)
class Launch:
    """What to start for a container: the command, its variables, the folder it starts in."""

    argv: list[str]
    environ: dict[str, str]
    cwd: Path


class Isolation(Protocol):
    """A way to start a container."""

    def launch(
        self, words: Sequence[str], environ: Mapping[str, str], image: Image, folder: Path
    ) -> Launch:
        """Return what starts ``words`` with ``folder`` in the place of /opt/ml."""


def isolation(name: str) -> Isolation:
    """Return the way that a name stands for; raises EnvironmentMissing if it cannot work here."""
    if name == PLAIN:
        return Plain()
    if name == BUBBLEWRAP:
        return Bubblewrap()
    raise EnvironmentMissing(f"isolation {name!r} is not one of {', '.join(NAMES)}")


class Plain:
    """A process like any other; a word that begins with /opt/ml/ becomes one below the folder."""

    def launch(
        self, words: Sequence[str], environ: Mapping[str, str], image: Image, folder: Path
    ) -> Launch:
        """Return the command; programs learn the folder from SAGEMAKER_BASE_DIR."""
        root = f"{BASE}/"
        argv = [
            str(folder / word.removeprefix(root)) if word.startswith(root) else word
            for word in words
        ]
        return Launch(argv, {**environ, "SAGEMAKER_BASE_DIR": str(folder)}, image.folder)


class Bubblewrap:
    """A process in namespaces of bubblewrap's; raises EnvironmentMissing where that fails.

    Its namespace of processes ends with it, so nothing that it started is left; and it ends with
    the thread that started it, the engine's (the kernel's parent-death signal). The loopback
    network is this machine's: the twin's endpoint and a server's port are reached as ever.
    """

    def __init__(self) -> None:
        self._env, self._bwrap = _programs()
        _probe([*self._begin(), *self._system([]), *self._end(["true"])])

    def launch(
        self, words: Sequence[str], environ: Mapping[str, str], image: Image, folder: Path
    ) -> Launch:
        """Return the command; SAGEMAKER_BASE_DIR is not set, as on AWS."""
        argv = [
            *self._begin(),
            *self._system([*image.reads, RUNTIME / "site"]),
            *("--bind", str(folder), str(BASE)),
            *("--chdir", str(image.folder)),
            *self._end(words),
        ]
        own = {"HOME": "/tmp", "TMPDIR": "/tmp"}
        return Launch(argv, {**environ, **own}, folder)

    def _begin(self) -> list[str]:
        # SIGTERM goes to the whole process group. bubblewrap would end at once and take the
        # program with it, so it ignores the signal, and the program gets the default back.
        return [self._env, "--ignore-signal=TERM", self._bwrap, "--unshare-pid", "--unshare-ipc"]

    def _system(self, more: Iterable[Path]) -> Iterator[str]:
        """Yield the arguments that let it see the system, Python and ``more``, all read-only."""
        yield from ("--die-with-parent", "--proc", "/proc", "--dev", "/dev")
        yield from ("--tmpfs", "/dev/shm", "--remount-ro", "/dev", "--tmpfs", "/tmp")
        shown: list[Path] = []
        for path in (Path("/", name) for name in SYSTEM):
            if path.is_symlink():
                yield from ("--symlink", str(path.readlink()), str(path))
            elif path.exists():
                yield from ("--ro-bind", str(path), str(path))
                shown.append(path)
        packages = [Path(each) for each in sys.path if Path(each).name in PACKAGE_FOLDERS]
        for path in (Path(sys.base_prefix), Path(sys.prefix), *packages, *more):
            if not any(path.is_relative_to(each) for each in shown):
                yield from ("--ro-bind", str(path), str(path))
                shown.append(path)

    def _end(self, words: Sequence[str]) -> list[str]:
        return ["--remount-ro", "/", "--", self._env, "--default-signal=TERM", *words]


def _programs() -> tuple[str, str]:
    if sys.platform != "linux":
        raise EnvironmentMissing(
            f"--isolation bubblewrap needs Linux, this is {sys.platform}: leave the option out"
        )
    found = shutil.which("env"), shutil.which("bwrap")
    if found[0] is None or found[1] is None:
        raise EnvironmentMissing(
            "--isolation bubblewrap needs the program bwrap, which is not here: install it "
            "(apt-get install bubblewrap, dnf install bubblewrap) or leave the option out"
        )
    return found[0], found[1]


def _probe(command: Sequence[str]) -> None:
    """Run a command as containers are run; raises EnvironmentMissing with what it said."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROBE_S, check=False, cwd="/"
        )
        said = done.stderr.strip().splitlines()
        why = "" if done.returncode == 0 else (said[-1] if said else f"code {done.returncode}")
    except (OSError, subprocess.TimeoutExpired) as error:
        why = str(error)
    if why:
        raise EnvironmentMissing(
            f"--isolation bubblewrap does not work here ({why}): it needs user namespaces (sysctl "
            "kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0; "
            "in Docker --privileged) and GNU env 8.31 or newer; or leave the option out"
        )
