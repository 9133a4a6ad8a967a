"""Resource types that one call brings about as they stand: a table, not code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.cloud.resources.mapping import Outcome, Resource, maps


@dataclass(frozen=True)
class OneCall:
    """Type -> operation by shape.

    ``name`` is the property that names the resource (generated when absent) and ``arn`` its
    ARN's service and resource part, with ``{name}``. ``ref`` says what Ref gives.
    """

    type: str
    service: str
    operation: str
    name: str
    arn: str
    ref: str = "{name}"
    renames: Mapping[str, str] = field(default_factory=dict)
    recorded: Mapping[str, str] = field(default_factory=dict)
    longest: int = 64


TABLE = (
    OneCall("AWS::Glue::Job", "glue", "CreateJob", "Name", "glue:job/{name}", longest=255),
    OneCall(
        "AWS::CloudWatch::Alarm",
        "cloudwatch",
        "PutMetricAlarm",
        "AlarmName",
        "cloudwatch:alarm:{name}",
        longest=255,
    ),
    OneCall(
        "AWS::CloudWatch::CompositeAlarm",
        "cloudwatch",
        "PutCompositeAlarm",
        "AlarmName",
        "cloudwatch:alarm:{name}",
        longest=255,
    ),
)


def _register(row: OneCall) -> None:
    def create(resource: Resource) -> Outcome:
        name = resource.name(row.name, longest=row.longest)
        values = {row.name: name, **resource.properties.rest()}
        params = resource.fit(row.service, row.operation, values, renames=row.renames)
        resource.call(row.service, row.operation, params)
        arn_service, _, arn_resource = row.arn.format(name=name).partition(":")
        arn = resource.context.arn(arn_service, arn_resource)
        return row.ref.format(name=name, arn=arn), {"Arn": arn, row.name: name}

    maps(row.type, recorded=row.recorded)(create)


for _row in TABLE:
    _register(_row)
