"""What a Spark job may see of S3 and what it has written there.

Spark reads and writes the plain files of the buckets, past `dispatch`. So its role is asked
beforehand (a bucket that it may not list has no mount, a folder that it may not touch leads
nowhere) and afterwards (a file that it may not have written is removed). Used by `glue`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from simulator.cloud.context import Context
from simulator.cloud.errors import AccessDenied, AwsError
from simulator.cloud.key_use import DECRYPT, ENCRYPT, KeyUnusable
from simulator.cloud.lake_formation_access import LakePermissions
from simulator.cloud.lake_formation_loans import PROBE, lent
from simulator.cloud.operations import Principal
from simulator.cloud.s3_store import ObjectStore
from simulator.cloud.spark_settings import Mount

READING = ("s3:GetObject", "s3:ListBucket")
_URI = re.compile(r"s3a?://([a-z0-9.\-]+)(?:/([^\s,\"']*))?")


class Objects(Protocol):
    """What is needed of `simulator.cloud.s3.S3`."""

    store: ObjectStore

    def commit_scan(self, bucket: str, prefix: str = "") -> list[str]:
        """Register the files that a job wrote below a prefix."""


@dataclass
class Writes:
    """Keys that differ between the files and S3's index, by bucket."""

    written: dict[str, set[str]] = field(default_factory=dict)
    vanished: dict[str, set[str]] = field(default_factory=dict)

    def minus(self, earlier: Writes) -> Writes:
        """Return what is new since ``earlier``."""
        return Writes(
            {b: keys - earlier.written.get(b, set()) for b, keys in self.written.items()},
            {b: keys - earlier.vanished.get(b, set()) for b, keys in self.vanished.items()},
        )


def split_uri(uri: str) -> tuple[str, str]:
    """Return (bucket, key) of an ``s3://`` URI; raises ValidationException for anything else."""
    matched = _URI.fullmatch(uri)
    if matched is None:
        raise AwsError("ValidationException", f"{uri!r} is not an S3 URI")
    return matched[1], matched[2] or ""


def local_source(context: Context, principal: Principal, uri: str) -> Path:
    """Return the file or folder behind an asset's or object's URI, as the role may read it.

    An asset's key ``<hash>.zip`` leads to the source folder that stands for it. Raises
    AccessDenied, NoSuchKey.
    """
    bucket, key = split_uri(uri)
    context.iam.authorise(principal, "s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")
    _require_key(context, principal, DECRYPT, bucket)
    asset = context.assets.get(key.rpartition("/")[2].partition(".")[0])
    if asset is None:
        context.stage()
    path = asset if asset is not None else context.state / "s3" / bucket / key
    if not path.exists():
        raise AwsError("NoSuchKey", f"The specified key does not exist: {uri}", 404)
    return path


def mounts_for(
    context: Context,
    principal: Principal,
    arguments: Iterable[str],
    lake: LakePermissions | None = None,
) -> dict[str, Mount]:
    """Return the buckets that the role may list, with the folders that it may not touch.

    ``arguments`` are searched for URIs: their prefixes are further places to ask about. Folders
    with tables that Lake Formation governs need its grant too: one of which all is granted is
    there, one of which nothing is granted is not. Raises AccessDeniedException where a part is
    granted: user-defined functions need full table access, which cannot filter (Glue Developer
    Guide, "Using AWS Glue with AWS Lake Formation for full table access").
    """
    context.stage()
    named: dict[str, set[str]] = {}
    for argument in arguments:
        for bucket, key in _URI.findall(argument):
            named.setdefault(bucket, set()).add(key.partition("/")[0])
    root = context.state / "s3"
    mounts: dict[str, Mount] = {}
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        bucket = folder.name
        names = {path.name for path in folder.iterdir() if path.is_dir()}
        places = sorted({name for name in names | named.get(bucket, set()) if name})
        listed = {place for place in places if _may_list(context, principal, bucket, place)}
        if listed or _may_list(context, principal, bucket, ""):
            denied = [
                place
                for place in places
                if place not in listed
                or not _may_touch(context, principal, bucket, place)
                or not _is_granted(context, principal, lake, f"s3://{bucket}/{place}/")
            ]
            read = [
                place
                for place in places
                if context.s3a_jars
                and place not in denied
                and not _may_write(context, principal, bucket, place)
            ]
            mounts[bucket] = Mount(folder, tuple(denied), tuple(read))
    return mounts


def _is_granted(
    context: Context, principal: Principal, lake: LakePermissions | None, location: str
) -> bool:
    """Tell whether every governed table at a location may be read as a whole."""
    for database, table in lake.governed(location) if lake is not None else ():
        assert lake is not None
        try:
            access = lake.table_access(principal, database, table)
            context.iam.authorise(principal, "lakeformation:GetDataAccess", "*")
        except AwsError:
            return False
        if lent(context, *lake.lender(database, table), READING) != list(READING):
            return False
        if not access.is_whole:
            raise AwsError(
                "AccessDeniedException",
                f"Insufficient Lake Formation permission(s) on {table}: the job has full table "
                "access, which does not filter columns or rows, and only some are granted",
            )
    return True


def _may_list(context: Context, principal: Principal, bucket: str, place: str) -> bool:
    prefix = {"s3:prefix": f"{place}/" if place else ""}
    return context.iam.may(principal, "s3:ListBucket", f"arn:aws:s3:::{bucket}", prefix)


def _may_touch(context: Context, principal: Principal, bucket: str, place: str) -> bool:
    resource = f"arn:aws:s3:::{bucket}/{place}/{PROBE}"
    actions = ("s3:GetObject", "s3:PutObject")
    return _may_decrypt(context, principal, bucket) and any(
        context.iam.may(principal, action, resource) for action in actions
    )


def _may_write(context: Context, principal: Principal, bucket: str, place: str) -> bool:
    resource = f"arn:aws:s3:::{bucket}/{place}/{PROBE}"
    actions = ("s3:PutObject", "s3:DeleteObject")
    return any(context.iam.may(principal, action, resource) for action in actions)


def _may_decrypt(context: Context, principal: Principal, bucket: str) -> bool:
    """Tell whether a role may decrypt by the key of a bucket, if it has one.

    Without that a folder leads nowhere even where the role only writes: Spark uploads in
    parts, which need it, too.
    """
    key = context.keys.of_bucket(bucket)
    return key is None or context.keys.may(principal, DECRYPT, key, "s3")


def _require_key(context: Context, principal: Principal, action: str, bucket: str) -> None:
    """Raise AccessDenied or KeyUnusable where a role may not use the key of a bucket."""
    key = context.keys.of_bucket(bucket)
    if key is not None:
        context.keys.require(principal, action, key, "s3")


def denial(context: Context, principal: Principal, place: str) -> str:
    """Return AWS's words for a bucket or bucket/folder that the job was not shown."""
    bucket, _, folder = place.partition("/")
    if not (context.state / "s3" / bucket).is_dir():
        return (
            f"The specified bucket does not exist: {bucket} (Service: Amazon S3; "
            "Status Code: 404; Error Code: NoSuchBucket)"
        )
    action, resource = "s3:ListBucket", f"arn:aws:s3:::{bucket}"
    if folder and _may_list(context, principal, bucket, folder):
        action, resource = "s3:GetObject", f"arn:aws:s3:::{bucket}/{folder}/*"
        try:
            _require_key(context, principal, DECRYPT, bucket)
        except AwsError as error:
            return denied_words(error)
    return denied_words(AccessDenied(principal.arn, action, resource, explicit=False))


def denied_words(error: AwsError) -> str:
    """Return a denial, or what is wrong with a key, as S3's client in Spark words it."""
    code, status = "AccessDenied", 403
    if isinstance(error, KeyUnusable):
        code, status = f"KMS.{error.code}", error.status
    return f"{error.message} (Service: Amazon S3; Status Code: {status}; Error Code: {code})"


def unregistered(objects: Objects, mounts: Mapping[str, Mount]) -> Writes:
    """Return where the files of the mounted buckets differ from what S3 knows."""
    found = Writes()
    for bucket in mounts:
        known = objects.store.index.states(bucket)
        written = found.written.setdefault(bucket, set())
        for key, state in objects.store.files.scan(bucket, ""):
            if known.pop(key, None) != (state.st_size, state.st_mtime_ns):
                written.add(key)
        found.vanished[bucket] = {
            key for key in known if objects.store.files.stat(bucket, key) is None
        }
    return found


def refuse_unauthorised(
    context: Context, objects: Objects, principal: Principal, writes: Writes
) -> str | None:
    """Remove what the role may not have written; return AWS's words for the first of it.

    Files that it may not have removed are gone (there are no versions): only told.
    """
    told: str | None = None
    for action, keys_of in (("s3:PutObject", writes.written), ("s3:DeleteObject", writes.vanished)):
        for bucket, keys in sorted(keys_of.items()):
            for key in sorted(keys):
                try:
                    context.iam.authorise(principal, action, f"arn:aws:s3:::{bucket}/{key}")
                    if action == "s3:PutObject":
                        _require_key(context, principal, ENCRYPT, bucket)
                except (AccessDenied, KeyUnusable) as error:
                    told = told or denied_words(error)
                    if action == "s3:PutObject":
                        objects.store.files.remove(bucket, key)
    return told


def commit(objects: Objects, writes: Writes) -> None:
    """Make what a job wrote and removed visible: now, on the run's clock."""
    for bucket in sorted(writes.written | writes.vanished):
        keys = writes.written.get(bucket, set()) | writes.vanished.get(bucket, set())
        folders = sorted({key.rpartition("/")[0] for key in keys})
        covered: str | None = None
        for folder in folders:
            prefix = f"{folder}/" if folder else ""
            if covered is None or not prefix.startswith(covered):
                objects.commit_scan(bucket, prefix)
                covered = prefix


def discard(objects: Objects, writes: Writes) -> None:
    """Remove what a stopped job wrote."""
    for bucket, keys in sorted(writes.written.items()):
        for key in sorted(keys):
            objects.store.files.remove(bucket, key)
