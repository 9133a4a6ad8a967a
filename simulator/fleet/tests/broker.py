"""A small MQTT 3.1.1 broker on loopback for the tests: CONNECT, PUBLISH with QoS 1, PING."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass, field


@dataclass
class Received:
    """One PUBLISH as it came."""

    client_id: str
    topic: str
    payload: bytes
    dup: bool


@dataclass
class LoopbackBroker:
    """Takes what clients publish; ``drop_after`` closes each client's first connection then.

    ``refuse``: the code of CONNACK (5: not authorised). ``context`` makes it speak TLS.
    """

    drop_after: int | None = None
    refuse: int = 0
    context: ssl.SSLContext | None = None
    received: list[Received] = field(default_factory=list)
    peers: set[str] = field(default_factory=set)

    def __enter__(self) -> LoopbackBroker:
        self._dropped: set[str] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for found in self._open:
            with contextlib.suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)
            found.close()
        for thread in self._threads:
            thread.join(5.0)

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                raw, peer = self._server.accept()
            except OSError:
                return
            self.peers.add(peer[0])
            self._open.append(raw)
            self._start(self._serve, raw)

    def _serve(self, raw: socket.socket) -> None:
        found = raw
        if self.context is not None:
            found = self.context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
            try:
                found.do_handshake()
            except (OSError, ssl.SSLError):
                found.close()
                return
        self._open.append(found)
        with contextlib.suppress(OSError, ValueError, EOFError), found:
            self._talk(found)

    def _talk(self, found: socket.socket) -> None:
        client_id, publishes = "", 0
        while True:
            head = _exactly(found, 1)[0]
            body = _exactly(found, _length(found))
            kind = head >> 4
            if kind == 1:
                size = int.from_bytes(body[10:12], "big")
                client_id = body[12 : 12 + size].decode()
                found.sendall(bytes([0x20, 2, 0, self.refuse]))
                if self.refuse:
                    return
            elif kind == 3:
                publishes += 1
                size = int.from_bytes(body[:2], "big")
                topic, rest = body[2 : 2 + size].decode(), body[2 + size :]
                with self._lock:
                    self.received.append(Received(client_id, topic, rest[2:], bool(head & 0x08)))
                    first = client_id not in self._dropped
                    if self.drop_after is not None and first and publishes > self.drop_after:
                        self._dropped.add(client_id)
                        return
                found.sendall(bytes([0x40, 2]) + rest[:2])
            elif kind == 12:
                found.sendall(bytes([0xD0, 0]))
            elif kind == 14:
                return


def _exactly(found: socket.socket, count: int) -> bytes:
    body = b""
    while len(body) < count:
        more = found.recv(count - len(body))
        if not more:
            raise EOFError
        body += more
    return body


def _length(found: socket.socket) -> int:
    """Return the remaining length (MQTT 3.1.1, section 2.2.3)."""
    value, shift = 0, 0
    while True:
        byte = _exactly(found, 1)[0]
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value
        shift += 7
