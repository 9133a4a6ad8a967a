"""Lifecycle rules at work: at each midnight UTC of the clock objects expire or change class.

`S3` makes it. It wakes only while some bucket has rules, walks only the prefixes that they name,
and says what it did in a log line and in `counts`. On AWS the day's work may take hours; here it
is done at midnight. A job that reads plain files (Spark) is not kept from archived objects.
"""

from __future__ import annotations

import copy
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from simulator.cloud.context import Context
from simulator.cloud.engine import SimGenerator
from simulator.cloud.errors import NotSupportedByTwin
from simulator.cloud.operations import Answer, Call, Operation
from simulator.cloud.s3_index import Entry
from simulator.cloud.s3_lifecycle_rules import (
    DAY_S,
    EXPIRE,
    SMALL_STAYS,
    Rule,
    check_configuration,
    due_s,
    enabled_rules,
    fate,
)
from simulator.cloud.s3_multipart import MultipartOperations
from simulator.cloud.s3_objects import bucket_arn
from simulator.cloud.s3_settings import BucketSettings
from simulator.cloud.s3_store import ObjectStore

SETTING = "BucketLifecycleConfiguration"
_SMALL = "TransitionDefaultMinimumObjectSize"
_VERSIONS = ("NoncurrentVersionTransitions", "NoncurrentVersionExpiration")

log = logging.getLogger(__name__)


class Lifecycle:
    """The rules of all buckets and the process that applies them."""

    def __init__(
        self,
        context: Context,
        store: ObjectStore,
        settings: BucketSettings,
        uploads: MultipartOperations,
    ) -> None:
        self._context = context
        self._store = store
        self._settings = settings
        self._uploads = uploads
        self._running = False
        self.counts: Counter[str] = Counter()
        """What was done so far: ``expired``, ``aborted`` and storage classes moved to."""

    def operations(self) -> dict[str, Operation]:
        """Return the put that validates; get and delete are those of any setting."""
        return {f"Put{SETTING}": Operation(self._put, bucket_arn, "s3:PutLifecycleConfiguration")}

    def _put(self, call: Call) -> Answer:
        bucket = self._store.require_bucket(call.params["Bucket"])
        value = copy.deepcopy(call.params.get("LifecycleConfiguration") or {"Rules": []})
        check_configuration(value["Rules"])
        for rule in value["Rules"]:
            self._check_versions(bucket, rule)
            # Drawn by S3 where the request has none.
            rule["ID"] = rule.get("ID") or self._context.engine.new_id()
        value[_SMALL] = call.params.get(_SMALL, SMALL_STAYS)
        self._settings.put(bucket, SETTING, value)
        if not self._running:
            self._running = True
            self._context.engine.process(self._watch())
        return {_SMALL: value[_SMALL]}

    def _check_versions(self, bucket: str, rule: Mapping[str, Any]) -> None:
        versioning = self._settings.get(bucket, "BucketVersioning") or {}
        if "Status" not in versioning:
            return  # There are no versions, so these parts change nothing.
        named = [name for name in _VERSIONS if name in rule]
        if "ExpiredObjectDeleteMarker" in rule.get("Expiration", {}):
            named.append("ExpiredObjectDeleteMarker")
        if named:
            raise NotSupportedByTwin(f"s3:Put{SETTING} with {named[0]} on a versioned bucket")

    def _watch(self) -> SimGenerator:
        engine = self._context.engine
        while any(self._settings.get(bucket, SETTING) for bucket in self._store.buckets):
            # Half a second for a clock whose sum of floats falls short of midnight.
            day = int((engine.epoch_s() + 0.5) // DAY_S) + 1
            yield engine.env.timeout(day * DAY_S - engine.epoch_s())
            for bucket in sorted(self._store.buckets):
                self._apply(bucket, float(day * DAY_S))
        self._running = False

    def _apply(self, bucket: str, now_s: float) -> None:
        configuration = self._settings.get(bucket, SETTING)
        rules = enabled_rules(configuration) if configuration else []
        if not rules:
            return
        done: Counter[str] = Counter()
        small_stays = configuration[_SMALL] == SMALL_STAYS
        for entry in list(self._objects(bucket, rules)):
            to = fate(rules, entry, now_s, small_stays)
            if to == EXPIRE:
                self._store.delete(bucket, entry.key)
                self._tell(bucket, entry, "LifecycleExpiration:Delete")
                done["expired"] += 1
            elif to is not None:
                moved = replace(entry, attributes={**entry.attributes, "StorageClass": to})
                self._store.index.put(bucket, moved)
                self._tell(bucket, moved, "LifecycleTransition")
                done[to] += 1
        for upload_id, key, started_s in self._uploads.of_bucket(bucket):
            if any(
                rule.abort_days is not None
                and key.startswith(rule.prefix)
                and due_s(started_s, {"Days": rule.abort_days}) <= now_s
                for rule in rules
            ):
                self._uploads.abort(upload_id)
                done["aborted"] += 1
        if done:
            told = ", ".join(f"{count} {what}" for what, count in sorted(done.items()))
            log.info("lifecycle of bucket %s: %s", bucket, told)
        self.counts += done

    def _objects(self, bucket: str, rules: Sequence[Rule]) -> Iterator[Entry]:
        last: str | None = None
        for prefix in sorted({r.prefix for r in rules if r.expiration or r.transitions}):
            # Sorted, a prefix comes before those that it covers.
            if last is not None and prefix.startswith(last):
                continue
            last = prefix
            yield from self._store.walk(bucket, prefix)

    def _tell(self, bucket: str, entry: Entry, event: str) -> None:
        for listener in self._store.listeners:
            listener(bucket, entry, event)
