"""Generated workflows: trees of tasks that fail so many times, in branches and iterations."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

from hypothesis import strategies as st

from simulator.cloud.operations import Call
from simulator.cloud.tests.workflow_bench import THROTTLED, Bench, machine, task


class Flaky:
    """Publish fails as often as its message says, then succeeds."""

    def __init__(self, bench: Bench, failures: dict[str, int]) -> None:
        self.left = dict(failures)
        self.calls: Counter[str] = Counter()
        bench.program["Publish"] = self.publish

    def publish(self, call: Call) -> Any:
        """Answer one call."""
        label = call.params["Message"]
        self.calls[label] += 1
        self.left[label] -= 1
        return THROTTLED if self.left[label] >= 0 else {"MessageId": label}


LEAF = st.integers(0, 2)
TREES = st.recursive(
    LEAF,
    lambda inner: st.tuples(
        st.sampled_from(["chain", "parallel", "map"]), st.lists(inner, min_size=1, max_size=3)
    ),
    max_leaves=6,
)


class Grown:
    """A definition made of a tree, and how often each of its tasks fails."""

    def __init__(self, tree: Any) -> None:
        self.failures: dict[str, int] = {}
        self._names = itertools.count()
        self.definition = self._machine([tree])

    def _machine(self, trees: list[Any]) -> dict[str, Any]:
        states: dict[str, Any] = {f"S{next(self._names)}": self._state(tree) for tree in trees}
        names = list(states)
        for name, following in itertools.pairwise(names):
            states[name]["Next"] = following
        states[names[-1]]["End"] = True
        return machine(**states)

    def _state(self, tree: Any) -> dict[str, Any]:
        if isinstance(tree, int):
            label = f"t{len(self.failures)}"
            self.failures[label] = tree
            return self._task(label)
        kind, inner = tree
        if kind == "map":
            # The items are messages, so that each iteration has its own number of failures.
            labels = [f"i{len(self.failures) + number}" for number in range(len(inner))]
            self.failures |= {
                label: min(2, _size(one)) for label, one in zip(labels, inner, strict=True)
            }
            return self._items(labels)
        if kind == "parallel":
            branches = [self._machine([one]) for one in inner]
            return {"Type": "Parallel", "Branches": branches, "ResultPath": None}
        return {"Type": "Parallel", "Branches": [self._machine(inner)], "ResultPath": None}

    def _items(self, labels: list[str]) -> dict[str, Any]:
        """Return a branch with a map over the labels; the names of its states are its own."""
        number = next(self._names)
        items = "States.Array(" + ", ".join(f"'{label}'" for label in labels) + ")"
        each = machine(**{f"Send{number}": {**self._task("$"), "End": True}})
        named = {"Type": "Pass", "Parameters": {"all.$": items}, "Next": f"Each{number}"}
        mapped: dict[str, Any] = {
            "Type": "Map",
            "ItemsPath": "$.all",
            "ItemProcessor": each,
            "End": True,
        }
        inner = machine(**{f"Name{number}": named, f"Each{number}": mapped})
        return {"Type": "Parallel", "Branches": [inner], "ResultPath": None}

    @staticmethod
    def _task(label: str) -> dict[str, Any]:
        key = "Message.$" if label == "$" else "Message"
        state = task(Parameters={key: label, "TopicArn": "t"}, ResultPath=None)
        del state["End"]
        return state


def _size(tree: Any) -> int:
    return tree if isinstance(tree, int) else len(tree[1])
