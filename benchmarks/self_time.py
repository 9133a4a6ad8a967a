"""Adds up the processor time of chosen functions, each without the others that it calls.

Used by `hops` in the engine's process and by `timed_worker` in the functions'. Functions are
wrapped where they are looked up; each thread has its own stack, and time is the thread's own
processor time, so that waiting costs nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any


class SelfTime:
    """Times by name, in seconds of the threads that did the work."""

    def __init__(self) -> None:
        self.taken_s: dict[str, float] = {}
        self._here = threading.local()
        self._lock = threading.Lock()

    def wrap(self, owner: Any, attribute: str, name: str | Callable[..., str]) -> None:
        """Time a function or method from now on; ``name`` may be made of its arguments."""
        original = getattr(owner, attribute)

        def timed(*args: Any, **kwargs: Any) -> Any:
            inner = self._here.__dict__.setdefault("inner", [])
            inner.append(0.0)
            began = time.thread_time()
            try:
                return original(*args, **kwargs)
            finally:
                took_s = time.thread_time() - began
                own_s = took_s - inner.pop()
                if inner:
                    inner[-1] += took_s
                label = name if isinstance(name, str) else name(*args, **kwargs)
                with self._lock:
                    self.taken_s[label] = self.taken_s.get(label, 0.0) + own_s

        setattr(owner, attribute, timed)
