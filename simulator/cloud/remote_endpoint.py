"""Another AWS endpoint on this machine (LocalStack, moto) that executes what is forwarded to it.

`simulator.targets` makes it, `simulator.cloud.remote` puts it behind the twin's services. A call
is made in real time while the run's clock stands. It decides nothing about permissions: the
twin's own dispatch has done that before, and the endpoint is always asked with its test key.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Answer, Params
from simulator.errors import EnvironmentMissing

REQUIRED = ("s3", "kinesis", "sns", "sqs", "ssm")
OPTIONAL = ("dynamodb", "cloudwatch", "logs", "events", "iam")
OLDEST = (4, 14)
"""The oldest version of LocalStack that was tried; moto and others tell no version."""

_PROBES = {
    "cloudwatch": "ListMetrics",
    "dynamodb": "ListTables",
    "events": "ListRules",
    "iam": "ListRoles",
    "kinesis": "ListStreams",
    "logs": "DescribeLogGroups",
    "s3": "ListBuckets",
    "sns": "ListTopics",
    "sqs": "ListQueues",
    "ssm": "DescribeParameters",
}
_HEALTH_TIMEOUT_S = 5.0


class RemoteEndpoint:
    """One endpoint. ``services`` are those that `check` found to work."""

    def __init__(self, url: str, region: str = "us-east-1") -> None:
        self.url = url.rstrip("/")
        self.services: tuple[str, ...] = REQUIRED
        self.waited: Callable[[float], None] = lambda seconds: None
        """Told the real time that each call took."""
        self._region = region
        self._clients: dict[str, Any] = {}
        nothing: Any = (None, [], None, None)
        names = ("profile", "config_file", "credentials_file")
        # It knows nothing of the profiles and files of whoever runs this.
        self._session = botocore.session.Session(dict.fromkeys(names, nothing))

    def check(self) -> Sequence[str]:
        """Find out what the endpoint executes; return the optional services that it does not.

        Its health page names services that answer 500 to every call, so each is asked for a list
        too. Raises EnvironmentMissing when nothing answers, for a LocalStack older than OLDEST,
        and when a service that is needed is missing.
        """
        version = str(self._health().get("version", ""))
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if numbers and numbers < OLDEST:
            raise EnvironmentMissing(
                f"LocalStack {version} at {self.url} is too old: start 4.14.0, with "
                "`make localstack`"
            )
        found: list[str] = []
        for service in (*REQUIRED, *OPTIONAL):
            try:
                self.forward(service, _PROBES[service], {})
            except AwsError as error:
                if service in REQUIRED:
                    raise EnvironmentMissing(
                        f"the endpoint {self.url} does not execute {service} ({error}): "
                        "start it with that service (LocalStack's variable SERVICES)"
                    ) from error
            else:
                found.append(service)
        self.services = tuple(found)
        return [service for service in OPTIONAL if service not in found]

    def forward(self, service: str, operation: str, params: Params) -> Answer:
        """Do one operation there; raise AwsError with what it answers, 503 when it is gone."""
        client = self._clients.get(service) or self._client(service)
        began_s = time.perf_counter()
        try:
            answer: Answer = getattr(client, xform_name(operation))(**params)
            if hasattr(answer.get("Body"), "read"):
                answer["Body"] = answer["Body"].read()
        except ClientError as error:
            raise _as_ours(error) from None
        except ResponseParserError as error:  # A page of HTML: its server has failed.
            raise AwsError("InternalFailure", str(error).splitlines()[0], 500) from None
        except BotoCoreError as error:
            raise AwsError(
                "ServiceUnavailable", f"the endpoint {self.url} failed: {error}", 503
            ) from None
        finally:
            self.waited(time.perf_counter() - began_s)
        answer.pop("ResponseMetadata", None)
        return answer

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _health(self) -> dict[str, Any]:
        """Return LocalStack's health page, empty for another emulator."""
        try:
            with urllib.request.urlopen(
                f"{self.url}/_localstack/health", timeout=_HEALTH_TIMEOUT_S
            ) as page:
                found = json.loads(page.read())
        except urllib.error.HTTPError as error:
            error.close()
            return {}
        except ValueError:
            return {}
        except OSError as error:
            raise EnvironmentMissing(
                f"nothing answers at {self.url} ({error}): start LocalStack with "
                "`make localstack`, or name another endpoint with --endpoint"
            ) from None
        return found if isinstance(found, dict) else {}

    def _client(self, service: str) -> Any:
        self._clients[service] = client = self._session.create_client(
            service,
            region_name=self._region,
            endpoint_url=self.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
                parameter_validation=False,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        return client


def _as_ours(error: ClientError) -> AwsError:
    answer: dict[str, Any] = dict(error.response)
    said = answer.pop("Error", {})
    status = answer.pop("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    code = str(said.get("Code") or "InternalFailure")
    fields = {name: value for name, value in answer.items() if name not in ("Type", "message")}
    if "QueryErrorCode" in said:
        fields["QueryErrorCode"] = said["QueryErrorCode"]
    return AwsError(code, str(said.get("Message", "")), int(status), fields)
