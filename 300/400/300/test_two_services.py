"""A request that runs through both services is one trace, and nothing that the advisor does hurts the to-do app."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from workshop.checks.fake_server import SILENCE, FakeServer, refuse, response
from workshop.checks.sandbox import ADVISOR
from workshop.course.requirements import requirements
from workshop.setup.ports import free_port

MALFORMED = ["", "nonsense", "00-zz-b7ad6b7169203331-01", f"00-{'0' * 32}-b7ad6b7169203331-01", f"ff-{'a' * 32}-{'b' * 16}-01"]
NOT_SAMPLED = f"00-{'c' * 32}-{'d' * 16}-00"
QUICK_SECONDS = 3
WORD = "Begin with the oldest."
GOOD = response(f'{{"advice": "{WORD}"}}')
# What a broken advisor may send, part by part.
SILENT = ([SILENCE], [GOOD[:-20], SILENCE])
BROKEN = {
    "hangs up": [],
    "hangs up in the middle": GOOD[:-20],
    "does not speak HTTP": b"\x00\xff\x16\x03nonsense\r\n\r\n",
    "fails": GOOD.replace(b"200 OK", b"500 Internal Server Error"),
    "sends a page": response("<h1>Oops</h1>"),
    "sends a list": response(f'["{WORD}"]'),
    "sends a number": response('{"advice": 42}'),
    "sends half a character": response('{"advice": "\\ud800"}'),
    "sends bytes of no text": response(b"\x80\x81"),
    "sends compressed nonsense": response("nonsense", Content_Encoding="gzip"),
    "sends far too much": response(f'{{"advice": "{WORD * 100_000}"}}'),
}


@pytest.mark.before("no-run-file")
def test_a_request_through_both_services_is_one_trace(checkpoint):
    before = calls(checkpoint)
    with checkpoint.serve("sh advisor.sh", port=ADVISOR, service="advisor", jaeger=True, shown=True) as advisor:
        checkpoint.run("curl -s -H 'traceparent")
        asked = advisor.get("/advice?left=4", traceparent=True)
        with checkpoint.serve(jaeger=True, shown=True) as app:
            malformed = [app.get("/", headers={"traceparent": header}) for header in MALFORMED]
            silent = app.get("/", headers={"traceparent": NOT_SAMPLED}, traced=False)
            page = app.get("/")
            if checkpoint.showing:
                checkpoint.run("curl -s http://localhost:5001/")

    [below] = app.called(app.server_span(page, name="GET /"), advisor)
    advisor.attribute(below, "http.route", "/advice")
    for answer in malformed:
        app.called(app.server_span(answer), advisor)
    checkpoint.must(
        not app.facts().spans_of(silent) and not [s for s in app.spans + advisor.spans if s.trace_id == "c" * 32],
        "sampled-anyway",
        seen="spans for a request whose `traceparent` ends in 00",
        expected="an answer, and no span in either service",
        why="the flags 00 say that whoever asks has not recorded this trace",
    )

    advisor.in_jaeger(asked, name="GET /advice", route="/advice")
    app.in_jaeger(page)
    checkpoint.must(
        calls(checkpoint) > before,
        "no-edge",
        seen="Jaeger does not know that todo calls advisor",
        expected="todo → advisor among its dependencies",
        why="Jaeger finds it where the parent of a SERVER span belongs to another service",
    )
    if checkpoint.showing:
        checkpoint.picture("trace.svg", app.find(page))
        assert checkpoint.run("workshop trace --service", JAEGER_URL=checkpoint.jaeger.query_url).exit_code == 0
        sent = checkpoint.run("grep -o '00-").output.split("-")[1]
        assert sent in {span.trace_id for span in app.spans}
        checkpoint.run('curl -s "http://localhost:16686/api/dependencies')
        assert "satisfied" in checkpoint.run("pip install", folder=checkpoint.lesson.root).output


@pytest.mark.before("advisor-not-asked")
def test_whatever_the_advisor_does_the_page_comes_and_comes_soon(checkpoint):
    port, says, waiting = free_port(), {"parts": [GOOD]}, []
    checkpoint.environment["FLASK_ADVISOR_URL"] = f"http://localhost:{port}"
    with checkpoint.serve(jaeger=True) as app, ThreadPoolExecutor(len(SILENT)) as patient:
        with FakeServer(lambda request: says["parts"], port=port) as advisor:
            for canary in requirements().canaries:
                app.submit("/add", {"text": canary})
            good = app.get("/")
            checkpoint.must(
                good.status != 200 or advisor.requests,
                "advisor-not-asked",
                seen="FLASK_ADVISOR_URL names an address, and the app does not ask there",
                expected="GET /advice at that address, for each page",
                why="`from_prefixed_env()` puts it into the app's settings, and the code takes it from there",
            )
            checkpoint.must(
                good.status != 200 or WORD in good.text,
                "no-advice",
                seen="a page without the advice, though the advisor gave it",
                expected="the advisor's line on the page",
                why="the view hands it to the template, and the template shows it",
            )
            for says["parts"] in SILENT:
                so_far = len(advisor.requests)
                waiting.append(patient.submit(unharmed, checkpoint, app, "the advisor stops talking"))
                app.until(lambda so_far=so_far: len(advisor.requests) > so_far)
            for what, says["parts"] in BROKEN.items():
                unharmed(checkpoint, app, f"the advisor {what}")
            says["parts"] = refuse(302, Location=f"http://localhost:{port}/elsewhere")
            unharmed(checkpoint, app, "the advisor sends the app elsewhere")
            followed = any(request.path == "/elsewhere" for request in advisor.requests)
            for visit in waiting:
                visit.result()
        unharmed(checkpoint, app, "the advisor is down")
    if checkpoint.showing:
        assert checkpoint.run("workshop trace --log output.log").exit_code == 0

    app.keeps_secrets(advisor)
    checkpoint.must(
        not followed,
        "redirect-followed",
        seen="the advisor answered with a redirect, and the app went where it pointed",
        expected="a page without advice",
        why="a redirect may lead anywhere, and your request and its headers go along",
        do="tell `requests.get` not to follow redirects",
    )


def unharmed(checkpoint, app, when):
    """Ask for the page, and hold it against what it must be whatever the advisor does."""
    began = time.monotonic()
    page = app.get("/")
    took = time.monotonic() - began
    checkpoint.must(
        took < QUICK_SECONDS,
        "waits-for-advisor",
        seen=f"{when}, and the page takes {took:.1f} s",
        expected="a page without advice, after one second at most",
        why="without a timeout `requests` waits for as long as the other side likes",
        do="give `requests.get` a timeout of one second",
    )
    checkpoint.must(
        page.status != 200 or WORD not in page.text,
        "bad-advice",
        seen=f"{when}, and the page shows something of it",
        expected="a page without advice",
        why="only a short text in a complete answer of status 200 is advice",
    )


def calls(checkpoint):
    """How often, as far as Jaeger knows, the to-do app has called the advisor."""
    edges = checkpoint.jaeger.dependencies()
    return sum(edge["callCount"] for edge in edges if (edge["parent"], edge["child"]) == ("todo", "advisor"))
