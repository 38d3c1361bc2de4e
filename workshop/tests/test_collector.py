"""The Collector as the lessons use it: every component that they name is in it, and its client reads what it does."""

import re
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from ruamel.yaml import YAML

from workshop.checks.fake_server import FakeServer
from workshop.diagnosis.collector import COLLECTOR as COLLECTOR_RUNGS
from workshop.diagnosis.collector import refusal
from workshop.diagnosis.facts import Facts, climb
from workshop.programs.collector import COLLECTOR, Collector
from workshop.programs.instance import ProgramError
from workshop.programs.jaeger import JAEGER
from workshop.programs.lifecycle import for_checks
from workshop.programs.prometheus import PROMETHEUS
from workshop.telemetry.metrics import Metric, NumberPoint
from workshop.telemetry.otlp import Telemetry
from workshop.telemetry.spans import Span
from workshop.tests.sdk import Work

pytestmark = pytest.mark.xdist_group("collector")

# Each component of the manifest, once.
EVERY = """
receivers:
  otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}}}
  file_log: {include: [/tmp/*.log], storage: file_storage}
  host_metrics: {scrapers: {memory: {}}}
processors:
  memory_limiter: {check_interval: 1s, limit_mib: 100}
  batch: {}
  attributes: {actions: [{key: task, action: delete}]}
  resource: {attributes: [{key: deployment.environment.name, value: here, action: upsert}]}
  filter: {traces: {span: ['name == "GET /health"']}}
  transform: {log_statements: ['set(log.body, log.event_name) where log.body == nil']}
  redaction: {allow_all_keys: true, blocked_values: ["4[0-9]{12}(?:[0-9]{3})?"]}
  tail_sampling: {policies: [{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}]}
  probabilistic_sampler: {sampling_percentage: 10}
exporters:
  debug: {}
  otlp_grpc: {endpoint: "127.0.0.1:4317"}
  otlp_http: {endpoint: "http://127.0.0.1:4318"}
  file: {path: /tmp/traces.json}
  load_balancing: {protocol: {otlp: {}}, resolver: {static: {hostnames: ["127.0.0.1:4317"]}}}
  prometheus: {endpoint: "127.0.0.1:0"}
  prometheus_remote_write: {endpoint: "http://127.0.0.1:9090/api/v1/write"}
connectors: {forward: {}, span_metrics: {exemplars: {enabled: true}}}
extensions: {health_check: {}, file_storage: {directory: /tmp, create_directory: true}, zpages: {}}
service:
  extensions: [health_check, file_storage, zpages]
  pipelines:
    traces/in: {receivers: [otlp], processors: [memory_limiter, attributes, filter], exporters: [span_metrics, forward]}
    traces/kept: {receivers: [forward], processors: [tail_sampling, probabilistic_sampler], exporters: [otlp_grpc, file, load_balancing]}
    metrics: {receivers: [host_metrics, span_metrics], processors: [batch], exporters: [prometheus, prometheus_remote_write]}
    logs: {receivers: [file_log], processors: [resource, transform, redaction], exporters: [otlp_http, debug]}
"""
KEEPS = """
receivers:
  otlp: {protocols: {http: {endpoint: "127.0.0.1:${env:COLLECTOR_HTTP_PORT}"}, grpc: {endpoint: "127.0.0.1:${env:COLLECTOR_GRPC_PORT}"}}}
exporters:
  debug: {verbosity: detailed}
  file: {path: "${env:COLLECTOR_DATA}/kept.json", flush_interval: 100ms}
extensions: {health_check: {endpoint: "127.0.0.1:${env:COLLECTOR_HEALTH_PORT}"}}
service:
  extensions: [health_check]
  telemetry:
    metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: "${env:COLLECTOR_METRICS_PORT}"}}}}]}
  pipelines:
    traces: {receivers: [otlp], exporters: [file, debug]}
"""


@pytest.fixture(scope="module")
def collector(brought, tmp_path_factory) -> Collector:
    """One that keeps traces in a file."""
    file = tmp_path_factory.mktemp("otel") / "collector.yaml"
    file.write_text(KEEPS)
    brought("collector")
    with for_checks(COLLECTOR, file) as started:
        yield started


@pytest.fixture(scope="module")
def work(collector) -> Work:
    """Work whose spans were sent to it."""
    done = Work()
    OTLPSpanExporter(f"http://127.0.0.1:{collector.ports['http']}/v1/traces").export(done.spans)
    return done


def validate(executable, file) -> subprocess.CompletedProcess:
    return subprocess.run([executable, "validate", f"--config={file}"], capture_output=True, text=True)


def test_each_component_of_the_manifest_is_in_it_by_the_name_that_lessons_use(brought, tmp_path):
    (tmp_path / "every.yaml").write_text(EVERY)
    done = validate(brought("collector"), tmp_path / "every.yaml")
    assert done.returncode == 0, done.stderr
    used = YAML(typ="safe").load(EVERY)
    kinds = ("receivers", "processors", "exporters", "connectors", "extensions")
    assert len(re.findall("- gomod: ", COLLECTOR.go.manifest.read_text())) == sum(len(used[kind]) for kind in kinds)


def test_a_component_that_it_does_not_have_is_named(brought, tmp_path):
    (tmp_path / "wrong.yaml").write_text(EVERY.replace("  debug: {}", "  debgu: {}"))
    done = validate(brought("collector"), tmp_path / "wrong.yaml")
    assert done.returncode == 1 and 'unknown type: "debgu"' in done.stderr


def test_what_it_has_written_is_read_as_telemetry(collector, work):
    spans = collector.until(lambda: collector.written("kept.json").spans)
    assert {span.name for span in spans} == {"GET /", "find", "late"}
    assert next(span for span in spans if span.name == "find").status == "ERROR"
    assert collector.written("nothing.json").spans == []


def test_the_debug_exporter_writes_into_its_log(collector, work):
    trace_id = f"{work.spans[0].context.trace_id:032x}"
    assert collector.until(lambda: trace_id in collector.log.read_text())


def test_what_it_counts_of_itself_is_read(collector, work):
    counted = lambda: [s.value for s in collector.metrics() if "receiver_accepted_spans" in s.labels["__name__"]]  # noqa: E731
    assert collector.until(lambda: counted() == [3])


def test_it_tells_where_it_is_and_nothing_of_what_is_closed(collector):
    rows = dict(collector.addresses())
    assert rows["OTLP over HTTP"] == f"http://127.0.0.1:{collector.ports['http']}"
    assert "its own metrics" in rows and "its zPages" not in rows


def test_a_configuration_that_it_refuses_is_quoted(brought, tmp_path):
    (tmp_path / "collector.yaml").write_text(KEEPS.replace("receivers:\n", "recievers:\n", 1))
    brought("collector")
    with pytest.raises(ProgramError, match="Collector ended; it said last:(?s:.*)recievers"):
        for_checks(COLLECTOR, tmp_path / "collector.yaml")


def test_one_that_does_not_tell_that_it_is_ready_is_said_so_without_waiting(brought, tmp_path):
    file = tmp_path / "collector.yaml"
    file.write_text(KEEPS.replace("  extensions: [health_check]\n", ""))
    brought("collector")
    with pytest.raises(ProgramError, match=r"Collector is not ready, for http://127.0.0.1:\d+/ does not answer; "):
        for_checks(COLLECTOR, file)


def test_all_three_signals_go_through_the_one_of_the_workshop(request):
    """Jaeger, Prometheus and VictoriaLogs behind it, as `workshop up` of all of them has it."""
    from workshop.checks.sandbox import END
    from workshop.plugin import Session

    for name in ("collector", "prometheus", "logs"):
        request.getfixturevalue("brought")(name)
    session = Session(END, False)
    request.addfinalizer(session.close)
    jaeger, prometheus, logs, collector = map(session.program, ("jaeger", "prometheus", "logs", "collector"))
    assert session.program("collector") is collector
    address, work = f"http://127.0.0.1:{collector.ports['http']}/v1", Work()
    send(work, address)
    assert jaeger.until(lambda: len(jaeger.traces("todo")) == 3)
    assert prometheus.until(lambda: prometheus.query("shop_asked_total"))[0].value == 2
    assert logs.until(lambda: logs.query("event_name:shop.closed"))[0]["service.name"] == "todo"


def send(work: Work, address: str) -> None:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    OTLPSpanExporter(f"{address}/traces").export(work.spans)
    OTLPMetricExporter(f"{address}/metrics").export(work.metrics)
    OTLPLogExporter(f"{address}/logs").export(work.logs)


def test_what_it_was_handed_before_it_was_killed_is_there_again(brought, tmp_path):
    file = tmp_path / "collector.yaml"
    queue = 'otlp_http: {endpoint: "http://127.0.0.1:9", sending_queue: {storage: file_storage}}'
    text = KEEPS.replace("  debug: {verbosity: detailed}", f"  {queue}").replace("[file, debug]", "[otlp_http]")
    text = text.replace(
        'COLLECTOR_HEALTH_PORT}"}}', 'COLLECTOR_HEALTH_PORT}"}, file_storage: {directory: "${env:COLLECTOR_DATA}"}}'
    )
    file.write_text(text.replace("[health_check]", "[health_check, file_storage]"))
    brought("collector")
    span = Span("task", "internal", "a" * 32, "b" * 16, None, 1, 2)
    with FakeServer() as store, for_checks(COLLECTOR, file) as killed:
        killed.send(Telemetry([span]))
        killed.hang()
        with pytest.raises(ProgramError):
            killed.post(f"http://127.0.0.1:{killed.ports['http']}/v1/traces", {})
        killed.kill()
        file.write_text(file.read_text().replace("127.0.0.1:9", f"127.0.0.1:{store.port}"))
        killed.again()
        assert store.until(lambda server: server.stored.spans)
        assert [kept.name for kept in store.stored.spans] == ["task"]
    assert "Everything is ready" in killed.said


def test_what_keeps_the_learners_own_from_running_is_named_with_its_place(monkeypatch, tmp_path):
    monkeypatch.setattr("workshop.diagnosis.collector.ROOT", tmp_path)
    log = "'processors' error reading configuration for \"batch\": …\n\n'' has invalid keys: timout"
    assert refusal(COLLECTOR, log) is None
    file = tmp_path / "src" / "otel" / "collector.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("processors:\n  batch: {timout: 1s}\n")
    found = refusal(COLLECTOR, log).diagnosis
    assert (found.rung, found.expected) == ("unknown-key", "timeout") and "src/otel/collector.yaml:2" in found.seen
    assert refusal(COLLECTOR, "all is well") is None and refusal(PROMETHEUS, log) is None


def rung_of(collector: Collector, text: str) -> str:
    """What the ladder says of a running Collector that passes on nothing."""
    found = climb(Facts("", "", {"otel/collector.yaml": text}, collector=collector.said), COLLECTOR_RUNGS)
    return found.rung if found else ""


TASK = Span("task", "internal", "a" * 32, "b" * 16, None, 1, 2)


def passing_on(exporter: str, name: str, file: Path) -> str:
    """A configuration, written into a file, that has this exporter and no other."""
    text = KEEPS.replace("  debug: {verbosity: detailed}", f"  {exporter}").replace("[file, debug]", f"[{name}]")
    file.write_text(text)
    return text


def test_a_queue_that_is_full_is_known_by_what_it_says(brought, tmp_path):
    full = 'otlp_http: {endpoint: "http://127.0.0.1:9", sending_queue: {queue_size: 1, num_consumers: 1}}'
    text = passing_on(full, "otlp_http", tmp_path / "collector.yaml")
    brought("collector")
    with for_checks(COLLECTOR, tmp_path / "collector.yaml") as collector:
        with pytest.raises(ProgramError, match="503"):
            for _ in range(4):
                collector.send(Telemetry([TASK]))
        assert rung_of(collector, text) == "queue-full"


def test_a_disk_that_is_full_is_known_by_what_it_says(brought, tmp_path):
    text = passing_on("file/full: {path: /dev/full, flush_interval: 50ms}", "file/full", tmp_path / "collector.yaml")
    brought("collector")
    with for_checks(COLLECTOR, tmp_path / "collector.yaml") as collector:
        with suppress(ProgramError):  # it says no, or has said yes and writes later
            collector.send(Telemetry([replace(TASK, name="task" * 20_000)]))
        assert collector.until(lambda: rung_of(collector, text) == "disk-full", 5), collector.said


def test_a_jaeger_that_is_sent_metrics_over_grpc_is_known_by_what_it_says(brought, tmp_path):
    brought("collector"), brought("jaeger")
    with for_checks(JAEGER) as jaeger:
        to_jaeger = f'otlp_grpc: {{endpoint: "127.0.0.1:{jaeger.grpc_port}", tls: {{insecure: true}}}}'
        text = KEEPS.replace("  debug: {verbosity: detailed}", f"  {to_jaeger}").replace("[file, debug]", "[otlp_grpc]")
        (tmp_path / "collector.yaml").write_text(text.replace("    traces: {", "    metrics: {"))
        counted = Metric("asked", "sum", (NumberPoint({}, 1, 2, (), 3),), "", "", "cumulative", True)
        with for_checks(COLLECTOR, tmp_path / "collector.yaml") as collector:
            collector.send(Telemetry(metrics=[counted]))
            assert collector.until(lambda: rung_of(collector, text) == "jaeger-refuses")
