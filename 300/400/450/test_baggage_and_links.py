"""An import's number travels to the advisor and no further, and a retry points back to the attempt that failed."""

import re
import threading
from collections import Counter

import pytest

from workshop.checks.fake_server import FakeServer, pass_on, refuse
from workshop.checks.sandbox import ADVISOR
from workshop.course.requirements import requirements
from workshop.setup.ports import free_port

WORK, NUMBER = "find first step", "todo.import.id"
NOT_A_NUMBER = f"{NUMBER}=%3Cscript%3E"


def imports(checkpoint):
    """Both services, and two imports: of the first all steps come at once, of the second some at the second attempt or never."""
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
        stranger = advisor.get("/step?words=3", headers={"baggage": NOT_A_NUMBER})
        first = take(app, "\n".join(requirements().canaries))
        app.until(lambda: first.status >= 400 or app.raised() or asked["1"] == 3)
        second = take(app, "Run\nBuy milk\nDo it now\n")
        app.until(lambda: second.status >= 400 or app.raised() or (asked["1"], asked["2"], asked["3"]) == (4, 2, 2), 3)
        after = app.get("/")
    return app, advisor, stranger, first, second, after, proxy.requests


@pytest.mark.before("baggage-lost")
def test_the_number_of_an_import_travels_to_the_advisor_and_no_further(checkpoint):
    app, advisor, stranger, first, second, after, calls = checkpoint.shared(imports)
    app.nothing_raised()
    numbers = [travels(checkpoint, app, advisor, answer) for answer in (first, second)]
    checkpoint.must(
        numbers[0] != numbers[1],
        "one-number",
        seen=f"two imports with the same {NUMBER}",
        expected="a number of its own for each import",
        why="the number is what tells one import from all others",
    )
    checkpoint.must(
        NUMBER not in advisor.server_span(stranger).attributes,
        "baggage-trusted",
        seen="a text that a stranger sent as baggage stands on the advisor's span",
        expected="only what looks like the number of an import",
        why="anybody can send that header",
    )
    app.nothing_left_attached()
    trace_id = app.server_span(after).trace_id
    further = [call for call in calls if trace_id in call.headers.get("traceparent", "") and "baggage" in call.headers]
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
    keeps_baggage_bare(checkpoint, calls)
    if checkpoint.showing:
        show(checkpoint)


@pytest.mark.before("attempts")
def test_a_retry_points_back_to_the_attempt_that_failed(checkpoint):
    app, _, _, _, second, _, _ = checkpoint.shared(imports)
    tried = [s for s in app.below(app.server_span(second)) if s.name == WORK]
    failed = {s.span_id: s for s in tried if s.status == "ERROR"}
    checkpoint.must(
        (len(tried), len(failed)) == (5, 3),
        "attempts",
        seen=f"{len(tried)} spans {WORK!r}, {len(failed)} of them ERROR",
        expected="5, and 3 of them ERROR: an attempt that brings nothing has failed, and is made once more",
        why="each attempt is a piece of work with a verdict of its own",
    )
    again = [s for s in tried if s.attributes.get("todo.attempt") == 2]
    aims = [failed.get(link.span_id) for s in again for link in s.links]
    checkpoint.must(
        len(aims) == 2
        and all(aim and aim.attributes.get("todo.attempt") == 1 for aim in aims)
        and aims[0] is not aims[1]
        and not any(s.links for s in tried if s not in again),
        "no-link",
        seen=f"{len(again)} second attempts (`todo.attempt` is 2), with {sum(map(bool, aims))} links to a first one that failed",
        expected="one link on each second attempt, to the first one of the same task",
        why="without it nobody can tell which failure a retry belongs to",
        do="keep `Link(span.get_span_context())` of the failed attempt, and start the next span with `links=`",
    )


def take(app, text):
    """Send a file of these lines as the page's form does."""
    return app.post("/import", app.form("/import"), files={"file": ("canary-task-7f3a1c.txt", text.encode())})


def travels(checkpoint, app, advisor, answer):
    """The number of an import, which stands on its request and on all that the advisor made of it."""
    span = app.server_span(answer, name="POST /import", route="/import")
    number = span.attributes.get(NUMBER)
    asked = [s for s in advisor.spans if s.kind == "server" and s.trace_id == span.trace_id]
    numbers = {s.attributes.get(NUMBER) for s in asked}
    checkpoint.must(
        number and numbers == {number},
        "baggage-lost",
        seen=f"POST /import has {NUMBER} {number or '(none)'}; the advisor's {len(asked)} spans of its trace have "
        f"{', '.join(str(n or '(none)') for n in numbers) or 'nothing'}",
        expected="the same number on all of them",
        why="only the context that `set_baggage` returns has the baggage, and it must be the attached one when the call is made",
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
