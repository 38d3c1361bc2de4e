"""A request that runs through both services is one trace, and nothing that the advisor does hurts the to-do app."""

import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from workshop.checks.fake_server import SILENCE, FakeServer, drip, refuse, response
from workshop.checks.process import Process
from workshop.checks.sandbox import ADVISOR
from workshop.course.requirements import requirements

MALFORMED = ["", "nonsense", "00-zz-b7ad6b7169203331-01", f"00-{'0' * 32}-b7ad6b7169203331-01", f"ff-{'a' * 32}-{'b' * 16}-01"]
NOT_SAMPLED = f"00-{'c' * 32}-{'d' * 16}-00"
QUICK_SECONDS = 3
WORD = "Begin with the oldest."
GOOD = response(f'{{"advice": "{WORD}"}}')
HEAD, BODY = GOOD[: GOOD.index(b"{")], GOOD[GOOD.index(b"{") :]
ASK_ONCE = "python -c 'from wsgi import app; app.test_client().get(\"/\")'"
# What a broken advisor may send, part by part.
SLOW = {
    "says nothing": [SILENCE],
    "stops in the middle": [GOOD[:-20], SILENCE],
    "drips": [HEAD, *drip(BODY, 0.18)],
}
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
    run = checkpoint.shared(visited)
    app, advisor = run.app, run.advisor
    [below] = app.called(app.server_span(run.page, name="GET /"), advisor)
    advisor.attribute(below, "http.route", "/advice")
    for answer in run.malformed:
        app.called(app.server_span(answer), advisor)
    checkpoint.must(
        not app.facts().spans_of(run.silent) and not [s for s in app.spans + advisor.spans if s.trace_id == "c" * 32],
        "sampled-anyway",
        seen="spans for a request whose `traceparent` ends in 00",
        expected="an answer, and no span in either service",
        why="the flags 00 say that whoever asks has not recorded this trace",
    )

    advisor.in_jaeger(run.asked, name="GET /advice", route="/advice")
    app.in_jaeger(run.page)
    checkpoint.must(
        calls(checkpoint) > run.calls_before,
        "no-edge",
        seen="Jaeger does not know that todo calls advisor",
        expected="todo → advisor among its dependencies",
        why="Jaeger finds it where the parent of a SERVER span belongs to another service",
    )
    if checkpoint.showing:
        checkpoint.picture("trace.svg", app.find(run.page))
        [made_up] = advisor.find(run.asked)
        assert any("parent" in warning for warning in made_up.warnings), made_up.warnings
        assert checkpoint.run("workshop trace --service", JAEGER_URL=checkpoint.jaeger.query_url).exit_code == 0
        sent = checkpoint.run("grep -o '00-").output.split("-")[1]
        assert sent in {span.trace_id for span in app.spans}
        checkpoint.run('curl -s "http://localhost:16686/api/dependencies')
        assert "satisfied" in checkpoint.run("pip install", folder=checkpoint.lesson.root).output


@pytest.mark.before("no-run-file")
def test_whatever_the_advisor_does_the_page_comes_and_comes_soon(checkpoint):
    run = checkpoint.shared(visited)
    checkpoint.must(
        any(request.headers.get("Host", "").startswith("127.0.0.1") for request in run.fake.requests),
        "advisor-not-asked",
        seen="FLASK_ADVISOR_URL names an address, and the app does not ask there",
        expected="GET /advice at that address, for each page",
        why="`from_prefixed_env()` puts it into the app's settings, and the code takes it from there",
        do='take the address from `current_app.config["ADVISOR_URL"]`',
    )
    checkpoint.must(
        WORD in run.good.text,
        "no-advice",
        seen="a page without the advice, though the advisor gave it",
        expected="the advisor's line on the page",
        why="the view hands it to the template, and the template shows it",
    )
    for when, page, took in run.harmed:
        unharmed(checkpoint, when, page, took)
    run.app.keeps_secrets(run.fake)  # with the advisor's spans in the traces of the app
    checkpoint.must(
        not any(request.path == "/elsewhere" for request in run.fake.requests),
        "redirect-followed",
        seen="the advisor answered with a redirect, and the app went where it pointed",
        expected="a page without advice",
        why="a redirect may lead anywhere, and your request and its headers go along",
        do="tell `requests.get` not to follow redirects",
    )
    if checkpoint.showing:
        assert run.app.checkpoint.run("workshop trace --log output.log").exit_code == 0


def visited(checkpoint):
    """One run of the app: beside the advisor, then beside a fake one at its address that does harm, then alone."""
    run = SimpleNamespace(calls_before=calls(checkpoint), harmed=[])
    with checkpoint.serve(jaeger=True, shown=True) as app:
        form = app.form("/add")
        for canary in requirements().canaries:
            app.post("/add", {**form, "text": canary})
        with checkpoint.serve("sh advisor.sh", port=ADVISOR, service="advisor", jaeger=True, shown=True) as advisor:
            checkpoint.run("curl -s -H 'traceparent")
            run.asked = advisor.get("/advice?left=4", traceparent=True)
            run.malformed = [app.get("/", headers={"traceparent": header}) for header in MALFORMED]
            run.silent = app.get("/", headers={"traceparent": NOT_SAMPLED}, traced=False)
            run.page = app.get("/")
            if checkpoint.showing:
                checkpoint.run("curl -s http://localhost:5001/")
        run.app, run.advisor = app, advisor
        harm(checkpoint, run, checkpoint.sandbox.ports[ADVISOR])
        run.harmed.append(("the advisor is down", *timed(app)))
    return run


def harm(checkpoint, run, port):
    """Ask for the page while the advisor does what it should not, and once by the setting that names its address."""
    says = {}
    by_setting = {**checkpoint.environment, "FLASK_ADVISOR_URL": f"http://127.0.0.1:{port}"}
    fake = FakeServer(lambda request: says["parts"], port=port)
    with fake, ThreadPoolExecutor(len(SLOW)) as patient:
        run.fake, says["parts"] = fake, GOOD
        run.good = run.app.get("/")
        waiting = []
        for what, says["parts"] in SLOW.items():
            so_far = len(fake.requests)
            waiting.append((f"the advisor {what}", patient.submit(timed, run.app)))
            fake.until(lambda fake, so_far=so_far: len(fake.requests) > so_far, seconds=2)
        says["parts"] = GOOD
        asking = Process(ASK_ONCE, checkpoint.folder, by_setting)
        asking.wait(20)
        asking.kill()
        for what, says["parts"] in BROKEN.items():
            run.harmed.append((f"the advisor {what}", *timed(run.app)))
        says["parts"] = refuse(302, Location=f"http://localhost:{port}/elsewhere")
        run.harmed.append(("the advisor sends the app elsewhere", *timed(run.app)))
        run.harmed += [(when, *visit.result()) for when, visit in waiting]


def timed(app):
    """The page, and the seconds that it took."""
    began = time.monotonic()
    return app.get("/"), time.monotonic() - began


def unharmed(checkpoint, when, page, took):
    """The page is what it must be whatever the advisor does."""
    checkpoint.must(
        took < QUICK_SECONDS,
        "waits-for-advisor",
        seen=f"{when}, and the page takes {took:.1f} s",
        expected="a page without advice, after one second or little more",
        why="without a timeout `requests` waits for as long as the other side likes; and a timeout is for each silence, not for all",
        do="give `requests.get` a timeout of one second, and read the body only until a deadline",
    )
    checkpoint.must(
        WORD not in page.text,
        "bad-advice",
        seen=f"{when}, and the page shows something of it",
        expected="a page without advice",
        why="only a short text in a complete answer of status 200 is advice",
    )


def calls(checkpoint):
    """How often, as far as Jaeger knows, the to-do app has called the advisor."""
    edges = checkpoint.jaeger.dependencies()
    return sum(edge["callCount"] for edge in edges if (edge["parent"], edge["child"]) == ("todo", "advisor"))
