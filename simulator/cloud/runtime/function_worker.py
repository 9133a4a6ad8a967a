"""The warm process of one Lambda function: loads its handler once, then answers invocations.

Started by `simulator.cloud.function_workers` as a plain script with two pipes:
``function_worker.py REQUEST_FD ANSWER_FD HANDLER``. A frame is two big-endian lengths,
a JSON head and a body. It knows no service, and nothing of the project may be imported here.
"""

from __future__ import annotations

import gc
import importlib
import io
import json
import logging
import os
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from typing import IO, Any

try:
    import orjson as codec
except ModuleNotFoundError:  # A function that sees only its own archive may be without it.
    codec = None  # type: ignore[assignment]

LENGTHS = struct.Struct(">II")
LONGEST_B = 1 << 28
"""No part of a frame is longer: bytes that are no frame mostly say that they are."""
ONE_FRAME = threading.Lock()
"""Threads of a handler may print while another frame is on its way."""
Head = dict[str, Any]


def loads(text: bytes) -> Any:
    """Return the value of a JSON text."""
    return json.loads(text) if codec is None else codec.loads(text)


def write_frame(pipe: IO[bytes], head: Head, body: bytes = b"") -> None:
    """Send one frame."""
    text = json.dumps(head).encode() if codec is None else codec.dumps(head)
    with ONE_FRAME:
        pipe.write(LENGTHS.pack(len(text), len(body)) + text)
        if body:
            pipe.write(body)
        pipe.flush()


def read_frame(pipe: IO[bytes]) -> tuple[Head, bytes] | None:
    """Receive one frame, in however many pieces it comes; None at the end of the pipe.

    A frame that its writer did not finish is none. Raises ValueError for what is no frame.
    """
    lengths = _read(pipe, LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    head_b, body_b = LENGTHS.unpack(lengths)
    if max(head_b, body_b) > LONGEST_B:
        raise ValueError(f"a frame of {head_b} and {body_b} bytes")
    head, body = _read(pipe, head_b), _read(pipe, body_b)
    if len(head) < head_b or len(body) < body_b:
        return None
    return loads(head), body


def _read(pipe: IO[bytes], length: int) -> bytes:
    """Return so many bytes, fewer only at the end of the pipe, of one without a buffer as well."""
    data = pipe.read(length)
    while len(data) < length and (more := pipe.read(length - len(data))):
        data += more
    return data


class LinesToPipe(io.TextIOBase):
    """Stands for stdout and stderr: whole lines go out as frames.

    They share the pipe of the answers, so that what a handler printed is known before its
    answer is; metrics in those lines then never arrive after the clock moved on.
    """

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._rest = ""

    def writable(self) -> bool:
        """Tell that this is a stream to write to."""
        return True

    def write(self, text: str) -> int:
        """Send the lines that are complete."""
        *lines, self._rest = (self._rest + text).split("\n")
        if lines:
            write_frame(self._pipe, {"lines": lines})
        return len(text)

    def end_line(self) -> None:
        """Send what has no line end yet."""
        if self._rest:
            lines, self._rest = [self._rest], ""
            write_frame(self._pipe, {"lines": lines})


class LambdaContext:
    """What a handler gets as its second argument, with the names that AWS gives."""

    def __init__(self, head: Head) -> None:
        environment = os.environ
        self.aws_request_id: str = head["request_id"]
        self.invoked_function_arn: str = head["arn"]
        self.function_name = environment.get("AWS_LAMBDA_FUNCTION_NAME", "")
        self.function_version = environment.get("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        self.memory_limit_in_mb = environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        self.log_group_name = environment.get("AWS_LAMBDA_LOG_GROUP_NAME", "")
        self.log_stream_name = environment.get("AWS_LAMBDA_LOG_STREAM_NAME", "")
        self.identity = None
        self.client_context = None
        self._timeout_ms = int(head["timeout_s"]) * 1000

    def get_remaining_time_in_millis(self) -> int:
        """Return the whole time-out: the run's clock stands while a handler computes."""
        return self._timeout_ms


class RequestIdFilter(logging.Filter):
    """Adds the running request's id to log records, as Lambda's own handler does."""

    request_id = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        record.aws_request_id = self.request_id
        return True


def failure(error: BaseException, request_id: str, *, skip: int) -> bytes:
    """Return an exception in Lambda's shape; ``skip`` frames of ours are left out."""
    frames = traceback.extract_tb(error.__traceback__)[skip:]
    return json.dumps(
        {
            "errorMessage": str(error),
            "errorType": type(error).__name__,
            "requestId": request_id,
            "stackTrace": traceback.format_list(frames),
        }
    ).encode()


def load(handler: str) -> Callable[[Any, Any], Any]:
    """Import ``a.b.c.handler`` (slashes may stand for dots) and return the callable."""
    module, _, name = handler.replace("/", ".").rpartition(".")
    found: Callable[[Any, Any], Any] = getattr(importlib.import_module(module), name)
    return found


def load_or_explain(handler: str) -> tuple[Callable[[Any, Any], Any] | None, Head]:
    """Return the handler, or what Lambda answers when it cannot be loaded."""
    module, _, name = handler.rpartition(".")
    try:
        return load(handler), {}
    except ModuleNotFoundError as error:
        kind, text = (
            "Runtime.ImportModuleError",
            f"Unable to import module '{module}': {error}",
        )
    except AttributeError:
        kind, text = (
            "Runtime.HandlerNotFound",
            f"Handler '{name}' missing on module '{module}'",
        )
    except Exception as error:
        traceback.print_exc()
        kind, text = type(error).__name__, str(error)
    return None, {
        "errorMessage": text,
        "errorType": kind,
        "requestId": "",
        "stackTrace": [],
    }


def answer(handler: Callable[[Any, Any], Any], head: Head, body: bytes) -> tuple[bool, bytes]:
    """Run the handler; return whether it succeeded, and its answer or its error as JSON."""
    request_id = head["request_id"]
    try:
        result = handler(loads(body), LambdaContext(head))
    except Exception as error:
        traceback.print_exc()
        return False, failure(error, request_id, skip=1)
    try:
        return True, json.dumps(result).encode()
    except (TypeError, ValueError) as error:
        text = f"Unable to marshal response: {error}"
        shape = {"errorMessage": text, "errorType": "Runtime.MarshalError"}
        return False, json.dumps({**shape, "requestId": request_id, "stackTrace": []}).encode()


def shorten_way() -> None:
    """Have boto3 talk to the twin on a short way; a function may be without botocore."""
    try:
        # It lies beside sitecustomize, on the path of every child process.
        import botocore.parsers
        import botocore.serialize
        import fleetwin_json_codec  # type: ignore[import-not-found]
        import fleetwin_signing  # type: ignore[import-not-found]
        import fleetwin_transport  # type: ignore[import-not-found]
    except ModuleNotFoundError as error:
        if error.name != "botocore":
            raise
    else:
        if fleetwin_transport.install() is not None:
            fleetwin_signing.install()
            fleetwin_json_codec.install()
            fleetwin_json_codec.keep_parsers()
            fleetwin_json_codec.install_text(botocore.serialize, botocore.parsers)


def main() -> None:
    """Serve invocations until the request pipe ends."""
    request_fd, answer_fd, name = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    os.set_inheritable(request_fd, False)
    os.set_inheritable(answer_fd, False)
    requests, answers = os.fdopen(request_fd, "rb"), os.fdopen(answer_fd, "wb")
    out, err = LinesToPipe(answers), LinesToPipe(answers)
    sys.stdout, sys.stderr = out, err
    ids = RequestIdFilter()
    log = logging.StreamHandler(err)
    log.setFormatter(logging.Formatter("[%(levelname)s]\t%(aws_request_id)s\t%(message)s"))
    log.addFilter(ids)
    logging.getLogger().addHandler(log)
    shorten_way()
    handler, explanation = load_or_explain(name)
    gc.freeze()  # What was imported lives as long as the process: no need to look at it again.
    out.end_line()
    err.end_line()
    failed = None if handler else f"{explanation['errorType']}: {explanation['errorMessage']}"
    write_frame(answers, {"ready": True, "failure": failed})
    while (frame := read_frame(requests)) is not None:
        head, body = frame
        ids.request_id = head["request_id"]
        if handler is None:
            ok, result = (
                False,
                json.dumps(explanation | {"requestId": ids.request_id}).encode(),
            )
        else:
            ok, result = answer(handler, head, body)
        out.end_line()
        err.end_line()
        write_frame(answers, {"answer": head["request_id"], "ok": ok}, result)


if __name__ == "__main__":
    main()
