"""Mappers from resource types of a template to calls of `dispatch`, one module a subject."""

from simulator.cloud.resources import (
    catalog,
    declared,
    devices,
    eventing,
    functions,
    lake_formation,
    messaging,
    operating,
    permissions,
    registry,
    reporting,
    storage,
    streaming,
    transfers,
)
from simulator.cloud.resources.mapping import MAPPINGS, Created, Resource

IGNORED_TYPES = frozenset({"AWS::CDK::Metadata"})
"""Types that stand for nothing in an account."""

__all__ = [
    "IGNORED_TYPES",
    "MAPPINGS",
    "Created",
    "Resource",
    "catalog",
    "declared",
    "devices",
    "eventing",
    "functions",
    "lake_formation",
    "messaging",
    "operating",
    "permissions",
    "registry",
    "reporting",
    "storage",
    "streaming",
    "transfers",
]
