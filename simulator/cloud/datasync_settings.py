"""What a DataSync task may ask for: options with their defaults, and SIMPLE_PATTERN filters.

Used by `simulator.cloud.datasync` when tasks and executions are made and by
`datasync_transfer` when files are chosen. What the twin cannot do it refuses by name here.
Source: DataSync API reference, Options and FilterRule; user guide, "Filtering the data".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Params

DEFAULTS: Mapping[str, Any] = {
    "VerifyMode": "POINT_IN_TIME_CONSISTENT",
    "OverwriteMode": "ALWAYS",
    "Atime": "BEST_EFFORT",
    "Mtime": "PRESERVE",
    "Uid": "INT_VALUE",
    "Gid": "INT_VALUE",
    "PreserveDeletedFiles": "PRESERVE",
    "PreserveDevices": "NONE",
    "PosixPermissions": "PRESERVE",
    "BytesPerSecond": -1,
    "TaskQueueing": "ENABLED",
    "LogLevel": "OFF",
    "TransferMode": "CHANGED",
    "SecurityDescriptorCopyFlags": "NONE",
    "ObjectTags": "PRESERVE",
    "ObjectMetadata": "PRESERVE",
}
_ELSEWHERE = {
    "Uid": ("NAME", "BOTH"),
    "Gid": ("NAME", "BOTH"),
    "PreserveDevices": ("PRESERVE",),
    "SecurityDescriptorCopyFlags": ("OWNER_DACL", "OWNER_DACL_SACL"),
}
"""Values without a meaning between folders and buckets."""

MOST_FILTER_CHARACTERS = 102_400


def invalid(message: str, error_code: str = "") -> AwsError:
    """Return the one error with which DataSync answers a request that it cannot serve."""
    fields = {"errorCode": error_code} if error_code else {}
    return AwsError("InvalidRequestException", message, fields=fields)


def options_of(given: Params, base: Mapping[str, Any], mode: str) -> dict[str, Any]:
    """Return all options: those given over ``base``. Raises InvalidRequestException."""
    options = {**base, **given}
    for name, refused in _ELSEWHERE.items():
        if options[name] in refused:
            raise NotSupportedByTwin(f"datasync: the option {name} {options[name]}")
    if options["BytesPerSecond"] == 0 or options["BytesPerSecond"] < -1:
        raise invalid("Invalid parameter: BytesPerSecond must be -1 or above 0.")
    if options["PreserveDeletedFiles"] == "REMOVE" and options["TransferMode"] == "ALL":
        raise invalid(
            "Invalid parameter: PreserveDeletedFiles REMOVE cannot be combined with"
            " TransferMode ALL."
        )
    if options["Mtime"] == "NONE" and options["Atime"] == "BEST_EFFORT":
        raise invalid("Invalid parameter: Atime BEST_EFFORT needs Mtime PRESERVE.")
    if mode == "ENHANCED" and options["VerifyMode"] == "POINT_IN_TIME_CONSISTENT":
        raise invalid(
            "Invalid parameter: VerifyMode POINT_IN_TIME_CONSISTENT is not supported by tasks in"
            " Enhanced mode."
        )
    return options


def defaults_of(mode: str) -> dict[str, Any]:
    """Return the options of a task that names none."""
    verify = "ONLY_FILES_TRANSFERRED" if mode == "ENHANCED" else DEFAULTS["VerifyMode"]
    return {**DEFAULTS, "VerifyMode": verify}


def refuse_unsupported(operation: str, params: Params) -> None:
    """Refuse by name what would need a reader of its own."""
    if "ManifestConfig" in params:
        raise NotSupportedByTwin(f"datasync:{operation} with ManifestConfig")
    if params.get("TaskReportConfig", {}).get("ObjectVersionIds") == "INCLUDE":
        raise NotSupportedByTwin(f"datasync:{operation} with ObjectVersionIds INCLUDE")


class Filters:
    """Which paths below the source's folder belong to an execution."""

    def __init__(
        self, includes: Sequence[Mapping[str, str]], excludes: Sequence[Mapping[str, str]]
    ) -> None:
        self._include = _expression("Includes", includes)
        self._exclude = _expression("Excludes", excludes)

    def want(self, path: str) -> bool:
        """Tell whether a file is chosen; ``path`` starts with a slash.

        A pattern that fits a folder chooses everything in it.
        """
        if self._include is not None and not self._include.match(path):
            return False
        return self._exclude is None or not self._exclude.match(path)


def _expression(member: str, rules: Sequence[Mapping[str, str]]) -> re.Pattern[str] | None:
    if not rules:
        return None
    value = rules[0].get("Value", "")
    if len(value) > MOST_FILTER_CHARACTERS:
        raise invalid(f"Invalid parameter: {member} is longer than {MOST_FILTER_CHARACTERS}.")
    patterns = [_pattern(member, text) for text in re.split(r"(?<!\\)\|", value)]
    return re.compile(f"(?:{'|'.join(patterns)})(?:/.*)?\\Z", re.DOTALL)


def _pattern(member: str, text: str) -> str:
    """Return one pattern as a regular expression; a backslash makes a sign mean itself."""
    words = re.findall(r"\\.|[^\\]", text, re.DOTALL)
    stars = [place for place, word in enumerate(words) if word == "*"]
    if member == "Includes" and (words[:1] != ["/"] or stars not in ([], [len(words) - 1])):
        raise invalid(
            f"Invalid parameter: the include pattern {text!r} must begin with a slash and may"
            " have an asterisk only as its last character."
        )
    if words[:1] not in (["/"], ["*"]):
        raise invalid(f"Invalid parameter: the pattern {text!r} must begin with a slash or an *.")
    if len(words) > 1 and words[-1] == "/":
        words.pop()
    return "".join(".*" if word == "*" else re.escape(word[-1]) for word in words)
