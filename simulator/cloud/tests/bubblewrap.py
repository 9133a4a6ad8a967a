"""The mark of tests that need bubblewrap; where it is missing they are skipped and say why."""

from __future__ import annotations

import pytest

from simulator.cloud.isolation import Bubblewrap
from simulator.errors import EnvironmentMissing


def _why_not() -> str:
    try:
        Bubblewrap()
    except EnvironmentMissing as missing:
        return str(missing)
    return ""


WHY_NOT = _why_not()
needs_bubblewrap = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "it works here")
