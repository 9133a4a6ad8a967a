"""Java's names in Spark's driver, each asked for once.

PySpark reaches ``jvm.org.apache.hadoop.fs.Path`` name by name, and to learn that ``org`` is a
package and no class, the JVM looks for it in each of Spark's 250 jars: each time anew. Which
classes there are does not change, and neither does which methods a class has; values of static
fields do, and are not kept. Used by `spark_host`; imports nothing of the project.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from py4j.java_gateway import (  # type: ignore[import-untyped]
    JavaClass,
    JavaMember,
    JavaPackage,
    JVMView,
)


def keep() -> None:
    """Have py4j keep the names that it has found, for the rest of the process."""
    for kind in (JVMView, JavaPackage, JavaClass):
        setattr(kind, "__getattr__", _keeping(kind.__getattr__))  # noqa: B010


def _keeping(find: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    def find_once(owner: Any, name: str) -> Any:
        found = find(owner, name)
        if _stays(found, name):
            owner.__dict__[name] = found  # Python looks there before it asks __getattr__.
        return found

    return find_once


def _stays(found: Any, name: str) -> bool:
    """Tell whether a name means the same later.

    What is no class yet may be imported to be one (`java_import`); a package's name, in lower
    case by convention, not.
    """
    return isinstance(found, (JavaClass, JavaMember)) or (
        isinstance(found, JavaPackage) and name.islower()
    )
