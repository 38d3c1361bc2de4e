"""Work in threads stays in the trace that sent it, leaves nothing behind, and its errors are seen; a bad file loses nothing."""

import json
import re
import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass, replace
from html import unescape

import pytest

from workshop.checks.app import App
from workshop.checks.fake_server import FakeServer, pass_on, refuse, response
from workshop.checks.sandbox import ADVISOR
from workshop.course.requirements import requirements
from workshop.diagnosis.facts import Response
from workshop.setup.ports import free_port

WORK, STEP = "find first step", re.compile(">(?:Split it in two|Say when it is done).<")
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


@dataclass
class Imports:
    """Both services after all imports. `nothing` is the list after the refused files; `steps` says how many tasks of the good
    file had what the advisor says for a `short` task, and `asked` with which addresses it was asked."""

    app: App
    advisor: App
    refused: dict[str, Response]
    nothing: str
    good: Response
    bad: Response
    short: Response
    long: Response
    steps: int
    asked: list[str]


def imports(checkpoint):
    """Both services; bad files, a good one whose work is held back until it is answered, and one whose work fails."""
    held, port = threading.Event(), free_port()
    checkpoint.watch_threads()
    checkpoint.environment["FLASK_ADVISOR_URL"] = f"http://localhost:{port}"

    def advise(request):
        """The step of a task with two words cannot be kept, one with three gets none; anything else the advisor says."""
        if "/step" in request.path:
            held.wait(0.4)
        if re.search(r"\bwords=2\b", request.path):
            return response(f'{{"advice": "{REFUSED_STEP}"}}')
        if re.search(r"\bwords=3\b", request.path):
            return refuse(503)
        return pass_on(request, advisor.port, without="")

    services = {}, {"command": "sh advisor.sh", "port": ADVISOR, "service": "advisor"}
    with checkpoint.serve_together(*services) as (app, advisor), FakeServer(advise, port=port) as between:
        short, long = (advisor.get(f"/step?words={words}") for words in (1, 9))
        refused = {what: take(app, data, wanted=422) for what, (data, _) in REFUSED.items()}
        take(app, b"Buy milk\n" * 100_000, wanted=413)
        nothing = app.get("/").text
        refuse_a_step(checkpoint.database)
        good = take(app, "\ufeff\r\n".join(["", *requirements().canaries]).encode())
        bad = take(app, b"Buy milk\nDo it now\n")
        held.set()
        answered = lambda: len([r for r in between.requests if "/step" in r.path]) >= 5  # noqa: E731
        over = lambda: answered() and steps_on(app.get("/"), short) == 3 and ITS_ERROR in app.output  # noqa: E731
        app.until(lambda: good.status >= 400 or app.raised(but=ITS_ERROR) or over())
        steps = steps_on(app.get("/"), short)
    return Imports(
        app,
        advisor,
        refused,
        nothing,
        good,
        bad,
        short,
        long,
        steps,
        sorted({r.path for r in between.requests if "/advice" not in r.path}),
    )


@pytest.mark.before("wrong-status")
def test_work_in_threads_stays_in_its_trace_and_leaves_nothing_behind(checkpoint):
    run = checkpoint.shared(imports)
    app, advisor = run.app, run.advisor
    span, found = work_of(checkpoint, app, run.good, "POST /import", 3)
    calls_stay(checkpoint, app, span, found)
    app.called(span, advisor, exactly=3)
    checkpoint.must(
        span.end_ns < min(s.end_ns for s in found),
        "waits-for-work",
        seen="POST /import ends after the work in its threads",
        expected="an answer that does not wait",
        why="leaving `with ThreadPoolExecutor(...)`, or asking a Future for its result, waits for the threads",
        do="submit to a pool that lives as long as the app, and ask no Future for its result in the view",
    )
    app.nothing_left_attached()
    app.keeps_secrets()
    advisor.keeps_secrets()
    if checkpoint.showing:
        show(checkpoint)


@pytest.mark.before("wrong-status")
def test_each_task_gets_the_step_that_the_advisor_says(checkpoint):
    run = checkpoint.shared(imports)
    _, found = work_of(checkpoint, run.app, run.good, "POST /import", 3)
    checkpoint.must(
        run.steps == 3,
        "no-step",
        seen=f"{run.steps} of three tasks of one word have the step {said(run.short)!r}; the advisor was asked {', '.join(run.asked)}",
        expected="each of them has it; GET /step?words=1 asks for it",
        why="what the advisor says must be asked for in the words that it understands, and be kept",
    )
    checkpoint.must(
        not any(s.status == "ERROR" for s in found),
        "no-error",
        seen=f"a {WORK!r} is ERROR, and its step was found and kept",
        expected="ERROR only where the work has failed",
        why="who looks for what failed would find all that went well",
    )
    checkpoint.must(
        said(run.short) != said(run.long),
        "one-step-for-all",
        seen=f"the advisor says {said(run.short)!r} to words=1, and to words=9, too",
        expected="another step for a task of many words",
        why="it reads how many words a task has from `words` in the address",
        do="look at src/advisor/__init__.py: what is its `words`?",
    )


@pytest.mark.before("wrong-status")
def test_an_error_in_a_thread_is_seen(checkpoint):
    run = checkpoint.shared(imports)
    app = run.app
    _, found = work_of(checkpoint, app, run.bad, "POST /import", 2, again=True)
    # The one has asked the database to keep a step, the other has got none to keep.
    unkept, unanswered = (
        [s.status for s in found if bool([b for b in app.below(s) if b.statement]) is asked] for asked in (True, False)
    )
    checkpoint.must(
        "ERROR" in unkept,
        "error-not-on-span",
        seen=f"a step that cannot be kept, and no {WORK!r} below POST /import is ERROR with an INSERT below it",
        expected=f"the status ERROR on the {WORK!r} of this task",
        why="the span of a piece of work says how it went; `with tracer.start_as_current_span(...)` does so for an exception",
        do="let the step be kept inside of that `with`, and what it raises leave it",
    )
    checkpoint.must(
        "ERROR" in unanswered,
        "no-answer-unseen",
        seen=f"the advisor has nothing to say about a task, and its {WORK!r} is {' and '.join(unanswered)}",
        expected="the status ERROR",
        why="work without a result has failed, although nothing was raised",
        do='say so: `span.set_status(Status(StatusCode.ERROR, "no answer"))`',
    )
    caught = ITS_ERROR not in "".join(app.raised())
    lines = [line for line in app.output.splitlines() if ITS_ERROR in line and not line.lstrip().startswith(('"', "raised: "))]
    checkpoint.must(
        lines,
        "error-unseen",
        seen="a step that cannot be kept, and the app says nothing of the error",
        expected="a line in its log, with the exception",
        why="your code has caught it, and the Future does not know of it"
        if caught
        else "what a thread of a pool raises stays in the Future that `submit` returned, until somebody asks for it",
        do="log it where it is caught, as an error, or let it through"
        if caught
        else "give the Future a function that asks: `pool.submit(...).add_done_callback(...)`, and let that one log it as an error",
    )


@pytest.mark.before("wrong-status")
def test_a_bad_file_changes_nothing_and_says_why(checkpoint):
    run = checkpoint.shared(imports)
    run.app.server_span(run.refused["an empty file"])
    silent = [what for what, answer in run.refused.items() if REFUSED[what][1] not in answer.text]
    checkpoint.must(
        not silent and "Nothing to do" in run.nothing,
        "half-a-file",
        seen=f"refused without a reason: {', '.join(silent)}" if silent else "a refused file has left tasks in the list",
        expected="the reason on the page, and no task",
        why="a file is taken as a whole or not at all, and who chose it cannot see what the app saw",
    )


def work_of(checkpoint, app, answer, name, count, again=False):
    """The span of an import, and the work of its threads, as many as it has tasks, all of it in one trace.

    What failed may have been tried `again`, by more work."""
    span = app.server_span(answer, name=name, route="/import")
    app.nothing_raised(but=ITS_ERROR)
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
        len(found) == count or (again and len(found) > count),
        "no-work",
        seen=f"{len(found)} spans {WORK!r} below POST /import; all spans: {', '.join(sorted({s.name for s in app.spans}))}",
        expected=f"{count}, one for each task",
        why="each task is a piece of work of its own",
    )
    return span, found


def take(app, data, wanted=(302, 303)):
    """Send a file of these bytes as the page's form does."""
    return app.post("/import", app.form("/import"), wanted=wanted, files={"file": ("canary-task-7f3a1c.txt", data)})


def steps_on(page, answer):
    """How many tasks of a page have the step that the advisor said in an answer."""
    return unescape(page.text).count(f">{said(answer)}<")


def said(answer):
    """What the advisor said; nothing where it is not what the app reads."""
    try:
        return str(json.loads(answer.text)["advice"])
    except (ValueError, TypeError, KeyError):
        return ""


def refuse_a_step(database):
    """From now on the database refuses one step, so that the work of a thread fails where no line of the app shows it."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            f"CREATE TRIGGER refuse BEFORE INSERT ON step WHEN NEW.text = '{REFUSED_STEP}' "
            f"BEGIN SELECT RAISE(ABORT, '{ITS_ERROR}'); END"
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


def show(checkpoint):
    """What the page shows: the app before the context goes along, and after it, with the advisor, in Jaeger."""
    jaeger = checkpoint.jaeger

    def run(command):
        there = checkpoint.on_the_way(command)
        services = {"jaeger": True}, {"command": "sh advisor.sh", "port": ADVISOR, "service": "advisor", "jaeger": True}
        with there.serve_together(*services) as (app, _):
            there.run("printf")
            answer = take(app, (there.folder / "instance" / "tasks.txt").read_bytes())
            app.until(lambda: len(STEP.findall(app.get("/").text)) == 3)
        assert there.run(command, JAEGER_URL=jaeger.query_url).exit_code == 0
        return app.find(answer)

    run("workshop trace --log")
    spans = run('workshop trace --name "POST')  # the newest: nothing else may send one meanwhile
    # Where a short child ends after its parent, Jaeger at times supposes that clocks differ.
    checkpoint.picture("trace.svg", [replace(span, warnings=()) for span in spans])
