"""Work in threads stays in the trace that sent it, with its baggage; a retry points back; a bad file loses nothing."""

import html
import re
import threading
from collections import Counter
from dataclasses import replace

import pytest

from workshop.checks.checkpoint import Checkpoint
from workshop.checks.fake_server import FakeServer, response
from workshop.checks.sandbox import ADVISOR, END
from workshop.course import turns
from workshop.course.requirements import requirements
from workshop.setup.ports import free_port

WORK = "find first step"
NOT_A_NUMBER = "todo.import.id=%3Cscript%3E"
# Files that are refused, and what the answer must say about each.
REFUSED = {
    "an empty file": (b"", "0 tasks"),
    "a file of blank lines": (b"\n  \r\n\t\n", "0 tasks"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "UTF-8"),
    "a binary file that happens to be UTF-8": (b"Buy milk\n\x00\x01\x02\n", "UTF-8"),
    "a file in Latin-1": ("Müll hinausbringen\n".encode("latin-1"), "UTF-8"),
    "a file in UTF-16": ("Buy milk\n".encode("utf-16"), "UTF-8"),
    "a file of 31 tasks": (b"Buy milk\n" * 31, "31 tasks"),
    "a task of 257 characters": (b"Buy milk\n" + b"x" * 257 + b"\n", "256 characters"),
}


@pytest.mark.before("wrong-status")
def test_work_in_threads_stays_in_its_trace_and_takes_the_baggage_along(checkpoint):
    with checkpoint.serve("sh advisor.sh", port=ADVISOR, service="advisor", jaeger=True) as advisor:
        stranger = advisor.get("/step?words=3", headers={"baggage": NOT_A_NUMBER})
        with checkpoint.serve(jaeger=True) as app:
            secret = take(app, "\n".join(requirements().canaries).encode())
            checkpoint.run("printf")
            harmless = take(app, (checkpoint.folder / "instance" / "tasks.txt").read_bytes())
            done = app.until(lambda: harmless.status >= 400 or steps_on(app.get("/")) == 6)
        if checkpoint.showing:
            show_the_fault(checkpoint, advisor)

    numbers = [whole(checkpoint, app, answer, advisor) for answer in (secret, harmless)]
    checkpoint.must(
        numbers[0] != numbers[1],
        "one-number",
        seen="two imports with the same todo.import.id",
        expected="a number of its own for each import",
        why="the number is what tells one import from all others",
    )
    checkpoint.must(
        done,
        "no-steps",
        seen=f"{steps_on(app.responses[-1])} first steps on the page, for six tasks",
        expected="one for each",
        why="each thread asks the advisor and keeps the answer",
    )
    checkpoint.must(
        "todo.import.id" not in advisor.server_span(stranger).attributes,
        "baggage-trusted",
        seen="a text that a stranger sent as baggage stands on the advisor's span",
        expected="only what looks like the number of an import",
        why="anybody can send that header",
    )
    app.keeps_secrets()
    advisor.keeps_secrets()
    if checkpoint.showing:
        # Where a short child ends after its parent, Jaeger at times supposes that clocks differ.
        checkpoint.picture("trace.svg", [replace(span, warnings=()) for span in app.find(harmless)])
        assert checkpoint.run('workshop trace --name "POST', JAEGER_URL=checkpoint.jaeger.query_url).exit_code == 0
        assert numbers[1] in checkpoint.run("grep").output


@pytest.mark.before("wrong-status")
def test_a_bad_file_changes_nothing_and_a_retry_points_back_to_the_attempt_that_failed(checkpoint):
    asked, port, answered = Counter(), free_port(), threading.Event()
    checkpoint.environment["FLASK_ADVISOR_URL"] = f"http://localhost:{port}"

    def advise(request):
        """One word: a step. Two words: a step when asked again. Three: never. And none before the import is answered."""
        words = (re.findall(r"/step\?words=(\d)", request.path) or ["0"])[0]
        answered.wait(0.4 if words != "0" else 0)
        asked[words] += 1
        return response('{"advice": "Split it in two."}' if words == "1" or (words, asked[words]) == ("2", 2) else "")

    with checkpoint.serve(shown=True, jaeger=True) as app, FakeServer(advise, port=port):
        refused = {what: take(app, data, wanted=422) for what, (data, _) in REFUSED.items()}
        take(app, b"Buy milk\n" * 100_000, wanted=413)
        app.post("/import", app.form("/import"), wanted=422)
        checkpoint.must(
            "Nothing to do" in app.get("/").text,
            "half-a-file",
            seen="a refused file has left tasks in the list",
            expected="an empty list",
            why="a file is taken as a whole or not at all",
        )
        good = take(app, "\ufeffRun\r\nBuy milk\r\n<b>Do it</b> now\r\n".encode())
        answered.set()
        all_asked = {"1": 1, "2": 2, "3": 2}
        app.until(lambda: good.status >= 400 or (asked == {**asked, **all_asked} and steps_on(app.get("/")) == 2))
        after = app.get("/")

    silent = [what for what, answer in refused.items() if REFUSED[what][1] not in answer.text]
    checkpoint.must(
        not silent,
        "not-explained",
        seen=f"{', '.join(silent)}: refused, and the page does not say why",
        expected="the reason, so that the file can be mended",
        why="who chose the wrong file cannot see what the app saw",
    )
    kept = [task for task in ("Run", "Buy milk", "<b>Do it</b> now") if f">{html.escape(task)}<" in after.text]
    checkpoint.must(
        len(kept) == 3,
        "tasks-lost",
        seen=f"{len(kept)} of the three tasks of a good file",
        expected="all, also those for which the advisor has no answer",
        why="the tasks are kept first, and what the advisor says comes after",
    )
    points_back(checkpoint, app, good)
    if checkpoint.showing:
        assert checkpoint.run('workshop trace --log output.log --name "POST').exit_code == 0


def take(app, data, wanted=(302, 303)):
    """Send a file of these bytes as the page's form does."""
    return app.post("/import", app.form("/import"), wanted=wanted, files={"file": ("canary-task-7f3a1c.txt", data)})


def steps_on(page):
    return page.text.count(">Split it in two.<") + page.text.count(">Say when it is done.<")


def whole(checkpoint, app, answer, advisor):
    """An import of three tasks is one trace over threads and services, with one number; returns the number."""
    span = app.server_span(answer, name="POST /import", route="/import")
    lost = [s for s in app.spans if s.name == WORK and not s.parent_id]
    found = [s for s in app.below(span) if s.name == WORK]
    checkpoint.must(
        found or not lost,
        "lost-in-thread",
        seen=f"POST /import has nothing below it from its threads; {len(lost)} spans {WORK!r} are traces of their own",
        expected=f"each {WORK!r} below the request that sent the work",
        why="a thread begins with an empty context, and what has no parent begins a trace",
        do="hand `context.get_current()` to the thread, and attach it there",
    )
    raised = [event.attributes for s in found for event in s.events if event.name == "exception"]
    checkpoint.must(
        not raised,
        "work-failed",
        seen=f"{WORK}: {raised[0]['exception.type']}: {raised[0]['exception.message'].splitlines()[0]}" if raised else "",
        expected="no error in the threads",
        why="an error in a thread stays in its Future, which nobody looks at; the span is where you find it",
    )
    checkpoint.must(
        len(found) == 3,
        "no-work",
        seen=f"{len(found)} spans {WORK!r} below POST /import",
        expected="one for each of the three tasks",
        why="each task is a piece of work of its own",
    )
    number = span.attributes.get("todo.import.id")
    numbers = {s.attributes.get("todo.import.id") for s in app.called(span, advisor, exactly=3)}
    checkpoint.must(
        number and numbers == {number},
        "baggage-lost",
        seen=f"POST /import has todo.import.id {number}; the advisor's spans have {', '.join(map(str, numbers))}",
        expected="the same number on all of them",
        why="only the context that `set_baggage` returns has the baggage, and it must be the attached one when the call is made",
    )
    return number


def points_back(checkpoint, app, answer):
    """Of five attempts three failed; the second ones link to the first, and the request waited for none of them."""
    span = app.server_span(answer)
    tried = sorted((s for s in app.below(span) if s.name == WORK), key=lambda s: s.start_ns)
    failed = {s.span_id: s for s in tried if s.status == "ERROR"}
    checkpoint.must(
        (len(tried), len(failed)) == (5, 3),
        "attempts",
        seen=f"{len(tried)} spans {WORK!r}, {len(failed)} of them ERROR",
        expected="5, and 3 of them ERROR: an attempt that brings nothing has failed, and is made once more",
        why="each attempt is a piece of work with a verdict of its own",
    )
    checkpoint.must(
        span.end_ns < min(s.end_ns for s in tried),
        "waits-for-work",
        seen="POST /import ends after the work in its threads",
        expected="an answer that does not wait",
        why="leaving `with ThreadPoolExecutor(...)`, or asking a Future for its result, waits for the threads",
    )
    again = [s for s in tried if s.attributes.get("todo.attempt") == 2]
    aims = [failed.get(link.span_id) for s in again for link in s.links]
    checkpoint.must(
        len(aims) == 2
        and all(aim and aim.attributes.get("todo.attempt") == 1 for aim in aims)
        and aims[0] is not aims[1]
        and not any(s.links for s in tried if s not in again),
        "no-link",
        seen=f"{len(again)} second attempts, with {sum(map(bool, aims))} links to a first one that failed",
        expected="one link on each second attempt, to the first one of the same task",
        why="without it nobody can tell which failure a retry belongs to",
        do="keep `Link(span.get_span_context())` of the failed attempt, and start the next span with `links=`",
    )


def show_the_fault(checkpoint, advisor):
    """What the lesson shows of a run in which the threads begin with an empty context: the first wrong turn."""
    first = Checkpoint(
        checkpoint.lesson, END, checkpoint.folder / "first", None, turn=turns.of(checkpoint.lesson, turns.WRONG)[0]
    )
    first.environment["FLASK_ADVISOR_URL"] = f"http://localhost:{advisor.port}"
    with first.serve() as app:
        take(app, b"Tidy up\n")
    assert checkpoint.run('workshop trace --log output.log --name "find', folder=first.folder).exit_code == 0
