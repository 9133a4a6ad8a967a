"""What a machine may do at the broker: be itself, and publish under its own name."""

from __future__ import annotations

from aws_cdk import aws_iot as iot
from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs import arns
from infra_cdk.constructs.stream import KINDS

THING = "${iot:Connection.Thing.ThingName}"


class Devices(Construct):
    """The type of all machines, and the policy of their certificates.

    Things and certificates come with the machines, outside of this stack: a machine is
    provisioned with a thing of its own, its certificate attached to the thing and this policy to
    the certificate.
    """

    def __init__(self, scope: Construct, construct_id: str, config: StageConfig) -> None:
        super().__init__(scope, construct_id)
        self.type = iot.CfnThingType(
            self,
            "Machine",
            thing_type_name=f"{config.prefix}-machine",
            thing_type_properties=iot.CfnThingType.ThingTypePropertiesProperty(
                thing_type_description="A machine that publishes readings"
            ),
        )
        self.policy = iot.CfnPolicy(
            self,
            "Policy",
            policy_name=f"{config.prefix}-machine",
            policy_document={
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "ConnectAsItself",
                        "Effect": "Allow",
                        "Action": "iot:Connect",
                        "Resource": arns.iot(f"client/{THING}"),
                        "Condition": {"Bool": {"iot:Connection.Thing.IsAttached": "true"}},
                    },
                    {
                        "Sid": "PublishUnderItsName",
                        "Effect": "Allow",
                        "Action": "iot:Publish",
                        "Resource": [arns.iot(f"topic/fleet/{THING}/{kind}") for kind in KINDS],
                    },
                ],
            },
        )
