"""Conditions of policy statements: the operators and keys in use, everything else refused.

Used by `iam_policies` when a policy is registered. A condition that the twin cannot judge
would silently never match: harmless in an Allow, an open door in a Deny. So operators and
keys that are not known here raise NotSupportedByTwin before the policy has any effect.
Source: IAM User Guide, "IAM JSON policy elements: Condition operators" and
"Multivalued context keys".
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.cloud.errors import AwsError, NotSupportedByTwin

RequestContext = Mapping[str, "str | tuple[str, ...]"]
"""Condition keys of one request; a tuple for multivalued keys."""

CONDITION_KEYS = frozenset(
    {
        "application-autoscaling:scalable-dimension",
        "application-autoscaling:service-namespace",
        "aws:principalaccount",
        "aws:principalarn",
        "aws:requestedregion",
        "aws:securetransport",
        "aws:sourceaccount",
        "aws:sourcearn",
        "cloudwatch:namespace",
        "iam:awsservicename",
        "iam:passedtoservice",
        "iot:connection.thing.isattached",
        "kms:calleraccount",
        "kms:viaservice",
        "s3:delimiter",
        "s3:prefix",
        "sns:protocol",
        "ssm:recursive",
    }
)
"""Keys that `request_context`, `Iam` or the calling service supply."""

Test = Callable[[str], bool]


def request_context(service: str, operation: str, params: Mapping[str, Any]) -> dict[str, str]:
    """Return the service-specific condition keys of one request (for `dispatch`).

    ``service`` and ``operation`` are botocore's names. Empty for most operations.
    """
    if service == "cloudwatch" and operation == "PutMetricData":
        return {"cloudwatch:namespace": str(params.get("Namespace", ""))}
    if service == "application-autoscaling":
        members = {
            "service-namespace": "ServiceNamespace",
            "scalable-dimension": "ScalableDimension",
        }
        return {f"{service}:{key}": str(params[m]) for key, m in members.items() if m in params}
    if service == "s3" and operation in ("ListObjectsV2", "ListObjects", "ListObjectVersions"):
        keys = {"s3:prefix": params.get("Prefix"), "s3:delimiter": params.get("Delimiter")}
        return {key: str(value) for key, value in keys.items() if value is not None}
    if service == "sns" and operation == "Subscribe":
        return {"sns:protocol": str(params.get("Protocol", ""))}
    if service == "ssm" and operation == "GetParametersByPath":
        return {"ssm:recursive": str(bool(params.get("Recursive"))).lower()}
    return {}


def wildcard_source(pattern: str) -> str:
    """Return the regular expression of a pattern in which ``*`` and ``?`` are wildcards."""
    return "".join(
        ".*" if c == "*" else "." if c == "?" else re.escape(c)
        for c in re.sub(r"\*+", "*", pattern)
    )


def wildcard_test(patterns: Sequence[str]) -> Test:
    """Return a test that any of ``patterns`` matches the whole text, case-sensitively."""
    if "*" in patterns:
        return lambda text: True
    plain = frozenset(p for p in patterns if "*" not in p and "?" not in p)
    wild = [wildcard_source(p) for p in patterns if p not in plain]
    if not wild:
        return plain.__contains__
    match = re.compile("(?:" + "|".join(wild) + r")\Z", re.DOTALL).match
    return lambda text: text in plain or match(text) is not None


def _arn_test(values: Sequence[str]) -> Test:
    # The six parts of an ARN are compared one by one: a wildcard never crosses a colon.
    tests = [[wildcard_test([part]) for part in value.split(":", 5)] for value in values]

    def test(text: str) -> bool:
        parts = text.split(":", 5)
        return any(
            len(parts) == len(each) and all(t(part) for t, part in zip(each, parts, strict=True))
            for each in tests
        )

    return test


def _numeric(compare: Callable[[float, float], bool]) -> Callable[[Sequence[str]], Test]:
    def build(values: Sequence[str]) -> Test:
        try:
            bounds = [float(value) for value in values]
        except ValueError:
            raise AwsError(
                "MalformedPolicyDocument", f"numeric condition with a value of {values}"
            ) from None

        def test(text: str) -> bool:
            try:
                number = float(text)
            except ValueError:
                return False
            return any(compare(number, bound) for bound in bounds)

        return test

    return build


def _ignoring_case(values: Sequence[str]) -> Test:
    folded = frozenset(value.lower() for value in values)
    return lambda text: text.lower() in folded


def _equal(values: Sequence[str]) -> Test:
    return frozenset(values).__contains__


_OPERATORS: dict[str, tuple[Callable[[Sequence[str]], Test], bool]] = {
    "stringequals": (_equal, False),
    "stringnotequals": (_equal, True),
    "stringequalsignorecase": (_ignoring_case, False),
    "stringnotequalsignorecase": (_ignoring_case, True),
    "stringlike": (wildcard_test, False),
    "stringnotlike": (wildcard_test, True),
    "arnequals": (_arn_test, False),
    "arnlike": (_arn_test, False),
    "arnnotequals": (_arn_test, True),
    "arnnotlike": (_arn_test, True),
    "bool": (_ignoring_case, False),
    "numericequals": (_numeric(operator.eq), False),
    "numericnotequals": (_numeric(operator.eq), True),
    "numericlessthan": (_numeric(operator.lt), False),
    "numericlessthanequals": (_numeric(operator.le), False),
    "numericgreaterthan": (_numeric(operator.gt), False),
    "numericgreaterthanequals": (_numeric(operator.ge), False),
}
"""Operator (lower case) -> test of one value against the policy's values, whether negated."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one key. ``quantifier`` is ``""``, ``"any"`` or ``"all"``."""

    key: str
    test: Test
    negated: bool
    quantifier: str
    when_missing: bool

    def holds(self, context: RequestContext) -> bool:
        """Tell whether the request satisfies it; ``context`` has lower-case keys."""
        found = context.get(self.key)
        if found is None or found == ():
            return self.when_missing
        if isinstance(found, str):
            return self.test(found) != self.negated
        outcomes = [self.test(value) != self.negated for value in found]
        # Without a quantifier AWS leaves several values undefined; the strict reading is kept.
        if self.quantifier == "any" or (not self.quantifier and not self.negated):
            return any(outcomes)
        return all(outcomes)


def parse_conditions(block: Any) -> tuple[Condition, ...]:
    """Return the conditions of a ``Condition`` block; all of them must hold.

    Raises NotSupportedByTwin naming the operator or the key, or MalformedPolicyDocument.
    """
    if not isinstance(block, Mapping):
        raise AwsError("MalformedPolicyDocument", f"Condition must be an object, not {block!r}")
    return tuple(
        _parse_one(name, key, values)
        for name, keys in block.items()
        for key, values in keys.items()
    )


def _parse_one(name: str, key: str, values: Any) -> Condition:
    quantifier, _, base = name.rpartition(":")
    quantifiers = {"": "", "foranyvalue": "any", "forallvalues": "all"}
    plain = base.lower()
    if_exists = plain.endswith("ifexists")
    plain = plain.removesuffix("ifexists")
    if quantifier.lower() not in quantifiers or (plain not in _OPERATORS and plain != "null"):
        raise NotSupportedByTwin(f"policy condition operator {name}")
    if key.lower() not in CONDITION_KEYS:
        raise NotSupportedByTwin(f"policy condition key {key}")
    wanted = [_text(value) for value in (values if isinstance(values, list) else [values])]
    if any("${" in value for value in wanted):
        raise NotSupportedByTwin(f"policy variable in condition on {key}")
    if plain == "null":
        absent = wanted == ["true"]
        return Condition(key.lower(), lambda text: not absent, False, "", absent)
    build, negated = _OPERATORS[plain]
    which = quantifiers[quantifier.lower()]
    missing = if_exists or which == "all" or (negated and which != "any")
    return Condition(key.lower(), build(wanted), negated, which, missing)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise AwsError("MalformedPolicyDocument", f"condition value {value!r} is not text")
