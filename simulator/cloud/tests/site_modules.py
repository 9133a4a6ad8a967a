"""The modules that child processes find beside `sitecustomize`, for their tests."""

from __future__ import annotations

import importlib.util
from types import ModuleType

from simulator.cloud.processes import RUNTIME


def load(name: str) -> ModuleType:
    """Return a module as a child process finds it: by its file, outside any package."""
    spec = importlib.util.spec_from_file_location(name, RUNTIME / "site" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
