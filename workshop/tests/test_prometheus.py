"""Prometheus as the lessons use it: what is pushed over OTLP or scraped is asked for, rules are evaluated, files are checked."""

import subprocess
import time
from dataclasses import replace

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Counter, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader

from workshop.programs.instance import ProgramError
from workshop.programs.lifecycle import for_checks, start
from workshop.programs.prometheus import PROMETHEUS, Prometheus, read_exposition
from workshop.tests.sdk import Work

pytestmark = pytest.mark.xdist_group("prometheus")

RULES = """
groups:
  - name: app
    interval: 200ms
    rules:
      - {record: "app:always", expr: "vector(5)"}
      - {alert: Always, expr: "app:always > 1", labels: {severity: page}, annotations: {summary: "it is {{ $value }}"}}
      - {alert: Never, expr: "vector(1) > 2"}
"""
SCRAPES = """
rule_files: [rules.yml]
scrape_configs:
  - job_name: dead
    scrape_interval: 200ms
    scrape_timeout: 200ms
    static_configs: [{targets: ["127.0.0.1:1"]}]
"""


@pytest.fixture(scope="module")
def prometheus(beside) -> Prometheus:
    return beside("prometheus")


@pytest.fixture(scope="module")
def work(prometheus) -> Work:
    """Work whose metrics it has."""
    done = Work()
    OTLPMetricExporter(f"{prometheus.url}/api/v1/otlp/v1/metrics").export(done.metrics)
    assert prometheus.until(lambda: prometheus.query("shop_asked_total"))
    return done


@pytest.fixture(scope="module")
def ruled(brought, tmp_path_factory) -> Prometheus:
    """One with rules, and a target that nobody answers for."""
    folder = tmp_path_factory.mktemp("otel")
    (folder / "rules.yml").write_text(RULES)
    (folder / "prometheus.yml").write_text(SCRAPES)
    brought("prometheus")
    with for_checks(PROMETHEUS, folder / "prometheus.yml") as started:
        yield started


def test_a_counter_is_asked_for_now_and_over_time(prometheus, work):
    (asked,) = prometheus.query('shop_asked_total{route="/"}')
    assert asked.value == 2
    assert (asked.labels["job"], asked.labels["ok"], asked.labels["service_name"]) == ("todo", "true", "todo")
    now = time.time()
    (over_time,) = prometheus.query_range("shop_asked_total", now - 60, now + 1, 1)
    assert {value for _, value in over_time.samples} == {2}


def test_numbers_and_both_kinds_of_histograms_have_values(prometheus, work):
    assert prometheus.query("1 + 1")[0].value == 2
    assert prometheus.query('shop_wait_milliseconds_bucket{le="10"}')[0].value == 1
    assert prometheus.query("shop_size")[0].value == 4
    assert prometheus.query("nothing_like_it") == []


def test_an_exemplar_leads_to_its_trace(prometheus, work):
    root = next(span for span in work.spans if span.name == "find")
    found = prometheus.exemplars("shop_wait_milliseconds_bucket")
    assert {(one.trace_id, one.span_id) for one in found} == {(f"{root.context.trace_id:032x}", f"{root.context.span_id:016x}")}
    assert {one.value for one in found} <= {3, 250, 251.5} and found[0].attributes["route"] == "/"


def test_what_is_wrong_in_a_query_is_said(prometheus):
    with pytest.raises(ProgramError, match="Prometheus answered 400 to (?s:.*)parse error"):
        prometheus.query("rate(")


def test_a_page_it_does_not_have_is_not_shown(prometheus):
    page = dict(prometheus.addresses())["page"]
    assert page == prometheus.url if prometheus.has_page() else page.startswith("none: ")


def test_rules_and_what_they_make_fire_are_told(ruled):
    alerts = ruled.until(lambda: [alert for alert in ruled.alerts() if alert.state == "firing"])
    assert [(alert.name, alert.value, alert.labels["severity"]) for alert in alerts] == [("Always", 5, "page")]
    kinds = [(rule.group, rule.name, rule.kind, rule.health, rule.state) for rule in ruled.rules()]
    assert kinds == [
        ("app", "app:always", "recording", "ok", ""),
        ("app", "Always", "alerting", "ok", "firing"),
        ("app", "Never", "alerting", "ok", "inactive"),
    ]
    begun = time.time()
    assert ruled.until(lambda: all(begun < rule.evaluated <= time.time() for rule in ruled.rules()))


def test_a_target_that_does_not_answer_is_told_with_the_reason(ruled):
    target = ruled.until(lambda: [target for target in ruled.targets() if target.health == "down"])[0]
    assert (target.job, target.url) == ("dead", "http://127.0.0.1:1/metrics")
    assert "refused" in target.error


def test_a_configuration_that_it_refuses_is_quoted(brought, tmp_path):
    (tmp_path / "prometheus.yml").write_text("scrape_config: []\n")
    brought("prometheus")
    with pytest.raises(ProgramError, match="Prometheus ended; it said last:(?s:.*)field scrape_config not found"):
        for_checks(PROMETHEUS, tmp_path / "prometheus.yml")


def test_differences_are_added_up_only_where_it_is_told_to(brought, tmp_path):
    """What 300/500/300 says of delta and of the flag that takes it."""
    adds_up = replace(PROMETHEUS, arguments=(*PROMETHEUS.arguments, "--enable-feature=otlp-deltatocumulative"))
    found = []
    for number, program in enumerate((PROMETHEUS, adds_up)):
        folder = tmp_path / str(number)
        folder.mkdir()
        with start(program, brought("prometheus"), folder) as prometheus:
            exporter = OTLPMetricExporter(
                f"{prometheus.url}/api/v1/otlp/v1/metrics",
                timeout=2,
                preferred_temporality={Counter: AggregationTemporality.DELTA},
            )
            reader = PeriodicExportingMetricReader(exporter, export_interval_millis=600_000)
            counter = MeterProvider([reader], shutdown_on_exit=False).get_meter("shop").create_counter("sold")
            for _ in range(2):
                counter.add(2)
                reader.force_flush()
            found.append([series.value for series in prometheus.query("sold_total")])
            reader.shutdown()
    assert found == [[], [4]]


def test_a_page_of_metrics_is_read():
    text = (
        '# HELP a that\n# TYPE a counter\na{x="1",y="say \\"hi\\"\\n"} 2 1700000000\nb_bucket{le="+Inf"} 3\nc NaN\nd{} -1e3\n'
    )
    a, b, c, d = read_exposition(text)
    assert a.labels == {"__name__": "a", "x": "1", "y": 'say "hi"\n'} and a.value == 2
    assert (b.labels["le"], b.value, d.value) == ("+Inf", 3, -1000) and c.value != c.value


def test_something_else_that_answers_is_no_prometheus(beside):
    other = beside("jaeger")
    with pytest.raises(ProgramError, match="answered 404|there is no Prometheus"):
        Prometheus(PROMETHEUS, other.url, other.ports, other.folder).check()


def test_promtool_comes_with_it_at_the_same_version(brought):
    said = subprocess.run([brought("prometheus").with_name("promtool"), "--version"], capture_output=True, text=True)
    assert f"promtool, version {PROMETHEUS.version} " in said.stdout + said.stderr
