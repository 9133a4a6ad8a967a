"""The functions' short way to the gateway carries what botocore's own way carries."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import botocore
import pytest
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.endpoint import Endpoint
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.regions import EndpointRulesetResolver as Resolver
from hypothesis import given
from hypothesis import strategies as st

from simulator.cloud.tests.site_modules import load

INITIALIZERS: list[Any] = vars(botocore)["_INITIALIZERS"]
Handler = Callable[[bytes, bytes], bytes]


class Server:
    """Answers each request of each connection by a function of (head, body)."""

    def __init__(self, answer: Handler, requests_per_connection: int = 1_000) -> None:
        self._answer, self._limit = answer, requests_per_connection
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.heads: list[bytes] = []
        self.connections = 0
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            with connection, connection.makefile("rb") as lines:
                for _ in range(self._limit):
                    head = b""
                    while (line := lines.readline()) not in (b"\r\n", b""):
                        head += line
                    if not line:
                        break
                    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                    body = lines.read(length)
                    self.heads.append(head)
                    connection.sendall(self._answer(head, body))

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(timeout=5)


def ok(body: bytes = b"", status: str = "200 OK", extra: bytes = b"") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode()
    return head + extra + b"\r\n" + body


Connect = Callable[..., tuple[Server, Any]]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Return a function that makes a server and an S3 client that takes the short way to it."""
    opened: list[Any] = []
    before = list(INITIALIZERS)
    # Set to itself, so that what `install` puts there is taken away at the end.
    monkeypatch.setattr(Resolver, "construct_endpoint", Resolver.construct_endpoint)
    monkeypatch.setattr(Endpoint, "prepare_request", Endpoint.prepare_request)

    def make(answer: Handler, **options: Any) -> tuple[Server, Any]:
        server = Server(answer, **options)
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        transport = load("fleetwin_transport").install()
        session = boto3.Session(
            aws_access_key_id="AKIA", aws_secret_access_key="secret", region_name="us-east-1"
        )
        config = Config(retries={"mode": "standard", "max_attempts": 1})
        client: Any = session.client("s3", config=config)
        # Whatever does not take the short way fails.
        client._endpoint.http_session.send = _refuse
        opened.extend([transport, client, server])
        return server, client

    yield make
    INITIALIZERS[:] = before
    for one in opened:
        one.close()


def _refuse(request: Any) -> Any:
    raise AssertionError(f"{request.url} went by urllib3")


def test_a_body_arrives_as_it_was_given_and_the_request_is_signed(connect: Connect) -> None:
    received: list[bytes] = []

    def keep(head: bytes, body: bytes) -> bytes:
        received.append(body)
        return ok(extra=b'ETag: "abc"\r\n')

    server, s3 = connect(keep)
    content = bytes(range(256)) * 50
    assert s3.put_object(Bucket="box", Key="a b/ü", Body=content)["ETag"] == '"abc"'
    s3.put_object(Bucket="box", Key="empty", Body=b"")
    s3.put_object(Bucket="box", Key="stream", Body=io.BytesIO(b"from a stream"))
    assert received == [content, b"", b"from a stream"]
    assert server.heads[0].startswith(b"PUT /box/a%20b/%C3%BC HTTP/1.1\r\n")
    assert b"Credential=AKIA/" in server.heads[0]
    assert b"Expect" not in server.heads[0]
    assert server.connections == 1


def test_a_streamed_answer_can_be_read_in_parts(connect: Connect) -> None:
    _, s3 = connect(lambda head, body: ok(b"0123456789"))
    body = s3.get_object(Bucket="box", Key="key")["Body"]
    assert [body.read(4), body.read()] == [b"0123", b"456789"]


def test_an_answer_without_a_body_is_complete(connect: Connect) -> None:
    def answer(head: bytes, body: bytes) -> bytes:
        if head.startswith(b"HEAD"):
            return b"HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n"
        return b"HTTP/1.1 204 No Content\r\n\r\n"

    _, s3 = connect(answer)
    assert s3.head_object(Bucket="box", Key="key")["ContentLength"] == 42
    s3.delete_object(Bucket="box", Key="key")
    assert s3.head_object(Bucket="box", Key="key")["ContentLength"] == 42


def test_an_error_of_the_service_is_botocores_error(connect: Connect) -> None:
    error = b"<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>"
    _, s3 = connect(lambda head, body: ok(error, "404 Not Found"))
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket="box", Key="key")


def test_a_connection_that_was_closed_while_idle_is_opened_again(connect: Connect) -> None:
    server, s3 = connect(lambda head, body: ok(b"x"), requests_per_connection=1)
    for _ in range(3):
        assert s3.get_object(Bucket="box", Key="key")["Body"].read() == b"x"
    assert server.connections == 3


def test_a_gateway_that_is_gone_is_a_connection_error(connect: Connect) -> None:
    server, s3 = connect(lambda head, body: ok())
    server.close()
    with pytest.raises(EndpointConnectionError):
        s3.get_object(Bucket="box", Key="key")


def test_an_endpoint_elsewhere_is_left_to_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(INITIALIZERS)
    for url in ("", "https://127.0.0.1:1", "http://198.51.100.1"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        load("fleetwin_transport").install()
    assert before == INITIALIZERS

    request = AWSRequest("GET", "http://198.51.100.1/box").prepare()
    assert load("fleetwin_transport").Transport("http://127.0.0.1:1").send(request) is None


HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["X-Amz-Date", "content-type", "Content-Type", "Content-Length", "A"])
        | st.just("Transfer-Encoding"),
        st.text(max_size=6).filter(lambda text: "\n" not in text and "\r" not in text)
        | st.binary(max_size=4),
    ),
    max_size=5,
)
BODIES = (
    st.none()
    | st.binary(max_size=9)
    | st.text(max_size=4)
    | st.dictionaries(st.text("ab", min_size=1, max_size=2), st.text("ab", max_size=2), max_size=2)
)


@given(
    method=st.sampled_from(["PUT", "POST", "GET", "HEAD"]),
    headers=HEADERS,
    body=BODIES,
    start=st.integers(0, 9) | st.none(),
)
def test_a_request_that_is_made_ready_quickly_is_the_one_that_botocore_makes(
    method: str, headers: list[tuple[str, Any]], body: Any, start: int | None
) -> None:
    def request() -> AWSRequest:
        content = body
        if isinstance(body, bytes) and start is not None:
            content = io.BytesIO(body)
            content.seek(min(start, len(body)))
        made = AWSRequest(method, "http://127.0.0.1:1/box", data=content)
        for name, value in headers:
            made.headers[name] = value
        return made

    quick = load("fleetwin_transport").prepared(request())
    slow = Endpoint("http://127.0.0.1:1", "s3", None, http_session=object()).prepare_request(  # type: ignore[arg-type]
        request()
    )
    if quick is None:
        return
    assert quick.headers.items() == slow.headers.items()
    assert dict(quick.headers.pairs()) == dict(slow.headers.items())
    if isinstance(body, bytes) and start is not None:
        theirs: Any = slow.body
        assert quick.body.read() == theirs.read()
    else:
        assert quick.body == slow.body
    assert (quick.method, quick.url) == (slow.method, slow.url)


def test_an_older_botocore_makes_requests_ready_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    class Older:
        def __init__(self, method: str, url: str, headers: Any, body: Any, stream: bool) -> None:
            """Take what it took before it had a context."""

    class OfOlder(Endpoint):
        """Keeps its own way."""

    transport = load("fleetwin_transport")
    monkeypatch.setattr(transport, "AWSPreparedRequest", Older)
    transport.prepare_quickly(OfOlder)
    assert "prepare_request" not in vars(OfOlder)


def test_an_ordinary_request_is_made_ready_quickly() -> None:
    request = AWSRequest("POST", "http://127.0.0.1:1/", {"X-Amz-Target": "a.B"}, b"{}")
    quick = load("fleetwin_transport").prepared(request)
    assert dict(quick.headers.items()) == {"X-Amz-Target": b"a.B", "Content-Length": "2"}


@pytest.mark.parametrize("service", ["dynamodb", "s3", "sns", "sagemaker-runtime"])
def test_an_endpoint_that_is_worked_out_once_is_the_one_of_every_call(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = boto3.Session("AKIA", "secret", region_name="us-east-1")
    client: Any = session.client(service, endpoint_url="http://127.0.0.1:9")  # type: ignore[call-overload]
    calls: list[tuple[str, dict[str, Any]]] = [
        ("BatchGetItem", {"RequestItems": {"arn:aws:dynamodb:us-east-1:1:table/t": {}}}),
        ("TransactWriteItems", {"TransactItems": [{"Put": {"TableName": "t"}}]}),
        ("GetObject", {"Bucket": "one", "Key": "a"}),
        ("GetObject", {"Bucket": "Two.Upper_Case", "Key": "b/c"}),
        ("PutObject", {"Bucket": "two", "Key": "d"}),
        ("PutObject", {"Bucket": "arn:aws:s3:us-east-1:123456789012:accesspoint:p", "Key": "e"}),
        ("ListObjectsV2", {"Bucket": "two", "Prefix": "f"}),
        ("GetBucketLocation", {"Bucket": "two"}),
        ("Publish", {}),
        ("InvokeEndpoint", {"EndpointName": "one"}),
    ]
    known = client.meta.service_model
    asked = [(known.operation_model(n), a) for n, a in calls if n in known.operation_names]
    assert asked
    resolver = client._ruleset_resolver
    long_way = [resolver.construct_endpoint(model, dict(a), {}) for model, a in asked]
    monkeypatch.setattr(Resolver, "construct_endpoint", Resolver.construct_endpoint)
    load("fleetwin_transport").remember_endpoints(Resolver)
    for _ in range(2):
        assert [resolver.construct_endpoint(model, dict(a), {}) for model, a in asked] == long_way


def test_an_endpoint_that_a_call_has_for_itself_is_not_remembered() -> None:
    place_of = load("fleetwin_transport").place_of
    assert place_of("s3", "PutObject", {"Bucket": "one"}, {}) == "s3/one"
    assert place_of("s3", "PutObject", {"Bucket": "one"}, {"use_global_endpoint": True}) is None
    assert place_of("s3", "CopyObject", {"Bucket": "one"}, {}) is None
    assert place_of("s3", "PutObject", None, None) is None
    assert place_of("kinesis", "PutRecord", {"StreamName": "one"}, {}) is None
