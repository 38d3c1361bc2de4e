"""The server and the process tell how they are, by two conventions, and the machine is left to others."""

import signal
import sqlite3
from collections import Counter
from contextlib import closing

import pytest

OLD, STABLE = "http.server.duration", "http.server.request.duration"
EXCLUDED = "OTEL_PYTHON_SYSTEM_METRICS_EXCLUDED_METRICS"
LISTED = "workshop metrics --log output.log"
OF_PROCESS = {"process.memory.usage": "By", "process.cpu.time": "s", "cpython.gc.collections": "{collection}"}


def visit(checkpoint):
    """One run of the app: the app, and how often it was asked for which route with which answer."""
    checkpoint.environment["OTEL_METRIC_EXPORT_INTERVAL"] = "60000"  # also what the last collection may take
    with checkpoint.serve() as app:
        for text in ("Buy milk", "Call home"):
            app.submit("/add", {"text": text})
        app.get("/no-such-page", wanted=404)
        app.get("/")
    if checkpoint.showing:
        checkpoint.run(f"{LISTED} | grep -E")
    return app, Counter((answer.method, answer.path, answer.status) for answer in app.responses)


@pytest.mark.before("unwanted-metrics")
def test_the_process_tells_how_it_is_and_leaves_the_machine_to_others(checkpoint):
    app, _ = checkpoint.shared(visit)
    only_the_process(app)
    if checkpoint.showing:
        show(checkpoint)


@pytest.mark.before("unwanted-metrics")
def test_both_histograms_count_each_request_and_each_has_its_unit(checkpoint):
    app, sent = checkpoint.shared(visit)
    only_the_process(app)
    app.metric(OLD, unit="ms", kind="histogram")
    app.metric(STABLE, unit="s", kind="histogram")
    for (method, path, status), count in sent.items():
        old = {"http.method": method, "http.status_code": status}
        stable = {"http.request.method": method, "http.response.status_code": status}
        routed = status != 404
        app.histogram(OLD, old | ({"http.target": path} if routed else {}), count, bounds=[250])
        app.histogram(STABLE, stable | ({"http.route": path} if routed else {}), count, bounds=[0.25])
    app.total("http.server.active_requests", {"http.method": "GET", "http.request.method": "GET"}, exactly=0)


def only_the_process(app):
    for name, unit in OF_PROCESS.items():
        app.metric(name, unit=unit)
    app.no_metrics("system.*", EXCLUDED, "the machine is the same for all apps on it, and each of them would tell it once more")
    app.no_metrics(
        "process.runtime.*",
        EXCLUDED,
        "they are deprecated, and `process.…` has the same; excluded is by the package's own name, process.runtime.… without cpython",
    )


def show(checkpoint):
    """What the page shows of the app before your own step, and what it says of a failure and of SIGTERM."""
    there = checkpoint.on_the_way(f"{LISTED} | grep -c")
    with there.serve(shown=True) as app:
        there.run("curl")
    for line in (f"{LISTED} http.server", f"{LISTED} | grep -c"):
        there.run(line)
    assert "satisfied" in checkpoint.run("pip install", folder=checkpoint.lesson.root).output
    assert len({metric.name for metric in app.console.metrics if metric.name.startswith("system.")}) == 15
    assert len({metric.name for metric in app.console.metrics if metric.name.startswith("process.runtime.")}) == 6

    failing = checkpoint.beside("failing")
    failing.environment["OTEL_METRIC_EXPORT_INTERVAL"] = "60000"
    with failing.serve() as app:
        with closing(sqlite3.connect(failing.database)) as connection:
            connection.execute("DROP TABLE task")
        app.get("/", wanted=500)
    assert [point.attributes["error.type"] for point in app.metric(STABLE).points]
    assert not any("error.type" in point.attributes for point in app.metric(OLD).points)

    ended = checkpoint.beside("ended")
    ended.environment["OTEL_METRIC_EXPORT_INTERVAL"] = "60000"
    with ended.serve() as app:
        app.get("/")
        for process in app.processes():
            process.send_signal(signal.SIGTERM)
        app.until(lambda: not app.processes())
    assert not app.console.metrics
