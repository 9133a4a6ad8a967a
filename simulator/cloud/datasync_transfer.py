"""One DataSync execution on the run's clock: prepare, transfer, verify, end.

Used by `simulator.cloud.datasync`. Files really move, in batches; after each the modelled time
of its files and bytes passes, so whatever else happens on the clock (a cancellation, a changed
limit, a withdrawn permission) takes effect between two batches. A file appears as a whole or not
at all, so an execution that ends early leaves whole files, and the next moves only the rest.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import simpy

from simulator.cloud.context import Context
from simulator.cloud.datasync_executions import Execution
from simulator.cloud.datasync_places import CHUNK_BYTES, FileFailed, Item, Place
from simulator.cloud.datasync_report import Report
from simulator.cloud.datasync_settings import Filters
from simulator.cloud.errors import AwsError

LAUNCH_S = 20.0
"""Modelled time between the start and the first listing."""
LISTED_PER_S = 2_000.0
"""Modelled files that are listed and compared a second."""
MOVED_PER_S = 500.0
"""Modelled small files that are moved or verified a second."""
LINK_BYTES_PER_S = 125_000_000.0
"""Modelled network: 1 Gbit/s; a task's BytesPerSecond only makes it slower."""
BATCH_FILES = 500
BATCH_BYTES = 8 * CHUNK_BYTES

Batches = Generator[None, None, None]
Steps = Generator[simpy.Event, Any, None]
Connect = Callable[[Execution], tuple[Place, Place]]
"""Opens source and destination; raises FileFailed when one of them cannot be reached."""
Reporter = Callable[[Execution], Report]


class Cancelled(Exception):
    """Somebody cancelled the execution."""


@dataclass
class _Work:
    """What an execution has found out. ``sums`` are the SHA-256 of what was moved, by path."""

    execution: Execution
    source: Place
    destination: Place
    report: Report
    filters: Filters
    to_move: list[Item] = field(default_factory=list)
    to_delete: list[Item] = field(default_factory=list)
    sums: dict[str, tuple[Item, bytes]] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    files: float = 0.0
    bytes: float = 0.0


class Transfer:
    """Takes executions through their states."""

    def __init__(self, context: Context, connect: Connect, reporter: Reporter) -> None:
        self._context = context
        self._connect = connect
        self._reporter = reporter

    def run(self, execution: Execution) -> Steps:
        """Be the part of an execution's process that follows its time in the queue."""
        engine = self._context.engine
        execution.started = execution.launched = engine.now()
        report = self._reporter(execution)
        try:
            execution.status = "LAUNCHING"
            yield from self._pass(execution, LAUNCH_S)
            try:
                source, destination = self._connect(execution)
            except FileFailed as failure:
                self._fail(execution, failure.code, failure.detail)
                return
            filters = Filters(execution.includes, execution.excludes)
            work = _Work(execution, source, destination, report, filters)
            yield from self._step(work, "Prepare", "PREPARING", self._prepare)
            if execution.steps["Prepare"][0] == "SUCCESS":
                yield from self._step(work, "Transfer", "TRANSFERRING", self._move)
                if execution.options["VerifyMode"] != "NONE":
                    yield from self._step(work, "Verify", "VERIFYING", self._verify)
        except Cancelled:
            execution.fail("Cancelled", "The task execution was cancelled.")
        finally:
            execution.finished = engine.now()
            execution.status = "SUCCESS" if execution.error is None else "ERROR"
            report.finish()
            self._log(execution, "BASIC", f"ended with status {execution.status}")

    def _step(self, work: _Work, step: str, status: str, do: Callable[[_Work], Batches]) -> Steps:
        """Do one step: its work batch by batch, and the modelled time of each batch."""
        execution, env = work.execution, self._context.engine.env
        execution.status, began_s = status, env.now
        failed_before = sum(execution.counters.failed.values())
        outcome = "ERROR"
        try:
            # Closed at once when cancelled, so that a file that is half moved is forgotten.
            with closing(do(work)) as batches:
                for _ in batches:
                    yield from self._pass(execution, self._modelled_s(work))
            yield from self._pass(execution, self._modelled_s(work))
            if sum(execution.counters.failed.values()) == failed_before:
                outcome = "SUCCESS"
        except (AwsError, OSError) as error:
            # The place as a whole: a listing that is denied, a folder that is gone.
            self._fail(execution, *_told(error))
        finally:
            execution.steps[step] = (outcome, env.now - began_s)

    def _pass(self, execution: Execution, seconds: float) -> Steps:
        env = self._context.engine.env
        if not execution.cancel.triggered:
            yield env.timeout(seconds) | execution.cancel
        if execution.cancel.triggered:
            raise Cancelled

    def _modelled_s(self, work: _Work) -> float:
        limit = work.execution.options["BytesPerSecond"]
        rate = min(LINK_BYTES_PER_S, limit) if limit > 0 else LINK_BYTES_PER_S
        seconds = work.files + work.bytes / rate
        work.files = work.bytes = 0.0
        # Whole milliseconds: DataSync tells no finer times.
        return math.ceil(seconds * 1_000) / 1_000

    # -- prepare

    def _prepare(self, work: _Work) -> Batches:
        """Merge the two listings: what differs is moved, what the source lacks may be deleted."""
        execution, counters = work.execution, work.execution.counters
        remove = execution.options["PreserveDeletedFiles"] == "REMOVE"
        listed = 0
        for here, there in _merged(work.source.walk(), work.destination.walk()):
            path = (here or there or _NOTHING).path
            listed += 1
            work.files += 1 / LISTED_PER_S
            if listed % BATCH_FILES == 0:
                yield
            if here is not None:
                counters.listed_at_source += 1
            if there is not None and remove:
                counters.listed_at_destination += 1
            if not work.filters.want(path):
                continue
            if here is None:
                if remove and there is not None:
                    work.to_delete.append(there)
                    counters.to_delete += 1
                continue
            try:
                wanted = self._needed(work, here, there)
            except (AwsError, OSError, FileFailed) as error:
                self._file_failed(work, "Prepare", "Transferred", here, error)
                continue
            if wanted:
                work.to_move.append(here)
                counters.to_transfer += 1
                counters.bytes_to_transfer += here.size
            else:
                counters.skipped += 1
                work.report.tell("Skipped", here, self._context.engine.now(), None)

    def _needed(self, work: _Work, here: Item, there: Item | None) -> bool:
        """Tell whether a file must be moved: as DataSync, by size, time and metadata."""
        options = work.execution.options
        if there is None:
            return True
        if options["OverwriteMode"] == "NEVER":
            return False
        if options["TransferMode"] == "ALL" or here.size != there.size:
            return True
        here, there = work.source.describe(here), work.destination.describe(there)
        return not work.destination.same(here, there)

    # -- transfer

    def _move(self, work: _Work) -> Batches:
        execution, counters = work.execution, work.execution.counters
        for number, item in enumerate(work.to_move, 1):
            try:
                yield from self._copy(work, item)
            except (AwsError, OSError, FileFailed) as error:
                self._file_failed(work, "Transfer", "Transferred", item, error)
            else:
                counters.transferred += 1
                work.report.tell("Transferred", item, self._context.engine.now(), None)
                self._log(execution, "TRANSFER", f"transferred {item.path}")
            work.files += 1 / MOVED_PER_S
            if number % BATCH_FILES == 0:
                yield
        for number, item in enumerate(work.to_delete, 1):
            try:
                work.destination.delete(item.path)
            except (AwsError, OSError, FileFailed) as error:
                self._file_failed(work, "Delete", "Deleted", item, error)
            else:
                counters.deleted += 1
                work.report.tell("Deleted", item, self._context.engine.now(), None)
                self._log(execution, "TRANSFER", f"deleted {item.path}")
            work.files += 1 / MOVED_PER_S
            if number % BATCH_FILES == 0:
                yield

    def _copy(self, work: _Work, item: Item) -> Batches:
        """Copy one file; pauses within a large one, and leaves nothing of one that fails."""
        counters = work.execution.counters
        found, chunks = work.source.read(item.path)
        writer = work.destination.writer(found)
        digest, size = hashlib.sha256(), 0
        try:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                writer.add(chunk)
                work.bytes += len(chunk)
                counters.bytes_transferred += len(chunk)
                if work.bytes >= BATCH_BYTES:
                    yield
            writer.commit()
        except BaseException:
            # Also a cancellation, which closes this generator in the middle of the file.
            writer.abort()
            raise
        counters.bytes_written += size
        if work.execution.options["VerifyMode"] != "NONE":
            work.sums[item.path] = (found, digest.digest())

    # -- verify

    def _verify(self, work: _Work) -> Batches:
        """Read the destination again, and with it the source, if the whole is to be consistent."""
        counters = work.execution.counters
        for number, item in enumerate(self._to_verify(work), 1):
            try:
                yield from self._check(work, item)
            except (AwsError, OSError, FileFailed) as error:
                self._file_failed(work, "Verify", "Verified", item, error)
            else:
                counters.verified += 1
                work.report.tell("Verified", item, self._context.engine.now(), None)
            work.files += 1 / MOVED_PER_S
            if number % BATCH_FILES == 0:
                yield

    def _to_verify(self, work: _Work) -> Iterator[Item]:
        if work.execution.options["VerifyMode"] == "ONLY_FILES_TRANSFERRED":
            yield from (item for item, _ in work.sums.values())
            return
        never = work.execution.options["OverwriteMode"] == "NEVER"
        for item in work.source.walk():
            # What must not be overwritten may differ.
            if item.path in work.failed or (never and item.path not in work.sums):
                continue
            if work.filters.want(item.path):
                yield item

    def _check(self, work: _Work, item: Item) -> Batches:
        moved = work.sums.get(item.path)
        there = yield from self._sum(work, work.destination, item.path)
        if moved is not None and there != moved[1]:
            work.destination.delete(item.path)
            raise FileFailed(
                "VerificationFailed",
                f"{item.path}: what was written is not what was read; it was removed",
            )
        if work.execution.options["VerifyMode"] == "POINT_IN_TIME_CONSISTENT":
            here = yield from self._sum(work, work.source, item.path)
            if here != there:
                # The object is whole: the file as it was when it was moved. When it changed
                # under its old size and time, no later execution would notice: removed.
                if moved is not None and work.source.describe(item).mtime_ns == moved[0].mtime_ns:
                    work.destination.delete(item.path)
                raise FileFailed(
                    "VerificationFailed", f"{item.path}: source and destination differ"
                )

    def _sum(self, work: _Work, place: Place, path: str) -> Generator[None, None, bytes]:
        digest = hashlib.sha256()
        for chunk in place.read(path)[1]:
            digest.update(chunk)
            work.bytes += len(chunk)
            if work.bytes >= BATCH_BYTES:
                yield
        return digest.digest()

    # -- failures

    def _file_failed(
        self, work: _Work, step: str, member: str, item: Item, error: Exception
    ) -> None:
        code, detail = _told(error)
        work.execution.counters.failed[step] += 1
        work.report.tell(member, item, self._context.engine.now(), (code, detail))
        self._fail(
            work.execution, code, detail if item.path in detail else f"{item.path}: {detail}"
        )

    def _fail(self, execution: Execution, code: str, detail: str) -> None:
        execution.fail(code, detail)
        self._log(execution, "BASIC", f"[ERROR] {code}: {detail}")

    def _log(self, execution: Execution, level: str, line: str) -> None:
        """Write a line; ``level`` BASIC is written unless the option says OFF."""
        wanted = execution.options["LogLevel"]
        if execution.log_group and wanted in ("TRANSFER", level):
            self._context.logs.append(execution.log_group, execution.log_stream, [line])


_NOTHING = Item("", 0, 0)


def _told(error: Exception) -> tuple[str, str]:
    """Return code and detail of a failure as a result shows them."""
    if isinstance(error, FileFailed):
        return error.code, error.detail
    if isinstance(error, AwsError):
        denied = error.code == "AccessDeniedException"
        return "AccessDenied" if denied else error.code, error.message
    return type(error).__name__, str(error)


def _merged(
    source: Iterator[Item], destination: Iterator[Item]
) -> Iterator[tuple[Item | None, Item | None]]:
    """Pair the items of two sorted listings by path."""
    here, there = next(source, None), next(destination, None)
    while here is not None or there is not None:
        left = here.path.encode(errors="surrogateescape") if here is not None else None
        right = there.path.encode(errors="surrogateescape") if there is not None else None
        if right is None or (left is not None and left < right):
            yield here, None
            here = next(source, None)
        elif left is None or right < left:
            yield None, there
            there = next(destination, None)
        else:
            yield here, there
            here, there = next(source, None), next(destination, None)
