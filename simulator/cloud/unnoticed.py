"""Which messages of a slow fleet the broker can be given together, with nobody the wiser.

A message a minute or so costs a batch each: permission, limits, metrics, the books. Where all it
becomes is a record of a stream, stamped with its own arrival, nothing can tell whether it was
written in its own second or with the next ones, until somebody looks: an event on the clock (until
the next of which `Engine.before_moving` asks), a reader that sleeps until so much is written,
and the metrics, which count by the minute.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulator.cloud.engine import Engine
from simulator.cloud.iot import Iot
from simulator.cloud.iot_actions import Publishing
from simulator.cloud.kinesis import Kinesis
from simulator.cloud.metrics import RESOLUTION_S


class Unnoticed:
    """Counts, for messages in order of arrival, how many may be handed over with the last of them.

    They are handed over at the whole second after the last one's arrival, on the run's clock.
    """

    def __init__(self, engine: Engine, iot: Iot, kinesis: Kinesis) -> None:
        self._start_s = engine.start.timestamp()
        self._iot = iot
        self._kinesis = kinesis

    def __call__(self, messages: Sequence[Publishing]) -> int:
        """Return the number; 0 when even the first one has to be alone with its second."""
        records, volume = self._kinesis.lacking()
        minute = self._minute(messages[0].at_s)
        for count, message in enumerate(messages):
            made = self._iot.records_of(message.topic)
            if made is None or self._minute(message.at_s) != minute:
                return count
            records -= made
            # A key is part of what a record counts; it is made of the topic.
            volume -= made * (len(message.payload) + len(message.topic.encode()))
            if records <= 0 or volume <= 0:
                return count + 1
        return len(messages)

    def _minute(self, at_s: float) -> float:
        """Return the minute in which a message that arrives then is counted."""
        return (self._start_s + at_s) // RESOLUTION_S
