"""What only has to be stored is stored by moto, in this process: the forwarded operations.

`Forwarder.operations` gives `dispatch` a table for each service. A call becomes the HTTP request
that boto3 would send, goes through moto's WSGI application without a socket, and comes back
through botocore's parser. moto's state belongs to the process, so a new Forwarder starts it
afresh and the one before is of no use any more. moto stamps records with the wall clock: no
decision may depend on a time that it answers.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

from botocore.awsrequest import prepare_request_dict
from botocore.parsers import ResponseParserFactory
from botocore.serialize import create_serializer

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.forward_table import Arns, Resources
from simulator.cloud.iam_policies import parse_resource_policy
from simulator.cloud.key_use import CHANGING
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.remote_endpoint import RemoteEndpoint
from simulator.cloud.remote_iam import RemoteIam
from simulator.cloud.service_files import read_once
from simulator.cloud.validation import operation_model, service_model

_DATE = "20260101"
"""The date in a credential scope; moto reads the scope for the service only."""

_USUAL_KEY = {"KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": "SYMMETRIC_DEFAULT"}
"""What a key is that nobody said more of (KMS API reference, CreateKey); moto leaves it out."""

_lock = threading.Lock()


class Forwarder:
    """moto behind an explicit allow-list; ids are drawn from ``seed``.

    With a ``remote`` endpoint, the services in its ``services`` go there instead.
    """

    def __init__(
        self, context: Context, seed: int = 0, remote: RemoteEndpoint | None = None
    ) -> None:
        self._context = context
        self._seed = seed
        self._remote = remote
        self._arns = Arns(context.account, context.region)
        self._application: Callable[..., Iterable[bytes]] | None = None
        self._roles = RemoteIam(context.iam, self)
        context.keys.describe = self._described_key

    def services(self) -> tuple[str, ...]:
        """Return the services of which something is forwarded."""
        return (*self._arns.table_of_operations(), "sts")

    def operations(self, service: str) -> dict[str, Operation]:
        """Return the forwarded operations of one service; raise for a service without any."""
        if service == "sts":
            # Everybody may ask who they are (STS API reference, GetCallerIdentity).
            return {"GetCallerIdentity": Operation(self._caller_identity, lambda params: ())}
        table = self._arns.table_of_operations().get(service)
        if table is None:
            raise NotSupportedByTwin(f"the service {service}")
        if service == "kms":
            table = {name: self._by_key(resources) for name, resources in table.items()}
        return {
            name: Operation(self._execute(service, name), resources)
            for name, resources in table.items()
        }

    def _by_key(self, resources: Resources) -> Resources:
        """Return a resolver that knows the key behind an alias or a ciphertext.

        Policies name keys, so IAM must be asked about the key (KMS developer guide, aliases).
        """

        def resolve(params: Params) -> Sequence[str]:
            key = params.get("KeyId", "")
            if "CiphertextBlob" in params and not key:
                # moto puts the key's id in front of what it encrypts.
                key = bytes(params["CiphertextBlob"])[:36].decode("ascii", "replace")
            elif key.rpartition(":")[2].startswith("alias/"):
                key = self._forward("kms", "DescribeKey", {"KeyId": key})["KeyMetadata"]["Arn"]
            return resources({**params, "KeyId": key} if key else params)

        return resolve

    def call(self, service: str, operation: str, params: Params) -> Answer:
        """Do one operation of the allow-list now; raise AwsError with what moto refuses.

        Raises NotSupportedByTwin for anything that is not listed.
        """
        if operation not in self._arns.table_of_operations().get(service, {}):
            raise NotSupportedByTwin(f"{service}:{operation}")
        return self._forward(service, operation, params)

    # -- operations

    def _execute(self, service: str, operation: str) -> Callable[[Call], Answer]:
        if service == "kms":
            return lambda call: self._on_key(operation, call.params)
        if service == "iam" and not self._is_elsewhere(service):
            return lambda call: self._of_iam(operation, call.params)
        return lambda call: self._forward(service, operation, call.params)

    def forward(self, service: str, operation: str, params: Params) -> Answer:
        """Have moto do any operation: `RemoteIam` puts roles and policies there."""
        return self._forward(service, operation, params)

    def _is_elsewhere(self, service: str) -> bool:
        return self._remote is not None and service in self._remote.services

    def _of_iam(self, operation: str, params: Params) -> Answer:
        """Read what templates have made, which moto is told of when it is asked."""
        self._roles.flush()
        answer = self._forward("iam", operation, params)
        if operation.startswith("List"):
            answer.setdefault("IsTruncated", False)  # Which moto leaves out of some.
        return answer

    def _on_key(self, operation: str, params: Params) -> Answer:
        """Do an operation of KMS; a key's policy and state decide from then on (`key_use`)."""
        document = json.loads(params["Policy"]) if params.get("Policy") else None
        if document is not None:
            parse_resource_policy(document)  # Refused before the key has it.
        if ":key/" in params.get("KeyId", ""):  # moto does not take ARNs everywhere; AWS does.
            params = {**params, "KeyId": params["KeyId"].rpartition("/")[2]}
        if operation == "CreateKey":
            params = {**_USUAL_KEY, **params}
        answer = self._forward("kms", operation, params)
        if operation == "Decrypt":
            answer.setdefault("EncryptionAlgorithm", "SYMMETRIC_DEFAULT")
        if operation in CHANGING:
            self._context.keys.forget()
        if document is not None:
            described = answer.get("KeyMetadata") or self._described_key(params["KeyId"])
            self._context.iam.put_resource_policy(described["Arn"], document)
        return answer

    def _described_key(self, key: str) -> dict[str, Any]:
        found: dict[str, Any] = self._forward("kms", "DescribeKey", {"KeyId": key})["KeyMetadata"]
        return found

    def _caller_identity(self, call: Call) -> Answer:
        arn = call.principal.arn
        return {
            "UserId": arn.rpartition("/")[2] if "/" in arn else self._context.account,
            "Account": self._context.account,
            "Arn": arn,
        }

    # -- moto

    def _forward(self, service: str, operation: str, params: Params) -> Answer:
        if self._remote is not None and self._is_elsewhere(service):
            return self._remote.forward(service, operation, params)
        model = operation_model(service, operation)
        protocol = model.service_model.resolved_protocol
        request = create_serializer(protocol, include_validation=False).serialize_to_request(
            params, model
        )
        base = self._context.gateway_url or "http://127.0.0.1"
        prepare_request_dict(request, endpoint_url=base)
        status, headers, body = self._send(service, request)
        parser = ResponseParserFactory().create_parser(protocol)
        parsed: Answer = parser.parse(
            {"status_code": status, "headers": headers, "body": body},
            cast(Any, model.output_shape),
        )
        parsed.pop("ResponseMetadata", None)
        if status >= 300:
            error = parsed.pop("Error", {})
            code = str(error.get("Code") or "InternalFailure")
            fields = {name: value for name, value in parsed.items() if name != "Type"}
            raise AwsError(code, str(error.get("Message", "")), status, fields)
        return parsed

    def _send(self, service: str, request: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        from werkzeug.test import EnvironBuilder, run_wsgi_app

        target = urlsplit(request["url"])
        scope = f"{_DATE}/{self._context.region}/{service_model(service).signing_name}/aws4_request"
        body = request["body"]
        if isinstance(body, dict):
            body = urlencode(body)
        headers = {
            **{name: str(value) for name, value in request["headers"].items()},
            "Authorization": f"AWS4-HMAC-SHA256 Credential=FLEETWIN/{scope}, Signature=none",
            "x-moto-account-id": self._context.account,
        }
        builder = EnvironBuilder(
            method=request["method"],
            base_url=f"{target.scheme}://{target.netloc}",
            path=target.path or "/",
            query_string=target.query,
            headers=headers,
            data=body.encode() if isinstance(body, str) else bytes(body),
        )
        # The first request of all has moto imported, and most of what it needs to know read.
        with _lock, read_once() if self._application is None else nullcontext():
            answer, status, answer_headers = run_wsgi_app(
                self._moto(), builder.get_environ(), buffered=True
            )
        found = {name.lower(): value for name, value in answer_headers.items()}
        return int(status.split(" ", 1)[0]), found, b"".join(answer)

    def _moto(self) -> Callable[..., Iterable[bytes]]:
        """Return moto's application; the first call imports it (0.5 s) and empties its state."""
        if self._application is None:
            from moto.core.config import default_user_config
            from moto.moto_server.werkzeug_app import (
                DomainDispatcherApplication,
                create_backend_app,
            )
            from werkzeug.test import EnvironBuilder, run_wsgi_app

            # AWS's own policies, which roles of templates have; moto reads them when IAM is asked.
            default_user_config["iam"] = {"load_aws_managed_policies": True}
            application = DomainDispatcherApplication(create_backend_app)
            for path in ("/moto-api/reset", f"/moto-api/seed?a={self._seed}"):
                builder = EnvironBuilder(
                    method="POST", base_url="http://motoapi.amazonaws.com", path=path
                )
                run_wsgi_app(application, builder.get_environ(), buffered=True)
            self._application = application
        return self._application
