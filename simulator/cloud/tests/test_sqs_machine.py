"""A queue under random operations, against a plain list of what each message's state must be."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from simulator.cloud.tests.sqs_bench import Bench

RETENTION_S = 600.0


@dataclass
class Kept:
    """What is known of a message: ``visible_s`` on the clock; ``handle`` is the newest one."""

    body: str
    group: str
    sent_s: float
    visible_s: float
    handle: str = ""


class Queues(RuleBasedStateMachine):
    """A standard and a FIFO queue; in the FIFO queue a group in flight gives nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.bench = Bench(Path(self.folder.name))
        seconds = f"{RETENTION_S:.0f}"
        self.urls = {
            False: self.bench.queue(MessageRetentionPeriod=seconds),
            True: self.bench.fifo(MessageRetentionPeriod=seconds),
        }
        self.kept: dict[bool, list[Kept]] = {False: [], True: []}
        self.sent = 0

    @property
    def now(self) -> float:
        return float(self.bench.engine.env.now)

    @rule(fifo=st.booleans(), group=st.sampled_from("ab"), delay_s=st.sampled_from([0, 0, 7]))
    def send(self, fifo: bool, group: str, delay_s: int) -> None:
        self.sent += 1
        body = f"{group}{self.sent}"
        if fifo:
            ids = {"MessageGroupId": group, "MessageDeduplicationId": body}
            self.bench.send(self.urls[True], body, **ids)
            delay_s = 0
        else:
            self.bench.send(self.urls[False], body, DelaySeconds=delay_s)
        self.kept[fifo].append(Kept(body, group, self.now, self.now + delay_s))

    @rule(fifo=st.booleans(), most=st.integers(1, 10), hidden_s=st.sampled_from([0, 5, 30]))
    def receive(self, fifo: bool, most: int, hidden_s: int) -> None:
        locked = {
            each.group for each in self.kept[fifo] if each.handle and each.visible_s > self.now
        }
        can = [
            each
            for each in self.kept[fifo]
            if each.visible_s <= self.now and not (fifo and each.group in locked)
        ][:most]
        found = self.bench.receive(
            self.urls[fifo], MaxNumberOfMessages=most, VisibilityTimeout=hidden_s
        )
        assert [message["Body"] for message in found] == [each.body for each in can]
        for each, message in zip(can, found, strict=True):
            each.visible_s, each.handle = self.now + hidden_s, message["ReceiptHandle"]

    @precondition(lambda self: any(each.handle for each in self.kept[False]))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from([each for each in self.kept[False] if each.handle]))
        self.bench.client.delete_message(QueueUrl=self.urls[False], ReceiptHandle=one.handle)
        self.kept[False].remove(one)

    @precondition(lambda self: any(each.handle for each in self.kept[True]))
    @rule(data=st.data(), hidden_s=st.sampled_from([0, 12]))
    def change(self, data: st.DataObject, hidden_s: int) -> None:
        one = data.draw(st.sampled_from([each for each in self.kept[True] if each.handle]))
        self.bench.client.change_message_visibility(
            QueueUrl=self.urls[True], ReceiptHandle=one.handle, VisibilityTimeout=hidden_s
        )
        one.visible_s = self.now + hidden_s

    @rule(seconds=st.sampled_from([1.0, 6.0, 31.0, 300.0]))
    def wait(self, seconds: float) -> None:
        self.bench.run(seconds)
        for fifo, kept in self.kept.items():
            # In flight a message is kept until it comes back.
            self.kept[fifo] = [
                each
                for each in kept
                if each.sent_s + RETENTION_S > self.now
                or (each.handle and each.visible_s > self.now)
            ]

    @invariant()
    def counted(self) -> None:
        for fifo, kept in self.kept.items():
            visible, in_flight, delayed = self.bench.counts(self.urls[fifo])
            hidden = [each for each in kept if each.visible_s > self.now]
            assert visible == len(kept) - len(hidden)
            assert in_flight == sum(bool(each.handle) for each in hidden)
            assert delayed == sum(not each.handle for each in hidden)

    def teardown(self) -> None:
        self.folder.cleanup()


Queues.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestQueues = Queues.TestCase
