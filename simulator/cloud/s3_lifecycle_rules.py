"""What lifecycle rules mean: their validation, and an object's fate at a given midnight.

`s3_lifecycle` calls it once a day of the clock. Nothing here knows a bucket or changes anything.
Rules of S3: user guide, "Lifecycle configuration elements" and "Conflicting lifecycle actions".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from simulator.cloud.errors import AwsError
from simulator.cloud.s3_index import Entry

DAY_S = 86_400
MAX_RULES = 1_000
MAX_ID = 255
SMALL_BYTES = 128 * 1024
SMALL_STAYS = "all_storage_classes_128K"
"""Default since September 2024: what is smaller than 128 KiB is not moved, whatever the class."""
ARCHIVE = ("GLACIER", "DEEP_ARCHIVE")
"""Classes from which an object cannot be read without a restore."""
_COLDNESS = {
    name: rank
    for rank, name in enumerate(
        (
            "STANDARD",
            "STANDARD_IA",
            "INTELLIGENT_TIERING",
            "ONEZONE_IA",
            "GLACIER_IR",
            *ARCHIVE,
        )
    )
}
_THIRTY_DAYS = ("STANDARD_IA", "ONEZONE_IA")
_ACTIONS = (
    "Expiration",
    "Transitions",
    "NoncurrentVersionTransitions",
    "NoncurrentVersionExpiration",
    "AbortIncompleteMultipartUpload",
)
_FILTERS = ("Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan", "And")

EXPIRE = "expire"


@dataclass(frozen=True, slots=True)
class Rule:
    """One enabled rule: which objects it is about, and when it does what."""

    prefix: str
    tags: tuple[tuple[str, str], ...]
    larger: int | None
    smaller: int | None
    expiration: Mapping[str, Any]
    transitions: Sequence[Mapping[str, Any]]
    abort_days: int | None

    def matches(self, entry: Entry) -> bool:
        """Tell whether the rule is about an object."""
        tags = {(tag["Key"], tag["Value"]) for tag in entry.attributes.get("TagSet", [])}
        return (
            entry.key.startswith(self.prefix)
            and tags.issuperset(self.tags)
            and (self.larger is None or entry.size > self.larger)
            and (self.smaller is None or entry.size < self.smaller)
        )


def enabled_rules(configuration: Mapping[str, Any]) -> list[Rule]:
    """Return the enabled rules of a valid configuration."""
    return [_rule(rule) for rule in configuration["Rules"] if rule["Status"] == "Enabled"]


def _rule(rule: Mapping[str, Any]) -> Rule:
    chosen = rule.get("Filter", {})
    chosen = chosen.get("And", chosen)
    tags = [*chosen.get("Tags", []), *([chosen["Tag"]] if "Tag" in chosen else [])]
    return Rule(
        prefix=rule.get("Prefix") or chosen.get("Prefix", ""),
        tags=tuple((tag["Key"], tag["Value"]) for tag in tags),
        larger=chosen.get("ObjectSizeGreaterThan"),
        smaller=chosen.get("ObjectSizeLessThan"),
        expiration=rule.get("Expiration", {}),
        transitions=rule.get("Transitions", []),
        abort_days=rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation"),
    )


def due_s(from_s: float, action: Mapping[str, Any]) -> float:
    """Return when an action on something made at ``from_s`` is due, in seconds since 1970.

    Days are added to the time of creation, and the sum is rounded up to midnight UTC. What has
    neither days nor a date (a rule about delete markers) is never due.
    """
    if "Date" in action:
        return _moment(action["Date"]).timestamp()
    if "Days" not in action:
        return math.inf
    return float(math.ceil((from_s + action["Days"] * DAY_S) / DAY_S) * DAY_S)


def fate(rules: Sequence[Rule], entry: Entry, now_s: float, small_stays: bool) -> str | None:
    """Return EXPIRE, a storage class to move an object to, or None.

    Expiration wins over transitions, and of several transitions the coldest class.
    """
    current = entry.attributes.get("StorageClass", "STANDARD")
    coldest = current
    for rule in rules:
        if not rule.matches(entry):
            continue
        if due_s(entry.modified_s, rule.expiration) <= now_s:
            return EXPIRE
        for transition in rule.transitions:
            to = transition["StorageClass"]
            if (
                _COLDNESS[to] > _COLDNESS.get(coldest, 0)
                and due_s(entry.modified_s, transition) <= now_s
                and _worth_moving(rule, entry, to, small_stays)
            ):
                coldest = to
    return None if coldest == current else str(coldest)


def _worth_moving(rule: Rule, entry: Entry, to: str, small_stays: bool) -> bool:
    """Tell whether an object is large enough; a rule's own size filter overrides the default."""
    if entry.size >= SMALL_BYTES or rule.larger is not None or rule.smaller is not None:
        return True
    return not small_stays and to in ARCHIVE


# -- validation


def check_configuration(rules: Sequence[Mapping[str, Any]]) -> None:
    """Raise S3's error for rules that it would not take."""
    if not 1 <= len(rules) <= MAX_RULES:
        raise malformed()
    names = [rule["ID"] for rule in rules if rule.get("ID")]
    if len(set(names)) < len(names):
        raise _argument("Rule ID must be unique. Found same ID for more than one rule")
    if any(len(name) > MAX_ID for name in names):
        raise _argument(f"ID length should not exceed allowed limit of {MAX_ID}")
    for rule in rules:
        _check_rule(rule)


def _check_rule(rule: Mapping[str, Any]) -> None:
    chosen = rule.get("Filter")
    if rule["Status"] not in ("Enabled", "Disabled") or ("Prefix" in rule) == (chosen is not None):
        raise malformed()
    if chosen is not None:
        _check_filter(chosen)
    if not any(rule.get(name) is not None for name in _ACTIONS):
        raise _request("At least one action needs to be specified in a rule")
    meant = _rule(rule)
    where = f"filter '(prefix={meant.prefix})'"
    _check_expiration(meant, rule, where)
    _check_transitions(meant, where)
    if meant.abort_days is not None:
        if meant.abort_days <= 0:
            raise _argument(
                "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a "
                "positive integer"
            )
        if meant.tags:
            raise _request("AbortIncompleteMultipartUpload cannot be specified with Tags.")
        if meant.larger is not None or meant.smaller is not None:
            raise _request("AbortIncompleteMultipartUpload cannot be specified with Object Size.")


def _check_filter(chosen: Mapping[str, Any]) -> None:
    if sum(name in chosen for name in _FILTERS) > 1:
        raise malformed()
    if "And" in chosen:
        both = chosen["And"]
        tags = both.get("Tags", [])
        if len([name for name in both if name != "Tags"]) + len(tags) < 2:
            raise malformed()
        if len({tag["Key"] for tag in tags}) < len(tags):
            raise _request("Duplicate Tag Keys are not allowed.")
        larger, smaller = both.get("ObjectSizeGreaterThan"), both.get("ObjectSizeLessThan")
        if larger is not None and smaller is not None and larger >= smaller:
            raise _request(
                "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'."
            )


def _check_expiration(meant: Rule, rule: Mapping[str, Any], where: str) -> None:
    expiration = meant.expiration
    if "Expiration" in rule and len(expiration) != 1:
        raise malformed()
    if "Date" in expiration:
        _check_date(expiration["Date"])
    if "Days" not in expiration:
        return
    if expiration["Days"] <= 0:
        raise _argument("'Days' for Expiration action must be a positive integer")
    if any(expiration["Days"] <= one.get("Days", -1) for one in meant.transitions):
        raise _argument(
            f"'Days' in the Expiration action for {where} must be greater than 'Days' in the "
            "Transition action"
        )


def _check_transitions(meant: Rule, where: str) -> None:
    classes = [one.get("StorageClass") for one in meant.transitions]
    if len(set(classes)) < len(classes):
        raise _request(
            f"'StorageClass' must be different for 'Transition' actions in same 'Rule' with {where}"
        )
    for one in meant.transitions:
        to = one.get("StorageClass")
        if to not in _COLDNESS or to == "STANDARD" or ("Days" in one) == ("Date" in one):
            raise malformed()
        if "Date" in one:
            _check_date(one["Date"])
        elif one["Days"] < 0:
            raise _argument("'Days' for Transition action must be nonnegative")
        elif to in _THIRTY_DAYS and one["Days"] < 30:
            raise _argument(
                "'Days' in Transition action must be greater than or equal to 30 for "
                f"storageClass '{to}'"
            )
    timed = [*meant.transitions, meant.expiration]
    if any("Days" in one for one in timed) and any("Date" in one for one in timed):
        raise _request(
            "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle "
            f"rule for {where}"
        )


def _check_date(value: datetime | str) -> None:
    if _moment(value).timestamp() % DAY_S:
        raise _argument("'Date' must be at midnight GMT")


def _moment(value: datetime | str) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def malformed() -> AwsError:
    """Return S3's answer to what its schema does not allow."""
    return AwsError(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
    )


def _argument(message: str) -> AwsError:
    return AwsError("InvalidArgument", message)


def _request(message: str) -> AwsError:
    return AwsError("InvalidRequest", message)
