"""EventBridge: rules by schedule and by pattern, which really call their targets.

On the account's default bus. Events come from services of the twin (`Events.emit`: objects that
appear in buckets with EventBridge on, states of Glue jobs and DataSync executions), from
PutEvents and from schedules on the run's clock. Targets: state machines, functions, topics and
queues. A target is called with the rights of the rule's role or, where it has none, of the
service in the resource's policy; what is refused goes to the target's dead-letter queue, and to
the metric FailedInvocations. Source: EventBridge user guide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import simpy

from simulator.cloud import schedules
from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.event_patterns import compile_pattern
from simulator.cloud.event_targets import arguments_of, service_of
from simulator.cloud.json_patterns import Wants
from simulator.cloud.object_events import GIVEN_LATE, OBJECT_CREATED, REASONS, detail_of
from simulator.cloud.operations import Answer, Call, Operation, Params, Principal
from simulator.cloud.pages import page
from simulator.cloud.s3_index import Entry

SERVICE = "events.amazonaws.com"
DELIVERY_S = 0.5
"""Modelled time from an event to its target: "about half a second" (EventBridge FAQ)."""
MOST_TARGETS = 5
"""Targets of a rule (EventBridge quotas)."""
_BUS = "default"


@dataclass
class _Rule:
    name: str
    arn: str
    params: Params
    wants: Wants | None
    following: schedules.Next | None
    targets: dict[str, dict[str, Any]] = field(default_factory=dict)
    generation: int = 0

    @property
    def is_on(self) -> bool:
        return bool(self.params.get("State", "ENABLED") != "DISABLED")

    def might_want(self, about: Mapping[str, Any]) -> bool:
        """Tell whether it may want an event of which it is not yet known what is given late."""
        if not self.is_on or self.wants is None:
            return False
        late = any(name in self.params["EventPattern"] for name in GIVEN_LATE)
        return late or self.wants(about)


class Events:
    """The service; `watch` makes it hear of a bucket's objects."""

    def __init__(self, context: Context, bridged: Callable[[str], bool]) -> None:
        self._context = context
        self._bridged = bridged
        self._rules: dict[str, _Rule] = {}

    def operations(self) -> dict[str, Operation]:
        """Return every operation that runs here, keyed by botocore's name."""
        by_rule: dict[str, Any] = {
            "PutRule": self._put,
            "DescribeRule": self._describe,
            "DeleteRule": self._delete,
            "EnableRule": self._switch("ENABLED"),
            "DisableRule": self._switch("DISABLED"),
            "PutTargets": self._put_targets,
            "RemoveTargets": self._remove_targets,
            "ListTargetsByRule": self._list_targets,
        }
        table = {name: Operation(execute, self._rule_arn) for name, execute in by_rule.items()}
        return table | {
            "ListRules": Operation(self._list),
            "ListRuleNamesByTarget": Operation(self._list_by_target),
            "PutEvents": Operation(self._put_events, self._bus_arn),
            "TestEventPattern": Operation(self._test),
        }

    # -- events

    def object_created(self, bucket: str, entry: Entry, event: str) -> None:
        """Be a listener of the buckets: S3's "Object Created" where EventBridge is on."""
        if event not in REASONS or not self._rules or not self._bridged(bucket):
            return
        context, order = self._context, self._context.engine.order
        detail = detail_of(context.account, bucket, entry, event)
        arns = [context.arn("s3", bucket, regional=False)]
        about = self._about(OBJECT_CREATED, detail, arns)
        # Most objects are for no rule: to keep their order would hold up the functions beside.
        if any(rule.might_want(about) for rule in self._rules.values()):
            order.after(order.acting, partial(self._tell_of_object, detail, arns))

    def _tell_of_object(self, detail: Mapping[str, Any], arns: Sequence[str]) -> None:
        request_id = self._context.engine.new_id().replace("-", "")[:16].upper()
        self.emit(*OBJECT_CREATED, {**detail, "request-id": request_id}, arns)

    def _about(
        self, kind: tuple[str, str], detail: Mapping[str, Any], resources: Sequence[str]
    ) -> dict[str, Any]:
        """Return an event without its id and time."""
        source, detail_type = kind
        return {
            "version": "0",
            "detail-type": detail_type,
            "source": source,
            "account": self._context.account,
            "region": self._context.region,
            "resources": list(resources),
            "detail": dict(detail),
        }

    def emit(
        self, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str]
    ) -> str:
        """Offer an event to every rule; return its id."""
        engine = self._context.engine
        event = self._about((source, detail_type), detail, resources) | {
            "id": engine.new_id(),
            "time": engine.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for rule in self._rules.values():
            if rule.is_on and rule.wants is not None and rule.wants(event):
                self._trigger(rule, event)
        return str(event["id"])

    def _trigger(self, rule: _Rule, event: Mapping[str, Any]) -> None:
        self._count("TriggeredRules", rule)
        for target in rule.targets.values():
            self._context.engine.process(self._deliver(rule, dict(target), event))

    def _deliver(
        self, rule: _Rule, target: Mapping[str, Any], event: Mapping[str, Any]
    ) -> Generator[simpy.Event, Any, None]:
        yield self._context.engine.env.timeout(DELIVERY_S)
        service, operation, params = arguments_of(target, event)
        self._count("Invocations", rule)
        try:
            answer = self._context.dispatch(self._caller(rule, target), service, operation, params)
            if isinstance(answer, simpy.Event):
                yield answer
        except AwsError as error:
            self._count("FailedInvocations", rule)
            self._bury(rule, target, event, error)

    def _caller(self, rule: _Rule, target: Mapping[str, Any]) -> Principal:
        iam = self._context.iam
        if "RoleArn" in target:
            return iam.principal_for_role(target["RoleArn"], rule.name[:64], service=SERVICE)
        return iam.service_principal(SERVICE, rule.arn)

    def _bury(
        self,
        rule: _Rule,
        target: Mapping[str, Any],
        event: Mapping[str, Any],
        error: AwsError,
    ) -> None:
        """Put an event that a target refused on its dead-letter queue, if it has one."""
        queue = target.get("DeadLetterConfig", {}).get("Arn")
        if queue is None:
            return
        attributes = {
            "RULE_ARN": rule.arn,
            "TARGET_ARN": target["Arn"],
            "ERROR_CODE": error.code,
            "ERROR_MESSAGE": error.message[:1_000],
        }
        account, name = queue.split(":")[-2:]
        params = {
            "QueueUrl": f"{self._context.gateway_url}/{account}/{name}",
            "MessageBody": json.dumps(event),
            "MessageAttributes": {
                key: {"DataType": "String", "StringValue": value}
                for key, value in attributes.items()
            },
        }
        caller = self._context.iam.service_principal(SERVICE, rule.arn)
        try:
            self._context.dispatch(caller, "sqs", "SendMessage", params)
        except AwsError:
            self._count("InvocationsFailedToBeSentToDlq", rule)
        else:
            self._count("InvocationsSentToDlq", rule)

    def _count(self, name: str, rule: _Rule) -> None:
        self._context.cloudwatch.record("AWS/Events", name, {"RuleName": rule.name}, 1.0, "Count")

    # -- rules

    def _rule_arn(self, params: Params) -> Sequence[str]:
        return (self._context.arn("events", f"rule/{params.get('Name') or params.get('Rule')}"),)

    def _bus_arn(self, params: Params) -> Sequence[str]:
        return (self._context.arn("events", f"event-bus/{_BUS}"),)

    def _rule(self, params: Params) -> _Rule:
        check_bus(params)
        name = params.get("Name") or params["Rule"]
        found = self._rules.get(name)
        if found is None:
            raise AwsError(
                "ResourceNotFoundException", f"Rule {name} does not exist on EventBus {_BUS}."
            )
        return found

    def _put(self, call: Call) -> Answer:
        params = {name: value for name, value in call.params.items() if name != "Tags"}
        wants, following = checked_rule(params)
        arn = self._rule_arn(params)[0]
        old = self._rules.get(params["Name"])
        rule = _Rule(params["Name"], arn, params, wants, following)
        if old is not None:
            rule.targets, rule.generation = old.targets, old.generation + 1
            old.generation = -1
        self._rules[rule.name] = rule
        self._reschedule(rule)
        return {"RuleArn": arn}

    def _reschedule(self, rule: _Rule) -> None:
        rule.generation += 1
        if rule.following is not None and rule.is_on:
            self._context.engine.process(self._on_schedule(rule, rule.generation))

    def _on_schedule(self, rule: _Rule, generation: int) -> Generator[simpy.Event, Any, None]:
        assert rule.following is not None
        engine = self._context.engine
        while (at := rule.following(engine.now())) is not None:
            yield engine.env.timeout((at - engine.now()).total_seconds())
            if rule.generation != generation or self._rules.get(rule.name) is not rule:
                return
            event = {
                "version": "0",
                "id": engine.new_id(),
                "detail-type": "Scheduled Event",
                "source": "aws.events",
                "account": self._context.account,
                "time": engine.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
                "region": self._context.region,
                "resources": [rule.arn],
                "detail": {},
            }
            self._trigger(rule, event)

    def _described(self, rule: _Rule) -> Answer:
        shown = {"State": "ENABLED", **rule.params, "Arn": rule.arn, "EventBusName": _BUS}
        return shown

    def _describe(self, call: Call) -> Answer:
        return {**self._described(self._rule(call.params)), "CreatedBy": self._context.account}

    def _delete(self, call: Call) -> Answer:
        check_bus(call.params)
        rule = self._rules.get(call.params["Name"])
        if rule is not None and rule.targets:
            raise AwsError("ValidationException", "Rule can't be deleted since it has targets.")
        self._rules.pop(call.params["Name"], None)
        return {}

    def _switch(self, state: str) -> Callable[[Call], Answer]:
        def switch(call: Call) -> Answer:
            rule = self._rule(call.params)
            rule.params["State"] = state
            self._reschedule(rule)
            return {}

        return switch

    def _list(self, call: Call) -> Answer:
        check_bus(call.params)
        prefix = call.params.get("NamePrefix", "")
        rules = [rule for name, rule in sorted(self._rules.items()) if name.startswith(prefix)]
        return _paged("Rules", [self._described(rule) for rule in rules], call.params)

    def _list_by_target(self, call: Call) -> Answer:
        check_bus(call.params)
        wanted = call.params["TargetArn"]
        names = [
            name
            for name, rule in sorted(self._rules.items())
            if any(target["Arn"] == wanted for target in rule.targets.values())
        ]
        return _paged("RuleNames", names, call.params)

    # -- targets

    def _put_targets(self, call: Call) -> Answer:
        rule = self._rule(call.params)
        for target in call.params["Targets"]:
            service_of(target)
            if "RoleArn" in target and call.principal.role_arn is not None:
                passed = {"iam:PassedToService": SERVICE}
                self._context.iam.authorise(
                    call.principal, "iam:PassRole", target["RoleArn"], passed
                )
        after = {**rule.targets, **{one["Id"]: dict(one) for one in call.params["Targets"]}}
        if len(after) > MOST_TARGETS:
            raise AwsError("LimitExceededException", f"A rule has at most {MOST_TARGETS} targets.")
        rule.targets = after
        return {"FailedEntryCount": 0, "FailedEntries": []}

    def _remove_targets(self, call: Call) -> Answer:
        rule, failed = self._rule(call.params), []
        for name in call.params["Ids"]:
            if rule.targets.pop(name, None) is None:
                failed.append(
                    {
                        "TargetId": name,
                        "ErrorCode": "ResourceNotFoundException",
                        "ErrorMessage": f"Rule {rule.name} has no target {name}.",
                    }
                )
        return {"FailedEntryCount": len(failed), "FailedEntries": failed}

    def _list_targets(self, call: Call) -> Answer:
        rule = self._rule(call.params)
        return _paged("Targets", [dict(one) for one in rule.targets.values()], call.params)

    # -- what others say

    def _put_events(self, call: Call) -> Answer:
        entries: list[Answer] = []
        for one in call.params["Entries"]:
            check_bus(one)
            wrong = _wrong(one)
            if wrong is not None:
                entries.append({"ErrorCode": wrong[0], "ErrorMessage": wrong[1]})
                continue
            detail = json.loads(one["Detail"])
            found = self.emit(one["Source"], one["DetailType"], detail, one.get("Resources", []))
            entries.append({"EventId": found})
        failed = sum("ErrorCode" in entry for entry in entries)
        return {"FailedEntryCount": failed, "Entries": entries}

    def _test(self, call: Call) -> Answer:
        wants = compile_pattern(call.params["EventPattern"])
        try:
            event = json.loads(call.params["Event"])
        except ValueError:
            raise AwsError("ValidationException", "The event is not valid JSON.") from None
        return {"Result": wants(event)}


def _wrong(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return why an entry of PutEvents is not taken."""
    for name in ("Source", "DetailType", "Detail"):
        if not entry.get(name):
            return "InvalidArgument", f"Parameter {name} is not valid. Reason: {name} is required."
    if re.match("aws", entry["Source"]):
        return "NotAuthorizedForSourceException", "Not authorized for the source."
    try:
        is_object = isinstance(json.loads(entry["Detail"]), dict)
    except ValueError:
        is_object = False
    return None if is_object else ("MalformedDetail", "Detail is malformed.")


def checked_rule(params: Params) -> tuple[Wants | None, schedules.Next | None]:
    """Return which events a rule wants, and when it is due; raises as PutRule does."""
    check_bus(params)
    if params.get("State") == "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS":
        raise NotSupportedByTwin("events:PutRule with CloudTrail's management events")
    pattern, expression = params.get("EventPattern"), params.get("ScheduleExpression")
    if not pattern and not expression:
        raise AwsError(
            "ValidationException",
            "Parameter(s) EventPattern or ScheduleExpression must be specified.",
        )
    wants = compile_pattern(pattern) if pattern else None
    said = "Parameter ScheduleExpression is not valid."
    code = "ValidationException"
    following = schedules.parse(expression, code, said=said) if expression else None
    return wants, following


def check_bus(params: Params) -> None:
    """Raise NotSupportedByTwin for another event bus than the default one."""
    bus = params.get("EventBusName", _BUS)
    if bus.rpartition("/")[2] != _BUS:
        raise NotSupportedByTwin(f"events with the event bus {bus}")


def _paged(member: str, items: Sequence[Any], params: Params) -> Answer:
    found, token = page(
        items, params.get("Limit", 100), params.get("NextToken"), "ValidationException"
    )
    return {member: found, **({"NextToken": token} if token is not None else {})}
