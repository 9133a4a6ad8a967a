"""What roles asked for while the acceptance tests ran: made here, and read by the tests of roles.

A twin leaves what `Iam.authorise` was asked in `iam/usage.json`. To record anew, run the tests in
`RECORDED` with pytest's --basetemp, then

    python -m simulator.tests.recorded_calls FOLDER

Of all calls that the same statements allow one is kept, from the first test that made it: enough
to tell what happens without a statement, few enough to be reviewed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from simulator.cloud import iam_usage
from simulator.cloud.iam import Observed

GOLDEN = Path(__file__).parent / "golden" / "permitted_calls.json"
RECORDED = (
    ("once-tiny/*/sources", "test_run.py"),
    ("promotion", "test_promotion.py"),
    ("wearing", "test_batch_path.py"),
    ("batch-scoring", "test_batch_scoring.py"),
    ("bad-messages", "test_bad_messages.py"),
    ("test_an_execution_that_is_stop", "test_workflow_alerts.py"),
    ("seldom-paths", "test_seldom_paths.py"),
    ("once-tiny/*/archives", "test_built_assets.py"),
)
"""(folder of the twin below --basetemp, file of the tests that make it), in order."""


@dataclass(frozen=True, order=True)
class RecordedCall:
    """One call that a role's statements allowed; ``test`` made it, in a workflow at ``step``."""

    role: str
    action: str
    resource: str
    context: dict[str, Any]
    test: str
    step: str = ""


def golden() -> list[RecordedCall]:
    """Return the committed calls."""
    return [RecordedCall(**each) for each in json.loads(GOLDEN.read_text("utf-8"))]


def recorded(folder: Path) -> Iterator[RecordedCall]:
    """Yield the calls of every run below ``folder``, one for the same statements."""
    seen: set[tuple[str, str, tuple[str, ...]]] = set()
    for name, test in RECORDED:
        for state in sorted(path.parents[1] for path in folder.glob(f"{name}*/**/iam/usage.json")):
            grants = list(iam_usage.grants_of(iam_usage.history(state)))
            made = iam_usage.observed(state)
            for asked in sorted(made, key=_shortest_first):
                sids = tuple(grant.sid for grant in grants if iam_usage.covers(grant, asked))
                key = (asked.role_arn, asked.action, sids)
                if sids and key not in seen:
                    seen.add(key)
                    role = asked.role_arn.rpartition("/")[2]
                    context = dict(asked.context)
                    step = made[asked]
                    yield RecordedCall(role, asked.action, asked.resource, context, test, step)


def _shortest_first(asked: Observed) -> tuple[int, str]:
    return len(asked.resource), repr(asked)


if __name__ == "__main__":
    found = sorted(recorded(Path(sys.argv[1])), key=repr)
    lines = ",\n".join(json.dumps(asdict(each)) for each in found)
    GOLDEN.write_text(f"[\n{lines}\n]\n", "utf-8")
    print(f"{len(found)} calls")
