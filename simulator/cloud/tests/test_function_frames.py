"""Frames between a function's process and the twin, however the pipe hands them over."""

from __future__ import annotations

import io
import os
import threading
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cloud.runtime.function_worker import LENGTHS, read_frame, write_frame

HEADS = st.dictionaries(st.text(max_size=5), st.integers(-9, 9), max_size=3)
FRAMES = st.lists(st.tuples(HEADS, st.binary(max_size=50)), max_size=4)


class Trickle(io.RawIOBase):
    """A pipe without a buffer that gives as few bytes at a time as it likes."""

    def __init__(self, data: bytes, pieces: list[int]) -> None:
        self._data = io.BytesIO(data)
        self._pieces = pieces

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Give some bytes, at least one where there are any."""
        most = self._pieces.pop() if self._pieces else 1
        data = self._data.read(min(most, len(buffer)))
        buffer[: len(data)] = data
        return len(data)


def written(frames: list[tuple[dict[str, int], bytes]]) -> bytes:
    """Return the bytes of some frames."""
    pipe = io.BytesIO()
    for head, body in frames:
        write_frame(pipe, head, body)
    return pipe.getvalue()


def all_of(pipe: IO[bytes]) -> list[tuple[dict[str, int], bytes]]:
    """Return the frames that come through a pipe."""
    found = []
    while (frame := read_frame(pipe)) is not None:
        found.append(frame)
    return found


@given(frames=FRAMES, pieces=st.lists(st.integers(1, 9), max_size=20), cut=st.integers(0, 10**6))
def test_frames_are_whole_or_not_there_whatever_pieces_they_come_in(
    frames: list[tuple[dict[str, int], bytes]], pieces: list[int], cut: int
) -> None:
    data = written(frames)
    assert all_of(Trickle(data, list(pieces))) == frames  # type: ignore[arg-type]
    whole = [n for n in range(len(frames) + 1) if len(written(frames[:n])) <= cut % (len(data) + 1)]
    assert all_of(Trickle(data[: cut % (len(data) + 1)], pieces)) == frames[: whole[-1]]  # type: ignore[arg-type]


def test_a_frame_that_is_written_byte_by_byte_arrives() -> None:
    frame = ({"answer": 1}, b"x" * 3_000)
    reader, writer = os.pipe()

    def write() -> None:
        with os.fdopen(writer, "wb", buffering=0) as pipe:
            for byte in written([frame]):
                pipe.write(bytes([byte]))

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reader, "rb") as pipe:
        assert all_of(pipe) == [frame]
    thread.join()


@pytest.mark.parametrize("data", [b"Traceback (most", LENGTHS.pack(2, 0) + b"{]"])
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_frame(io.BytesIO(data))
