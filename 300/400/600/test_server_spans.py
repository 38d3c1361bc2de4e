"""Requests to a command of one's own are SERVER spans; and how they come to be INTERNAL, today and in December 2024."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

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
    with checkpoint.serve(SERVE) as app:
        pages = [app.get("/"), app.get("/", traceparent=True)]
        processes = app.processes()
        commands = [process.cmdline() for process in processes]
        settings = [process.environ().get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "") for process in processes]

    checkpoint.must(
        any("serve.py" in words for words in commands),
        "other-server",
        seen=f"`{SERVE}` starts {' and '.join(' '.join(words) for words in commands[1:3])}",
        expected="python serve.py under the agent",
        why="src/run.sh takes the server from the variable SERVER, and `flask run` only where there is none",
        do="write ${SERVER-flask run -p 5001} in src/run.sh, and the command in src/serve.py",
    )
    switched = [setting for setting in settings if setting]
    for page in pages:
        app.server_span(page, name="GET /", route="/")
    checkpoint.must(
        not switched,
        "cured-by-setting",
        seen=f"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS is {switched[0] if switched else ''} while your command runs",
        expected="no such setting: the cure is in src/serve.py",
        why="a setting has to be known and repeated wherever the command is started, and it takes spans away from other work, too",
        do="take it out of src/run.sh, and empty the context in src/serve.py before it serves",
    )
    commands = [span for span in app.spans if span.name == "serve.py" and span.kind == "internal"]
    checkpoint.must(
        [span.parent_id for span in commands] == [None],
        "no-command-span",
        seen=f"{len(commands)} spans 'serve.py' of kind INTERNAL",
        expected="one, without a parent: the span of the command stays",
        why="the instrumentation of click makes it, and the fault is there only with it and with the one of threads",
        do="pip install --require-hashes -r 300/400/600/requirements.txt",
    )
    if checkpoint.showing:
        show(checkpoint)


def show(checkpoint):
    """What the page shows: the cure, the fault here and in December 2024, and what helps there and what does not."""
    checkpoint.run("grep SpanKind.SERVER")
    assert "satisfied" in checkpoint.run("pip install", folder=checkpoint.lesson.root).output
    runs = december_2024(checkpoint)
    with ThreadPoolExecutor() as pool:
        rolls = [pool.submit(roll, there, command) for there, command in runs]
        today(checkpoint)
        found = [rolled.result() for rolled in rolls]
    assert found == [DECEMBER_2024[command][0] for _, command in runs]


def today(checkpoint):
    """The fault of your own command, and `flask run`, which does not have it."""
    fault = checkpoint.on_the_way("grep -c SpanKind.SERVER output.log")
    with fault.serve(SERVE, shown=True) as app:
        fault.run("curl -s 'http://localhost:5001/?[1-2]'")
        page = app.get("/", traceparent=True)
    fault.run("grep -c SpanKind.SERVER output.log")
    [span] = app.facts().spans_of(page)
    assert (span.kind, span.trace_id == page.trace_id) == ("internal", False)
    within = [other for other in app.spans if other.trace_id == span.trace_id and other.name in ("serve.py", "GET /")]
    checkpoint.picture("one-trace.svg", within)
    with checkpoint.serve("sh run.sh") as app:
        page = app.get("/")
    app.server_span(page)


def december_2024(checkpoint):
    """A copy and a command for each run with the releases of that time; none where Python is too new for them."""
    if sys.version_info >= (3, 14):
        return []
    checkpoint.make_environment("300/400/600/old-requirements.txt")
    return [(checkpoint.on_the_way(command), command) for command in DECEMBER_2024]


def roll(checkpoint, command):
    """Throw the die three times: the kinds of the spans, and in how many traces they lie."""
    with checkpoint.serve(command, shown=True) as app:
        checkpoint.run("curl -s 'http://localhost:5001/roll")
    checkpoint.run(DECEMBER_2024[command][1])
    spans = [span for span in app.spans if span.name == "GET /roll"]
    return {span.kind for span in spans}, len({span.trace_id for span in spans})
