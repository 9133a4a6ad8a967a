"""Names of the JVM in Spark's driver: asked for once, but what may change is asked for again."""

from __future__ import annotations

import sys
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

from simulator.cloud.processes import RUNTIME

java_gateway = pytest.importorskip("py4j.java_gateway")


class Jvm:
    """Answers as the other end of py4j does, and notes the questions."""

    converters: tuple[Any, ...] = ()
    gateway_property = SimpleNamespace(pool=None)

    def __init__(self, answers: dict[str, str]) -> None:
        self.asked: list[str] = []
        self._answers = answers

    def send_command(self, command: str) -> str:
        """Answer by the name that is asked for."""
        words = command.split("\n")
        name = f"{words[2]}.{words[3]}" if words[1] == "m" else words[2]
        self.asked.append(name)
        return self._answers[name]


@pytest.fixture
def view(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the names of a JVM with a package, a class, a method and a field, kept."""
    for kind in (java_gateway.JVMView, java_gateway.JavaPackage, java_gateway.JavaClass):
        monkeypatch.setattr(kind, "__getattr__", kind.__getattr__)
    monkeypatch.setattr(sys, "path", [str(RUNTIME / "site"), *sys.path])
    import_module("fleetwin_java_names").keep()
    answers = {
        "org": "yp",
        "org.Path": "ycorg.Path",
        "org.Path.of": "ym",
        "org.Path.depth": "yi7",
        "Later": "yp",
    }
    return java_gateway.JVMView(Jvm(answers), "jvm", "j")


def test_a_class_and_its_method_are_looked_for_once(view: Any) -> None:
    found = [view.org.Path for _ in range(3)]
    members = [path.of for path in found]
    assert view._gateway_client.asked == ["org", "org.Path", "org.Path.of"]
    assert found[0]._fqn == "org.Path"
    assert members[0].command_header == "z:org.Path\nof\n"


def test_the_value_of_a_static_field_is_asked_for_each_time(view: Any) -> None:
    assert [view.org.Path.depth for _ in range(2)] == [7, 7]
    assert view._gateway_client.asked.count("org.Path.depth") == 2


def test_what_may_still_be_imported_as_a_class_is_asked_for_each_time(view: Any) -> None:
    assert [type(view.Later) for _ in range(2)] == [java_gateway.JavaPackage] * 2
    assert view._gateway_client.asked == ["Later", "Later"]
