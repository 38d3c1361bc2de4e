"""An import's number travels to the advisor and no further, and a retry points back to the attempt that failed."""

import re
import threading
from collections import Counter
from types import SimpleNamespace
from urllib.parse import unquote

import pytest

from workshop.checks.fake_server import FakeServer, pass_on, refuse
from workshop.checks.sandbox import ADVISOR
from workshop.course.requirements import requirements
from workshop.setup.ports import free_port

WORK, NUMBER = "find first step", "todo.import.id"
NO_NUMBERS = ("%3Cscript%3E", "Alice", f"{'0' * 32}%3Cscript%3E")


def imports(checkpoint):
    """Both services, and two imports: of the first some steps come at the second attempt or never, of the second all at once."""
    checkpoint.watch_threads()
    port, asked, lock = free_port(), Counter(), threading.Lock()
    checkpoint.environment["FLASK_ADVISOR_URL"] = f"http://localhost:{port}"

    def advise(request):
        """What the advisor says; nothing to the first question about two words, and to none about three."""
        words = (re.findall(r"/step\?words=(\d)", request.path) or [""])[0]
        with lock:
            asked[words] += 1
        if words == "3" or (words, asked[words]) == ("2", 1):
            return refuse(503)
        return pass_on(request, advisor.port, without="")

    services = {}, {"command": "sh advisor.sh", "port": ADVISOR, "service": "advisor"}
    with checkpoint.serve_together(*services) as (app, advisor), FakeServer(advise, port=port) as proxy:
        advisor.get("/step?words=3")
        strangers = [advisor.get("/step?words=3", headers={"baggage": f"{NUMBER}={value}"}) for value in NO_NUMBERS]
        halting = take(app, "Run\nBuy milk\nDo it now\n")
        app.until(lambda: halting.status >= 400 or app.raised() or (asked["1"], asked["2"], asked["3"]) == (1, 2, 2), 3)
        smooth = take(app, "\n".join(requirements().canaries))
        app.until(lambda: smooth.status >= 400 or app.raised() or asked["1"] == 4)
        after = app.get("/")
    return SimpleNamespace(
        app=app, advisor=advisor, strangers=strangers, halting=halting, smooth=smooth, after=after, calls=proxy.requests
    )


@pytest.mark.before("baggage-lost")
def test_the_number_of_an_import_travels_to_the_advisor_and_no_further(checkpoint):
    run = checkpoint.shared(imports)
    app, advisor = run.app, run.advisor
    app.nothing_raised()
    numbers = [travels(checkpoint, run, answer) for answer in (run.smooth, run.halting)]
    checkpoint.must(
        numbers[0] != numbers[1],
        "one-number",
        seen=f"two imports with the same {NUMBER}",
        expected="a number of its own for each import",
        why="the number is what tells one import from all others",
    )
    trusted = [advisor.server_span(stranger).attributes.get(NUMBER) for stranger in run.strangers]
    checkpoint.must(
        not any(trusted),
        "baggage-trusted",
        seen=f"what a stranger sent as baggage stands on the advisor's span: {NUMBER} is {next(filter(None, trusted), '')!r}",
        expected="only what is a number of an import from its first character to its last",
        why="anybody can send that header",
    )
    app.nothing_left_attached()
    further = [call for call in calls_of(run, app.server_span(run.after)) if "baggage" in call.headers]
    checkpoint.must(
        not further,
        "left-attached",
        seen="a page that is no import sends baggage along",
        expected="the context as it was before",
        why="baggage goes with every call that is made while it is attached, and the thread serves others",
        do="`token = context.attach(...)`, and `context.detach(token)` in a `finally`",
    )
    app.keeps_secrets()
    advisor.keeps_secrets()
    keeps_baggage_bare(checkpoint, run.calls)
    if checkpoint.showing:
        show(checkpoint)


@pytest.mark.before("attempts")
def test_a_retry_points_back_to_the_attempt_that_failed(checkpoint):
    run = checkpoint.shared(imports)
    app = run.app
    app.nothing_raised()
    tried, smooth = ([s for s in app.below(app.server_span(answer)) if s.name == WORK] for answer in (run.halting, run.smooth))
    failed = {s.span_id: s for s in tried if s.status == "ERROR"}
    checkpoint.must(
        (len(tried), len(failed)) == (5, 3),
        "attempts",
        seen=f"{len(tried)} spans {WORK!r}, {len(failed)} of them ERROR, for three tasks: the advisor answered the first one, "
        "the second one when it was asked again, and the third one never",
        expected="1 + 2 + 2 spans, and 0 + 1 + 2 of them ERROR",
        why="an attempt that brings nothing has failed, and is made once more; one that brings a step is the last",
    )
    numbers = sorted((s.attributes.get("todo.attempt", "(none)") for s in tried), key=str)
    checkpoint.must(
        numbers == [1, 1, 1, 2, 2],
        "attempt-number",
        seen=f"todo.attempt on the spans {WORK!r}: {', '.join(map(repr, numbers))}",
        expected="1, 1, 1, 2, 2",
        why="it says which attempt a span is, as a number that can be compared",
    )
    again = [s for s in tried if s.attributes["todo.attempt"] == 2]
    aims = [failed.get(link.span_id) for s in again for link in s.links]
    checkpoint.must(
        len(aims) == 2 and all(aim and aim not in again for aim in aims) and aims[0] is not aims[1],
        "no-link",
        seen=f"2 second attempts, with {len(aims)} links, {sum(map(bool, aims))} of them to an attempt that failed",
        expected="one link on each second attempt, to the first one of the same task",
        why="without it nobody can tell which failure a retry belongs to",
        do="keep `Link(span.get_span_context())` of the failed attempt, and start the next span with `links=`",
    )
    strange = [link for s in (*tried, *smooth) if s not in again for link in s.links]
    checkpoint.must(
        not strange,
        "link-too-many",
        seen=f"{len(strange)} links on first attempts",
        expected="none: there is no attempt before the first one",
        why="a link to the attempt of another task, or to what is the parent anyway, says something untrue or nothing",
        do="begin with an empty list for each task, in `find_step` and before the loop",
    )


def take(app, text):
    """Send a file of these lines as the page's form does."""
    return app.post("/import", app.form("/import"), files={"file": ("canary-task-7f3a1c.txt", text.encode())})


def calls_of(run, span):
    return [call for call in run.calls if span.trace_id in call.headers.get("traceparent", "")]


def travels(checkpoint, run, answer):
    """The number of an import, which stands on its request, in each call, and on all that the advisor made of it."""
    span = run.app.server_span(answer, name="POST /import", route="/import")
    number = span.attributes.get(NUMBER)
    asked = [s for s in run.advisor.spans if s.kind == "server" and s.trace_id == span.trace_id]
    if not asked:
        run.app.called(span, run.advisor, exactly=3)
    begins = f"POST /import has {NUMBER} {number or '(none)'}"
    sent = {unquote(call.headers.get("baggage", "(none)")) for call in calls_of(run, span)}
    checkpoint.must(
        number and all(NUMBER in header for header in sent),
        "baggage-lost",
        seen=f"{begins}; the header `baggage` of the calls below it: {', '.join(sorted(sent))}",
        expected=f"{NUMBER} on the request, and in the header of each call",
        why="only the context that `set_baggage` returns has the baggage, and it must be the attached one when the call is made",
    )
    checkpoint.must(
        all(f"{NUMBER}={number}" in header for header in sent),
        "another-number",
        seen=f"{begins}; the header `baggage` of the calls below it: {', '.join(sorted(sent))}",
        expected="the same number in all of them",
        why="the number is made once for each import, and tells what belongs to it",
    )
    noted = {str(s.attributes.get(NUMBER, "(none)")) for s in asked}
    checkpoint.must(
        noted == {number},
        "baggage-unread",
        seen=f"the header `baggage` came to the advisor with {NUMBER}={number}; on its spans is {', '.join(sorted(noted))}",
        expected="the same number",
        why="baggage stands on no span by itself: the advisor asks for it by the very name, before each request, and takes what "
        "has the form of the number",
    )
    kept = [str(s.attributes.get("http.request.header.baggage", "")) for s in asked]
    checkpoint.must(
        all(number in header for header in kept),
        "header-not-kept",
        seen="the advisor's spans have no attribute http.request.header.baggage",
        expected="the header as it came",
        why="a header is recorded only where its name stands in OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST",
        do="write `baggage` behind `traceparent` in src/advisor.sh, after a comma and without a space",
    )
    return number


def keeps_baggage_bare(checkpoint, calls):
    """Baggage is read by all who are called: no canary is in it, nor a name of a file."""
    told = [call.path for call in calls if any(secret in f"{call.path} {call.headers}" for secret in requirements().canaries)]
    checkpoint.must(
        not told,
        "private",
        seen=f"a call that tells what a task or a file is called: {told[0]}" if told else "",
        expected="numbers only, in addresses and in baggage",
        why="whoever is called gets all baggage, and may keep it",
        lesson="200/300",
    )


def show(checkpoint):
    """What the page shows: the number in the advisor's log, and what comes without the advisor, before and after the links."""
    there = checkpoint.on_the_way("grep")
    with there.serve("sh advisor.sh", port=ADVISOR, service="advisor"), there.serve() as app:
        there.run("printf")
        answer = take(app, (there.folder / "instance" / "two.txt").read_text())
        app.until(lambda: app.get("/").text.count(">Say when it is done.<") == 2)
    assert app.server_span(answer).attributes[NUMBER] in there.run("grep").output

    alone = checkpoint.on_the_way("workshop trace --log")
    with alone.serve() as app:
        take(app, "Tidy up\nWater the plants\n")
    assert alone.run("workshop trace --log").exit_code == 0

    del checkpoint.environment["FLASK_ADVISOR_URL"]
    with checkpoint.serve(shown=True) as app:
        take(app, "Tidy up\n")
