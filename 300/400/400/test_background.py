"""Work in threads stays in the trace that sent it, leaves nothing behind, and its errors are seen; a bad file loses nothing."""

import re
import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace

import pytest

from workshop.checks.fake_server import FakeServer, pass_on, response
from workshop.checks.sandbox import ADVISOR
from workshop.course.requirements import requirements
from workshop.setup.ports import free_port

WORK = "find first step"
REFUSED_STEP, ITS_ERROR = "Refuse this step", "the check refuses this step"
# Files that are refused, and what the answer must say about each.
REFUSED = {
    "an empty file": (b"", "0 tasks"),
    "a file of blank lines": (b"\n  \r\n\t\n", "0 tasks"),
    "a binary file that happens to be UTF-8": (b"Buy milk\n\x00\x01\x02\n", "UTF-8"),
    "a file in Latin-1": ("Müll hinausbringen\n".encode("latin-1"), "UTF-8"),
    "a file in UTF-16": ("Buy milk\n".encode("utf-16"), "UTF-8"),
    "a file of 31 tasks": (b"Buy milk\n" * 31, "31 tasks"),
    "a task of 257 characters": (b"Buy milk\n" + b"x" * 257 + b"\n", "256 characters"),
}


def imports(checkpoint):
    """Both services; bad files, a good one whose work is held back until it is answered, and one whose work fails."""
    shutil.copy(checkpoint.lesson.folder / "watched.py", checkpoint.folder)
    held, port = threading.Event(), free_port()
    checkpoint.environment |= {"FLASK_APP": "watched", "FLASK_ADVISOR_URL": f"http://localhost:{port}"}

    def advise(request):
        """The step of a task with two words cannot be kept; anything else is for the advisor to say."""
        if "/step" in request.path:
            held.wait(0.4)
        if request.path.endswith("words=2"):
            return response(f'{{"advice": "{REFUSED_STEP}"}}')
        return pass_on(request, advisor.port, without="")

    with both(checkpoint) as (app, advisor), FakeServer(advise, port=port):
        refused = {what: take(app, data, wanted=422) for what, (data, _) in REFUSED.items()}
        take(app, b"Buy milk\n" * 100_000, wanted=413)
        nothing = app.get("/").text
        refuse_a_step(checkpoint.database)
        good = take(app, "\ufeff\r\n".join(["", *requirements().canaries]).encode())
        bad = take(app, b"Buy milk\n")
        held.set()
        over = lambda: raised(app) or (steps_on(app.get("/")) == 3 and ITS_ERROR in app.output)  # noqa: E731
        app.until(lambda: good.status >= 400 or over())
    return app, advisor, refused, nothing, good, bad


@pytest.mark.before("wrong-status")
def test_work_in_threads_stays_in_its_trace_and_leaves_nothing_behind(checkpoint):
    app, advisor, _, _, good, _ = checkpoint.shared(imports)
    span = app.server_span(good, name="POST /import", route="/import")
    nothing_raised(checkpoint, app)
    found = [s for s in app.below(span) if s.name == WORK]
    lost = [s for s in app.spans if s.name == WORK and not s.parent_id]
    checkpoint.must(
        found or not lost,
        "lost-in-thread",
        seen=f"POST /import has nothing below it from its threads; {len(lost)} spans {WORK!r} are traces of their own",
        expected=f"each {WORK!r} below the request that sent the work",
        why="a thread begins with an empty context, and what has no parent begins a trace",
        do="hand `context.get_current()` to the thread, and attach it there",
    )
    checkpoint.must(
        len(found) == 3,
        "no-work",
        seen=f"{len(found)} spans {WORK!r} below POST /import; all spans: {', '.join(sorted({s.name for s in app.spans}))}",
        expected="one for each of the three tasks",
        why="each task is a piece of work of its own",
    )
    calls_stay(checkpoint, app, span, found)
    app.called(span, advisor, exactly=3)
    checkpoint.must(
        span.end_ns < min(s.end_ns for s in found),
        "waits-for-work",
        seen="POST /import ends after the work in its threads",
        expected="an answer that does not wait",
        why="leaving `with ThreadPoolExecutor(...)`, or asking a Future for its result, waits for the threads",
    )
    nothing_left(checkpoint, app)
    app.keeps_secrets()
    advisor.keeps_secrets()
    if checkpoint.showing:
        show(checkpoint)


@pytest.mark.before("wrong-status")
def test_an_error_in_a_thread_is_seen(checkpoint):
    app, _, _, _, _, bad = checkpoint.shared(imports)
    span = app.server_span(bad)
    failed = [s for s in app.below(span) if s.status == "ERROR" and s.name == WORK]
    checkpoint.must(
        failed,
        "error-not-on-span",
        seen=f"a step that cannot be kept, and no {WORK!r} below POST /import is ERROR",
        expected=f"the status ERROR on the {WORK!r} of this task",
        why="the span of a piece of work says how it went; `with tracer.start_as_current_span(...)` does so for an exception",
    )
    said = [line for line in app.output.splitlines() if ITS_ERROR in line and not line.lstrip().startswith(('"', "raised: "))]
    checkpoint.must(
        said,
        "error-unseen",
        seen="a step that cannot be kept, and the app says nothing of the error",
        expected="a line in its log, with the exception",
        why="what a thread of a pool raises stays in the Future that `submit` returned, until somebody asks for it",
        do="give the Future a function that looks: `pool.submit(...).add_done_callback(...)`",
    )


@pytest.mark.before("wrong-status")
def test_a_bad_file_changes_nothing_and_says_why(checkpoint):
    app, _, refused, nothing, _, _ = checkpoint.shared(imports)
    app.server_span(refused["an empty file"])
    silent = [what for what, answer in refused.items() if REFUSED[what][1] not in answer.text]
    checkpoint.must(
        not silent and "Nothing to do" in nothing,
        "half-a-file",
        seen=f"refused without a reason: {', '.join(silent)}" if silent else "a refused file has left tasks in the list",
        expected="the reason on the page, and no task",
        why="a file is taken as a whole or not at all, and who chose it cannot see what the app saw",
    )


@contextmanager
def both(checkpoint):
    """The app and the advisor, started at the same time."""
    checkpoint.sandbox.use_ports()
    services = [{}, {"command": "sh advisor.sh", "port": ADVISOR, "service": "advisor"}]
    with ExitStack() as stack, ThreadPoolExecutor() as starting:
        serving = [starting.submit(stack.enter_context, checkpoint.serve(**service)) for service in services]
        yield [service.result() for service in serving]


def take(app, data, wanted=(302, 303)):
    """Send a file of these bytes as the page's form does."""
    return app.post("/import", app.form("/import"), wanted=wanted, files={"file": ("canary-task-7f3a1c.txt", data)})


def steps_on(page):
    return page.text.count(">Split it in two.<") + page.text.count(">Say when it is done.<")


def refuse_a_step(database):
    """From now on the database refuses one step, so that the work of a thread fails where no line of the app shows it."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            f"CREATE TRIGGER refuse BEFORE INSERT ON step WHEN NEW.text = '{REFUSED_STEP}' "
            f"BEGIN SELECT RAISE(ABORT, '{ITS_ERROR}'); END"
        )


def raised(app):
    """What threads of a pool raised that the check did not want, each as `file:line: error`."""
    return [line for line in re.findall(r"^raised: (.*)$", app.output, re.MULTILINE) if ITS_ERROR not in line]


def nothing_raised(checkpoint, app):
    errors = raised(app)
    checkpoint.must(
        not errors,
        "work-failed",
        seen=errors[0] if errors else "",
        expected="threads without an error",
        why="an exception in a pool stays in its Future; the check has asked for it",
        do=f"look at {errors[0].split(': ')[0]}" if errors else "",
    )


def calls_stay(checkpoint, app, span, work):
    """The call of each piece of work is in the trace, and not begun in yet another thread."""
    own = {s.span_id for s in app.below(span)}
    strays = [s for s in app.spans if s.kind == "client" and s.is_http and not s.parent_id]
    calls = [s for s in app.spans if s.kind == "client" and s.is_http and s.span_id in own]
    checkpoint.must(
        len(calls) >= len(work) or not strays,
        "call-in-another-trace",
        seen=f"{len(calls)} calls below POST /import; {strays[0].name} came in another trace, {strays[0].trace_id}"
        if strays
        else "",
        expected=f"a call below each {WORK!r}",
        why="the call is made where the context is not attached, such as in one more thread",
        do="attach the context there, too",
    )


def nothing_left(checkpoint, app):
    left = re.findall(r"^left attached: (.*)$", app.output, re.MULTILINE)
    checkpoint.must(
        not left,
        "left-attached",
        seen=f"when it ended, this was still attached: {left[0]}" if left else "",
        expected="the context as it was before",
        why="the thread serves others, and what they do would belong to a trace that is not theirs",
        do="`token = context.attach(...)`, and `context.detach(token)` in a `finally`",
    )


def show(checkpoint):
    """What the page shows: the app before the context goes along, and after it, with the advisor, in Jaeger."""
    for command in ("workshop trace --log", 'workshop trace --name "POST'):
        there = checkpoint.on_the_way(command)
        with there.serve("sh advisor.sh", port=ADVISOR, service="advisor", jaeger=True), there.serve(jaeger=True) as app:
            there.run("printf")
            answer = take(app, (there.folder / "instance" / "tasks.txt").read_bytes())
            app.until(lambda: steps_on(app.get("/")) == 3)
        assert there.run(command, JAEGER_URL=checkpoint.jaeger.query_url).exit_code == 0
    # Where a short child ends after its parent, Jaeger at times supposes that clocks differ.
    spans = app.find(answer)
    checkpoint.picture("trace.svg", [replace(span, warnings=()) for span in spans])
