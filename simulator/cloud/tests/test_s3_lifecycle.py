"""Lifecycle rules of S3: what they take, and what they do at midnight."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.context import Context
from simulator.cloud.s3 import S3
from simulator.cloud.tests.twin import START, context_of, executor
from simulator.cloud.tests.wire import client_of

DAY_S = 86_400
COLDNESS = ["STANDARD", "STANDARD_IA", "INTELLIGENT_TIERING", "ONEZONE_IA", "GLACIER_IR"]
COLDNESS += ["GLACIER", "DEEP_ARCHIVE"]
LARGE = 128 * 1024


class Twin:
    """An S3 with a clock, and boto3's client of it."""

    def __init__(self, state: Path) -> None:
        self.context: Context = context_of(state)
        self.s3 = S3(self.context)
        self.client: Any = client_of("s3", executor(s3=self.s3))
        self.client.create_bucket(Bucket="lake")

    def put_rules(self, *rules: dict[str, Any], **more: Any) -> Any:
        """Put rules; what a rule does not say is enabled and about everything."""
        full = [{"Status": "Enabled", "Filter": {"Prefix": ""}} | rule for rule in rules]
        return self.client.put_bucket_lifecycle_configuration(
            Bucket="lake", LifecycleConfiguration={"Rules": full}, **more
        )

    def until(self, days: float) -> None:
        """Let the clock run until so many days after the start."""
        self.context.engine.run(days * DAY_S)

    def put(self, key: str, size: int = 1, **more: Any) -> None:
        self.client.put_object(Bucket="lake", Key=key, Body=bytes(size), **more)

    def classes(self) -> dict[str, str]:
        """Return storage classes by key."""
        page = self.client.list_objects_v2(Bucket="lake")
        return {item["Key"]: item["StorageClass"] for item in page.get("Contents", [])}


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    made = Twin(tmp_path)
    yield made
    made.s3.close()


def test_days_are_rounded_up_to_midnight(twin: Twin) -> None:
    twin.put("at-midnight")
    twin.put_rules({"Expiration": {"Days": 3}})
    twin.until(0.4)
    twin.put("in-the-morning")
    twin.until(2.99)
    assert set(twin.classes()) == {"at-midnight", "in-the-morning"}
    twin.until(3.01)
    assert set(twin.classes()) == {"in-the-morning"}
    twin.until(4.01)
    assert twin.classes() == {}
    assert not list((twin.context.state / "s3" / "lake").rglob("*-*"))
    assert twin.s3.lifecycle.counts == {"expired": 2}


def test_an_archived_object_is_listed_but_not_read_and_an_instant_one_is_read(twin: Twin) -> None:
    twin.put("deep/a", LARGE)
    twin.put("instant/a", LARGE)
    twin.put_rules(
        {
            "Filter": {"Prefix": "deep/"},
            "Transitions": [
                {"Days": 1, "StorageClass": "GLACIER"},
                {"Days": 2, "StorageClass": "DEEP_ARCHIVE"},
            ],
        },
        {
            "Filter": {"Prefix": "instant/"},
            "Transitions": [{"Days": 1, "StorageClass": "GLACIER_IR"}],
        },
    )
    twin.until(1.5)
    assert twin.classes() == {"deep/a": "GLACIER", "instant/a": "GLACIER_IR"}
    twin.until(2.5)
    head = twin.client.head_object(Bucket="lake", Key="deep/a")
    assert (head["StorageClass"], head["LastModified"]) == ("DEEP_ARCHIVE", START)
    assert len(twin.client.get_object(Bucket="lake", Key="instant/a")["Body"].read()) == LARGE
    with pytest.raises(ClientError) as refused:
        twin.client.get_object(Bucket="lake", Key="deep/a")
    assert refused.value.response["Error"]["Code"] == "InvalidObjectState"
    assert refused.value.response["StorageClass"] == "DEEP_ARCHIVE"  # type: ignore[typeddict-item]
    with pytest.raises(ClientError, match="InvalidObjectState"):
        twin.client.copy_object(Bucket="lake", Key="b", CopySource="lake/deep/a")
    twin.client.copy_object(Bucket="lake", Key="b", CopySource="lake/instant/a")
    assert twin.classes()["b"] == "STANDARD"


def test_unfinished_uploads_are_aborted_and_their_parts_gone(twin: Twin) -> None:
    for key in ("tmp/a", "kept/a"):
        made = twin.client.create_multipart_upload(Bucket="lake", Key=key)
        twin.client.upload_part(
            Bucket="lake", Key=key, UploadId=made["UploadId"], PartNumber=1, Body=b"x"
        )
    abort = {"DaysAfterInitiation": 2}
    twin.put_rules({"Filter": {"Prefix": "tmp/"}, "AbortIncompleteMultipartUpload": abort})
    twin.until(1.9)
    assert len(twin.client.list_multipart_uploads(Bucket="lake")["Uploads"]) == 2
    twin.until(2.1)
    left = twin.client.list_multipart_uploads(Bucket="lake")["Uploads"]
    assert [upload["Key"] for upload in left] == ["kept/a"]
    assert len(list((twin.context.state / "s3-scratch").iterdir())) == 1


def test_without_rules_the_clock_has_nothing_to_do(twin: Twin) -> None:
    assert twin.context.engine.env.peek() == math.inf
    twin.put_rules({"Expiration": {"Days": 1}})
    twin.client.delete_bucket_lifecycle(Bucket="lake")
    twin.put("a")
    twin.until(2)
    assert twin.context.engine.env.peek() == math.inf
    assert set(twin.classes()) == {"a"}
    twin.put_rules({"Expiration": {"Days": 1}})
    twin.until(3.1)
    assert twin.classes() == {}


def test_small_objects_move_only_where_aws_moves_them(twin: Twin) -> None:
    twin.put("small")
    rule = {"Transitions": [{"Days": 0, "StorageClass": "GLACIER"}]}
    twin.put_rules(rule)
    twin.until(1.5)
    assert twin.classes() == {"small": "STANDARD"}
    size = {"ObjectSizeGreaterThan": 0}
    twin.put_rules({"Filter": size, "Transitions": [{"Days": 0, "StorageClass": "GLACIER_IR"}]})
    twin.until(2.5)
    assert twin.classes() == {"small": "GLACIER_IR"}
    twin.put_rules(rule, TransitionDefaultMinimumObjectSize="varies_by_storage_class")
    twin.until(3.5)
    assert twin.classes() == {"small": "GLACIER"}


def rule_of(**parts: Any) -> dict[str, Any]:
    return {"Status": "Enabled", "Filter": {"Prefix": ""}, **parts}


IA_AFTER_29 = {"Days": 29, "StorageClass": "STANDARD_IA"}
GLACIER_AFTER_5 = {"Days": 5, "StorageClass": "GLACIER"}
EXPIRES = {"Days": 1}
REFUSED: dict[str, tuple[list[dict[str, Any]], str, str]] = {
    "too many": (
        [rule_of(ID=str(i), Expiration=EXPIRES) for i in range(1001)],
        "MalformedXML",
        "schema",
    ),
    "the same id": ([rule_of(ID="a", Expiration=EXPIRES)] * 2, "InvalidArgument", "unique"),
    "a long id": ([rule_of(ID="a" * 256, Expiration=EXPIRES)], "InvalidArgument", "255"),
    "no action": ([rule_of()], "InvalidRequest", "At least one action"),
    "no filter": ([{"Status": "Enabled", "Expiration": EXPIRES}], "MalformedXML", "schema"),
    "two filters": (
        [rule_of(Filter={"Prefix": "a", "ObjectSizeLessThan": 5}, Expiration=EXPIRES)],
        "MalformedXML",
        "schema",
    ),
    "And of one": (
        [rule_of(Filter={"And": {"Prefix": "a"}}, Expiration=EXPIRES)],
        "MalformedXML",
        "schema",
    ),
    "no size between": (
        [
            rule_of(
                Filter={"And": {"ObjectSizeGreaterThan": 5, "ObjectSizeLessThan": 5}},
                Expiration=EXPIRES,
            )
        ],
        "InvalidRequest",
        "greater than",
    ),
    "zero days": ([rule_of(Expiration={"Days": 0})], "InvalidArgument", "positive integer"),
    "days and date": (
        [rule_of(Expiration={"Days": 1, "Date": START})],
        "MalformedXML",
        "schema",
    ),
    "a date at noon": (
        [rule_of(Expiration={"Date": START + timedelta(hours=12)})],
        "InvalidArgument",
        "midnight",
    ),
    "expired before moved": (
        [rule_of(Expiration={"Days": 5}, Transitions=[GLACIER_AFTER_5])],
        "InvalidArgument",
        "must be greater than",
    ),
    "infrequent too early": (
        [rule_of(Transitions=[IA_AFTER_29])],
        "InvalidArgument",
        "greater than or equal to 30",
    ),
    "one class twice": (
        [rule_of(Transitions=[GLACIER_AFTER_5] * 2)],
        "InvalidRequest",
        "must be different",
    ),
    "dates and days": (
        [rule_of(Expiration={"Date": START}, Transitions=[GLACIER_AFTER_5])],
        "InvalidRequest",
        "mixed",
    ),
    "aborts by tag": (
        [
            rule_of(
                Filter={"Tag": {"Key": "a", "Value": "b"}},
                AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1},
            )
        ],
        "InvalidRequest",
        "Tags",
    ),
    "aborts at once": (
        [rule_of(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 0})],
        "InvalidArgument",
        "positive integer",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_s3_does_not_take_is_refused_with_its_code(twin: Twin, name: str) -> None:
    rules, code, said = REFUSED[name]
    with pytest.raises(ClientError, match=said) as refused:
        twin.client.put_bucket_lifecycle_configuration(
            Bucket="lake", LifecycleConfiguration={"Rules": rules}
        )
    assert refused.value.response["Error"]["Code"] == code
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        twin.client.get_bucket_lifecycle_configuration(Bucket="lake")


def test_parts_about_versions_change_nothing_or_are_refused_by_name(twin: Twin) -> None:
    rule = {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
    twin.put("a")
    twin.put_rules(rule)
    twin.until(5)
    assert set(twin.classes()) == {"a"}
    enabled = {"Status": "Enabled"}
    twin.client.put_bucket_versioning(Bucket="lake", VersioningConfiguration=enabled)
    with pytest.raises(ClientError, match="NoncurrentVersionExpiration on a versioned bucket"):
        twin.put_rules(rule)


# -- against a model that looks at every rule at every midnight

tags = st.sets(st.sampled_from(["hot", "cold"]))
objects = st.tuples(
    st.sampled_from(["a/1", "a/b/1", "b/1", "c"]),
    st.sampled_from([0, 10, LARGE, LARGE + 1]),
    tags,
    st.integers(0, 5 * 24),
)


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    prefix, wanted = draw(st.sampled_from(["", "a/", "a/b", "c"])), sorted(draw(tags))
    larger = draw(st.none() | st.sampled_from([5, LARGE]))
    parts: dict[str, Any] = {"Prefix": prefix} if prefix else {}
    if wanted:
        parts["Tags"] = [{"Key": tag, "Value": "1"} for tag in wanted]
    if larger is not None:
        parts["ObjectSizeGreaterThan"] = larger
    if len(parts.get("Tags", [])) + len(parts) - bool(wanted) >= 2:
        chosen: dict[str, Any] = {"And": parts}
    elif wanted:
        chosen = {"Tag": parts["Tags"][0]}
    else:
        chosen = parts or {"Prefix": ""}
    rule: dict[str, Any] = {"Filter": chosen}
    rule["Status"] = draw(st.sampled_from(["Enabled", "Enabled", "Disabled"]))
    days = sorted(draw(st.sets(st.integers(1, 8), min_size=2, max_size=3)))
    if draw(st.booleans()):
        rule["Expiration"] = {"Days": days[-1]}
    if draw(st.booleans()) or "Expiration" not in rule:
        classes = draw(st.permutations(["GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"]))
        rule["Transitions"] = [
            {"Days": day, "StorageClass": to} for day, to in zip(days[:-1], classes, strict=False)
        ]
    return rule


def expected(rule_list: list[dict[str, Any]], made: dict[str, Any], now: int) -> dict[str, str]:
    """Return what is left on midnight ``now`` (days since the start), by key."""
    left = {}
    for key, (size, marks, hour) in made.items():
        reached, gone = "STANDARD", False
        for rule in rule_list:
            chosen = rule["Filter"].get("And", rule["Filter"])
            wanted = {tag["Key"] for tag in chosen.get("Tags", [chosen.get("Tag")]) if tag}
            larger = chosen.get("ObjectSizeGreaterThan")
            if (
                rule["Status"] == "Disabled"
                or not key.startswith(chosen.get("Prefix", ""))
                or not wanted <= marks
                or (larger is not None and size <= larger)
            ):
                continue
            born = -(-hour // 24)
            if "Expiration" in rule and born + rule["Expiration"]["Days"] <= now:
                gone = True
            for one in rule.get("Transitions", []):
                if born + one["Days"] <= now and (size >= LARGE or larger is not None):
                    reached = max(reached, one["StorageClass"], key=COLDNESS.index)
        if not gone:
            left[key] = reached
    return left


@settings(max_examples=40, deadline=None)
@given(
    rule_list=st.lists(rules(), min_size=1, max_size=4),
    made=st.lists(objects, max_size=4, unique_by=lambda one: one[0]),
)
def test_a_bucket_is_what_a_simple_model_says_on_every_day(
    rule_list: list[dict[str, Any]], made: list[tuple[str, int, set[str], int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        twin = Twin(Path(folder))
        twin.put_rules(*rule_list)
        steps = sorted(made, key=lambda one: one[3])
        known: dict[str, Any] = {}
        for day in range(15):
            while steps and steps[0][3] < 24 * (day + 1):
                key, size, marks, hour = steps.pop(0)
                twin.until(hour / 24)
                twin.put(key, size, Tagging="&".join(f"{mark}=1" for mark in sorted(marks)))
                known[key] = (size, marks, hour)
            twin.until(day + 0.999)
            assert twin.classes() == expected(rule_list, known, day)
        twin.s3.close()


def test_a_date_is_a_day_of_the_clock(twin: Twin) -> None:
    twin.put("a")
    twin.put_rules({"Expiration": {"Date": datetime(2026, 1, 7, tzinfo=UTC)}})
    twin.until(1.9)
    assert set(twin.classes()) == {"a"}
    twin.until(2.1)
    twin.put("b")
    twin.until(3.1)
    assert twin.classes() == {}
