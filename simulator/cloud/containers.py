"""Images without Docker: the Dockerfile's entry point on this machine's Python.

An image URI's tag leads to the asset folder that stands for it. FROM and RUN are taken as done
(the project's own environment has the packages); COPY, WORKDIR and ENV make a tree of links in
which the ENTRYPOINT starts as in the image. Used for SageMaker's training jobs and endpoints.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import simpy

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.function_workers import Watchdog
from simulator.cloud.processes import Process

PLACES = ("Dockerfile", "*/Dockerfile", "*/*/Dockerfile")
TAKEN_AS_DONE = frozenset({"FROM", "RUN", "LABEL", "EXPOSE", "ARG", "CMD", "USER", "STOPSIGNAL"})
ROOT = "/opt/ml/"
"""Where SageMaker lays out what a container reads and writes."""
HUNG_S = 540.0
"""Real seconds of computing after which the clock no longer waits for a container."""


@dataclass(frozen=True)
class Image:
    """What of an image matters here: how it starts, where, and with which variables."""

    entrypoint: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    reads: tuple[Path, ...] = ()
    """The folders that a process of it has to see: the tree of links, and where they lead."""

    def environ(self, base: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of a container: ours, the image's, then what the caller adds."""
        merged = {**base, **self.environment, **more}
        own = [*self.environment.get("PYTHONPATH", "").split(":"), *base["PYTHONPATH"].split(":")]
        merged["PYTHONPATH"] = ":".join(path for path in own if path)
        return merged


def image(context: Context, uri: str) -> Image:
    """Return the image behind a URI; raises a ValidationException for an unknown one."""
    repository, _, tag = uri.rpartition("/")[2].partition("@")[0].partition(":")
    key = next((key for key in (tag, repository) if key in context.assets), None)
    if key is None:
        raise AwsError(
            "ValidationException",
            f"Requested image {uri} not found: no asset of the template has its tag",
        )
    source = context.assets[key]
    found = [
        path
        for pattern in PLACES
        for path in sorted(source.glob(pattern))
        if not any(part.startswith(".") for part in path.relative_to(source).parts)
    ]
    if len(found) != 1:
        raise NotSupportedByTwin(f"image {uri} with {len(found)} Dockerfiles below {source}")
    images = [
        _Build(folder, context.state / "images" / f"{key}-{index}").of(found[0])
        for index, folder in enumerate(_build_contexts(source, found[0]))
    ]
    return next((each for each in images if _has_its_program(each)), images[0])


def _build_contexts(source: Path, dockerfile: Path) -> list[Path]:
    """Return the folders that COPY may mean: the asset, or one on the way to its Dockerfile.

    An asset is known by its source folder only; which folder was given to the build is not.
    """
    between = dockerfile.parent.relative_to(source).parts
    return [source.joinpath(*between[:depth]) for depth in range(len(between) + 1)]


def _has_its_program(built: Image) -> bool:
    """Tell whether the module or script that the entry point names was copied into the image."""
    words = built.entrypoint[1:]
    if words[:1] != ("-m",):
        return all((built.folder / word).exists() for word in words[:1])
    module = Path(*words[1].split("."))
    paths = [built.folder, *map(Path, built.environment.get("PYTHONPATH", "").split(":"))]
    return any(
        (path / module).with_suffix(".py").exists() or (path / module / "__main__.py").exists()
        for path in paths
    )


def on_this_python(words: Sequence[str]) -> tuple[str, ...]:
    """Return a command with this machine's Python in the place of the image's."""
    python = re.fullmatch(r"(?:/\S*/)?python[\d.]*", words[0])
    return (sys.executable if python else words[0], *words[1:])


@dataclass
class _Build:
    """One reading of a Dockerfile into a tree of links to the sources."""

    source: Path
    root: Path
    workdir: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()

    def of(self, dockerfile: Path) -> Image:
        for word, rest in _instructions(dockerfile.read_text("utf-8")):
            if word == "COPY":
                self._copy(rest)
            elif word == "WORKDIR":
                self.workdir = self._inside(rest)
            elif word == "ENV":
                self._env(rest)
            elif word == "ENTRYPOINT":
                self.entrypoint = self._exec_form(rest)
            elif word not in TAKEN_AS_DONE:
                raise NotSupportedByTwin(f"{word} in {dockerfile}")
        if not self.entrypoint:
            raise NotSupportedByTwin(f"{dockerfile} without an ENTRYPOINT")
        folder = self._path(self.workdir)
        folder.mkdir(parents=True, exist_ok=True)
        reads = (self.root, self.source.resolve())
        return Image(self.entrypoint, folder, self.environment, reads)

    def _inside(self, path: str) -> str:
        return path if path.startswith("/") else f"{self.workdir.rstrip('/')}/{path}"

    def _path(self, inside: str) -> Path:
        return self.root / inside.strip("/")

    def _env(self, rest: str) -> None:
        pairs = [word.partition("=") for word in shlex.split(rest)]
        if not all(equals for _, equals, _ in pairs):
            raise NotSupportedByTwin(f"ENV {rest} (use NAME=value)")
        for name, _, value in pairs:
            if name == "PYTHONPATH":
                paths = [str(self._path(each)) for each in value.split(":") if each]
                self.environment[name] = ":".join(paths)
            elif name != "PATH":
                self.environment[name] = value

    def _exec_form(self, rest: str) -> tuple[str, ...]:
        """Read the exec form; in the shell form SageMaker's SIGTERM never reaches the program."""
        try:
            words = json.loads(rest)
        except ValueError:
            words = None
        if not isinstance(words, list) or not words:
            raise NotSupportedByTwin(f"ENTRYPOINT {rest} (use the exec form)")
        return on_this_python(list(map(str, words)))

    def _copy(self, rest: str) -> None:
        words = json.loads(rest) if rest.startswith("[") else shlex.split(rest)
        if any(word.startswith("--from") for word in words):
            raise NotSupportedByTwin(f"COPY {rest} (from another stage)")
        *sources, target = [word for word in words if not word.startswith("--")]
        into = self._path(self._inside(target))
        for pattern in sources:
            for found in sorted(self.source.glob(pattern)) if pattern != "." else [self.source]:
                if found.is_dir():
                    self._link_folder(found, into)
                else:
                    folder = target.endswith(("/", ".")) or into.is_dir() or len(sources) > 1
                    _link(found, into / found.name if folder else into)

    def _link_folder(self, found: Path, into: Path) -> None:
        """Link a folder's content; as one link where nothing else is there yet."""
        if into.is_dir() and not into.is_symlink():
            for child in found.iterdir():
                _link(child, into / child.name)
        elif into != self.root:
            _link(found, into)


def _link(found: Path, at: Path) -> None:
    at.parent.mkdir(parents=True, exist_ok=True)
    if at.is_symlink():
        at.unlink()
    at.symlink_to(found.resolve())


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield (INSTRUCTION, rest) with continued lines joined and comments removed."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\s*\n", " ", "\n".join(lines)).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word.upper(), rest.strip()


class Container:
    """One running container; ``exited`` succeeds with its exit code.

    ``words`` are what it runs, ``folder`` is what it finds at /opt/ml.
    """

    def __init__(
        self,
        context: Context,
        watchdog: Watchdog,
        worker: str,
        words: Sequence[str],
        environ: Mapping[str, str],
        image: Image,
        folder: Path,
        on_line: Callable[[str], None],
    ) -> None:
        self.worker = worker
        self.exited: simpy.Event = context.engine.env.event()
        self._engine = context.engine
        self._watchdog = watchdog
        self._stopping = False
        self._holding = False
        start = context.isolation.launch(on_this_python(words), environ, image, folder)
        self.process: Process = context.processes.spawn(
            worker,
            start.argv,
            start.environ,
            cwd=start.cwd,
            on_line=on_line,
            on_exit=self._on_exit,
        )

    def begin(self) -> None:
        """Let the clock stand for it, for `HUNG_S` real seconds of computing at most.

        After them it counts as one that never ends: the clock moves on, and its job stops it
        when its MaxRuntimeInSeconds have passed.
        """
        self._holding = True
        self._engine.order.stand_aside(self.worker)
        self._engine.begin_computing(self.worker)
        self._watchdog.arm(id(self), HUNG_S, self._hung)

    def _hung(self) -> None:
        if self._engine.is_computing(self.worker):
            self.end()
        else:  # It waits on the run's clock, which may be as slow as the real one.
            self._watchdog.arm(id(self), HUNG_S, self._hung)

    def end(self) -> None:
        """Let the clock move again."""
        self._watchdog.disarm(id(self))
        if self._holding and self._engine.is_computing(self.worker):
            self._engine.end_computing(self.worker)
        self._holding = False

    def stop(self, grace_s: float) -> None:
        """Send SIGTERM, and SIGKILL after ``grace_s`` real seconds; the clock stands meanwhile.

        The grace period is real because what a program does with it is real too.
        """
        if not self._stopping and not self.exited.triggered:
            self._stopping = True
            if not self._engine.is_computing(self.worker):
                self._holding = True
                self._engine.begin_computing(self.worker)
            self.process.terminate(grace_s)

    def _on_exit(self, code: int) -> None:
        was_waiting = not self._engine.is_computing(self.worker) or self._stopping
        self.end()
        if was_waiting:
            # What it waited for (a sleep, a call) still comes and must not stop the clock.
            self._watchdog.bury(self.worker)
        self.exited.succeed(code)
