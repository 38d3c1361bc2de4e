"""The alerts fire when a promise is in danger and are quiet otherwise; one that fires leads to a trace."""

import re
import time

import pytest

from workshop.checks.process import patient
from workshop.checks.rules import asked, evaluated_soon, play, seconds
from workshop.diagnosis.arrival import ARRIVAL
from workshop.scenarios import traffic

REQUESTS = "http_server_request_duration_seconds"
BURNS, SHRINKS, SLOW, BARE = "ErrorBudgetBurns", "ErrorBudgetShrinks", "LatencyBudgetBurns", "RequestsWithoutSpans"
CONFIGURATION = "otel/*.y*ml"
SHORTEST = 300
FAST = {"5m": "1s", "30m": "1s", "1h": "12s", "6h": "60s", "3d": "60s"}  # windows, where a check cannot wait for days


def answers(good: str, bad: str, fast: str = "", begun: str = "") -> dict[str, str]:
    """Series of requests by answer, of those within 250 ms, and of spans that begin or continue a trace."""
    found = {f'{REQUESTS}_count{{job="todo",http_response_status_code="200"}}': good}
    found[f'{REQUESTS}_count{{job="todo",http_response_status_code="500"}}'] = bad
    for answer, within, counted in (
        ("200", "0.25", fast or good),
        ("200", "+Inf", good),
        ("500", "0.25", bad),
        ("500", "+Inf", bad),
    ):
        found[f'{REQUESTS}_bucket{{job="todo",http_response_status_code="{answer}",le="{within}"}}'] = counted
    found['otel_sdk_span_started_total{job="todo",otel_span_parent_origin="local"}'] = good
    found['otel_sdk_span_started_total{job="todo",otel_span_parent_origin="remote"}'] = begun or good
    return found


# What happens, as series a minute; which alerts fire when, of those that are asked for.
MINUTES = {
    "one of two hundred fails": (answers("0+199x720", "0+1x720"), {"12h": {BURNS: 0, SHRINKS: 0, SLOW: 0, BARE: 0}}),
    "a fifth fails for an hour, then none": (
        answers("0+100x360 36080+80x60 40980+100x20", "0x360 20+20x60 1220x20"),
        {"6h": {BURNS: 0}, "6h10m": {BURNS: 0}, "6h50m": {BURNS: 1}, "7h": {BURNS: 1}, "7h10m": {BURNS: 0}},
    ),
    "14 % fail for an hour": (answers("0+100x360 36086+86x65", "0x360 14+14x65"), {"7h5m": {BURNS: 1}}),
    "8 % fail for five hours, then none": (
        answers("0+100x180 18092+92x300 45792+100x60", "0x180 8+8x300 2408x60"),
        {"3h": {BURNS: 0}, "6h": {BURNS: 0}, "8h": {BURNS: 1}, "8h50m": {BURNS: 0}},
    ),
    "the first errors of three hours are 8 % of ten minutes": (
        answers("0+100x180 18092+92x20", "_x180 8+8x20"),
        {"3h15m": {BURNS: 0, SHRINKS: 0}},
    ),
    "four fifths are slow for an hour, then none": (
        answers("0+100x210", "0x210", "0+100x120 12020+20x60 13300+100x30"),
        {"2h": {SLOW: 0}, "2h55m": {SLOW: 1}, "3h6m": {SLOW: 0}},
    ),
    "a third is slow": (answers("0+100x120", "0x120", "0+66x120"), {"2h": {SLOW: 0, BURNS: 0}}),
    "all spans are INTERNAL": (answers("0+100x30", "0x30", begun="0x30"), {"30m": {BARE: 1}}),
    "no span is made": ({name: v for name, v in answers("0+100x30", "0x30").items() if "span" not in name}, {"30m": {BARE: 1}}),
    "nobody comes": (answers("100x30", "0x30"), {"30m": {BURNS: 0, SHRINKS: 0, SLOW: 0, BARE: 0}}),
}
DAYS = {
    "one of a hundred fails for three days": (answers("0+99x4380", "0+1x4380"), {"73h": {SHRINKS: 1, BURNS: 0}}),
    "3 % fail for three days, then none": (
        answers("0+97x4380 424960+100x480", "0+3x4380 13140x480"),
        {"73h": {SHRINKS: 1, BURNS: 0}, "81h": {SHRINKS: 0}},
    ),
    "3 % fail for seven hours": (answers("0+100x3960 396097+97x420", "0x3960 3+3x420"), {"73h": {SHRINKS: 0, BURNS: 0}}),
}
# What people ask grows by 0.1 requests a second each day: what comes of it after 40 days.
GROWTH = {"todo:requests:peak": 10, "todo:requests:growth": 2.8, "todo:requests:months_left": 10 / 2.8}


def played(checkpoint) -> list[re.Match]:
    """What the learner's rules get wrong when days of traffic are played to them."""
    grown = {
        "interval": "12h",
        "input_series": [{"series": "todo:requests:rate5m", "values": "6+0.05x80"}],
        "promql_expr_test": [asked(f"round({name}, 0.001)", "capacity", "40d", value) for name, value in GROWTH.items()],
    }
    minutes = [scenario(name, *it) for name, it in MINUTES.items()]
    return play(checkpoint, {"5m": minutes, "1h": [scenario(name, *it) for name, it in DAYS.items()], "12h": [grown]})


def scenario(name: str, happens: dict[str, str], moments: dict[str, dict[str, int]]) -> dict:
    """A scenario as promtool reads it."""
    firing = [
        asked(f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)', f"{name}: {alert}", moment, fires)
        for moment, alerts in moments.items()
        for alert, fires in alerts.items()
    ]
    series = [{"series": series, "values": values} for series, values in happens.items()]
    return {"interval": "1m", "input_series": series, "promql_expr_test": firing}


@pytest.mark.before("alert-silent")
def test_days_of_traffic_make_the_right_alerts_fire_at_the_right_time(checkpoint):
    for wrong in played(checkpoint):
        of, alert = (wrong["of"].rpartition(": ")[::2]) if ": " in wrong["of"] else (wrong["of"], "")
        named = any(alert in text for text in checkpoint.sandbox.files().values())
        silent = wrong["wanted"] == "1E+00"
        checkpoint.must(
            False,
            ("alert-silent" if silent else "alert-false") if alert else "capacity",
            seen=f"{of}: after {wrong['time']}, {alert} {'is silent' if silent else 'fires'}"
            + ("" if named else f"; no rule is called {alert}")
            if alert
            else f"a rate that grows by 0.1 a day from 6: after {wrong['time']}, {wrong['query']} is {wrong['got']}",
            expected=("that it fires" if silent else "silence") if alert else f"{float(wrong['wanted']):g}",
            why="an alert that nobody tried is silent when it counts, or cries wolf" if alert else "it is what you plan by",
            do="compare its windows and its limits in src/otel/rules.yml with the table of the page",
        )
    if checkpoint.showing:
        proved = checkpoint.run("workshop tool promtool test rules", folder=checkpoint.folder.parent)
        assert proved.exit_code == 0, proved.output


@pytest.mark.before("no-alert")
def test_an_alert_fires_when_the_app_breaks_leads_to_a_trace_and_ends_when_it_heals(checkpoint):
    checkpoint.environment["OTEL_METRIC_EXPORT_INTERVAL"] = "200"
    checkpoint.sandbox.run_as(CONFIGURATION, sooner)
    failed = f'{REQUESTS}_bucket{{job="todo",http_response_status_code="500"}}'
    jaeger = checkpoint.program("jaeger")
    with checkpoint.start("prometheus") as prometheus:
        names = [rule.name for rule in prometheus.rules() if rule.kind == "alerting"]
        checkpoint.must(
            BURNS in names,
            "no-alert",
            seen=f"alerts: {', '.join(names) or 'none'}",
            expected=BURNS,
            why="Prometheus evaluates the rules of the files that `rule_files` names",
            do="write it in src/otel/rules.yml",
        )
        evaluates(checkpoint, prometheus)
        wakes(checkpoint, prometheus)
        keeps(checkpoint, prometheus)
        with checkpoint.serve() as app, traffic.trouble(checkpoint.database):
            broken, fired = come(app, lambda: firing(prometheus, BURNS), errors=0.7)
            healthy, healed = come(app, lambda: not firing(prometheus, BURNS))
        app.in_prometheus(prometheus, f'sum({REQUESTS}_count{{job="todo"}})', exactly=len(broken + healthy))
        begun = prometheus.query('sum(otel_sdk_span_started_total{job="todo",otel_span_parent_origin="remote"})')
        checkpoint.must(
            begun and begun[0].value == len(broken + healthy),
            "spans-not-counted",
            seen=f"{len(broken + healthy)} requests that carried a trace, and {begun[0].value if begun else 'no'} spans with a remote parent counted",
            expected="as many",
            why="the SDK counts the spans that it starts only when it is told to",
            do="`export OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED=true` in src/run.sh",
        )
        checkpoint.must(
            fired and healed,
            "not-in-time",
            seen=f"{BURNS} {'fires on' if fired else 'is silent'}; in the end {ratios(prometheus)}",
            expected="an alert while people meet errors, and its end soon after the last of them",
            why="the long window says that it matters, the short one that it still goes on; and rules are evaluated each `interval`",
        )
        trace_id = app.exemplar(prometheus, failed, {request.trace_id for request in broken if request.status >= 500})
    spans = jaeger.until(lambda: jaeger.trace(trace_id), 3)
    if not any(span.kind == "server" and span.status == "ERROR" for span in spans):
        why = "an exemplar has only an id; the trace itself goes its own way, to Jaeger"
        found = app.diagnosis(
            "no-trace", f"Jaeger has {len(spans)} spans of {trace_id}", "its SERVER span, ERROR", why, "300/300/300"
        )
        app.require(ARRIVAL, stored=[], otherwise=found)
    if checkpoint.showing:
        checkpoint.sandbox.run_as(CONFIGURATION, None)
        show(checkpoint)
        checkpoint.sandbox.run_as(CONFIGURATION, sooner)
        show_internal_spans(checkpoint)


def sooner(text):
    """Windows of seconds in place of those of hours, in the check's own copy: an alert is the same, only sooner.

    What is evaluated more rarely than its shortest window lasts stays as it is."""
    text = re.sub(r"\[(\w+)\]", lambda window: f"[{FAST.get(window[1], window[1])}]", text)
    text = re.sub(r"\b((?:keep_firing_)?for): \w+", r"\1: 1s", text)
    return evaluated_soon(text, SHORTEST)


def come(app, done, errors=0.0):
    """Let people come, some seconds at most, until it is done: what they sent, and whether it is."""
    sent, seed, deadline = [], 0, time.monotonic() + patient(8)
    while not (ended := done()) and time.monotonic() < deadline:
        seed += 1
        sent += traffic.send(app.url, traffic.plan(14, 0.5, seed, errors=errors, mix={"reader": 1})).requests
    return sent, ended


def firing(prometheus, alert):
    return any(found.name == alert and found.state == "firing" for found in prometheus.alerts())


def ratios(prometheus):
    found = prometheus.query('{__name__=~"todo:error_ratio:.*"}')
    return ", ".join(f"{series.labels['__name__']} {series.value:g}" for series in found) or "no rule has kept a share"


def wakes(checkpoint, prometheus):
    """Both alerts that page somebody say so by the same label."""
    rules = [rule for group in prometheus.json("/api/v1/rules")["data"]["groups"] for rule in group["rules"]]
    burns, slow = (
        {label for rule in rules if rule["name"] == name for label in rule["labels"].items()} for name in (BURNS, SLOW)
    )
    checkpoint.must(
        burns & slow,
        "pages-nobody",
        seen=f"labels of {BURNS}: {dict(burns)}; of {SLOW}: {dict(slow)}",
        expected="a severity that both have",
        why="who is woken is decided by labels: an alert without the right one fires, and nobody hears it",
        do=f"give {SLOW} the label `severity: page` in src/otel/rules.yml",
    )


def evaluates(checkpoint, prometheus):
    """The rules of the alerts are evaluated at least once in their shortest window."""
    groups = prometheus.json("/api/v1/rules")["data"]["groups"]
    asked = " ".join(rule["query"] for group in groups for rule in group["rules"] if rule["type"] == "alerting")
    alerts = [group for group in groups if any(r["type"] == "alerting" or r["name"] in asked for r in group["rules"])]
    rarest = max(alerts, key=lambda group: group["interval"])
    checkpoint.must(
        rarest["interval"] <= SHORTEST,
        "not-in-time",
        seen=f"the rules of the group {rarest['name']} are evaluated every {rarest['interval']:g} s",
        expected=f"every {SHORTEST} s at least, which is the shortest window",
        why="an alert begins and ends only when its rule is evaluated",
        do="take the group's `interval:` out of src/otel/rules.yml, or make `evaluation_interval` in src/otel/prometheus.yml shorter",
    )


def keeps(checkpoint, prometheus):
    """Prometheus keeps at least the time of the objective."""
    kept = prometheus.json("/api/v1/status/runtimeinfo")["data"]["storageRetention"]
    days = seconds(kept) / 86400
    checkpoint.must(
        days >= 56,
        "short-memory",
        seen=f"Prometheus keeps {kept}",
        expected="56 days or more: twice the 28 of the objective, to compare",
        why="a window that is longer than the memory is silently the memory",
        do="`storage: tsdb: retention: time: 60d` in src/otel/prometheus.yml",
    )


def show(checkpoint):
    """What the page shows: an alert by the real windows, the trace behind it; and an alert about spans that are INTERNAL."""
    root, jaeger = checkpoint.folder.parent, checkpoint.jaeger.query_url
    with checkpoint.start("prometheus") as prometheus:
        checkpoint.run("workshop up", folder=root, PROMETHEUS_URL=prometheus.url)
        with checkpoint.serve() as app:
            there = {"WORKSHOP_TRAFFIC_URL": app.url, "WORKSHOP_TRAFFIC_DATABASE": str(checkpoint.database)}
            checkpoint.run("workshop traffic", folder=root, **there)
            alerts = checkpoint.block("query", "ALERTS").text
            assert prometheus.until(lambda: prometheus.query(alerts)), ratios(prometheus)
        assert "POST /add" in checkpoint.run("workshop trace", folder=root, JAEGER_URL=jaeger).output
        assert not firing(prometheus, BARE)


def show_internal_spans(checkpoint):
    """The fault of 300/400/600, made on purpose: each request's span is INTERNAL, and nothing but the alert says so."""
    serve = checkpoint.folder / "serve.py"
    serve.write_text(re.sub(r"    context\.attach.*\n", "", serve.read_text()))
    checkpoint.environment["SERVER"] = "python serve.py"
    with checkpoint.start("prometheus") as prometheus, checkpoint.serve() as app:
        sent, fired = come(app, lambda: firing(prometheus, BARE))
    assert fired
    assert {request.status for request in sent} == {200}
    assert {span.kind for span in app.spans if span.name == "GET /"} == {"internal"}
