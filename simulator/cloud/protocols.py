"""AWS's wire protocols: HTTP requests to (service, operation, params), answers to HTTP.

The gateway is the user. Requests and answers follow botocore's models, so a new operation
needs nothing here. JSON and the plain object operations of S3 have a short way of their own,
because a run makes tens of thousands of them; the rest goes through moto's parser, router and
serialisers, which are private to moto: **this is the only module that touches them**.
Thread-safe: it keeps only caches.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, cast
from urllib.parse import parse_qsl, unquote

from botocore.model import StructureShape

from simulator.cloud import json_codec, rest_headers, xml_lists
from simulator.cloud.aws_chunked import is_chunked, unchunk
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.validation import operation_model, service_model, service_names
from simulator.cloud.xml_lists import list_body

Wire = tuple[int, dict[str, str], bytes]
"""HTTP status, headers, body."""

_SCOPE = re.compile(r"Credential=[^/,\s]+/\d{8}/[^/]*/([^/]+)/aws4_request")
_PRESIGNED_SCOPE = re.compile(
    r"X-Amz-Credential=[^/&%]+(?:%2F|/)[^&]*?(?:%2F|/)([a-z0-9-]+)(?:%2F|/)aws4"
)
_INVOCATIONS = re.compile(r"/endpoints/([^/]+)/invocations")

_SERVICE_OF_SIGNING_NAME = {
    "monitoring": "cloudwatch",
    "states": "stepfunctions",
    "iotdata": "iot-data",
    "iotdevicegateway": "iot-data",
    "email": "ses",
}
_SERVICE_OF_TARGET = {
    "DynamoDBStreams_20120810": "dynamodbstreams",
    "GraniteServiceVersion20100801": "cloudwatch",
}
_XML_NAMESPACE = "http://{service}.amazonaws.com/doc/{version}/"
_XML = ("query", "rest-xml", "ec2")
_ACCESS_DENIED = {"sns": "AuthorizationError"}
"""Code of a refused caller where it is not AccessDenied (XML) or AccessDeniedException (JSON)."""

_request_numbers = itertools.count(1)


def parse_request(
    method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
) -> tuple[str, str, dict[str, Any]]:
    """Return botocore's service name, the operation and its parameters in boto3's form.

    ``path`` and ``query`` are as they arrived (percent-encoded), header names in lower case.
    Raises NotSupportedByTwin for a service or route that botocore does not know, and the
    service's own error for a body that cannot be read.
    """
    service = _service_of(path, query, headers)
    if service == "s3":
        if is_chunked(headers):
            headers, body = unchunk(headers, body)
        quick = rest_headers.parse(method, path, query, headers, body)
        if quick is not None:
            return "s3", *quick
    target = headers.get("x-amz-target")
    if target is not None:
        return _parse_json_rpc(service, target, body)
    if "smithy-protocol" in headers:
        raise NotSupportedByTwin(f"the protocol {headers['smithy-protocol']}")
    if service == "sagemaker-runtime" and (named := _INVOCATIONS.fullmatch(path)):
        return service, *_parse_invocation(named.group(1), headers, body)
    return _parse_with_moto(
        service, method=method, path=path, query=query, headers=headers, body=body
    )


def _service_of(path: str, query: str, headers: Mapping[str, str]) -> str:
    found = _SCOPE.search(headers.get("authorization", "")) or _PRESIGNED_SCOPE.search(query)
    if found is None:
        raise AwsError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    name = found.group(1)
    if name == "sagemaker" and "x-amz-target" not in headers:
        return "sagemaker-runtime" if path.startswith("/endpoints/") else "sagemaker"
    service = _SERVICE_OF_SIGNING_NAME.get(name, name)
    if service not in service_names():
        raise NotSupportedByTwin(f"the service with the signing name {name}")
    return service


# -- requests


def _parse_json_rpc(service: str, target: str, body: bytes) -> tuple[str, str, dict[str, Any]]:
    prefix, _, operation = target.rpartition(".")
    service = _SERVICE_OF_TARGET.get(prefix, service)
    if prefix != service_model(service).metadata.get("targetPrefix"):
        raise NotSupportedByTwin(f"the target {target} of {service}")
    shape = operation_model(service, operation).input_shape
    try:
        content = json_codec.load(body)
        params = content if shape is None else json_codec.decode(shape, content)
    except ValueError as error:
        raise AwsError("SerializationException", f"could not read the body: {error}") from None
    if not isinstance(params, dict):
        raise AwsError("SerializationException", "the body is not a JSON object")
    return service, operation, params


def _parse_invocation(
    endpoint: str, headers: Mapping[str, str], body: bytes
) -> tuple[str, dict[str, Any]]:
    """Parse InvokeEndpoint, whose body belongs to the model and not to AWS."""
    params: dict[str, Any] = {"EndpointName": unquote(endpoint), "Body": body}
    for wire_name, name in _header_members("sagemaker-runtime", "InvokeEndpoint"):
        if wire_name in headers:
            params[name] = headers[wire_name]
    return "InvokeEndpoint", params


@cache
def _header_members(service: str, operation: str) -> tuple[tuple[str, str], ...]:
    shape = operation_model(service, operation).input_shape
    return tuple(
        (str(member.serialization["name"]).lower(), name)
        for name, member in (shape.members.items() if shape else ())
        if member.serialization.get("location") == "header"
    )


def _parse_with_moto(
    service: str, *, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
) -> tuple[str, str, dict[str, Any]]:
    from moto.core.parse import PROTOCOL_PARSERS, RequestParserError
    from moto.core.request import Request, determine_request_protocol
    from moto.core.routing import get_service_router
    from moto.core.utils import get_service_model
    from werkzeug.datastructures import Headers, MultiDict
    from werkzeug.exceptions import NotFound

    service_model(service)
    fields = parse_qsl(query, keep_blank_values=True)
    content_type = headers.get("content-type", "")
    if content_type.startswith("application/x-www-form-urlencoded"):
        fields += parse_qsl(body.decode(), keep_blank_values=True)
    # moto's router looks at a werkzeug request; a form's fields go into its query string.
    request = Request.from_primitives(method, f"http://localhost{path}?{query}", headers, body)
    request.environ["RAW_URI"] = path
    try:
        protocol = determine_request_protocol(get_service_model(service), content_type)
        operation, labels = get_service_router(service).match(request)
    except (NotFound, NotImplementedError):
        raise NotSupportedByTwin(f"{service}: {method} {path}") from None
    parser = PROTOCOL_PARSERS[protocol](operation, timestamp_parser=json_codec.timestamp)
    try:
        params = parser.parse(
            {
                "method": method,
                "values": MultiDict(fields),
                "headers": Headers(list(headers.items())),
                "body": body,
                "url_path": path,
                "url_params": labels,
            }
        )
    except (RequestParserError, ValueError) as error:
        code = "MalformedXML" if protocol == "rest-xml" else "SerializationException"
        raise AwsError(code, f"could not read the request: {error}") from None
    return service, operation.name, params


# -- answers


def serialize_answer(service: str, operation: str, answer: Mapping[str, Any]) -> Wire:
    """Return an answer in boto3's form as its service sends it."""
    model = operation_model(service, operation)
    protocol = model.service_model.resolved_protocol
    headers = _request_id(protocol, service)
    shape = model.output_shape
    if protocol == "json":
        version = model.service_model.metadata["jsonVersion"]
        headers["Content-Type"] = f"application/x-amz-json-{version}"
        body = b"{}" if shape is None else json_codec.dump(json_codec.encode(shape, answer))
        return 200, headers, body
    status = int(model.http.get("responseCode", 200))
    if protocol == "query":
        return _serialize_with_moto(service, operation, answer)
    if shape is None:
        return status, headers, b""
    return _serialize_rest(service, operation, answer, headers, status)


def _serialize_rest(
    service: str, operation: str, answer: Mapping[str, Any], headers: dict[str, str], status: int
) -> Wire:
    """Put members into headers, then the payload, JSON or XML into the body."""
    model = operation_model(service, operation)
    shape = model.output_shape
    assert shape is not None
    located = rest_headers.located_members(shape)
    status = rest_headers.answer_headers(located, answer, headers, status)
    payload = shape.serialization.get("payload")
    if "ContentRange" in answer and service == "s3":
        status = 206
    if payload is not None and shape.members[payload].type_name in ("blob", "string"):
        content = answer.get(payload, b"")
        if "Content-Type" not in headers:
            headers["Content-Type"] = "application/octet-stream"
        return status, headers, content.encode() if isinstance(content, str) else bytes(content)
    if model.service_model.resolved_protocol == "rest-json":
        headers["Content-Type"] = "application/json"
        return status, headers, _rest_json_body(shape, payload, answer)
    if len(located) == len(shape.members):
        return status, headers, b""
    if service == "s3" and operation in xml_lists.OPERATIONS:
        return status, {"Content-Type": "application/xml", **headers}, list_body(shape, answer)
    _, extra, body = _serialize_with_moto(service, operation, answer)
    return status, {**extra, **headers}, body


def _rest_json_body(shape: StructureShape, payload: str | None, answer: Mapping[str, Any]) -> bytes:
    if payload is None:
        return json_codec.dump(json_codec.encode(shape, answer))
    if payload not in answer:
        return b""
    return json_codec.dump(json_codec.encode(shape.members[payload], answer[payload]))


def _serialize_with_moto(service: str, operation: str, answer: Mapping[str, Any]) -> Wire:
    from moto.core.serialize import SerializationContext, get_serializer_class
    from moto.core.utils import get_service_model

    model = get_service_model(service)
    operation_of_moto = model.operation_model(operation)
    serializer = get_serializer_class(service, str(model.protocol))(
        operation_of_moto, SerializationContext(_next_request_id())
    )
    result = serializer.serialize(answer)
    body = result["body"]
    headers = {name: str(value) for name, value in result["headers"].items()}
    return result["status_code"], headers, body.encode() if isinstance(body, str) else body


# -- errors


def serialize_refusal(path: str, query: str, headers: Mapping[str, str], error: AwsError) -> Wire:
    """Return the error of a request that could not be read, as its service sends errors.

    Where the service is not known here its error has the form that the request had.
    """
    try:
        return serialize_error(_service_of(path, query, headers), "", error)
    except NotSupportedByTwin:
        form = headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        return serialize_error("sts" if form else "lambda", "", error)
    except AwsError:
        return serialize_error("s3", "", error)


def serialize_error(service: str, operation: str, error: AwsError) -> Wire:
    """Return an error as its service sends it; the operation may be empty when not known."""
    model = service_model(service)
    protocol = model.resolved_protocol
    headers = _request_id(protocol, service)
    code = error.code
    if code == "AccessDeniedException" and protocol in _XML:
        code = _ACCESS_DENIED.get(service, "AccessDenied")
    if protocol in _XML:
        headers["Content-Type"] = "text/xml"
        is_head = operation.startswith("Head")
        body = b"" if is_head or error.status == 304 else _error_xml(service, code, error)
        return error.status, headers, body
    content = dict(error.fields)
    name = content.pop("QueryErrorCode", code)
    # botocore's published stubs say int; the codes are text.
    shape = model.shape_for_error_code(cast(Any, code))
    status, text = error.status, "message"
    if shape is not None:
        name = shape.name
        members = cast(StructureShape, shape).members
        # Some models say Message; services send it as modelled, and some who is to blame.
        text = "Message" if "Message" in members else text
        if "Type" in members:
            content = {"Type": "User" if status < 500 else "Service", **content}
        content = json_codec.encode(shape, content)
        if status == 400:
            status = int(shape.metadata.get("error", {}).get("httpStatusCode", 400))
    if "awsQueryCompatible" in model.metadata:
        headers["x-amzn-query-error"] = f"{code};{'Sender' if status < 500 else 'Receiver'}"
    headers["x-amzn-ErrorType"] = name
    headers["Content-Type"] = (
        f"application/x-amz-json-{model.metadata['jsonVersion']}"
        if protocol == "json"
        else "application/json"
    )
    body = json_codec.dump({"__type": name, text: error.message, **content})
    return status, headers, body


def _error_xml(service: str, code: str, error: AwsError) -> bytes:
    from xml.sax.saxutils import escape

    members = f"<Code>{escape(code)}</Code><Message>{escape(error.message)}</Message>"
    members += "".join(
        f"<{name}>{escape(str(value))}</{name}>" for name, value in error.fields.items()
    )
    request_id = f"<RequestId>{_next_request_id()}</RequestId>"
    if service == "ec2":
        request_id = request_id.replace("RequestId", "RequestID")
        text = f"<Response><Errors><Error>{members}</Error></Errors>{request_id}</Response>"
    elif service == "s3":
        text = f"<Error>{members}{request_id}</Error>"
    else:
        version = service_model(service).metadata["apiVersion"]
        namespace = _XML_NAMESPACE.format(service=service, version=version)
        fault = "Sender" if error.status < 500 else "Receiver"
        text = (
            f'<ErrorResponse xmlns="{namespace}"><Error><Type>{fault}</Type>{members}</Error>'
            f"{request_id}</ErrorResponse>"
        )
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + text.encode()


def _next_request_id() -> str:
    return f"00000000-0000-4000-8000-{next(_request_numbers):012x}"


def _request_id(protocol: str, service: str) -> dict[str, str]:
    name = "x-amz-request-id" if service == "s3" else "x-amzn-RequestId"
    return {name: _next_request_id()}
