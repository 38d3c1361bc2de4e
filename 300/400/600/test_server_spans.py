"""Requests to a command of one's own are SERVER spans; and how they come to be INTERNAL, today and in December 2024."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from workshop.setup.environments import EnvironmentFailed, environment_of

SERVE = "SERVER='python serve.py' sh run.sh"
INTERNAL, SERVER = ({"internal"}, 1), ({"server"}, 3)
# What each command makes of three requests, and how the lesson counts it.
DECEMBER_2024 = {
    "sh old.sh dice": (INTERNAL, "grep -c SpanKind.INTERNAL dice.log"),
    "sh old.sh article": (INTERNAL, "grep -c SpanKind.INTERNAL article.log"),
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=click sh old.sh dice": (SERVER, "grep -c SpanKind.SERVER dice.log"),
}


@pytest.mark.before("other-server")
def test_each_request_to_your_command_is_a_server_span_in_a_trace_of_its_own(checkpoint):
    with checkpoint.serve(SERVE, jaeger=True) as app:
        pages = [app.get("/"), app.get("/", traceparent=True)]
        commands = [process.cmdline() for process in app.processes()]

    checkpoint.must(
        any("serve.py" in words for words in commands),
        "other-server",
        seen=f"`{SERVE}` starts {' and '.join(' '.join(words) for words in commands[1:3])}",
        expected="python serve.py under the agent",
        why="src/run.sh takes the server from the variable SERVER, and `flask run` only where there is none",
        do="write ${SERVER-flask run -p 5001} in src/run.sh, and the command in src/serve.py",
    )
    for page in pages:
        app.server_span(page, name="GET /", route="/")
    checkpoint.run("grep SpanKind.SERVER")
    if checkpoint.showing:
        assert [span.parent_id for span in app.spans if span.name == "serve.py"] == [None]
        assert "satisfied" in checkpoint.run("pip install", folder=checkpoint.lesson.root).output

    with ThreadPoolExecutor() as pool:
        rolls = [pool.submit(roll, *run) for run in december_2024(checkpoint)]
        today(checkpoint)
        for rolled, (expected, _) in zip(rolls, DECEMBER_2024.values()):
            assert rolled.result() == expected


def today(checkpoint):
    """The fault of your own command, and `flask run`, which does not have it."""
    fault = checkpoint.on_the_way("grep -c SpanKind.SERVER output.log")
    with fault.serve(SERVE, shown=True, jaeger=True) as app:
        fault.run("curl -s 'http://localhost:5001/?[1-2]'")
        page = app.get("/", traceparent=True)
    fault.run("grep -c SpanKind.SERVER output.log")
    [span] = app.facts().spans_of(page)
    assert (span.kind, span.trace_id == page.trace_id) == ("internal", False)
    within = [other for other in app.spans if other.trace_id == span.trace_id and other.name in ("serve.py", "GET /")]
    checkpoint.picture("one-trace.svg", within)
    if checkpoint.showing:
        with checkpoint.serve("sh run.sh", jaeger=True) as app:
            page = app.get("/")
        app.server_span(page)


def december_2024(checkpoint):
    """What there is to run with the releases of that time; nothing where Python is too new for them."""
    if sys.version_info >= (3, 14):
        return []
    old = checkpoint.lesson.folder / "old-requirements.txt"
    try:
        environment_of(old, progress=lambda line: print(f"{checkpoint.lesson.name}: {line}", file=sys.__stderr__))
    except EnvironmentFailed as error:
        expected, why = "an environment of the old releases", "it is filled once, from the package index"
        checkpoint.must(False, "environment", str(error), expected, why, "mend the cause, and check again")
    return [(checkpoint.on_the_way(command), command, count) for command, (_, count) in DECEMBER_2024.items()]


def roll(checkpoint, command, count):
    """Throw the die three times: the kinds of the spans, and in how many traces they lie."""
    with checkpoint.serve(command, shown=True) as app:
        checkpoint.run("curl -s 'http://localhost:5001/roll")
    checkpoint.run(count)
    spans = [span for span in app.spans if span.name == "GET /roll"]
    return {span.kind for span in spans}, len({span.trace_id for span in spans})
