"""A queue on the run's clock: what is in it, what of it is hidden, and until when.

A message is ready, or hidden until a time: because it was received, or because it was sent with a
delay. Nothing happens by itself: each look at the queue first shows what has become visible by
then. Order, groups, redrive, retention: SQS developer guide. Used by `simulator.cloud.sqs`.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import simpy

from simulator.cloud.sqs_attributes import redrive_of
from simulator.cloud.sqs_errors import plain

MOST_IN_FLIGHT = 120_000
"""Received and not deleted (quotas of SQS)."""

DEDUPLICATION_S = 300.0
LONGEST_HIDDEN_S = 43_200.0


@dataclass(slots=True, eq=False)
class Message:
    """A message in a queue. Times are on the run's clock; ``sent_ms`` is since 1970."""

    id: str
    body: str
    body_md5: str
    attributes: dict[str, Any]
    system: dict[str, str]
    sent_ms: int
    sent_s: float
    number: int = 0
    """Its place in the queue."""
    receives: int = 0
    first_received_ms: int = 0
    received_s: float = 0.0
    handle: str = ""
    """The receipt handle that was given out last."""
    visible_s: float = 0.0
    hidden: bool = False
    in_flight: bool = False

    @property
    def group(self) -> str | None:
        """Return its group, if it has one."""
        return self.system.get("MessageGroupId")


@dataclass(slots=True)
class Counts:
    """How many messages can be received, are in flight, or are delayed."""

    visible: int = 0
    in_flight: int = 0
    delayed: int = 0


@dataclass(eq=False)
class Queue:
    """One queue. ``find`` looks another one up by its ARN, ``on_add`` is told of each message."""

    env: simpy.Environment
    name: str
    arn: str
    attributes: dict[str, str]
    tags: dict[str, str]
    created_s: int
    find: Callable[[str], Queue | None]
    on_add: Callable[[Queue], None]
    modified_s: int = 0
    purged_s: float = float("-inf")
    deleted: bool = False
    messages: dict[str, Message] = field(default_factory=dict)
    sampled: bool = False
    """Whether somebody counts it each minute, for metrics."""

    def __post_init__(self) -> None:
        self._ready: list[tuple[int, int, Message]] = []
        self._hidden: list[tuple[float, int, int, Message]] = []
        self._ticks = itertools.count()
        self._numbers = itertools.count(1)
        self._locked: Counter[str] = Counter()
        self._in_flight = self._hidden_now = 0
        self._by_age: list[tuple[float, int, Message]] = []
        """All messages, the oldest first, and some that are gone."""
        self._sent_lately: dict[tuple[str, str], tuple[float, Message]] = {}
        self._arrived = self.env.event()

    @property
    def is_fifo(self) -> bool:
        """Return whether it keeps order and refuses duplicates."""
        return "FifoQueue" in self.attributes

    def number(self, attribute: str) -> int:
        """Return an attribute that is a number."""
        return int(self.attributes[attribute])

    # -- sending

    def duplicate_of(self, group: str, deduplication_id: str) -> Message | None:
        """Return the message that had the id within five minutes, also if it is gone."""
        found = self._sent_lately.get(self._key(group, deduplication_id))
        if found is None or found[0] + DEDUPLICATION_S <= self.env.now:
            return None
        return found[1]

    def _key(self, group: str, deduplication_id: str) -> tuple[str, str]:
        by_group = self.attributes.get("DeduplicationScope") == "messageGroup"
        return (group if by_group else "", deduplication_id)

    def add(self, message: Message, delay_s: float = 0.0) -> None:
        """Take a message, which can be received after a delay."""
        message.number = next(self._numbers)
        self.messages[message.id] = message
        heapq.heappush(self._by_age, (message.sent_s, next(self._ticks), message))
        if self.is_fifo and "MessageDeduplicationId" in message.system:
            key = self._key(message.group or "", message.system["MessageDeduplicationId"])
            self._sent_lately[key] = self.env.now, message
        if delay_s > 0.0:
            self._hide(message, self.env.now + delay_s)
        else:
            self._show(message)
        self.on_add(self)

    # -- receiving

    def take(
        self, most: int, hidden_s: float, handle_of: Callable[[Message], str]
    ) -> list[Message]:
        """Return up to ``most`` messages and hide them; too often received ones go elsewhere.

        Raises OverLimit when as many as possible are in flight; a FIFO queue gives nothing then.
        """
        self.settle()
        if self._in_flight >= MOST_IN_FLIGHT:
            if self.is_fifo:
                return []
            raise plain("OverLimit", f"Too many messages in flight: {MOST_IN_FLIGHT}.")
        most = min(most, MOST_IN_FLIGHT - self._in_flight)
        dead, limit = self._redrive()
        # A group whose messages are in flight gives none; those of this batch may be together.
        locked = frozenset(self._locked) if self.is_fifo else frozenset()
        found: list[Message] = []
        aside = []
        now = self.env.now
        while self._ready and len(found) < most:
            entry = heapq.heappop(self._ready)
            message = entry[2]
            if self.messages.get(message.id) is not message or message.hidden:
                continue
            if self._expired(message):
                self.remove(message)
            elif message.group in locked:
                aside.append(entry)
            elif dead is not None and message.receives >= limit:
                self._bury(message, dead)
            else:
                message.receives += 1
                message.received_s = now
                self._launch(message)
                message.handle = handle_of(message)
                self._hide(message, now + hidden_s)
                found.append(message)
        for entry in aside:
            heapq.heappush(self._ready, entry)
        return found

    def arrival(self) -> simpy.Event:
        """Return an event that succeeds when something can be received that could not."""
        return self._arrived

    def next_s(self) -> float:
        """Return when the next hidden message becomes visible, on the run's clock."""
        return self._hidden[0][0] if self._hidden else float("inf")

    def settle(self) -> None:
        """Show what has become visible by now."""
        now = self.env.now
        while self._hidden and self._hidden[0][0] <= now:
            at_s, _, _, message = heapq.heappop(self._hidden)
            if message.hidden and message.visible_s == at_s and self._has(message):
                self._show(message)

    def change(self, message: Message, hidden_s: float) -> None:
        """Hide a message until so long from now; with 0 it can be received at once."""
        self.settle()
        if hidden_s > 0.0:
            self._launch(message)
            self._hide(message, self.env.now + hidden_s)
        elif message.hidden:
            self._show(message)

    def remove(self, message: Message) -> None:
        """Delete a message."""
        if self._has(message):
            del self.messages[message.id]
            self._hidden_now -= message.hidden
            message.hidden = False  # It may go to another queue.
            self._land(message)
            self._wake()

    def clear(self) -> None:
        """Delete all messages."""
        self.messages.clear()
        self._ready.clear()
        self._hidden.clear()
        self._locked.clear()
        self._by_age.clear()
        self._in_flight = self._hidden_now = 0

    def counts(self) -> Counts:
        """Count the messages, without those whose time is over."""
        self.settle()
        self._expire()
        return Counts(
            visible=len(self.messages) - self._hidden_now,
            in_flight=self._in_flight,
            delayed=self._hidden_now - self._in_flight,
        )

    def oldest_s(self) -> float:
        """Return the age of the oldest message, in seconds; 0 of none."""
        while self._by_age and not self._is_here(self._by_age[0]):
            heapq.heappop(self._by_age)
        return self.env.now - self._by_age[0][0] if self._by_age else 0.0

    def _expire(self) -> None:
        """Delete the messages whose time is over; what is in flight may still be deleted by hand.

        Each is looked at once, not each minute: a queue that nobody reads may hold thousands.
        """
        flying = []
        while self._by_age:
            entry = self._by_age[0]
            if not self._is_here(entry):
                heapq.heappop(self._by_age)
            elif not self._expired(entry[2]):
                break
            elif entry[2].in_flight:
                flying.append(heapq.heappop(self._by_age))
            else:
                self.remove(entry[2])
        for entry in flying:
            heapq.heappush(self._by_age, entry)

    # -- inside

    def _has(self, message: Message) -> bool:
        return self.messages.get(message.id) is message

    def _is_here(self, entry: tuple[float, int, Message]) -> bool:
        """Tell whether a message is in the queue, and was not sent anew since it was noted."""
        return self._has(entry[2]) and entry[2].sent_s == entry[0]

    def _expired(self, message: Message) -> bool:
        return message.sent_s + self.number("MessageRetentionPeriod") <= self.env.now

    def _hide(self, message: Message, until_s: float) -> None:
        self._hidden_now += not message.hidden
        message.hidden, message.visible_s = True, until_s
        entry = until_s, message.number, next(self._ticks), message
        heapq.heappush(self._hidden, entry)

    def _show(self, message: Message) -> None:
        self._hidden_now -= message.hidden
        message.hidden = False
        self._land(message)
        heapq.heappush(self._ready, (message.number, next(self._ticks), message))
        self._wake()

    def _launch(self, message: Message) -> None:
        """Have a message be in flight; its group gives no others."""
        if message.in_flight:
            return
        message.in_flight = True
        self._in_flight += 1
        if self.is_fifo and message.group is not None:
            self._locked[message.group] += 1

    def _land(self, message: Message) -> None:
        """Take a message out of flight; its group is free with the last one."""
        if not message.in_flight:
            return
        message.in_flight = False
        self._in_flight -= 1
        group = message.group
        if self.is_fifo and group is not None:
            self._locked[group] -= 1
            if not self._locked[group]:
                del self._locked[group]

    def _wake(self) -> None:
        if self._arrived.callbacks:
            arrived, self._arrived = self._arrived, self.env.event()
            arrived.succeed()

    def _redrive(self) -> tuple[Queue | None, int]:
        policy = self.attributes.get("RedrivePolicy")
        if not policy:
            return None, 0
        arn, most = redrive_of(policy)
        return self.find(arn), most

    def _bury(self, message: Message, dead: Queue) -> None:
        """Put a message on the dead-letter queue, as old as it is (FIFO: new)."""
        self.remove(message)
        message.system["DeadLetterQueueSourceArn"] = self.arn
        message.receives = 0
        if dead.is_fifo:
            message.sent_s = self.env.now
        dead.add(message)
