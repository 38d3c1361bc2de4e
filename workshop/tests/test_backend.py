"""What an exporter of today says when a backend refuses, and whether the ladder reads the cause from it."""

import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from workshop.checks.fake_server import FakeServer, accept, refuse
from workshop.diagnosis.arrival import ARRIVAL
from workshop.diagnosis.backend import BACKEND, Backend
from workshop.diagnosis.facts import Facts, climb
from workshop.setup.ports import free_port


@pytest.fixture
def exported(caplog: pytest.LogCaptureFixture):
    """Exports one span to an endpoint for traces, and returns what the exporter said of it, a line each."""

    def export(endpoint: str, **how) -> str:
        provider = TracerProvider(shutdown_on_exit=False)
        with caplog.at_level(logging.WARNING):
            provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint, timeout=1.5, **how)))
            with provider.get_tracer("shop").start_as_current_span("sell"):
                pass
        return "".join(f"{record.getMessage()}\n" for record in caplog.records)

    return export


def rung(output: str, *stages) -> str:
    backend = Backend(
        "http://localhost:5350/otlp", "Basic MTI6YQ==", [("/otlp/v1/traces", {"Authorization": "Basic MTI6YQ=="})]
    )
    found = climb(Facts("300/800/200", "sh cloud.sh", output=output, backend=backend), stages or BACKEND)
    return found.rung if found else ""


@contextmanager
def speaks_tls() -> Iterator[int]:
    """A port at which nobody is let in who does not speak TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
                with connection:
                    context.wrap_socket(connection, server_side=True)
            except ssl.SSLError:
                pass
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=serve)
        serving.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    serving.join()


@pytest.mark.parametrize(
    "status, name", [(401, "key-refused"), (403, "key-forbidden"), (413, "body-too-large"), (429, "backend-silent")]
)
def test_an_answer_is_known_by_its_words(exported, status: int, name: str):
    with FakeServer(refuse(status, Retry_After="30")) as server:
        said = exported(f"{server.url}/v1/traces")
    assert (rung(said), len(server.requests), len(said.splitlines())) == (name, 1, 1)


def test_a_pause_that_the_time_out_allows_is_waited_for(exported):
    with FakeServer(refuse(429, Retry_After="0.1"), accept) as server:
        said = exported(f"{server.url}/v1/traces")
    assert rung(said) == "rate-limited"
    assert len(server.stored.spans) == 1


def test_a_redirect_counts_as_a_yes_and_nothing_is_said(exported):
    with FakeServer(refuse(308, Location="https://localhost/v1/traces")) as server:
        assert exported(f"{server.url}/v1/traces") == ""
    assert [request.accepted for request in server.requests] == [False]


def test_of_logs_a_refusal_is_said_once_in_a_while(caplog: pytest.LogCaptureFixture):
    with FakeServer(refuse(401)) as server:
        exporter = OTLPLogExporter(f"{server.url}/v1/logs")
        for _ in range(3):
            exporter.export([])
    assert len(server.requests) == 3
    assert caplog.text.count("Failed to export logs batch") < 3


def test_tls_to_a_plain_port_and_the_other_way(exported, caplog: pytest.LogCaptureFixture):
    with FakeServer() as server:
        assert rung(exported(f"https://127.0.0.1:{server.port}/v1/traces")) == "tls-to-plain"
    caplog.clear()
    with speaks_tls() as port:
        assert rung(exported(f"http://127.0.0.1:{port}/v1/traces")) == "plain-to-tls"


def test_a_proxy_that_is_not_there(exported, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with FakeServer() as server:
        said = exported(f"{server.url}/v1/traces")
    assert rung(said) == "proxy-between"
    assert not server.requests


@pytest.mark.parametrize(
    "value", ['Authorization="Basic MTI6YQ=="', "Authorization: Basic MTI6YQ==", "Authorization=Basic%20MT\nI6"]
)
def test_a_header_that_is_not_sent_is_named_and_its_key_is_not_told_again(
    exported, monkeypatch: pytest.MonkeyPatch, value: str
):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", value)
    with FakeServer() as server:
        said = exported(f"{server.url}/v1/traces")
    assert "Authorization" not in server.requests[0].headers
    found = climb(Facts("300/800/200", "sh cloud.sh", output=said, stored=[]), ARRIVAL)
    assert found.rung == "header-format"
    assert "MT" not in str(found)


@pytest.mark.parametrize(
    "sent, cause",
    [
        ("Basic MTI6YQ%3D%3D", "percent-encoded"),
        ("Basic MTI6YQo=", "line break"),
        ("Basic YQ==", "one word"),
        ("Basic MTM6YQ==", "another instance"),
        ("Basic Og==", "both empty"),
        ("Bearer MTI6YQ==", "Bearer"),
        ("MTI6YQ==", "the key itself"),
    ],
)
def test_what_is_wrong_with_a_key_is_said_without_showing_it(sent: str, cause: str):
    backend = Backend("http://localhost:5350/otlp", "Basic MTI6YQ==", [("/otlp/v1/traces", {"Authorization": sent})])
    found = climb(Facts("300/800/200", "sh cloud.sh", backend=backend), BACKEND)
    assert found.rung == "key-refused"
    assert cause in found.why
    assert sent.split()[-1] not in str(found)


@pytest.mark.parametrize("wanted, name", [("Basic MTI6YQ==", "$key"), ("ApiKey abcdefgh", "${CLOUD_TOKEN}")])
def test_a_variable_that_the_shell_left_alone_is_named_and_is_no_key(wanted: str, name: str):
    sent = {"Authorization": f"{wanted.split()[0]} {name}"}
    backend = Backend("http://localhost:5350/otlp", wanted, [("/otlp/v1/traces", sent)])
    found = climb(Facts("300/800/200", "sh cloud.sh", backend=backend, files={"cloud.sh": f'"{name}"'}), BACKEND)
    assert found.rung == "key-refused"
    assert f"did not put {name} in" in found.why
