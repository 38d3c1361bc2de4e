"""Jaeger as a real process: what listens, what it is asked and what it answers."""

import http.client
import json
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from workshop.programs.instance import DIRECT, ProgramError
from workshop.programs.jaeger import JAEGER, Jaeger
from workshop.programs.lifecycle import start
from workshop.programs.methods import obtain

TRACE, SERVER, CLIENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def binary() -> Path:
    return obtain(JAEGER)


@pytest.fixture
def jaeger(binary, tmp_path):
    with start(JAEGER, binary, tmp_path) as started:
        yield started


def send_trace(jaeger: Jaeger) -> None:
    """What an app with one request and one statement sends."""
    now = time.time_ns() - 2_000_000  # over when it is sent: Jaeger counts no call of the future

    def span(span_id: str, name: str, kind: int, **more: object) -> dict:
        times = {"startTimeUnixNano": str(now), "endTimeUnixNano": str(now + 2_000_000)}
        return {"traceId": TRACE, "spanId": span_id, "name": name, "kind": kind, **times, **more}

    attributes = [{"key": "http.method", "value": {"stringValue": "GET"}}]
    spans = [span(SERVER, "GET /", 2, attributes=attributes), span(CLIENT, "SELECT", 3, parentSpanId=SERVER)]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "todo"}}]}
    body = json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}).encode()
    url = f"http://127.0.0.1:{jaeger.http_port}/v1/traces"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with DIRECT.open(request, timeout=5) as answer:
        assert answer.status == 200


def test_only_what_is_needed_listens_and_only_on_loopback(jaeger):
    listening = {
        connection.laddr
        for connection in psutil.Process(jaeger.process.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert {address.ip for address in listening} == {"127.0.0.1"}
    ports = {address.port for address in listening}
    assert {jaeger.query_port, jaeger.grpc_port, jaeger.http_port} < ports
    # Besides health there is the gRPC query, which cannot be turned off, on a port that the system chose.
    assert len(ports) == 5


def test_what_was_sent_is_there_at_once(jaeger):
    send_trace(jaeger)
    spans = {span.span_id: span for span in jaeger.trace(TRACE)}
    assert set(spans) == {SERVER, CLIENT}
    assert (spans[SERVER].name, spans[SERVER].kind, spans[SERVER].service) == ("GET /", "server", "todo")
    assert spans[CLIENT].parent_id == SERVER
    assert jaeger.services() == ["todo"]
    assert jaeger.dependencies() == [{"parent": "todo", "child": "todo", "callCount": 1}]


def test_traces_are_searched_by_service_and_operation(jaeger):
    send_trace(jaeger)
    assert {span.span_id for span in jaeger.traces("todo")} == {SERVER, CLIENT}
    assert {span.span_id for span in jaeger.traces("todo", operation="GET /")} == {SERVER, CLIENT}
    assert jaeger.traces("todo", operation="POST /add") == []
    assert jaeger.traces("advisor") == []


def test_an_unknown_trace_has_no_spans_and_no_id_is_an_error(jaeger):
    assert jaeger.trace("f" * 32) == []
    with pytest.raises(ProgramError, match="Jaeger answered 400 to .*/api/v3/traces/mine"):
        jaeger.trace("mine")


def test_a_proxy_of_the_shell_is_not_asked(jaeger, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert jaeger.ready()


def test_it_takes_requests_when_start_returns(jaeger):
    connection = http.client.HTTPConnection("127.0.0.1", jaeger.http_port, timeout=5)
    connection.request("POST", "/v1/traces", b"{}", {"Content-Type": "application/json"})
    assert connection.getresponse().status == 200
    connection.close()


def test_what_the_shell_exports_for_apps_does_not_reach_it(binary, tmp_path, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("JAEGER_QUERY_PORT", "1")
    with start(JAEGER, binary, tmp_path) as started:
        environment = psutil.Process(started.process.pid).environ()
    assert "OTEL_SERVICE_NAME" not in environment
    assert environment["JAEGER_QUERY_PORT"] == str(started.query_port)


def test_it_is_gone_after_the_block_also_when_that_fails(binary, tmp_path):
    with pytest.raises(ZeroDivisionError), start(JAEGER, binary, tmp_path) as started:
        process = psutil.Process(started.process.pid)
        raise ZeroDivisionError
    assert not process.is_running()
    assert not started.ready()
    with pytest.raises(ProgramError, match="no Jaeger answers at .*`workshop up` starts one"):
        started.services()


def test_one_that_dies_in_between_is_said(jaeger):
    jaeger.process.kill()
    jaeger.process.wait()
    with pytest.raises(ProgramError, match="no Jaeger answers at"):
        jaeger.trace(TRACE)


def test_release_and_module_bear_the_same_tag():
    assert JAEGER.archive.folder.rsplit("/", 1)[1] == JAEGER.go.version


def test_its_archive_is_found_on_the_official_host_or_on_a_mirror(monkeypatch):
    monkeypatch.delenv("WORKSHOP_ARCHIVES", raising=False)
    release = f"jaegertracing/jaeger/releases/download/v1.76.0/{JAEGER.archive_name}"
    assert JAEGER.archive_name.startswith("jaeger-2.13.0-") and JAEGER.archive_address == f"https://github.com/{release}"
    monkeypatch.setenv("WORKSHOP_ARCHIVES", "http://127.0.0.1:8080/mirror/")
    assert JAEGER.archive_address == f"http://127.0.0.1:8080/mirror/{release}"
    assert JAEGER.sums_address.startswith("https://github.com/")
