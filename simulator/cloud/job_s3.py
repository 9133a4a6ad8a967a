"""S3 as SageMaker uses it for a job: channels in, archives out, always as the job's role."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import simpy

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.job_files import split_uri
from simulator.cloud.operations import Answer, Params, Principal
from simulator.unpacking import unpack

Steps = Generator[simpy.Event, Any, Any]


def session_of(context: Context, role: str) -> Principal:
    """Assume a role as SageMaker does; raises AccessDenied where it may not."""
    return context.iam.principal_for_role(role, "SageMaker", service="sagemaker.amazonaws.com")


def check_input(context: Context, uri: str, role: str) -> None:
    """Check, as CreateTrainingJob does, that a role finds objects; the words are recorded ones."""
    bucket, prefix = split_uri(uri)
    asked = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": 1}
    try:
        page = context.dispatch(session_of(context, role), "s3", "ListObjectsV2", asked)
        found = isinstance(page, simpy.Event) or bool(page["KeyCount"])
    except AwsError:
        found = False
    if not found:
        raise AwsError(
            "ValidationException",
            f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure '
            f"that the bucket exists in the selected region ({context.region}), that objects "
            f'exist under that S3 prefix, and that the role "{role}" has "s3:ListBucket" '
            f'permissions on bucket "{bucket}".',
        )


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

    def walk(self, uri: str) -> Generator[simpy.Event, Any, list[tuple[str, str]]]:
        """Return (key, path below the prefix) of every object that a prefix matches.

        ``s3://b/p`` matches keys that start with ``p``; the path below the last slash of the
        prefix is kept. Raises a ClientError when there is none, as SageMaker does.
        """
        bucket, prefix = split_uri(uri)
        found: list[tuple[str, str]] = []
        token: dict[str, str] = {}
        while True:
            page = yield from self._do(
                "ListObjectsV2", {"Bucket": bucket, "Prefix": prefix, **token}
            )
            for key in (entry["Key"] for entry in page.get("Contents", [])):
                if not key.endswith("/"):
                    inside = key.startswith(prefix.rstrip("/") + "/")
                    base = prefix.rstrip("/") if inside else prefix.rpartition("/")[0]
                    found.append((key, key[len(base) :].lstrip("/")))
            if not page.get("IsTruncated"):
                break
            token = {"ContinuationToken": page["NextContinuationToken"]}
        if not found:
            raise AwsError(
                "ValidationException",
                f'No S3 objects found under S3 URL "{uri}" given in input data source.',
            )
        return found

    def download(self, uri: str, folder: Path) -> Generator[simpy.Event, Any, int]:
        """Copy every object that a prefix matches into a folder; return the bytes."""
        bucket, total = split_uri(uri)[0], 0
        for key, relative in (yield from self.walk(uri)):
            body = yield from self.get(f"s3://{bucket}/{key}")
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(body)
            total += len(body)
        return total


class Mirror:
    """Keeps a prefix of S3 like a folder: checkpoints, and outputs that are uploaded at once.

    A container computes while the clock stands, so a copy whenever the clock moves, and one at
    its end, is what anybody on the run's clock would see of a continuous copy. As with
    SageMaker, what is removed from the folder stays in S3, and links are not followed.
    """

    def __init__(self, s3: RoleS3, folder: Path, uri: str) -> None:
        self._s3 = s3
        self.folder = folder
        self.uri = uri
        self._sent: dict[str, bytes] = {}

    def restore(self) -> Generator[simpy.Event, Any, int]:
        """Fill the folder from S3; return the bytes, 0 when there is nothing yet."""
        try:
            size_b = yield from self._s3.download(f"{self.uri.rstrip('/')}/", self.folder)
        except AwsError as error:
            if error.code != "ValidationException":
                raise
            return 0
        for path in files_below(self.folder):
            self._sent[self._name(path)] = _digest(path.read_bytes())
        return size_b

    def send(self) -> Steps:
        """Store what is new or has changed."""
        for path in files_below(self.folder):
            if path.is_symlink():
                continue
            try:
                body = path.read_bytes()
            except FileNotFoundError:  # The program still works and has renamed it.
                continue
            digest = _digest(body)
            if self._sent.get(self._name(path)) != digest:
                yield from self._s3.put(f"{self.uri.rstrip('/')}/{self._name(path)}", body)
                self._sent[self._name(path)] = digest

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


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
            unpack(tar, folder)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"not a tar.gz archive: {error}") from error


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in a fixed order."""
    yield from sorted(path for path in folder.rglob("*") if path.is_file())
