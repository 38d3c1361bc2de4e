"""The same telemetry from variables; health probes stay out; and what wins when a setting is given twice."""

import pytest


def visit(checkpoint):
    """One run of the app: the app, a page, two probes, and a request that only looks like one."""
    with checkpoint.serve(shown=True) as app:
        page = app.get("/")
        probes = [app.get("/health", traced=False), app.get("/health?from=monitor", traced=False)]
        look_alike = app.get("/healthy-tasks", wanted=404)
    return app, page, probes, look_alike


@pytest.mark.before("probe-traced")
def test_variables_make_the_same_telemetry_without_the_health_probes(checkpoint):
    same_telemetry_without_probes(checkpoint)


@pytest.mark.before("probe-traced")
def test_a_flag_wins_over_its_variable_and_the_special_name_over_the_general(checkpoint):
    same_telemetry_without_probes(checkpoint)
    assert checkpoint.run("OTEL_SERVICE_NAME=variable opentelemetry-instrument").output.strip() == "flag"
    assert checkpoint.run("OTEL_SERVICE_NAME=special").output.strip() == "special"


def same_telemetry_without_probes(checkpoint):
    app, page, probes, look_alike = checkpoint.shared(visit)
    app.attribute(app.server_span(page, name="GET /", route="/"), "deployment.environment.name", "workshop")
    app.metric("http.server.duration")
    traced = [str(probe) for probe in probes if app.facts().spans_of(probe)]
    checkpoint.must(
        not traced,
        "probe-traced",
        seen=f"spans for {' and '.join(traced)}",
        expected="no span for a health probe, and one for every other request",
        why="a monitor asks every few seconds, and its requests outnumber those of people",
        do="set OTEL_PYTHON_FLASK_EXCLUDED_URLS in src/run.sh to an expression that finds the probes and nothing else",
    )
    app.server_span(look_alike)
