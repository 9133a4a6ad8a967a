"""Whatever happens while DataSync copies, its target only ever holds whole files."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from simulator.cloud.datasync_executions import ENDED
from simulator.cloud.tests.test_datasync import Site

names = st.sampled_from(["a.csv", "b/c.csv", "b/d.tmp", "e.csv"])
LARGE = 3_000_000
EXCLUDES = [{"FilterType": "SIMPLE_PATTERN", "Value": "*.tmp"}]


class Transfers(RuleBasedStateMachine):
    """Files come, change and go; executions are started, delayed and cancelled."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.site = Site(Path(self.folder.name))
        self.task = self.site.task(Excludes=EXCLUDES, Options={"BytesPerSecond": 1_000_000})
        self.running: list[str] = []
        self.ever: dict[str, set[bytes]] = {}
        self.now: dict[str, bytes] = {}
        self.changes = 0

    @rule(name=names, is_large=st.booleans())
    def write(self, name: str, is_large: bool) -> None:
        self.changes += 1
        body = f"{name} {self.changes} ".encode() * (LARGE // 12 if is_large else 1)
        self.site.write(name, body, mtime_s=1_700_000_000 + self.changes)
        self.ever.setdefault(name, set()).add(body)
        self.now[name] = body

    @rule(name=names)
    def delete(self, name: str) -> None:
        (self.site.files / name).unlink(missing_ok=True)
        self.now.pop(name, None)

    @rule()
    @precondition(lambda self: len(self.running) < 3)
    def begin(self) -> None:
        self.running.append(self.site.start(self.task))

    @rule(seconds=st.sampled_from([0.1, 1.0, 7.0, 21.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.site.cloud.engine.run(self.site.cloud.engine.env.now + seconds)

    @rule()
    @precondition(lambda self: self.running)
    def cancel(self) -> None:
        execution = self.running.pop(0)
        if self.site.status(execution) not in ENDED:
            self.site.sync("CancelTaskExecution", TaskExecutionArn=execution)

    @invariant()
    def only_whole_files_are_there(self) -> None:
        for key, body in self.site.objects().items():
            name = key.removeprefix("landing/")
            assert not name.endswith(".tmp")
            assert body in self.ever[name], f"{name} was never so"

    def teardown(self) -> None:
        if not hasattr(self, "site"):
            return
        try:
            for execution in self.running:
                self.site.end(execution)
            last = self.site.run(self.task)
            assert last["Status"] == "SUCCESS", last["Result"]
            moved = self.site.objects()
            for name, body in self.now.items():
                if not name.endswith(".tmp"):
                    assert moved[f"landing/{name}"] == body
            assert self.site.run(self.task)["FilesTransferred"] == 0
        finally:
            self.site.cloud.close()
            self.folder.cleanup()


TestTransfers = Transfers.TestCase
TestTransfers.settings = settings(deadline=None, max_examples=12, stateful_step_count=15)
