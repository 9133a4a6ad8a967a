"""The warm Spark process: one JVM, one context, a fresh session for each job run.

Started by `simulator.cloud.spark` as a plain script; knows nothing of the twin but what a
request says. Requests are JSON lines on stdin. What the job prints goes to stdout; our own
answers are lines there that start with `MARK` and the token of the environment.
"""

from __future__ import annotations

import gc
import json
import os
import re
import runpy
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from pyspark.context import SparkContext
from pyspark.sql import SparkSession

MARK = "\x1efleetwin "
ERROR_CHARS = 1_500
"""An answer stays below PIPE_BUF, so that the JVM's own lines cannot cut it in two."""

UNMOUNTED = re.compile(r"target File System for URI : (?:s3|denied)://([^\s]+)")
"""What Hadoop says of a path without a mount, and of a link that leads nowhere on purpose."""


def answer(**members: Any) -> None:
    """Tell the twin something, in one write."""
    sys.stdout.flush()
    sys.stderr.flush()
    text = f"\n{MARK}{os.environ['FLEETWIN_HOST_TOKEN']} {json.dumps(members)}\n"
    os.write(1, text.encode())


def start() -> SparkSession:
    """Start the JVM and its context; settings come from the twin's environment."""
    builder = SparkSession.builder
    for key, value in json.loads(os.environ["FLEETWIN_SPARK_CONF"]).items():
        builder = builder.config(key, value)
    import_module("fleetwin_java_names").keep()
    session = builder.getOrCreate()
    context: Any = session.sparkContext
    files = import_module("fleetwin_object_files")
    files.use(context._jvm, context._jsc.hadoopConfiguration())
    return session


def warm_up(base: SparkSession) -> None:
    """Touch what the first job would otherwise wait for: classes, codegen, Arrow, a worker."""
    schema = "id long"
    base.range(8).mapInArrow(lambda batches: batches, schema).groupBy("id").count().collect()


class Host:
    """Runs one job after the other on one context."""

    def __init__(self, base: SparkSession) -> None:
        self.base = base
        self.context: SparkContext = base.sparkContext
        self.jvm: Any = self.context._jvm
        self.mounted: list[str] = []
        # A script that stops "its" session must not take the warm context with it.
        for shared in (SparkSession, SparkContext):
            setattr(shared, "stop", lambda self: None)  # noqa: B010

    def run(self, request: dict[str, Any]) -> None:
        """Run one script and answer how it ended."""
        self._mount(request["hadoop"])
        session = self._fresh_session()
        before = self._last_stage()
        kept_environ, kept_argv, kept_path = dict(os.environ), sys.argv, list(sys.path)
        kept_modules, kept_sleep = set(sys.modules), time.sleep
        os.environ.update(request["environ"])
        self.context.environment["PYTHONPATH"] = os.pathsep.join(request["paths"])
        sys.argv = request["argv"]
        sys.path[:0] = [os.path.dirname(request["script"]), *request["paths"]]
        time.sleep = _clock_sleep(kept_sleep)
        outcome: dict[str, Any] = {"ok": True}
        try:
            runpy.run_path(request["script"], run_name="__main__")
        except SystemExit as end:
            if end.code not in (None, 0):
                outcome = {"ok": False, "error": f"SystemExit: {end.code}"}
        except BaseException as error:
            traceback.print_exc()
            outcome = {"ok": False, **_described(error)}
        finally:
            time.sleep = kept_sleep
            os.environ.clear()
            os.environ.update(kept_environ)
            sys.argv, sys.path[:] = kept_argv, kept_path
            self._forget_modules(kept_modules, request["paths"])
            session.catalog.clearCache()
        answer(token=request["token"], **outcome, **self._rows_since(before))

    def _mount(self, settings: dict[str, str]) -> None:
        """Show the buckets of the settings below ``s3://``, and no other."""
        hadoop = self.context._jsc.hadoopConfiguration()
        self.jvm.org.apache.hadoop.fs.FileSystem.closeAll()
        for key in self.mounted:
            hadoop.unset(key)
        self.mounted = list(settings)
        for key, value in settings.items():
            hadoop.set(key, value)

    def _fresh_session(self) -> SparkSession:
        """Return a session without the settings, views and functions of earlier runs."""
        session = self.base.newSession()
        SparkSession._instantiatedSession = session
        SparkSession._activeSession = session
        self.jvm.SparkSession.setDefaultSession(session._jsparkSession)
        self.jvm.SparkSession.setActiveSession(session._jsparkSession)
        return session

    def _stages_after(self, last: int) -> Iterator[Any]:
        """Yield the stages after one, the newest first, as Spark keeps them.

        A month has hundreds, and to ask about each is a call to the JVM.
        """
        scala = self.context._jsc.sc()
        scala.listenerBus().waitUntilEmpty()
        gateway: Any = self.context._gateway
        none = gateway.jvm.java.util.ArrayList()
        quantiles = gateway.new_array(gateway.jvm.double, 0)
        stages = scala.statusStore().stageList(none, False, False, quantiles, none)
        for index in range(stages.size()):
            stage = stages.apply(index)
            if stage.stageId() <= last:
                return
            yield stage

    def _last_stage(self) -> int:
        newest = next(self._stages_after(-1), None)
        return -1 if newest is None else int(newest.stageId())

    def _rows_since(self, last: int) -> dict[str, int]:
        stages = list(self._stages_after(last))
        return {
            "rows_in": sum(stage.inputRecords() for stage in stages),
            "rows_out": sum(stage.outputRecords() for stage in stages),
        }

    @staticmethod
    def _forget_modules(kept: set[str], paths: list[str]) -> None:
        """Forget the job's own modules and boto3's session, which holds the role's keys."""
        for name in set(sys.modules) - kept:
            if str(getattr(sys.modules[name], "__file__", None) or "").startswith(tuple(paths)):
                del sys.modules[name]
        if (boto3 := sys.modules.get("boto3")) is not None:
            setattr(boto3, "DEFAULT_SESSION", None)  # noqa: B010


def _clock_sleep(real_sleep: Any) -> Any:
    """Return a `time.sleep` that waits on the run's clock, on the job's own thread only."""
    on_the_runs_clock = import_module("sitecustomize").sleep_on_the_runs_clock
    mine = threading.get_ident()

    def sleep(seconds: float) -> None:
        (on_the_runs_clock if threading.get_ident() == mine else real_sleep)(seconds)

    return sleep


def _described(error: BaseException) -> dict[str, Any]:
    text = str(error)
    lines = [line for line in text.splitlines() if line.strip()] or [""]
    # Py4J puts the exception that counts on the second line.
    wrapped = lines[0].startswith("An error occurred while calling") and len(lines) > 1
    first = lines[1].removeprefix(": ") if wrapped else lines[0]
    kind = type(error).__name__
    found = UNMOUNTED.search(text + "".join(traceback.format_exception(error)))
    denied = found[1].strip("/") if found else None
    return {"error": f"{kind}: {first}"[:ERROR_CHARS], "denied": denied}


def main() -> None:
    """Serve requests until stdin ends."""
    requests, sys.stdin = sys.stdin, open(os.devnull)  # noqa: SIM115
    base = start()
    warm_up(base)
    import_module("fleetwin_service_files").keep()
    # What was imported stays: jobs that make clients of boto3 need not have it visited again.
    gc.freeze()
    host = Host(base)
    answer(ready=True)
    for line in requests:
        host.run(json.loads(line))


if __name__ == "__main__":
    main()
