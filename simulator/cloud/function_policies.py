"""The statement that AddPermission adds to a function's policy. Used by `functions.Functions`."""

from __future__ import annotations

from typing import Any

from simulator.cloud.operations import Params


def permission_statement(params: Params, function_arn: str) -> dict[str, Any]:
    """Return the statement for the parameters of AddPermission."""
    principal = params["Principal"]
    kind = "Service" if principal.endswith(".amazonaws.com") else "AWS"
    statement: dict[str, Any] = {
        "Sid": params["StatementId"],
        "Effect": "Allow",
        "Principal": {kind: principal},
        "Action": params["Action"],
        "Resource": function_arn,
    }
    conditions: dict[str, Any] = {}
    if "SourceArn" in params:
        conditions["ArnLike"] = {"AWS:SourceArn": params["SourceArn"]}
    if "SourceAccount" in params:
        conditions["StringEquals"] = {"AWS:SourceAccount": params["SourceAccount"]}
    if conditions:
        statement["Condition"] = conditions
    return statement
