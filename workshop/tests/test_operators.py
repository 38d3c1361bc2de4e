"""The tables of 200/300: what is read from them, what a mistake in them gives, that telemetry has what they name."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from workshop.course import requirements as operators
from workshop.course.fences import LessonError
from workshop.tests import small_app

PAGE = (operators.ROOT / operators.PAGE).read_text(encoding="utf-8")


def recorded(console) -> dict[str, set[str]]:
    """Every name in what an app printed, by signal."""
    resources = {name for span in console.spans for name in span.resource}
    traces = {name for span in console.spans for name in span.attributes}
    traces |= {name for span in console.spans for event in span.events for name in event.attributes}
    metrics = {metric.name for metric in console.metrics}
    metrics |= {name for metric in console.metrics for point in metric.points for name in point.attributes}
    logs = {field.name for log in console.logs for field in fields(log) if getattr(log, field.name)}
    return {"trace": traces, "metric": metrics, "log": logs, "all": resources}


def ask(app) -> None:
    task, mail, token = operators.requirements().canaries
    app.get(f"/?mail={mail}&token={token}")
    app.post("/add", {"text": "bound"})
    app.post("/add?fail=1", {"text": task})


@pytest.fixture(scope="module", params=["", "http,database"], ids=["default", "stable"])
def run(request, tmp_path_factory):
    """What the small app recorded with the default and with the stable names, and which of the two those are."""
    env = {"OTEL_SEMCONV_STABILITY_OPT_IN": request.param} if request.param else {}
    # Deprecated, and the only way to a log record without one more package.
    env["OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED"] = "true"
    return small_app.run(tmp_path_factory.mktemp("small"), ask, **env), "stable" if request.param else "default"


def test_an_app_records_what_the_table_names(run):
    console, names = run
    found = recorded(console)
    for need in operators.requirements().needs:
        for name in need.names:
            assert getattr(name, names) in found[need.signal], f"{need.question}: {name}"


def test_a_boundary_of_the_histogram_lies_at_250_ms_and_none_at_300(run):
    console, names = run
    needs = operators.requirements().needs
    name, factor = {"default": ("http.server.duration", 1), "stable": ("http.server.request.duration", 1000)}[names]
    bounds = [metric.points[0].bounds for metric in console.metrics if metric.name == name]
    assert "within 250 ms" in [need.sli for need in needs]
    assert 250 in [bound * factor for bound in bounds[0]] and 300 not in [bound * factor for bound in bounds[0]]


def test_the_ways_in_for_private_values_are_those_that_the_page_names(run):
    task, mail, token = operators.requirements().canaries
    spans = run[0].spans
    page = next(span for span in spans if span.name == "GET /")
    failed = next(span for span in spans if span.status == "ERROR")
    assert any(mail in str(value) and token in str(value) for value in page.attributes.values())
    assert task in failed.events[0].attributes["exception.message"]
    others = [value for span in spans for value in [span.name, *span.attributes.values()]]
    assert not any("bound" in str(value) or task in str(value) for value in others)
    assert any("VALUES (?)" in str(value) for value in others)


def test_objectives_and_their_budgets():
    objectives = [need.slo for need in operators.requirements().needs if need.slo]
    assert [(slo.share, slo.days, slo.budget(100_000)) for slo in objectives] == [(0.99, 28, 1000), (0.95, 28, 5000)]
    assert operators.Objective(0.999, 28).budget(100_000) == 100
    minutes = 28 * 24 * 60
    assert f"28 days are {minutes:,} minutes" in PAGE
    assert f"{minutes * 0.001 // 1:.0f} minutes and {minutes * 0.001 % 1 * 60:.0f} seconds" in " ".join(PAGE.split())


def test_a_table_is_known_by_its_name_whatever_the_language_of_its_heads():
    heads = "| never recorded | canary | where it would slip in |"
    assert heads in PAGE
    found = operators.read(PAGE.replace(heads, "| 绝不记录 | 金丝雀 | 可能从哪里混入 |"))
    assert found == operators.requirements()


def test_each_canary_occurs_nowhere_else():
    canaries = operators.requirements().canaries
    assert len(set(canaries)) == 3
    assert [PAGE.count(canary) for canary in canaries] == [1, 1, 1]


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("metric | `http.server.active", "metrics | `http.server.active", "'metrics' is no signal; write one of trace"),
        ("`http.route`", "http.route", "names nothing that is recorded"),
        ("99 % in 28 days", "99 % of days", "'99 % of days' is no objective; write it as `99 % in 28 days`"),
        ("`canary-token-5be902`", "none yet", "'none yet' must hold one name or value in `…`"),
        ("| `http.status_code` |", "| `http.status_code` | old |", "3 cells in a table of 2"),
        ("<!-- names -->\n", "", "has no table below `<!-- names -->`"),
    ],
)
def test_a_mistake_in_a_table_is_named_with_its_line(old, new, said):
    assert old in PAGE
    with pytest.raises(LessonError) as raised:
        operators.read(PAGE.replace(old, new, 1))
    assert said in str(raised.value)
    place = re.match(r"200/300/README\.md:(\d+): ", str(raised.value))
    assert bool(place) != ("has no table" in said)
    if place:
        assert new in PAGE.replace(old, new, 1).splitlines()[int(place[1]) - 1]
