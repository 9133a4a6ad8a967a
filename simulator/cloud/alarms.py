"""CloudWatch alarms, metric and composite: their states, history, and what a change sets off.

Metric alarms are evaluated each virtual minute, composite ones whenever another alarm changes.
A change is told to topics and to EventBridge. `alarm_rules.py` and `composite_rules.py` decide
the state; `alarm_messages.py` words what is sent and shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simulator.cloud.alarm_lists import AlarmLists
from simulator.cloud.alarm_messages import REGION_NAMES, change_event, message, shown
from simulator.cloud.alarm_rules import (
    ACTIONS,
    EXTRA_PERIODS,
    Terms,
    check_actions,
    check_definition,
    evaluate,
    reason,
)
from simulator.cloud.asl_payload import dumps
from simulator.cloud.composite_rules import Rule, parse_rule
from simulator.cloud.context import Context
from simulator.cloud.engine import SimGenerator
from simulator.cloud.errors import AwsError, NotSupportedByTwin, ValidationError
from simulator.cloud.metric_queries import Queries, alarm_queries
from simulator.cloud.metrics import RESOLUTION_S, MetricKey, Metrics, metric_key
from simulator.cloud.operations import Answer, Call, Operation, Params

_DEFAULTS: dict[str, Any] = {"ActionsEnabled": True} | {kind: [] for kind in ACTIONS.values()}
_SUPPRESSORS = tuple(f"ActionsSuppressor{part}" for part in ("", "WaitPeriod", "ExtensionPeriod"))


@dataclass
class Alarm:
    """One alarm: its definition as it was put, its state, and what happened to it."""

    arn: str
    definition: Params
    configured: datetime
    changed: datetime
    rule: Rule | None = None
    queries: Queries | None = None
    key: MetricKey | None = None
    terms: Terms | None = None
    """What to judge a metric by; None of a composite alarm."""
    values: list[float | None] | None = None
    """What the last evaluation saw, if neither the state nor the definition changed since."""
    asleep: int | None = None
    """While this is its metric's newest minute, there is nothing that the next evaluation sees."""
    state: str = "INSUFFICIENT_DATA"
    reason: str = "Unchecked: Initial alarm creation"
    history: list[dict[str, Any]] = field(default_factory=list)
    changes: list[tuple[datetime, str, str]] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """The type as the API calls it; one with a rule is composite."""
        return "MetricAlarm" if self.rule is None else "CompositeAlarm"


class Alarms:
    """The account's alarms; actions go to SNS when the state changes."""

    def __init__(self, context: Context, metrics: Metrics) -> None:
        self._context = context
        self._metrics = metrics
        self._alarms: dict[str, Alarm] = {}
        self._running = False
        self.on_change: list[Callable[[str, str, str], None]] = []
        """Called with an alarm's name, its new state and the reason."""
        self.on_tracking: list[Callable[[str, Params | None], None]] = []
        """Called with the name and the definition of a scaling policy's alarm; None: it is gone."""
        self.on_evaluated: list[Callable[[], None]] = []
        """Called each minute after the metric alarms were evaluated."""

    def operations(self) -> dict[str, Operation]:
        """Return the operations on alarms."""
        lists = AlarmLists(self._alarms)
        return {
            "PutMetricAlarm": Operation(self._put, resources=self._one),
            "PutCompositeAlarm": Operation(self._put_composite, resources=self._one),
            "EnableAlarmActions": Operation(self._switch(True), resources=self._named),
            "DisableAlarmActions": Operation(self._switch(False), resources=self._named),
            "DescribeAlarmsForMetric": Operation(lists.describe_for_metric),
            "DescribeAlarms": Operation(lists.describe, resources=self._named),
            "DescribeAlarmHistory": Operation(lists.describe_history),
            "SetAlarmState": Operation(self._set, resources=self._one),
            "DeleteAlarms": Operation(self._delete, resources=self._named),
        }

    def states(self) -> dict[str, str]:
        """Return every alarm's state by name."""
        return {name: alarm.state for name, alarm in sorted(self._alarms.items())}

    def changes(self) -> list[tuple[datetime, str, str]]:
        """Return (when, alarm, new state) of every change so far, in order."""
        return sorted(change for alarm in self._alarms.values() for change in alarm.changes)

    # -- for Application Auto Scaling

    def put_tracking(self, definition: Params, policy_arn: str) -> None:
        """Put an alarm of a scaling policy, whose owner looks at it by `on_evaluated`."""
        self._put(Call(self._context.dispatch.root, definition))
        self._alarms[definition["AlarmName"]].definition["AlarmActions"] = [policy_arn]
        for listener in self.on_tracking:
            listener(definition["AlarmName"], definition)

    def remove(self, names: Iterable[str]) -> None:
        """Remove alarms that their owner no longer needs."""
        for name in names:
            if self._alarms.pop(name, None) is not None:
                for listener in self.on_tracking:
                    listener(name, None)

    def state(self, name: str) -> str:
        """Return an alarm's state; of one that somebody deleted, INSUFFICIENT_DATA."""
        return self._state_of(name)

    def recent(self, name: str, periods: int) -> list[float]:
        """Return the values of an alarm's last complete periods, without those that have none."""
        alarm = self._alarms[name]
        terms = alarm.terms
        assert terms is not None  # a composite alarm tracks nothing
        start_s = _start_s(terms, self._context.engine.epoch_s(), periods)
        found = self._values(alarm, terms.statistic, start_s, periods)
        return [value for value in found if value is not None]

    # -- definitions

    def _arn(self, name: str) -> str:
        return self._context.arn("cloudwatch", f"alarm:{name}")

    def _one(self, params: Params) -> list[str]:
        return [self._arn(params["AlarmName"])]

    def _named(self, params: Params) -> list[str]:
        """Return the alarms that a request names; one that names none is on all of them."""
        names = params.get("AlarmNames")
        return [self._arn(name) for name in names] if names else ["*"]

    def _put(self, call: Call) -> Answer:
        check_definition(call.params)
        alarm = self._keep(call.params, None)
        if "Metrics" in call.params:
            alarm.queries, alarm.key = alarm_queries(call.params["Metrics"]), None
        else:
            alarm.queries = None
            named = {d["Name"]: d["Value"] for d in alarm.definition.setdefault("Dimensions", [])}
            alarm.key = metric_key(call.params["Namespace"], call.params["MetricName"], named)
        period_s = alarm.queries.period_s if alarm.queries else int(call.params["Period"])
        alarm.terms = Terms.read(alarm.definition, period_s)
        if not self._running:
            self._running = True
            self._context.engine.process(self._watch())
        return {}

    def _put_composite(self, call: Call) -> Answer:
        params = call.params
        for name in _SUPPRESSORS:
            if name in params:
                raise NotSupportedByTwin(f"{name} of a composite alarm")
        check_actions(params)
        rule = parse_rule(params["AlarmRule"])
        unknown = sorted(rule.children - self._alarms.keys())
        if unknown:
            raise ValidationError(
                f"Could not save the composite alarm as alarms [{', '.join(unknown)}] in the alarm "
                "rule do not exist",
                "ValidationError",
            )
        if self._leads_to(rule.children, params["AlarmName"]):
            raise ValidationError("The alarm rule would depend on itself", "ValidationError")
        alarm = self._keep(params, rule)
        self._context.engine.process(self._settle(alarm))
        return {}

    def _leads_to(self, names: frozenset[str], wanted: str) -> bool:
        """Tell whether an alarm is among others, or below them."""
        if wanted in names:
            return True
        rules = [self._alarms[name].rule for name in names if name in self._alarms]
        return any(self._leads_to(rule.children, wanted) for rule in rules if rule is not None)

    def _keep(self, params: Params, rule: Rule | None) -> Alarm:
        name, now = params["AlarmName"], self._context.engine.now()
        definition = _DEFAULTS | {name: each for name, each in params.items() if name != "Tags"}
        known = self._alarms.get(name)
        if known is not None and (known.rule is None) != (rule is None):
            raise ValidationError(f"{name} is an alarm of the other type", "ValidationError")
        if known is None:
            known = Alarm(self._arn(name), definition, configured=now, changed=now, rule=rule)
            self._alarms[name] = known
        # An update keeps the state (PutMetricAlarm API reference).
        known.definition, known.configured = definition, now
        known.rule, known.terms, known.values, known.asleep = rule, None, None, None
        return known

    def _switch(self, on: bool) -> Callable[[Call], Answer]:
        def switch(call: Call) -> Answer:
            for name in call.params["AlarmNames"]:
                if name in self._alarms:
                    self._alarms[name].definition["ActionsEnabled"] = on
            return {}

        return switch

    def _delete(self, call: Call) -> Answer:
        for name in call.params["AlarmNames"]:
            self._alarms.pop(name, None)
        return {}

    # -- evaluation

    def _watch(self) -> SimGenerator:
        while True:
            yield self._context.engine.env.timeout(RESOLUTION_S)
            now_s = self._context.engine.epoch_s()
            for _, alarm in sorted(self._alarms.items()):
                if alarm.asleep is not None and alarm.asleep == self._newest(alarm):
                    continue
                if alarm.terms is not None:
                    self._check(alarm, alarm.terms, now_s)
            for listener in self.on_evaluated:
                listener()

    def _settle(self, alarm: Alarm) -> SimGenerator:
        """Evaluate a composite alarm a moment after it was put or a child changed."""
        yield self._context.engine.env.timeout(0)
        name = alarm.definition["AlarmName"]
        if alarm.rule is None or self._alarms.get(name) is not alarm:
            return
        state = "ALARM" if alarm.rule.holds(self._state_of) else "OK"
        if state == alarm.state:
            return
        # The newest change of a child is the one that decided (wording from memory).
        known = [self._alarms[child] for child in alarm.rule.children if child in self._alarms]
        if not known:
            self._change(alarm, state, f"AlarmRule is {'TRUE' if state == 'ALARM' else 'FALSE'}")
            return
        child = max(known, key=lambda one: (one.changed, one.state == state, one.arn))
        at = f"{child.changed:%A %d %B, %Y %H:%M:%S} UTC"
        self._change(alarm, state, f"{child.arn} transitioned to {child.state} at {at}")

    def _state_of(self, name: str) -> str:
        """Return an alarm's state; one that was deleted meanwhile knows nothing (from memory)."""
        return self._alarms[name].state if name in self._alarms else "INSUFFICIENT_DATA"

    def _values(
        self, alarm: Alarm, statistic: str, start_s: float, periods: int
    ) -> list[float | None]:
        if alarm.queries is not None:
            found = alarm.queries.values(self._metrics, start_s, periods)
            series = found[alarm.queries.returned[0]]
            assert isinstance(series, list)  # checked when the alarm was put
            return series
        terms = alarm.terms
        assert alarm.key is not None  # of the two it has one
        assert terms is not None
        return self._metrics.statistics(
            alarm.key, statistic, start_s, terms.period_s, periods, terms.unit
        )

    def _newest(self, alarm: Alarm) -> int | None:
        """Return the newest minute of an alarm's metric; None where it is on an expression."""
        return None if alarm.key is None else self._metrics.newest(alarm.key)

    def _check(self, alarm: Alarm, terms: Terms, now_s: float) -> None:
        periods = terms.of + EXTRA_PERIODS
        start_s = _start_s(terms, now_s, periods)
        newest = self._newest(alarm)
        is_silent = newest is not None and newest < start_s // RESOLUTION_S
        values: list[float | None] = [None] * periods
        if not is_silent:
            values = self._values(alarm, terms.statistic, start_s, periods)
        if terms.least:
            counts = self._values(alarm, "SampleCount", start_s, periods)
            if any(count is not None and count < terms.least for count in counts[-terms.of :]):
                return
        if values == alarm.values:
            # The outcome is what it was: most minutes are like the one before.
            alarm.asleep = newest if is_silent else None
            return
        alarm.values = values
        breaches = [None if v is None else terms.breaches(v, terms.threshold) for v in values]
        state = evaluate(breaches, terms.needed, terms.of, terms.missing, alarm.state)
        if state != alarm.state:
            timed = [
                None if v is None else (v, start_s + n * terms.period_s)
                for n, v in enumerate(values)
            ]
            self._change(alarm, state, reason(timed, breaches, alarm.definition, state))

    def _change(self, alarm: Alarm, state: str, why: str) -> None:
        now = self._context.engine.now()
        states = {"oldState": _state(alarm)}
        old, alarm.state = alarm.state, state
        alarm.values = alarm.asleep = None
        alarm.reason, alarm.changed = why, now
        states["newState"] = _state(alarm)
        alarm.changes.append((now, str(alarm.definition["AlarmName"]), state))
        self._note(alarm, "StateUpdate", f"Alarm updated from {old} to {state}", states)
        self._context.emit(*change_event(alarm.arn, alarm.definition, states, now))
        name = str(alarm.definition["AlarmName"])
        for listener in self.on_change:
            listener(name, state, why)
        for parent in self._alarms.values():
            if parent.rule is not None and name in parent.rule.children:
                self._context.engine.process(self._settle(parent))
        if alarm.definition["ActionsEnabled"]:
            for action in alarm.definition[ACTIONS[state]]:
                if ":sns:" in action:  # Scaling policies look at their alarms by themselves.
                    self._act(alarm, action, old)

    def _note(self, alarm: Alarm, kind: str, summary: str, data: dict[str, Any]) -> None:
        alarm.history.append(
            {
                "AlarmName": alarm.definition["AlarmName"],
                "AlarmType": alarm.kind,
                "Timestamp": self._context.engine.now(),
                "HistoryItemType": kind,
                "HistorySummary": summary,
                "HistoryData": dumps({"version": "1.0", **data}),
            }
        )

    def _act(self, alarm: Alarm, topic: str, old: str) -> None:
        """Publish a change; a topic that refuses it is noted in the history, as AWS does."""
        region = REGION_NAMES.get(self._context.region, self._context.region)
        subject = f'{alarm.state}: "{alarm.definition["AlarmName"]}" in {region}'
        request = {
            "TopicArn": topic,
            "Subject": subject[:100],  # SNS takes no longer ones.
            "Message": dumps(message(shown(alarm), old, self._context.account, region)),
        }
        caller = self._context.iam.service_principal("cloudwatch.amazonaws.com", alarm.arn)
        try:
            self._context.dispatch(caller, "sns", "Publish", request)
        except AwsError as error:
            ended, summary = "Failed", f"Failed to execute action {topic}. Received error: "
            summary += f'"{error}"'
        else:
            ended, summary = "Succeeded", f"Successfully executed action {topic}"
        data = {"actionState": ended, "notificationResource": topic, "publishedMessage": request}
        self._note(alarm, "Action", summary, data)

    def _set(self, call: Call) -> Answer:
        alarm = self._alarms.get(call.params["AlarmName"])
        if alarm is None:
            raise AwsError("ResourceNotFound", f"Unknown alarm {call.params['AlarmName']}", 404)
        if call.params["StateValue"] not in ACTIONS:
            raise AwsError("ValidationError", "The parameter StateValue is invalid")
        if call.params["StateValue"] != alarm.state:
            self._change(alarm, call.params["StateValue"], call.params["StateReason"])
        return {}


def _state(alarm: Alarm) -> dict[str, str]:
    return {"stateValue": alarm.state, "stateReason": alarm.reason}


def _start_s(terms: Terms, now_s: float, periods: int) -> float:
    """Return where the last complete periods begin, in seconds since 1970."""
    return now_s // terms.period_s * terms.period_s - periods * terms.period_s
