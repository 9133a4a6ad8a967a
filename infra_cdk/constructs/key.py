"""The stage's own key: what the readings lie under, and what its policy lets the account decide.

Made where a stage's `encryption` is `KMS`. The lake's buckets and the stream are under it: all
that came from machines or was made from it as rows. What else the stack has holds names, counts,
alerts and the last state of a machine, and keeps the encryption that its service does by itself:
a key there would cost a call for each message and item, and a policy for each service that
publishes, without keeping anybody out who has a role here.
"""

from __future__ import annotations

from aws_cdk import Aws, Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra_cdk.config import KMS, StageConfig

CONSTRUCT_ID = "Key"
ENCRYPT = "kms:GenerateDataKey"
DECRYPT = "kms:Decrypt"
SERVICES = {"s3": "UseKeyOfLake", "kinesis": "UseKeyOfStream"}
"""Through these only is the key used, each allowed by a statement of that name: nobody decrypts by
a call to KMS itself."""

_ADMINISTER = (
    *("kms:CancelKeyDeletion", "kms:CreateAlias", "kms:DeleteAlias", "kms:DescribeKey"),
    *("kms:DisableKey", "kms:EnableKey", "kms:EnableKeyRotation", "kms:GetKeyPolicy"),
    *("kms:GetKeyRotationStatus", "kms:ListGrants", "kms:ListKeyPolicies"),
    *("kms:ListResourceTags", "kms:PutKeyPolicy", "kms:RevokeGrant", "kms:TagResource"),
    *("kms:UntagResource", "kms:UpdateAlias", "kms:UpdateKeyDescription"),
)
"""Not kms:ScheduleKeyDeletion: who wants to delete it has to change this policy before."""


class StageKey(Construct):
    """A key that rotates each year and outlives the stack, under the name ``alias/<prefix>``."""

    def __init__(self, scope: Construct, config: StageConfig) -> None:
        super().__init__(scope, CONSTRUCT_ID)
        account = iam.AccountRootPrincipal()
        self.key = kms.Key(
            self,
            "Key",
            description=f"Readings of {config.prefix} in the lake and on the stream",
            enable_key_rotation=True,
            pending_window=Duration.days(30),
            removal_policy=RemovalPolicy.RETAIN,
            policy=iam.PolicyDocument(
                minimize=False,
                statements=[
                    iam.PolicyStatement(
                        sid="Administer",
                        actions=list(_ADMINISTER),
                        principals=[account],
                        resources=["*"],
                    ),
                    iam.PolicyStatement(
                        sid="LetRolesUseItThroughServices",
                        actions=[DECRYPT, ENCRYPT],
                        principals=[account],
                        resources=["*"],
                        conditions={
                            "StringEquals": {
                                "kms:CallerAccount": Aws.ACCOUNT_ID,
                                "kms:ViaService": [endpoint(name) for name in SERVICES],
                            }
                        },
                    ),
                ],
            ),
        )
        kms.Alias(self, "Alias", alias_name=f"alias/{config.prefix}", target_key=self.key)
        self.covered: list[tuple[str, str]] = []
        """Service and ARN of everything that is under the key."""


def endpoint(service: str) -> str:
    """Return what ``kms:ViaService`` calls a service."""
    return f"{service}.{Aws.REGION}.amazonaws.com"


def stage_key(scope: Construct, config: StageConfig) -> StageKey | None:
    """Return the stage's key, made at the first call; None for a stage that has none."""
    if config.encryption != KMS:
        return None
    return find_key(scope) or StageKey(Stack.of(scope), config)


def find_key(scope: Construct) -> StageKey | None:
    """Return the key of the stack that ``scope`` is in, None while there is none."""
    found = Stack.of(scope).node.try_find_child(CONSTRUCT_ID)
    return found if isinstance(found, StageKey) else None
