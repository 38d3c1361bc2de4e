"""What a checkpoint can say about metrics and log records, said of a real SDK's output: right, and wrong in each way."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace

import pytest

from workshop.checks import fake_server
from workshop.checks.app import App
from workshop.course.fences import ROOT
from workshop.diagnosis.facts import Broken
from workshop.telemetry import table
from workshop.telemetry.metrics import current
from workshop.tests.finished import Finished
from workshop.tests.sdk import Work


@pytest.fixture(scope="module")
def work() -> Work:
    return Work()


@pytest.fixture(scope="module")
def app(work) -> Finished:
    return Finished(work.printed)


def broken(do, *args, **how) -> tuple[str, str]:
    """The rung that a verb breaks at, and what it saw."""
    with pytest.raises(Broken) as raised:
        do(*args, **how)
    return raised.value.diagnosis.rung, raised.value.diagnosis.seen


def test_a_metric_is_known_by_its_name_and_has_its_unit_and_kind(app):
    assert app.metric("shop.wait", unit="ms", kind="histogram").description == ""
    assert app.metric("shop.asked", unit="{request}", kind="sum").monotonic
    assert broken(app.metric, "shop.wait", unit="s") == ("metric-unit", "shop.wait: its unit is 'ms'")
    assert broken(app.metric, "shop.wait", kind="sum") == ("metric-kind", "shop.wait: its kind is 'histogram'")
    rung, seen = broken(app.metric, "shop.waits")
    assert rung == "no-metric" and "shop.wait" in seen and "on the console" in seen


def test_a_metric_comes_to_the_sum_of_its_points(app):
    assert app.total("shop.asked") == app.total("shop.asked", {"route": "/"}, exactly=2) == 2
    assert app.total("shop.guests", exactly=-1) == -1
    assert app.total("shop.level") == 1.5
    assert app.total("shop.wait", {"route": "/"}) == 3
    assert app.total("shop.size") == 4
    rung, seen = broken(app.total, "shop.asked", {"route": "/"}, exactly=3)
    assert rung == "metric-value" and "shop.asked: 2 where {'route': '/'}" in seen
    rung, seen = broken(app.total, "shop.asked", {"route": "/add"})
    assert rung == "metric-value" and "2 for {'route': '/', 'ok': True}" in seen
    assert broken(app.total, "shop.asked", exactly=0)[0] == "metric-value"


def test_a_histogram_has_its_count_and_a_bucket_that_ends_at_a_limit(app):
    point = app.histogram("shop.wait", {"route": "/"}, count=3, bounds=[250])
    assert (point.sum, point.min, point.max, point.buckets) == (504.5, 3, 251.5, (1, 1, 1))
    assert broken(app.histogram, "shop.wait", count=4)[0] == "metric-value"
    assert broken(app.histogram, "shop.wait", {"route": "/add"})[0] == "metric-value"
    assert broken(app.histogram, "shop.asked")[0] == "metric-value"
    rung, seen = broken(app.histogram, "shop.wait", bounds=[10, 300])
    assert (rung, seen) == ("histogram-bounds", "shop.wait: buckets that end at 10, 250")


def test_what_several_processes_report_is_taken_together(app, work):
    mine = work.sent().metrics
    other = [replace(metric, resource={"service.instance.id": "2"}) for metric in mine]
    assert app.total("shop.asked", exactly=4, metrics=[*mine, *other, *mine]) == 4
    point = app.histogram("shop.wait", count=6, bounds=[10], metrics=[*mine, *other])
    assert (point.sum, point.min, point.max, point.buckets) == (1009, 3, 251.5, (2, 2, 2))
    deltas = [replace(metric, temporality="delta") for metric in mine]
    assert app.total("shop.asked", metrics=deltas * 3) == 6
    bare = [replace(current(other, "shop.wait")[0], points=(replace(point, bounds=(5,)),))]
    assert broken(app.histogram, "shop.wait", metrics=[*mine, *bare])[0] == "metric-value"
    assert broken(app.metric, "shop.wait", metrics=[]) == ("no-metric", "the metrics that came: none at all")


def test_what_there_is_once_is_a_gauge_in_each_process_and_a_sum_in_all(app, work):
    mine = work.sent().metrics
    both = [*mine, *(replace(metric, resource={"service.instance.id": "2"}) for metric in mine)]
    app.value("shop.level", exactly=1.5, metrics=both)
    assert broken(app.value, "shop.level", exactly=3, metrics=both)[0] == "metric-value"
    app.value("shop.guests", exactly=-1)
    rung, seen = broken(app.value, "shop.guests", exactly=-1, metrics=both)
    assert (rung, seen) == ("counted-twice", "shop.guests: 2 processes tell -1 each, as a sum, which makes -2")
    assert broken(app.value, "shop.wait", exactly=3)[0] == "metric-value"


def test_the_series_of_a_metric_are_counted_in_each_process(app, work):
    mine = work.sent().metrics
    both = [*mine, *(replace(metric, resource={"service.instance.id": "2"}) for metric in mine)]
    assert app.series("shop.asked", at_most=1) == 1 and app.series("shop.asked", at_most=1, metrics=both) == 2
    rung, seen = broken(app.series, "shop.asked", at_most=0)
    assert (rung, seen) == ("series-grow", "shop.asked: 1 series; its attribute ok has 1 values")


def test_a_metric_that_is_not_wanted_is_named(app):
    app.no_metrics("system.*", "OTEL_NAMES", "why")
    assert broken(app.no_metrics, "shop.[gw]*", "OTEL_NAMES", "why") == (
        "unwanted-metrics",
        "shop.guests, shop.wait\nno OTEL_NAMES in src/run.sh",
    )


def test_metrics_are_listed_with_their_series_and_what_they_came_to(app):
    assert "     1  sum        {request}     shop.asked" in table.overview(app.console.metrics)
    assert list(table.series(app.console.metrics, "shop.wait")) == [
        "shop.wait · histogram · ms · 1 series",
        "       3  route=/",
        "          1 up to 10",
        "          1 up to 250",
        "          1 above 250",
    ]
    assert list(table.series(app.console.metrics, "shop.level"))[1:] == ["     1.5"]


def test_a_log_record_is_found_by_the_span_in_which_it_was_written(app, work):
    find, root, late = work.sent().spans
    closed = app.log_record(find, event_name="shop.closed", severity="WARN")
    assert closed.attributes == {"items": 5}
    assert app.log_record(root, event_name="shop.closed") == app.log_record(root, text="no") == closed
    rung, seen = broken(app.log_record, late, event_name="shop.closed")
    assert (rung, seen) == ("log-span", f"late: 0 of them inside it\nWARN 'shop.closed': in trace {find.trace_id}")
    assert broken(app.log_record, late, text="alone") == ("record-without-trace", "'alone' has no trace id")
    rung, seen = broken(app.log_record, find, event_name="shop.opened")
    assert (rung, seen) == ("no-log", "2 log records, and none like that\nWARN 'shop.closed'\n'alone'")
    assert broken(app.log_record, find, event_name="shop.closed", severity="ERROR")[0] == "no-log"
    assert broken(app.log_record, find, logs=[]) == ("logs-elsewhere", "no exporter is chosen for logs")
    rung, seen = broken(app.log_record, root, event_name="shop.closed", logs=work.sent().logs * 2)
    assert (rung, seen.splitlines()[:2]) == (
        "handler-twice",
        [f"2 records of the same moment: {closed.body!r}"],
    )


def test_the_verbs_of_contributing_are_there_with_these_names():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`app\.(\w+)\(([^`]*)\)`", page)
    assert len(named) > 8
    for verb, arguments in named:
        known = inspect.signature(getattr(App, verb)).parameters
        assert set(re.findall(r"(\w+)=", arguments)) <= set(known), verb
    [script] = re.findall(r"`FakeServer\((.*)\)`", page)
    answers = eval(f"[{script}]", vars(fake_server))
    assert answers[3] is fake_server.accept and answers[1] == [fake_server.SILENCE]
