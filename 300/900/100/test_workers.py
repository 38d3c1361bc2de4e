"""Each worker tells who it is, nothing of what they served is lost, and the address behind the proxy is the visitor's."""

import re
import signal
import time
from contextlib import suppress
from itertools import pairwise
from types import SimpleNamespace

import psutil
import pytest

from workshop.checks.fake_server import FakeServer, accept
from workshop.checks.process import patient
from workshop.checks.sandbox import OTLP_HTTP
from workshop.diagnosis import settings
from workshop.diagnosis.answering import ANSWERS
from workshop.diagnosis.facts import Broken
from workshop.diagnosis.packages import missing_package
from workshop.diagnosis.spans import SPANS
from workshop.telemetry.metrics import current

DURATION = "http.server.request.duration"
VISITOR, MADE_UP = "203.0.113.7", "198.51.100.99"
ALONE = {"Connection": "close"}  # so that any worker may take the next one
INTERVAL = 0.4  # seconds between two exports of metrics
FORKED = "a worker was forked while gunicorn's first process exported"
MUTE = {
    "rung": "mute-worker",
    "seen": f"{FORKED} its metrics; it has answered requests, and none of its metrics has left it",
    "expected": "its metrics, like those of the other workers",
    "why": "it has a copy of the metric reader's lock, locked, and nobody is there to open it; it would also need half a minute to stop",
    "do": "let the first process have no telemetry: AGENT=env in src/production.sh, no --preload, and `initialize()` in "
    "src/production.py",
}
# It may also have a closed lock of the spans: then it does not answer until gunicorn ends it, after half a minute.
ASLEEP = MUTE | {"seen": f"{FORKED}, and does not answer"}


class Backend:
    """Takes what is sent. In `trap` it lets wait who exports metrics and has served nothing, as gunicorn's first process would."""

    def __init__(self):
        self.serving, self.trap, self.caught = set(), False, False

    def __call__(self, received):
        self.serving |= {span.resource.get("service.instance.id") for span in received.telemetry.spans if span.kind == "server"}
        who = {metric.resource.get("service.instance.id") for metric in received.telemetry.metrics}
        if self.trap and who - self.serving:
            self.caught = True
            return [1.5, accept(received)]
        return accept(received)


def runs(checkpoint):
    """Two workers that are asked; then one more, forked while the first process exports, if it does; and how they end."""
    run = SimpleNamespace(app=None, newest=set(), told=False)
    checkpoint.environment |= {"OTEL_METRIC_EXPORT_INTERVAL": f"{INTERVAL * 1000:.0f}", "OTEL_EXPORTER_OTLP_TIMEOUT": "10"}
    try:
        serve(checkpoint, run)
    except Broken as broken:
        silent = broken.diagnosis.rung == "does-not-answer" or "SystemExit" in broken.diagnosis.seen
        checkpoint.must(not (silent and run.app and exporting(run.app)), **ASLEEP)
        raise
    if checkpoint.showing:
        checkpoint.run("python endings.py")
        checkpoint.run("python -W ignore forked.py")
    return run


def serve(checkpoint, run):
    backend = Backend()
    with FakeServer(backend, port=checkpoint.sandbox.own_ports[OTLP_HTTP]) as server:
        with checkpoint.serve("sh production.sh") as run.app:
            run.app.get("/", headers=ALONE)
            first = next((process.parent() for process in workers(run.app)), None)
            run.app.require(ANSWERS)  # an app that does not answer has no second worker to wait for
            seen = [set()]
            run.app.until(lambda: seen.append(set(workers(run.app))) or len(seen[-1] & seen[-2]) > 1, patient(4))
            run.asked = [run.app.get("/", headers=ALONE) for _ in range(40)]
            seen.append(set(workers(run.app)))
            run.workers = max(len(now & before) for before, now in pairwise(seen))  # a command looks like one as it begins
            run.proxied = run.app.get("/", headers={"X-Forwarded-For": f"{MADE_UP}, {VISITOR}", "X-Forwarded-Proto": "https"})
            if run.app.until(lambda: backend.serving, patient(3)):
                run.asked += ask_until(run.app, lambda: len(backend.serving) >= run.workers, 8)
            run.first = set(backend.serving)
            if checkpoint.showing:
                run.app.until(lambda: len(tellers(run.app.console_so_far.metrics)) > 1)
                checkpoint.run("grep")
            known = set(workers(run.app))
            if len(run.first) >= run.workers > 1:
                one_more(run, backend, server, first)
            if checkpoint.showing:
                checkpoint.run("kill")
            elif first:
                late = set(workers(run.app)) - known
                with suppress(psutil.Error):  # it has ended
                    first.terminate()
                for worker in late if not run.told else ():
                    with suppress(psutil.Error):
                        worker.kill()  # it would wait for half a minute
            if first:  # for a worker that missed TERM gunicorn waits half a minute
                run.app.until(lambda: not run.app.processes(), patient(35))
        run.stored, run.caught = server.stored, backend.caught


def one_more(run, backend, server, first):
    """Have gunicorn's first process fork a worker, while it exports its metrics if it has any; and ask until that one answers."""
    backend.trap = True
    run.app.until(lambda: backend.caught, patient(1.2 * INTERVAL))
    backend.trap, known = False, set(workers(run.app))
    first.send_signal(signal.SIGTTIN)
    run.app.until(lambda: set(workers(run.app)) - known, patient(2))
    ask_until(run.app, lambda: backend.serving - run.first, 8)
    run.newest = backend.serving - run.first
    run.told = server.until(lambda s: run.newest & tellers(s.stored.metrics), patient(1.5))


def ask_until(app, condition, seconds):
    """Ask until something is so, for at most so many seconds; any worker may answer."""
    asked, deadline = [], time.monotonic() + patient(seconds)
    while not condition() and time.monotonic() < deadline:
        asked += [app.get("/", headers=ALONE) for _ in range(4)]
        app.until(condition, 0.3)
    return asked


def workers(app):
    """The processes that a Python process of the app has forked, without what these have forked themselves, such as a command."""
    there = {process.pid: process for process in app.processes()}
    found = {}
    for process in there.values():
        try:
            if process.ppid() in there and "python" in process.exe() and "python" in there[process.ppid()].exe():
                found[process] = process.ppid()
        except psutil.Error:
            pass  # it has ended
    pids = {process.pid for process in found}
    return [process for process, parent in found.items() if parent not in pids]


def exporting(app):
    """Whether gunicorn's first process has telemetry of its own: by the agent, or by the app that it has loaded for its workers."""
    settings_of_it = [text for name, text in app.facts().files.items() if name.endswith((".sh", "gunicorn.conf.py"))]
    return app.under_agent or any(re.search(r"--preload\b|^preload_app *= *True", text, re.M) for text in settings_of_it)


def tellers(metrics):
    """The instances that have measured requests."""
    return {metric.resource.get("service.instance.id") for metric in metrics if metric.name == DURATION}


def each_tells(checkpoint, run):
    """There are several workers, what each has served is known, and each by a name of its own."""
    checkpoint.must(
        run.workers,
        "no-workers",
        seen="what serves has forked no worker",
        expected="gunicorn with two",
        why="without a SERVER that is exported, src/run.sh serves by `flask run`, which is one process for one machine",
        do="`export SERVER='gunicorn -w 2 …'` in src/production.sh",
    )
    checkpoint.must(
        run.workers > 1,
        "one-worker",
        seen=f"gunicorn runs with {run.workers} worker",
        expected="two",
        why="a worker serves one request at a time, and while it starts anew nobody serves",
        do="`-w 2` in SERVER, in src/production.sh",
    )
    checkpoint.must(
        run.stored.spans or run.stored.metrics or run.app.under_agent,
        "not-set-up",
        seen="no signal of any worker has arrived, not even a metric",
        expected="all three, from each",
        why="`env` stands in the place of the agent and sets nothing up, so each worker must do so when it imports what it serves",
        do="`initialize()`, with its parentheses, in src/production.py, and `production:app` in src/production.sh",
    )
    files = checkpoint.sandbox.files()
    scripts = [settings.read(files[name], f"src/{name}") for name in files if name.endswith(".sh")]
    for_all = next((s for script in scripts for s in script.values() if "service.instance.id" in s.value), None)
    silent = exporting(run.app) and not for_all and 0 < len(run.first) < run.workers
    checkpoint.must(not silent, **MUTE | {"seen": f"{FORKED}, and has told nothing"})
    asked = [*run.asked, run.proxied]
    watched = {span.user_agent for span in run.stored.spans if span.kind == "server"}
    if bare := next((response for response in asked if response.agent not in watched), None):
        run.app.require(SPANS, spans=run.stored.spans, about=bare)
    checkpoint.must(
        len(run.first) >= run.workers,
        "one-identity",
        seen=f"{run.workers} workers have served {len(asked)} requests, and {len(run.first)} service.instance.id tells of them"
        + (f"\n{for_all.where}: {for_all.name}={for_all.value}" if for_all else ""),
        expected="one for each worker",
        why="counters of two processes with one identity are one series, in which each overwrites what the other has counted",
        do=f"take service.instance.id out of {for_all.where}: the SDK makes one in each process"
        if for_all
        else "let the SDK make it in each process",
    )


@pytest.mark.before("no-run-file")
def test_each_worker_tells_who_it_is_and_nothing_of_what_they_served_is_lost(checkpoint):
    run = checkpoint.shared(runs)
    each_tells(checkpoint, run)
    asked = [*run.asked, run.proxied]
    spans = [s for s in run.stored.spans if s.kind == "server" and s.user_agent in {r.agent for r in asked}]
    states = [m for m in current(run.stored.metrics, DURATION) if m.resource.get("service.instance.id") in run.first]
    records = {log.span_id for log in run.stored.logs if str(log.body).startswith("GET / 200")}
    late = [s for s in run.stored.spans if s.resource.get("service.instance.id") in run.first and s.kind == "server"]
    there = {
        "spans": (len(spans), len(asked)),
        "measurements": (sum(point.count for m in states for point in m.points), len(late)),
        "log records": (len(records & {s.span_id for s in spans}), len(asked)),
    }
    if not records:
        run.app.require(missing_package, lacks="a log record")
    by_chance = run.caught and run.first - tellers(run.stored.metrics)  # one of the first two was forked in that moment
    checkpoint.must(not by_chance, **MUTE)
    lost = {what: found for what, found in there.items() if found[0] != found[1]}
    checkpoint.must(
        not lost,
        "workers-lose",
        seen=", ".join(f"{found} of {of} {what}" for what, (found, of) in lost.items()) + " have arrived",
        expected="all, each once",
        why="gunicorn was told to stop by TERM, and each worker sends what it has when it ends in good order",
        do="let each worker have one provider of each signal: `initialize()` once, in src/production.py",
    )
    made = [s for s in run.stored.spans if s.statement.strip().startswith("CREATE TABLE task ")]
    checkpoint.must(
        len(made) == 1,
        "tables-made-again",
        seen=f"{len(made)} statements that make the table of tasks",
        expected="one: by the worker that came first",
        why="each worker starts the app, and two that look at the same time both find no table",
        do="make the tables inside `startup.one_at_a_time`",
        lesson="300/200/300",
    )


@pytest.mark.before("no-run-file")
def test_a_worker_that_comes_later_has_its_metrics_too(checkpoint):
    run = checkpoint.shared(runs)
    each_tells(checkpoint, run)
    checkpoint.must(
        run.newest,
        "no-new-worker",
        seen="gunicorn was told by TTIN to have one worker more, and no new instance has served a request",
        expected="three workers",
        why="workers come and go as long as gunicorn runs: after a time-out, with --max-requests, with a new version",
    )
    checkpoint.must(
        tellers(run.stored.metrics),
        "workers-lose",
        seen=f"no worker has told {DURATION}",
        expected="a measurement of each request",
        why="a worker has the metrics that are set up in it, and no others",
        do="`initialize()` in src/production.py, which sets up all three signals",
    )
    checkpoint.must(run.told, **MUTE)


@pytest.mark.before("no-run-file")
def test_behind_a_proxy_the_span_has_the_visitors_address(checkpoint):
    run = checkpoint.shared(runs)
    of_it = [span.attributes for span in run.stored.spans if span.kind == "server" and span.user_agent == run.proxied.agent]
    if not of_it:
        run.app.require(SPANS, spans=run.stored.spans, about=run.proxied)
    address, scheme = of_it[0].get("client.address"), of_it[0].get("url.scheme")
    checkpoint.must(
        address != MADE_UP,
        "proxy-fooled",
        seen=f"client.address is {address}, which the visitor has written into X-Forwarded-For",
        expected=f"{VISITOR}, which the one proxy has appended",
        why="a proxy appends the address that it saw; what stands before it came from outside",
        do="`x_for=1`: as many as there are proxies",
    )
    checkpoint.must(
        (address, scheme) == (VISITOR, "https"),
        "proxy-hides",
        seen=f"client.address is {address}, url.scheme is {scheme}",
        expected=f"{VISITOR} and https",
        why="the connection that the app sees is the proxy's; about the visitor's there are only headers. gunicorn believes them "
        "about the scheme, and only from a proxy on its own machine; about the address never",
        do="`app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1)` in src/production.py; this is your own step of the lesson",
    )
