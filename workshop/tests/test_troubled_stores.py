"""A store whose disk is full, or for which time has jumped, is told in its own words: real programs, in real trouble."""

import secrets
import time
import urllib.error
import urllib.request
from dataclasses import replace

import pytest
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from workshop.course.fences import ROOT
from workshop.diagnosis.facts import Broken
from workshop.diagnosis.stored import MISTIMED, UNWRITTEN
from workshop.programs.lifecycle import start
from workshop.programs.logs import LOGS
from workshop.programs.prometheus import PROMETHEUS
from workshop.telemetry.spans import Span
from workshop.tests.sdk import Work
from workshop.tests.test_stored import Watched

HOUR = 3600 * 10**9
REFUSED = "Failed to export metrics batch code: 400, reason: Bad Request\n"


def sent(url: str, message) -> int:
    """The status with which OTLP is answered."""
    asked = urllib.request.Request(url, message.SerializeToString(), {"Content-Type": "application/x-protobuf"})
    try:
        with urllib.request.urlopen(asked) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


class Counter:
    """A counter of a real SDK, as an export has it."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self._counter = MeterProvider([self._reader], shutdown_on_exit=False).get_meter("shop").create_counter("asked")

    def export(self, series: int = 1, ahead: int = 0):
        for _ in range(series):
            self._counter.add(1, {"key": secrets.token_hex(40)} if series > 1 else {})
        message = encode_metrics(self._reader.get_metrics_data())
        for point in message.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points:
            point.time_unix_nano += ahead
        return message


def rung_of(app, prometheus) -> str:
    with pytest.raises(Broken) as broken:
        app.in_prometheus(prometheus, "asked_of_nobody")
    return broken.value.diagnosis.rung


def test_a_prometheus_that_cannot_write_answers_200_and_is_found_out_by_its_own_numbers(brought, tmp_path):
    limited = tmp_path / "prometheus.sh"  # the limit on the size of a file stands in for a disk that is full
    limited.write_text(f'#!/bin/sh\nulimit -f 64\nexec "{brought("prometheus")}" "$@"\n', encoding="utf-8")
    limited.chmod(0o755)
    counter = Counter()
    with start(PROMETHEUS, limited, tmp_path, configuration=ROOT / PROMETHEUS.default) as prometheus:
        answers = {sent(f"{prometheus.url}/api/v1/otlp/v1/metrics", counter.export(series=400)) for _ in range(6)}
        assert answers == {200} and not prometheus.query("asked_total")
        assert UNWRITTEN in prometheus.ask("/metrics")
        assert rung_of(Watched(""), prometheus) == "prometheus-cannot-write"


def test_a_clock_that_was_set_back_is_found_out_by_what_prometheus_refuses(brought, tmp_path):
    counter, in_order = Counter(), tmp_path / "prometheus.yml"
    in_order.write_text(
        "global: {scrape_interval: 5s}\n"
    )  # as a lesson's own, and without the workshop's window for what is late
    with start(PROMETHEUS, brought("prometheus"), tmp_path, configuration=in_order) as prometheus:
        url = f"{prometheus.url}/api/v1/otlp/v1/metrics"
        statuses = [sent(url, counter.export(ahead=ahead)) for ahead in (0, HOUR // 10, 0, HOUR, -3 * HOUR)]
        assert statuses == [200, 200, 400, 400, 400]
        assert all(name in prometheus.ask("/metrics") for name in MISTIMED)
        assert rung_of(Watched(REFUSED), prometheus) == "clock-jumped"
        assert rung_of(Watched(""), prometheus) != "clock-jumped"


def test_a_log_store_without_room_takes_nothing_and_says_why(brought, tmp_path, monkeypatch):
    full = replace(LOGS, arguments=(*LOGS.arguments, "-storage.minFreeDiskSpaceBytes=1000TB"))
    work, app = Work(), Watched("")
    monkeypatch.setattr("workshop.checks.logs.ARRIVE_SECONDS", 0.2)
    with start(full, brought("logs"), tmp_path) as logs:
        assert sent(logs.otlp, encode_logs(work.logs)) == 429
        with pytest.raises(Broken, match="read-only mode") as broken:
            app.in_log_store(logs, "alone", Span("GET /", "server", "a" * 32, "b" * 16, None, 0, 1))
    assert broken.value.diagnosis.rung == "logs-cannot-write"


@pytest.mark.parametrize("days, words", [(3, "too big timestamp"), (-8, "too small timestamp")])
def test_a_log_store_throws_away_what_lies_days_ahead_or_behind_and_answers_200(brought, tmp_path, monkeypatch, days, words):
    message = encode_logs(Work().logs)
    for record in (records := [record for scope in message.resource_logs[0].scope_logs for record in scope.log_records]):
        record.time_unix_nano = time.time_ns() + days * 24 * HOUR
    monkeypatch.setattr("workshop.checks.logs.ARRIVE_SECONDS", 0.2)
    found = []
    with start(LOGS, brought("logs"), tmp_path) as logs:
        assert sent(logs.otlp, message) == 200
        traces = [next(record.trace_id.hex() for record in records if record.trace_id), "e" * 32]
        for trace in traces:
            with pytest.raises(Broken) as broken:
                Watched("").in_log_store(logs, "alone", Span("GET /", "server", trace, "b" * 16, None, 0, 1))
            found.append(broken.value.diagnosis)
    assert found[0].rung == "logs-clock-jumped" and words in found[0].seen
    assert found[1].rung == "not-in-log-store"  # what the store's log says of another run is no cause of this one
