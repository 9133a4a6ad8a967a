"""Lambda functions, their event source mappings, and who may invoke them."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any

from simulator.cloud.iam import Iam
from simulator.cloud.resources.declarations import NAMED, TEXT, enforced, honoured, kept, stored
from simulator.cloud.resources.mapping import Outcome, Resource, maps


@maps(
    "AWS::Lambda::Function",
    {
        "FunctionName": NAMED,
        "Handler": honoured("test_functions.test_a_handler_that_is_not_there_is_named"),
        "Code": honoured(
            "test_assembly.test_a_foreign_app_runs_its_own_function_from_its_own_asset"
        ),
        "Environment": honoured("test_functions.test_a_changed_environment_starts_a_new_worker"),
        "Role": enforced(
            "test_permissions_end_to_end.test_functions_that_may_not_write_or_score_fail_and_their_alarms_alert"
        ),
        "Timeout": enforced("test_functions.test_a_handler_that_hangs_is_killed_and_times_out"),
        "LoggingConfig": honoured("test_functions.test_a_function_logs_where_its_settings_say"),
        "MemorySize": stored(
            "the handler sees it in its environment; the worker's memory is not limited"
        ),
        "Runtime": stored("any Python is taken for the one of this environment"),
        "Architectures": stored("the worker runs on this machine's processor"),
        "EphemeralStorage": stored("the worker's folder has the size of this machine's disk"),
        "TracingConfig": stored("there is no X-Ray here"),
        "Description": TEXT,
        "SnapStart": kept("workers are kept warm anyway"),
        "RuntimeManagementConfig": kept("the runtime is this machine's Python"),
    },
)
def function(resource: Resource) -> Outcome:
    """Create a function and wait until it is Active."""
    properties = resource.properties
    name = resource.name("FunctionName")
    values = {"FunctionName": name, **properties.rest()}
    values["Code"] = _with_asset(resource, values.get("Code", {}))
    params = resource.fit("lambda", "CreateFunction", values)
    answer = resource.call("lambda", "CreateFunction", params)

    def ready() -> bool:
        now = resource.call("lambda", "GetFunctionConfiguration", {"FunctionName": name})
        return bool(now.get("State", "Active") == "Active")

    if answer.get("State", "Active") != "Active":
        resource.wait_until(ready, f"function {name}")
    return name, {"Arn": resource.context.arn("lambda", f"function:{name}")}


def _with_asset(resource: Resource, code: dict[str, Any]) -> dict[str, Any]:
    """Return code as an asset: CloudFormation makes a file ``index.py`` of what stands in place."""
    text = code.get("ZipFile")
    if text is None or not str(resource.properties.take("Runtime", "")).startswith("python"):
        return code
    key = f"inline-{hashlib.sha256(str(text).encode()).hexdigest()[:32]}"
    folder = resource.context.state / "inline" / key
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.py").write_text(str(text), "utf-8")
    resource.context.assets[key] = folder
    return {"S3Bucket": "inline", "S3Key": f"{key}.zip"}


@maps(
    "AWS::Lambda::EventSourceMapping",
    {
        "FunctionName": honoured(
            "test_mappings.test_every_record_is_delivered_in_order_per_key_or_sent_to_the_destination"
        ),
        "EventSourceArn": honoured(
            "test_mappings.test_every_record_is_delivered_in_order_per_key_or_sent_to_the_destination"
        ),
        "BatchSize": enforced("test_mappings.test_a_full_batch_does_not_wait_for_its_window"),
        "MaximumBatchingWindowInSeconds": honoured(
            "test_mappings.test_a_window_gathers_what_comes_in_it"
        ),
        "StartingPosition": honoured(
            "test_mappings.test_latest_sees_only_what_comes_after_the_mapping"
        ),
        "StartingPositionTimestamp": honoured(
            "test_mappings.test_latest_sees_only_what_comes_after_the_mapping"
        ),
        "FunctionResponseTypes": honoured(
            "test_mappings.test_a_batch_whose_last_record_fails_is_retried_with_that_record_alone"
        ),
        "BisectBatchOnFunctionError": honoured(
            "test_mappings.test_bisecting_finds_the_poison_record_and_the_rest_passes"
        ),
        "MaximumRecordAgeInSeconds": enforced(
            "test_mappings.test_records_older_than_the_maximum_age_are_given_up"
        ),
        "MaximumRetryAttempts": honoured(
            "test_mappings.test_every_record_is_delivered_in_order_per_key_or_sent_to_the_destination"
        ),
        "DestinationConfig": honoured(
            "test_mappings.test_every_record_is_delivered_in_order_per_key_or_sent_to_the_destination"
        ),
        "Enabled": honoured("test_mappings.test_a_disabled_mapping_goes_on_where_it_stopped"),
        "ParallelizationFactor": honoured(
            "test_mapping_answers.test_what_cannot_be_mapped_is_refused"
        ),
        "TumblingWindowInSeconds": honoured(
            "test_mapping_answers.test_what_cannot_be_mapped_is_refused"
        ),
    },
)
def event_source_mapping(resource: Resource) -> Outcome:
    """Create a mapping; its id comes from the service."""
    params = resource.fit("lambda", "CreateEventSourceMapping", resource.properties.rest())
    answer = resource.call("lambda", "CreateEventSourceMapping", params)
    uuid = str(answer["UUID"])
    arn = resource.context.arn("lambda", f"event-source-mapping:{uuid}")
    return uuid, {"Id": uuid, "EventSourceMappingArn": arn}


@maps(
    "AWS::Lambda::Permission",
    {
        "FunctionName": enforced(
            "test_resources.test_a_permission_lets_only_the_named_source_invoke"
        ),
        "Action": enforced("test_resources.test_a_permission_lets_only_the_named_source_invoke"),
        "Principal": enforced("test_resources.test_a_permission_lets_only_the_named_source_invoke"),
        "SourceArn": enforced("test_resources.test_a_permission_lets_only_the_named_source_invoke"),
        "SourceAccount": enforced(
            "test_resources.test_a_permission_lets_only_the_named_source_invoke"
        ),
    },
)
def permission(resource: Resource) -> Outcome:
    """Add a statement to a function's policy, in Lambda and for decisions."""
    sid = resource.own_id()
    values = {"StatementId": sid, **resource.properties.rest()}
    params = resource.fit("lambda", "AddPermission", values)
    given = str(params["FunctionName"])
    is_arn = given.startswith("arn:")
    arn = given if is_arn else resource.context.arn("lambda", f"function:{given}")
    document = {"Version": "2012-10-17", "Statement": _statement(params, arn)}
    resource.register(partial(Iam.put_resource_policy, arn=arn, document=document, name=sid))
    resource.call("lambda", "AddPermission", params)
    return sid, {"Id": sid}


def _statement(params: dict[str, Any], arn: str) -> dict[str, Any]:
    """Return the statement that AddPermission stands for."""
    principal = str(params["Principal"])
    conditions: dict[str, dict[str, str]] = {}
    for name, operator in (("SourceArn", "ArnLike"), ("SourceAccount", "StringEquals")):
        if name in params:
            conditions.setdefault(operator, {})[f"aws:{name}"] = params[name]
    return {
        "Sid": params["StatementId"],
        "Effect": "Allow",
        "Principal": {"Service" if principal.endswith(".amazonaws.com") else "AWS": principal},
        "Action": params["Action"],
        "Resource": [arn, f"{arn}:*"],
        "Condition": conditions,
    }
