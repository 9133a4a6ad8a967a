"""A file system of Hadoop's for files that stand for objects: it sets no permissions.

S3 has none. Hadoop's own for local files sets them on whatever it creates, and without Hadoop's
native library it starts ``chmod`` for that: a process a file and a folder. There is no setting for
it, so a subclass is made here that leaves it out, as the bytes of a class file (Java Virtual
Machine Specification, chapter 4) that the running JVM is given; a compiler is not at hand. Used by
`spark_host`; imports nothing of the project.
"""

from __future__ import annotations

import struct
from typing import Any

PARENT = "org/apache/hadoop/fs/RawLocalFileSystem"
NAME = "org/apache/hadoop/fs/FleetwinObjectFiles"
_SET_PERMISSION = "(Lorg/apache/hadoop/fs/Path;Lorg/apache/hadoop/fs/permission/FsPermission;)V"

_JAVA_8 = 52
_PUBLIC, _SUPER = 0x0001, 0x0020
_ALOAD_0, _INVOKESPECIAL, _RETURN = b"\x2a", b"\xb7", b"\xb1"


class _Constants:
    """The constant pool of a class file; numbers begin at 1."""

    def __init__(self) -> None:
        self._entries: list[bytes] = []

    def text(self, value: str) -> int:
        encoded = value.encode()
        return self._add(b"\x01" + struct.pack(">H", len(encoded)) + encoded)

    def class_of(self, name: str) -> int:
        return self._add(b"\x07" + struct.pack(">H", self.text(name)))

    def method(self, owner: int, name: int, kind: int) -> int:
        called = self._add(b"\x0c" + struct.pack(">HH", name, kind))
        return self._add(b"\x0a" + struct.pack(">HH", owner, called))

    def to_bytes(self) -> bytes:
        return struct.pack(">H", len(self._entries) + 1) + b"".join(self._entries)

    def _add(self, entry: bytes) -> int:
        self._entries.append(entry)
        return len(self._entries)


def class_file() -> bytes:
    """Return the class: a constructor that calls its parent's, `setPermission` that returns."""
    constants = _Constants()
    this, parent = constants.class_of(NAME), constants.class_of(PARENT)
    init, no_arguments = constants.text("<init>"), constants.text("()V")
    code = constants.text("Code")
    construct = (
        _ALOAD_0 + _INVOKESPECIAL + struct.pack(">H", constants.method(parent, init, no_arguments))
    )
    methods = [
        _method(init, no_arguments, code, construct + _RETURN, stack=1, local=1),
        _method(
            constants.text("setPermission"),
            constants.text(_SET_PERMISSION),
            code,
            _RETURN,
            stack=0,
            local=3,
        ),
    ]
    head = struct.pack(">IHH", 0xCAFEBABE, 0, _JAVA_8) + constants.to_bytes()
    no_interfaces_no_fields = struct.pack(">HH", 0, 0)
    described = struct.pack(">HHH", _PUBLIC | _SUPER, this, parent) + no_interfaces_no_fields
    no_attributes = struct.pack(">H", 0)
    return head + described + struct.pack(">H", len(methods)) + b"".join(methods) + no_attributes


def _method(name: int, kind: int, code: int, body: bytes, *, stack: int, local: int) -> bytes:
    """Return a public method with one attribute, its code, which catches nothing."""
    attribute = struct.pack(">HHI", stack, local, len(body)) + body + struct.pack(">HH", 0, 0)
    return (
        struct.pack(">HHHH", _PUBLIC, name, kind, 1)
        + struct.pack(">HI", code, len(attribute))
        + attribute
    )


def use(jvm: Any, configuration: Any) -> None:
    """Define the class in a JVM and have Hadoop use it for local files from now on."""
    handles = jvm.java.lang.invoke.MethodHandles
    beside = jvm.java.lang.Class.forName(PARENT.replace("/", "."))
    handles.privateLookupIn(beside, handles.lookup()).defineClass(bytearray(class_file()))
    configuration.set("fs.file.impl", NAME.replace("/", "."))
