"""The app, started by the lesson's command line, tells about each request on the console."""

import pytest


def visit(checkpoint):
    """One run of the app: the app, and what it answered."""
    with checkpoint.serve(shown=True) as app:
        answers = {
            "page": app.get("/"),
            "added": app.submit("/add", {"text": "milk"}),
            "missing": app.get("/no-such-page", wanted=404),
            "continued": app.get("/", traceparent=True),
        }
    return app, answers


@pytest.mark.before("not-under-agent")
def test_every_request_makes_one_server_span_in_a_trace_of_its_own(checkpoint):
    app, answers = checkpoint.shared(visit)

    app.attribute(app.server_span(answers["page"], name="GET /", route="/"), "http.status_code", 200)
    app.attribute(app.server_span(answers["added"], name="POST /add", route="/add"), "http.status_code", 302)
    app.attribute(app.server_span(answers["missing"], name="GET /no-such-page"), "http.status_code", 404)


@pytest.mark.before("not-under-agent")
def test_a_request_that_carries_a_trace_continues_it(checkpoint):
    app, answers = checkpoint.shared(visit)

    app.server_span(answers["continued"])


@pytest.mark.before("not-under-agent")
def test_every_span_says_in_which_environment_it_was_made(checkpoint):
    app, answers = checkpoint.shared(visit)

    app.attribute(app.server_span(answers["page"]), "deployment.environment.name", "workshop")


@pytest.mark.before("not-under-agent")
def test_metrics_come_too_and_output_log_keeps_a_copy_of_everything(checkpoint):
    app, answers = checkpoint.shared(visit)

    app.server_span(answers["page"])
    app.metric("http.server.duration")
    counted = app.checkpoint.run("grep -c SpanKind.SERVER output.log").output.strip()
    made = len(app.responses)
    checkpoint.must(
        counted == str(made),
        "no-copy",
        seen=f"output.log holds {counted} SERVER spans after {made} requests",
        expected=f"{made}",
        why="what the app prints goes through `tee` into that file",
        do="end the command in src/run.sh with `| tee -i output.log`",
    )
