"""Real MQTT: publishes a fleet's messages to a broker, or to AWS IoT Core, with QoS 1.

One connection for each device, its id the client's (IoT Core allows one connection a client id),
all served by one thread. A message counts as acknowledged with its PUBACK; what was under way when
a connection broke is sent again with the DUP flag after the client has come back. The protocol is
paho's; pace, back-off and counts are here. Time is the wall clock's: this output is real.
"""

from __future__ import annotations

import random
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessageInfo, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from simulator.errors import SimulatorError

PUBLISHES_PER_S = 100.0
BYTES_PER_S = 512 * 1024
"""IoT Core discards or delays what one connection sends beyond (service quotas)."""

IN_FLIGHT = 20
"""Publishes of one connection that wait for their acknowledgement."""

IOT_ALPN = "x-amzn-mqtt-ca"
"""How IoT Core tells MQTT with client certificates from HTTPS on port 443."""

BACKOFF_FIRST_S, BACKOFF_MOST_S = 1.0, 128.0
KEEP_ALIVE_S = 60


class MqttError(SimulatorError):
    """The broker cannot be used; the message has cause and cure."""


@dataclass(frozen=True)
class Broker:
    """Where to publish. ``cert`` and ``key`` are the client's, ``ca`` signs the broker's."""

    host: str
    port: int
    tls: bool
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @classmethod
    def parse(
        cls,
        url: str,
        ca: Path | None = None,
        cert: Path | None = None,
        key: Path | None = None,
    ) -> Broker:
        """Return the broker of ``mqtt://host:port`` or ``mqtts://host:port``; raises MqttError."""
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            raise MqttError(f"{url}: the port is no number; write mqtts://HOST:8883") from None
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise MqttError(f"{url}: not a broker; write mqtt://HOST:1883 or mqtts://HOST:8883")
        tls = parts.scheme == "mqtts"
        if not tls and (ca or cert or key):
            raise MqttError(f"{url}: certificates need TLS; write mqtts://")
        if bool(cert) != bool(key):
            raise MqttError(f"{url}: a client has a certificate and a key; give --cert and --key")
        for file in (ca, cert, key):
            if file is not None and not file.is_file():
                raise MqttError(
                    f"{file}: no such file; give the PEM file that the broker's CA made"
                )
        return cls(parts.hostname, port or (8883 if tls else 1883), tls, ca, cert, key)

    def context(self) -> ssl.SSLContext | None:
        """Return the TLS settings, None without TLS; raises MqttError for unusable files."""
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
            if self.cert is not None:
                context.load_cert_chain(str(self.cert), str(self.key) if self.key else None)
        except (ssl.SSLError, OSError) as error:
            raise MqttError(
                f"{self.cert or self.ca}: not usable for TLS ({error}); give PEM files whose key "
                "belongs to the certificate"
            ) from None
        if self.port == 443:
            context.set_alpn_protocols([IOT_ALPN])
        return context


@dataclass
class MqttCounts:
    """What became of the messages; ``waiting`` are not yet acknowledged."""

    published: int = 0
    acknowledged: int = 0
    reconnects: int = 0

    @property
    def waiting(self) -> int:
        """Return how many messages have no acknowledgement yet."""
        return self.published - self.acknowledged


@dataclass
class _Link:
    """One device's connection."""

    client: Client
    queue: deque[tuple[str, bytes]] = field(default_factory=deque)
    connected: bool = False
    refused: str = ""
    in_flight: int = 0
    free_s: float = 0.0
    retry_s: float = 0.0
    attempts: int = 0


class MqttPublisher:
    """Publishes for many devices over a connection each.

    ``clock`` and ``jitter`` are for tests: seconds, and a random share of the back-off.
    """

    def __init__(
        self,
        broker: Broker,
        devices: Sequence[str],
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.counts = MqttCounts()
        self._broker = broker
        self._clock = clock
        self._jitter = jitter
        context = broker.context()
        self._links = {device: self._link(device, context) for device in devices}

    def connect(self, within_s: float = 10.0) -> None:
        """Connect every device; raises MqttError when one cannot."""
        for device, link in self._links.items():
            self._dial(device, link)
        until_s = self._clock() + within_s
        while not all(link.connected for link in self._links.values()):
            self._serve(0.05)
            for device, link in self._links.items():
                if link.refused:
                    raise MqttError(self._refusal(device, link.refused))
            if self._clock() > until_s:
                raise MqttError(
                    f"{self._where}: no answer to CONNECT within {within_s:g} s; is it an MQTT "
                    "broker, and does it want TLS (mqtts://)?"
                )

    def publish(self, device: str, topic: str, payload: bytes) -> None:
        """Take a message; `work` sends it when the connection's pace allows."""
        self._links[device].queue.append((topic, payload))
        self.counts.published += 1

    def work(self, for_s: float) -> None:
        """Send, receive and reconnect for a while; raises MqttError for a lasting refusal."""
        until_s = self._clock() + for_s
        while True:
            now_s = self._clock()
            self._send(now_s)
            self._serve(min(0.05, max(0.0, until_s - now_s)))
            self._reconnect(self._clock())
            if self._clock() >= until_s:
                return

    def drain(self, within_s: float) -> bool:
        """Work until everything is acknowledged; tell whether that was in time."""
        until_s = self._clock() + within_s
        while self.counts.waiting and self._clock() < until_s:
            self.work(0.05)
        return not self.counts.waiting

    def close(self) -> None:
        """Say goodbye on every connection and close it."""
        for link in self._links.values():
            link.connected = False
            link.client.on_disconnect = None
            if link.client.socket() is not None:
                link.client.disconnect()
                link.client.loop_write()
            found = link.client.socket()
            if found is not None:
                found.close()

    # -- one connection

    @property
    def _where(self) -> str:
        scheme = "mqtts" if self._broker.tls else "mqtt"
        return f"{scheme}://{self._broker.host}:{self._broker.port}"

    def _link(self, device: str, context: ssl.SSLContext | None) -> _Link:
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=device, protocol=MQTTv311, clean_session=True
        )
        client.max_inflight_messages_set(IN_FLIGHT)
        if context is not None:
            client.tls_set_context(context)
        link = _Link(client)

        def on_connect(
            _client: Client,
            _data: Any,
            _flags: ConnectFlags,
            reason: ReasonCode,
            _properties: Properties | None,
        ) -> None:
            if reason.is_failure:
                link.refused = str(reason)
            else:
                link.connected, link.attempts = True, 0

        def on_disconnect(
            _client: Client,
            _data: Any,
            _flags: DisconnectFlags,
            _reason: ReasonCode,
            _properties: Properties | None,
        ) -> None:
            if link.connected:
                link.connected = False
                self._back_off(link)

        def on_publish(
            _client: Client, _data: Any, _mid: int, _reason: ReasonCode, _properties: Properties
        ) -> None:
            link.in_flight -= 1
            self.counts.acknowledged += 1

        client.on_connect, client.on_disconnect = on_connect, on_disconnect
        client.on_publish = on_publish
        return link

    def _dial(self, device: str, link: _Link) -> None:
        """Open the connection and send CONNECT; raises MqttError with what to do about it."""
        broker = self._broker
        try:
            link.client.connect(broker.host, broker.port, KEEP_ALIVE_S)
        except socket.gaierror:
            raise MqttError(
                f"{self._where}: the name cannot be resolved; check the host of --broker"
            ) from None
        except ConnectionRefusedError:
            raise MqttError(
                f"{self._where}: nothing listens there; start the broker or check the port"
            ) from None
        except ssl.SSLCertVerificationError as error:
            raise MqttError(
                f"{self._where}: its certificate is not trusted ({error.verify_message}); give the "
                "CA that signed it with --ca"
            ) from None
        except ssl.SSLError as error:
            raise MqttError(
                f"{self._where}: TLS failed ({error.reason}); check --cert and --key, and that the "
                "port speaks TLS"
            ) from None
        except OSError as error:
            raise MqttError(
                f"{self._where}: cannot be reached by {device} ({error}); check host and network"
            ) from None

    def _refusal(self, device: str, reason: str) -> str:
        return (
            f"{self._where}: refused {device} ({reason}); its certificate and policy must allow "
            "iot:Connect with this client id"
        )

    def _send(self, now_s: float) -> None:
        for link in self._links.values():
            while link.queue and link.connected and link.in_flight < IN_FLIGHT:
                if link.free_s > now_s:
                    break
                topic, payload = link.queue.popleft()
                info: MQTTMessageInfo = link.client.publish(topic, payload, qos=1)
                if info.rc not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN):
                    link.queue.appendleft((topic, payload))
                    break
                link.in_flight += 1
                spacing_s = max(1.0 / PUBLISHES_PER_S, len(payload) / BYTES_PER_S)
                link.free_s = max(link.free_s, now_s) + spacing_s

    def _serve(self, wait_s: float) -> None:
        """Read and write what is ready on any connection, once."""
        sockets = {
            found: link
            for link in self._links.values()
            if (found := link.client.socket()) is not None
        }
        writing = [found for found, link in sockets.items() if link.client.want_write()]
        # TLS may have decrypted more than was asked for: select knows nothing of it.
        pending = [f for f in sockets if isinstance(f, ssl.SSLSocket) and f.pending()]
        if sockets:
            ready, writable, _ = select.select(
                list(sockets), writing, [], 0.0 if pending else wait_s
            )
        else:
            time.sleep(wait_s)
            return
        for found in {*ready, *pending}:
            sockets[found].client.loop_read()
        for found in writable:
            sockets[found].client.loop_write()
        for link in sockets.values():
            link.client.loop_misc()

    def _back_off(self, link: _Link) -> None:
        """Choose when to dial again: full jitter over a bound that doubles."""
        bound_s = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2.0**link.attempts)
        link.retry_s = self._clock() + bound_s * self._jitter()
        link.attempts += 1

    def _reconnect(self, now_s: float) -> None:
        for device, link in self._links.items():
            if link.connected or link.client.socket() is not None or link.retry_s > now_s:
                continue
            try:
                # paho sends what was under way again, with DUP, once CONNACK is there.
                self._dial(device, link)
                self.counts.reconnects += 1
            except MqttError:
                self._back_off(link)
