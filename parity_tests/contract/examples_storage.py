"""Examples of S3."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from parity_tests.contract.examples import Examples
from parity_tests.contract.world import World

s3 = Examples("s3")

TAGS = [{"Key": "project", "Value": "fleetwin"}, {"Key": "stage", "Value": "dev & test"}]


def _b(w: World) -> dict[str, Any]:
    return {"Bucket": w.bucket()}


# -- S3: objects

s3.add(
    "PutObject",
    lambda w: {
        **_b(w),
        "Key": "raw/dt=2026-01-05/a b.gz",
        "Body": b"line\n",
        "ContentType": "application/gzip",
        "Metadata": {"shard": "0"},
        "Tagging": "project=fleetwin",
    },
    "ETag ServerSideEncryption ChecksumCRC32",
)
s3.add(
    "PutObject",
    lambda w: {
        **_b(w),
        "Key": "k",
        "Body": b"x",
        "ChecksumSHA256": base64.b64encode(hashlib.sha256(b"x").digest()).decode(),
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": w.key(),
        "BucketKeyEnabled": True,
    },
    "ETag ServerSideEncryption SSEKMSKeyId BucketKeyEnabled ChecksumSHA256",
    "encrypted",
)
_OBJECT = "AcceptRanges LastModified ContentLength ETag ContentType Metadata ServerSideEncryption"
s3.add("GetObject", lambda w: w.item(), f"{_OBJECT} Body")
s3.add(
    "GetObject",
    lambda w: {
        **w.item(
            ContentEncoding="gzip",
            CacheControl="no-cache",
            ContentDisposition="attachment",
            ContentLanguage="en",
            Metadata={"device": "pump-007"},
            Tagging="a=1&b=2",
            StorageClass="STANDARD_IA",
            Expires=w.now.replace(microsecond=0),
        ),
        "Range": "bytes=2-5",
        "ResponseContentType": "text/csv",
    },
    f"{_OBJECT} Body ContentRange ContentEncoding CacheControl StorageClass TagCount Expires"
    " ContentDisposition ContentLanguage Metadata.device",
    "part of one with everything",
)
s3.add("HeadObject", lambda w: w.item(), _OBJECT)
s3.add(
    "HeadObject",
    lambda w: {**w.item(ChecksumSHA1=_sha1(b"0123456789")), "ChecksumMode": "ENABLED"},
    f"{_OBJECT} ChecksumSHA1",
    "checksum",
)
s3.add("DeleteObject", lambda w: w.item())
s3.add(
    "DeleteObjects",
    lambda w: (
        (place := w.item())
        and {
            "Bucket": place["Bucket"],
            "Delete": {"Objects": [{"Key": place["Key"]}, {"Key": "not there"}]},
        }
    ),
    "Deleted.Key",
)
s3.add(
    "DeleteObjects",
    lambda w: {**_b(w), "Delete": {"Objects": [{"Key": "a"}], "Quiet": True}},
    note="quiet",
)
s3.add(
    "CopyObject",
    lambda w: {**_b(w), "Key": "copy", "CopySource": w.item()},
    "CopyObjectResult.ETag CopyObjectResult.LastModified ServerSideEncryption",
)
s3.add("GetObjectTagging", lambda w: w.item(Tagging="a=1"), "TagSet.Key TagSet.Value")
s3.add("GetObjectTagging", lambda w: w.item(), "TagSet", "none")
s3.add("PutObjectTagging", lambda w: {**w.item(), "Tagging": {"TagSet": TAGS}})
s3.add("DeleteObjectTagging", lambda w: w.item(Tagging="a=1"))


def _sha1(body: bytes) -> str:
    return base64.b64encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode()


# -- S3: lists and multipart uploads

_LIST = "Name Prefix MaxKeys IsTruncated Contents.Key Contents.Size Contents.ETag"
_LIST += " Contents.LastModified Contents.StorageClass"


def _three(w: World) -> str:
    bucket: str = w.item()["Bucket"]
    for key in ("a&b<c>.json", "raw/x"):
        w.do("s3", "PutObject", Bucket=bucket, Key=key, Body=b"{}")
    return bucket


s3.add("ListObjectsV2", lambda w: {"Bucket": _three(w)}, f"{_LIST} KeyCount")
s3.add(
    "ListObjectsV2",
    lambda w: {"Bucket": _three(w), "Delimiter": "/", "MaxKeys": 2, "StartAfter": "0"},
    f"{_LIST} KeyCount CommonPrefixes.Prefix Delimiter NextContinuationToken StartAfter",
    "a page with prefixes",
)
s3.add("ListObjectsV2", _b, "Name Prefix MaxKeys KeyCount IsTruncated", "nothing")
s3.add(
    "ListObjects",
    lambda w: {"Bucket": _three(w), "Delimiter": "/", "MaxKeys": 2},
    f"{_LIST} Marker NextMarker CommonPrefixes.Prefix",
)
s3.add(
    "CreateMultipartUpload",
    lambda w: {**_b(w), "Key": "model.tar.gz"},
    "Bucket Key UploadId ServerSideEncryption",
)
s3.add("UploadPart", lambda w: {**w.upload(), "PartNumber": 1, "Body": b"part"}, "ETag")
s3.add(
    "UploadPartCopy",
    lambda w: {
        **w.upload(),
        "PartNumber": 1,
        "CopySource": w.item(),
        "CopySourceRange": "bytes=0-3",
    },
    "CopyPartResult.ETag CopyPartResult.LastModified",
)
s3.add(
    "CompleteMultipartUpload",
    lambda w: {
        **w.upload(1),
        "MultipartUpload": {
            "Parts": [{"PartNumber": 1, "ETag": f'"{hashlib.md5(b"part").hexdigest()}"'}]
        },
    },
    "Location Bucket Key ETag ServerSideEncryption",
)
s3.add("AbortMultipartUpload", lambda w: w.upload(1))
s3.add(
    "ListParts",
    lambda w: {**w.upload(3), "MaxParts": 2},
    "Bucket Key UploadId MaxParts IsTruncated NextPartNumberMarker StorageClass"
    " Parts.PartNumber Parts.LastModified Parts.ETag Parts.Size",
)
s3.add(
    "ListMultipartUploads",
    lambda w: {"Bucket": w.upload()["Bucket"]},
    "Bucket IsTruncated MaxUploads Uploads.UploadId Uploads.Key Uploads.Initiated"
    " Uploads.StorageClass",
)


def _two_uploads(w: World) -> dict[str, Any]:
    place = w.upload()
    w.do("s3", "CreateMultipartUpload", Bucket=place["Bucket"], Key=place["Key"])
    return {"Bucket": place["Bucket"], "MaxUploads": 1}


s3.add("ListMultipartUploads", _two_uploads, "Uploads NextKeyMarker NextUploadIdMarker", "a page")

# -- S3: buckets and their settings

s3.add("CreateBucket", lambda w: {"Bucket": w.new("made")}, "Location")
s3.add("DeleteBucket", _b)
s3.add("HeadBucket", _b, "BucketRegion")
s3.add("GetBucketLocation", _b)
s3.add("ListBuckets", lambda w: {}, "Buckets.Name Buckets.CreationDate Owner.ID")

SETTINGS: list[tuple[str, str, Any, str]] = [
    (
        "BucketEncryption",
        "ServerSideEncryptionConfiguration",
        {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]},
        "ServerSideEncryptionConfiguration.Rules.ApplyServerSideEncryptionByDefault",
    ),
    (
        "PublicAccessBlock",
        "PublicAccessBlockConfiguration",
        {"BlockPublicAcls": True, "RestrictPublicBuckets": False},
        "PublicAccessBlockConfiguration.BlockPublicAcls",
    ),
    (
        "BucketLifecycleConfiguration",
        "LifecycleConfiguration",
        {
            "Rules": [
                {
                    "ID": "tmp",
                    "Status": "Enabled",
                    "Filter": {"Prefix": "tmp/"},
                    "Expiration": {"Days": 7},
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                }
            ]
        },
        "Rules.ID Rules.Filter.Prefix Rules.Expiration.Days",
    ),
    (
        "BucketPolicy",
        "Policy",
        '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*",'
        '"Action":"s3:*","Resource":"*"}]}',
        "Policy",
    ),
    ("BucketVersioning", "VersioningConfiguration", {"Status": "Suspended"}, "Status"),
    ("BucketTagging", "Tagging", {"TagSet": TAGS}, "TagSet.Key TagSet.Value"),
    ("BucketNotificationConfiguration", "NotificationConfiguration", {}, ""),
    (
        "BucketOwnershipControls",
        "OwnershipControls",
        {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "OwnershipControls.Rules.ObjectOwnership",
    ),
    (
        "BucketLogging",
        "BucketLoggingStatus",
        {"LoggingEnabled": {"TargetBucket": "logs", "TargetPrefix": "s3/"}},
        "LoggingEnabled.TargetBucket LoggingEnabled.TargetPrefix",
    ),
]


def _add_setting(name: str, member: str, value: Any, present: str) -> None:
    def after_put(w: World) -> dict[str, Any]:
        bucket = w.bucket()
        w.do("s3", f"Put{name}", Bucket=bucket, **{member: value})
        return {"Bucket": bucket}

    answered = "TransitionDefaultMinimumObjectSize" if "Lifecycle" in name else ""
    s3.add(f"Put{name}", lambda w: {**_b(w), member: value}, answered)
    s3.add(f"Get{name}", after_put, present)
    removal = "BucketLifecycle" if name == "BucketLifecycleConfiguration" else name
    if name not in ("BucketVersioning", "BucketNotificationConfiguration", "BucketLogging"):
        s3.add(f"Delete{removal}", after_put)


for _setting in SETTINGS:
    _add_setting(*_setting)
s3.add(
    "GetBucketEncryption",
    _b,
    "ServerSideEncryptionConfiguration.Rules.BucketKeyEnabled",
    "the default",
)
s3.add("GetBucketVersioning", _b, note="never put")
