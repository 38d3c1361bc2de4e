"""The fake server, asked by the exporters of the installed SDK and by hand: what it keeps, what it answers."""

from __future__ import annotations

import json
import socket
import time

import pytest
import requests
from google.protobuf.json_format import MessageToJson
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from workshop.checks.fake_server import (
    SILENCE,
    FakeServer,
    accept,
    drip,
    pass_on,
    refuse,
    response,
)
from workshop.telemetry.otlp import Telemetry
from workshop.tests.sdk import Work

EXPORTERS = {"traces": OTLPSpanExporter, "metrics": OTLPMetricExporter, "logs": OTLPLogExporter}
PROTOBUF, JSON = {"Content-Type": "application/x-protobuf"}, {"Content-Type": "application/json"}
OK = response("fine")


@pytest.fixture(scope="module")
def work() -> Work:
    return Work()


def export(server: FakeServer, work: Work, *signals: str, timeout: float = 1, **settings: object) -> list[bool]:
    """Export the work with the SDK's exporters, and say of each signal whether its exporter is content."""
    done = []
    for signal in signals or EXPORTERS:
        exporter = EXPORTERS[signal](endpoint=f"{server.url}/v1/{signal}", timeout=timeout, **settings)
        data = {"traces": work.spans, "metrics": work.metrics, "logs": work.logs}[signal]
        done.append(exporter.export(data).name == "SUCCESS")
        exporter.shutdown()
    return done


# What it keeps


@pytest.mark.parametrize("compression", Compression)
def test_all_that_the_exporters_of_the_sdk_send_is_kept_and_decoded(work, compression):
    with FakeServer() as server:
        assert export(server, work, compression=compression, headers={"api-key": "s3cret"}) == [True] * 3
    assert server.stored == work.sent()
    assert [(request.method, request.path, request.signal) for request in server.requests] == [
        ("POST", "/v1/traces", "traces"),
        ("POST", "/v1/metrics", "metrics"),
        ("POST", "/v1/logs", "logs"),
    ]
    for request, message in zip(server.requests, work.messages):
        assert (request.content_type, request.problem, request.accepted) == ("application/x-protobuf", "", True)
        assert request.headers["API-Key"] == "s3cret"
        assert request.body == message.SerializeToString()
        assert request.headers.get("Content-Encoding", "none") == compression.value


def test_json_in_several_chunks_and_below_a_path_of_its_own_is_kept_too(work):
    with FakeServer() as server:
        for signal, message in zip(EXPORTERS, work.messages):
            body = MessageToJson(message, use_integers_for_enums=True).encode()
            chunks = (body[at : at + 100] for at in range(0, len(body), 100))
            url = f"{server.url}/otlp/v1/{signal}?tenant=a%20b"
            answer = requests.post(url, chunks, headers={**JSON, "Content-Type": "application/json; charset=utf-8"}, timeout=5)
            assert (answer.status_code, answer.headers["Content-Type"], answer.json()) == (200, "application/json", {})
    assert server.stored == work.sent()
    assert server.requests[0].path == "/otlp/v1/traces?tenant=a%20b"


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "problem"),
    [
        ("/", b"", PROTOBUF, 404, "the path ends neither in /v1/traces"),
        ("/v1/spans", b"", PROTOBUF, 404, "the path ends neither"),
        ("/v1/traces", b"\xff\xff", PROTOBUF, 400, "Error parsing message"),
        ("/v1/traces", b"{", JSON, 400, "Expecting property name"),
        ("/v1/traces", b'{"resourceSpans": 5}', JSON, 400, "no message of OTLP"),
        ("/v1/traces", b"\xff{", JSON, 400, "codec"),
        ("/v1/traces", b"", {}, 400, "the content type is not given"),
        ("/v1/traces", b"no gzip", {**PROTOBUF, "Content-Encoding": "gzip"}, 400, "Not a gzipped file"),
        ("/v1/traces", b"no zlib", {**PROTOBUF, "Content-Encoding": "deflate"}, 400, "incorrect header check"),
    ],
)
def test_what_is_no_otlp_is_refused_and_kept_with_the_reason(path, body, headers, status, problem):
    with FakeServer() as server:
        answer = requests.post(server.url + path, body, headers=headers, timeout=5)
    [request] = server.requests
    assert (answer.status_code, request.accepted) == (status, False)
    assert problem in request.problem and request.problem in answer.text
    assert server.stored == request.telemetry == Telemetry()


def test_an_endpoint_that_has_the_path_of_a_signal_finds_nobody():
    with FakeServer() as server:
        assert requests.post(f"{server.url}/v1/traces/v1/traces", headers=PROTOBUF, timeout=5).status_code == 404
    assert not server.requests[0].problem and not server.stored.spans


@pytest.mark.parametrize("path", ["/v1/metrics", "/api/v1/otlp/v1/metrics"])
def test_a_path_in_which_v1_stands_for_more_than_the_signal_is_taken(path):
    with FakeServer() as server:
        assert requests.post(f"{server.url}{path}", headers=PROTOBUF, timeout=5).status_code == 200


def test_another_method_is_refused():
    with FakeServer() as server:
        assert requests.get(f"{server.url}/v1/traces", timeout=5).status_code == 405


# What it answers


@pytest.mark.parametrize("status", [302, 401, 403, 413, 500])
def test_any_status_can_be_the_answer(status, work):
    with FakeServer(refuse(status, "not now", Location="/elsewhere")) as server:
        answer = requests.post(server.url, b"x" * 1_000_000, timeout=5, allow_redirects=False)
        assert (answer.status_code, answer.text, answer.headers["Location"]) == (status, "not now", "/elsewhere")
        if status > 400:
            assert export(server, work, "traces") == [False]
    assert server.stored == Telemetry()


@pytest.mark.parametrize("status", [429, 503])
def test_an_exporter_comes_again_when_it_is_told_to(status, work):
    with FakeServer(refuse(status, Retry_After="0"), refuse(status, Retry_After="0"), accept) as server:
        assert export(server, work, "traces") == [True]
    assert [request.accepted for request in server.requests] == [False, False, True]
    assert server.requests[0].telemetry == server.requests[2].telemetry
    assert server.stored.spans == work.sent().spans


def test_a_server_that_hangs_up_is_asked_again(work):
    with FakeServer([], OK[:-2], accept) as server:
        with pytest.raises(requests.ConnectionError):
            requests.get(server.url, timeout=5)
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            requests.get(server.url, timeout=5)
        assert export(server, work, "traces") == [True]
    with FakeServer([], accept) as server:
        assert export(server, work, "traces") == [True]
    assert [request.accepted for request in server.requests] == [False, True]


@pytest.mark.parametrize("begun", [b"", OK[:30]], ids=["from the start", "in the middle"])
def test_a_silent_server_is_given_up_and_holds_nobody_when_it_ends(begun, work):
    begin = time.monotonic()
    with FakeServer([begun, 600.0]) as server:
        with pytest.raises(requests.RequestException):
            requests.get(server.url, timeout=0.2)
        assert export(server, work, "traces", timeout=0.2) == [False]
    assert time.monotonic() - begin < 60
    assert not any(request.accepted for request in server.requests)


def test_a_dripping_server_is_not_given_up_by_a_timeout_for_each_read(work):
    pauses = [part for part in drip(OK, 0.01) if not isinstance(part, bytes)]
    assert pauses == [0.01] * len(OK) and b"".join(part for part in drip(OK, 0.01) if isinstance(part, bytes)) == OK
    with FakeServer(drip(OK, 0.01)) as server:
        answer = requests.get(server.url, timeout=5, stream=True)
        assert answer.content == b"fine"


def test_what_is_no_http_can_be_the_answer():
    with FakeServer(b"\x00\xff nonsense\r\n\r\n") as server, pytest.raises(requests.ConnectionError):
        requests.get(server.url, timeout=5)


def test_an_answer_may_depend_on_the_request_and_what_it_raises_is_raised_at_the_end():
    with FakeServer(lambda request: response(request.path)) as server:
        assert requests.get(f"{server.url}/a?b=c", timeout=5).text == "/a?b=c"
    with pytest.raises(ZeroDivisionError), FakeServer(lambda request: 1 / 0) as server:
        with pytest.raises(requests.ConnectionError):
            requests.get(server.url, timeout=5)


def test_a_proxy_passes_everything_on_but_one_header():
    told = lambda request: response(json.dumps([request.headers.get(n) for n in ("traceparent", "baggage")]) + request.path)  # noqa: E731
    sent = {"traceparent": "00-a-b-01", "Baggage": "a=b"}
    with FakeServer(told) as behind, FakeServer(lambda request: pass_on(request, behind.port, without="traceparent")) as proxy:
        assert requests.get(f"{behind.url}/x?y", headers=sent, timeout=5).text == '["00-a-b-01", "a=b"]/x?y'
        assert requests.get(f"{proxy.url}/x?y", headers=sent, timeout=5).text == '[null, "a=b"]/x?y'
        assert requests.post(f"{proxy.url}/x", b"body", timeout=5).status_code == 200
    assert behind.requests[-1].body == b"body"


def test_what_comes_can_be_waited_for_and_nothing_is_left_when_it_ends(work):
    with FakeServer() as server:
        assert not server.until(lambda own: own.requests, seconds=0.01)
        export(server, work, "traces")
        assert server.until(lambda own: own.stored.spans)
        port = server.port
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))
    assert 0 < SILENCE < 10
