"""One instance of a transform job asked about its share of the files, several requests at once.

Used by `transform_runs`. A request that fails is sent again; one that goes on failing fails its
file and no other. Source: SageMaker developer guide, "Troubleshooting" of batch transform.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import simpy

from simulator.cloud.endpoint_server import CHUNKED, Reply
from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Params
from simulator.cloud.sagemaker_fleets import Instance
from simulator.cloud.transform_association import Association, association
from simulator.cloud.transform_records import (
    BadRecord,
    Parameters,
    assembled,
    batches,
    payload,
    records,
)

REQUEST_S, REQUEST_BYTES_PER_S = 0.05, 20e6
"""Modelled time of a request: a constant, and its body at this rate."""
RETRIES, TIMEOUT_S = 3, 600
"""Defaults of ModelClientConfig (API reference)."""
MESSAGE_LINES = 20


@dataclass
class InputFile:
    """One object of the input; ``results`` are what is kept of the answers, by request."""

    key: str
    relative: str
    path: Path
    results: dict[int, list[bytes]] = field(default_factory=dict)
    failure: str = ""

    def output(self, assemble: str) -> bytes:
        """Return the file's results in the order of its records."""
        return assembled(
            [each for _, kept in sorted(self.results.items()) for each in kept], assemble
        )


@dataclass(frozen=True)
class Part:
    """What one request asks about: whole records, and what of them the container is sent."""

    file: InputFile
    number: int
    whole: Sequence[bytes]
    body: bytes


class Requests:
    """The requests to one instance. ``params`` are CreateTransformJob's, ``say`` its data log."""

    def __init__(
        self,
        env: simpy.Environment,
        params: Params,
        settings: Parameters,
        instance: Instance,
        stop: simpy.Event,
        say: Callable[[str], None],
    ) -> None:
        self._env = env
        self._params = params
        self._settings = settings
        self._instance = instance
        self._stop = stop
        self._say = say
        self._association: Association = association(params)

    def of(self, files: Sequence[InputFile]) -> list[simpy.Process]:
        """Start asking about some files; return what ends when nothing is left or to be stopped."""
        parts = self._parts(files)
        return [self._env.process(self._work(parts)) for _ in range(self._settings.at_once)]

    def _work(self, parts: Iterator[Part]) -> Generator[simpy.Event, Any, None]:
        while not self._stop.triggered and (part := next(parts, None)) is not None:
            reply = yield from self._answered(part)
            if self._stop.triggered:
                return
            try:
                self._keep(part, reply)
            except BadRecord as bad:
                self._fail(part.file, str(bad))
            pause = self._env.timeout(REQUEST_S + len(part.body) / REQUEST_BYTES_PER_S)
            yield pause | self._stop

    def _parts(self, files: Sequence[InputFile]) -> Iterator[Part]:
        """Yield the requests of all files, in order; a file that has failed has no more."""
        split = self._params["TransformInput"].get("SplitType", "None")
        for file in files:
            try:
                found = records(self._read(file), split)
                sent = [self._association.to_model(record) for record in found]
                first = 0
                for number, batch in enumerate(
                    batches(sent, self._settings, whole=split == "None")
                ):
                    if file.failure:
                        break
                    whole = found[first : first + len(batch)]
                    yield Part(file, number, whole, payload(batch))
                    first += len(batch)
            except BadRecord as bad:
                self._fail(file, str(bad))

    def _read(self, file: InputFile) -> bytes:
        body = file.path.read_bytes()
        if self._params["TransformInput"].get("CompressionType", "None") == "None":
            return body
        try:
            return gzip.decompress(body)
        except (OSError, EOFError, zlib.error) as error:
            raise BadRecord(f"ClientError: Unable to decompress: {error}") from error

    def _headers(self) -> Mapping[str, str]:
        source, target = self._params["TransformInput"], self._params["TransformOutput"]
        named = {"Content-Type": source.get("ContentType"), "Accept": target.get("Accept")}
        chunked = {} if self._settings.payload_mb else CHUNKED
        return {name: text for name, text in named.items() if text} | chunked

    def _answered(self, part: Part) -> Generator[simpy.Event, Any, Reply]:
        """Return the answer to a request, sent again while it fails and may yet succeed."""
        config = self._params.get("ModelClientConfig", {})
        tries = 1 + config.get("InvocationsMaxRetries", RETRIES)
        reply = Reply(0, b"", {})
        for _ in range(tries):
            try:
                reply = yield from self._instance.ask(part.body, self._headers())
            except AwsError:  # It died and did not come up again.
                reply = Reply(0, b"", {})
            if self._stop.triggered or (0 < reply.status < 500 and reply.status != 429):
                break
        return reply

    def _keep(self, part: Part, reply: Reply) -> None:
        if reply.status == 0:
            raise BadRecord("Unable to get response from algorithm")
        text = reply.body.decode("utf-8", "replace")
        message = "\n".join(["", "Message:", *text.splitlines()[:MESSAGE_LINES]])
        if 400 <= reply.status < 500:
            raise BadRecord(f"ClientError: {reply.status}\n{message}")
        if not 200 <= reply.status < 300:
            raise BadRecord(f"Bad HTTP status received from algorithm: {reply.status}\n{message}")
        part.file.results[part.number] = self._association.results(part.whole, reply.body)

    def _fail(self, file: InputFile, words: str) -> None:
        """Fail a file: it will have no output; the first reason counts."""
        if not file.failure:
            file.failure = words
            file.results.clear()
        for line in words.split("\n"):
            self._say(f"{file.key}: {line}")
