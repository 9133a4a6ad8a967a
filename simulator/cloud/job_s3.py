"""S3 as SageMaker uses it for a job: channels in, archives out, always as the job's role."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import simpy

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.job_files import split_uri
from simulator.cloud.operations import Answer, Params, Principal

Steps = Generator[simpy.Event, Any, Any]


class RoleS3:
    """S3 calls through `dispatch`; each method is a generator for a SimPy process."""

    def __init__(self, context: Context, principal: Principal) -> None:
        self._dispatch = context.dispatch
        self._principal = principal

    def _do(self, operation: str, params: Params) -> Generator[simpy.Event, Any, Answer]:
        answer = self._dispatch(self._principal, "s3", operation, params)
        if isinstance(answer, simpy.Event):
            answer = yield answer
        return answer

    def get(self, uri: str) -> Generator[simpy.Event, Any, bytes]:
        """Return an object's bytes. Raises NoSuchKey, AccessDenied, ..."""
        bucket, key = split_uri(uri)
        body = (yield from self._do("GetObject", {"Bucket": bucket, "Key": key}))["Body"]
        return body if isinstance(body, bytes) else bytes(body.read())

    def put(self, uri: str, body: bytes) -> Steps:
        """Store an object."""
        bucket, key = split_uri(uri)
        yield from self._do("PutObject", {"Bucket": bucket, "Key": key, "Body": body})

    def download(self, uri: str, folder: Path) -> Generator[simpy.Event, Any, int]:
        """Copy every object below a prefix into a folder; return the bytes.

        ``s3://b/p`` matches keys that start with ``p``; the path below the last slash of the
        prefix is kept. Raises a ClientError when there is none, as SageMaker does.
        """
        bucket, prefix = split_uri(uri)
        total, found = 0, False
        token: dict[str, str] = {}
        while True:
            page = yield from self._do(
                "ListObjectsV2", {"Bucket": bucket, "Prefix": prefix, **token}
            )
            for entry in page.get("Contents", []):
                key = entry["Key"]
                if key.endswith("/"):
                    continue
                found = True
                body = yield from self.get(f"s3://{bucket}/{key}")
                inside = key.startswith(prefix.rstrip("/") + "/")
                base = prefix.rstrip("/") if inside else prefix.rpartition("/")[0]
                target = folder / key[len(base) :].lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(body)
                total += len(body)
            if not page.get("IsTruncated"):
                break
            token = {"ContinuationToken": page["NextContinuationToken"]}
        if not found:
            raise AwsError(
                "ValidationException",
                f'No S3 objects found under S3 URL "{uri}" given in input data source.',
            )
        return total


def archive(folder: Path) -> bytes:
    """Return a tar.gz of a folder's files, the same bytes for the same files."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0, compresslevel=6) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in files_below(folder):
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size, entry.mode, entry.mtime = path.stat().st_size, 0o644, 0
            with path.open("rb") as file:
                tar.addfile(entry, file)
    return packed.getvalue()


def extract(body: bytes, folder: Path) -> None:
    """Unpack a tar.gz into a folder; raises ValueError when it is none, or leads outside."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ValueError(f"not a tar.gz archive: {error}") from error


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in a fixed order."""
    yield from sorted(path for path in folder.rglob("*") if path.is_file())
