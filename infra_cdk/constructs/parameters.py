"""SSM parameters: where tools, and people, find the names of this stage.

And the names that people give the stack's own parameters by.
"""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import CfnParameter
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra_cdk.config import PROJECT, StageConfig


class Parameters(Construct):
    """One string parameter a name, under ``/fleetwin/<stage>/``."""

    def __init__(
        self, scope: Construct, construct_id: str, config: StageConfig, names: Mapping[str, str]
    ) -> None:
        super().__init__(scope, construct_id)
        for name, value in names.items():
            parameter(self, config, name, value)


def parameter(scope: Construct, config: StageConfig, name: str, value: str) -> ssm.StringParameter:
    """Return the parameter ``/fleetwin/<stage>/<name>``."""
    return ssm.StringParameter(
        scope,
        "".join(word.capitalize() for word in name.split("-")),
        parameter_name=f"/{PROJECT}/{config.stage}/{name}",
        string_value=value,
        # The values are references, in which the default check cannot see the text.
        tier=ssm.ParameterTier.STANDARD,
    )


def keep_name(*parameters: CfnParameter) -> None:
    """Let people see the name as it is in the code, without the construct's."""
    for each in parameters:
        each.override_logical_id(each.node.id)
