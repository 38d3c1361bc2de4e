"""All three signals come with the key, the key is nowhere else, and the app serves whatever the backend says."""

import base64
import re
import secrets
import time
from threading import Event
from types import SimpleNamespace

import pytest
from opentelemetry.util.re import parse_env_headers

from workshop.checks.fake_server import PROTOBUF, FakeServer, accept, refuse
from workshop.checks.privacy import texts
from workshop.checks.process import patient
from workshop.diagnosis.backend import BACKEND, Backend
from workshop.diagnosis.packages import missing_package
from workshop.setup.ports import free_port

PORT, URL = 5350, "http://localhost:5350/otlp"
SIGNALS = {"traces": "spans", "metrics": "metrics", "logs": "log records"}
GAVE_UP = "due to timeout, max retries or shutdown"
TOLD = {401: "spans batch code: 401", 403: "spans batch code: 403", 413: "spans batch code: 413", 429: f"spans batch {GAVE_UP}"}
SECONDS = 1.0


class Provider:
    """What a backend does that takes OTLP from who has its key: it `says` so, or a status in its place, or nothing until it `speaks`."""

    def __init__(self):
        self.instance, self.token = str(100_000 + secrets.randbelow(900_000)), f"glc_{secrets.token_hex(48)}"
        self.key = base64.b64encode(f"{self.instance}:{self.token}".encode()).decode()
        self.says, self.pause = 200, "30"
        self.silent, self.speaks = Event(), Event()

    def __call__(self, received):
        if not self.says:
            self.silent.set()
            self.speaks.wait(10)
        if self.says not in (0, 200):
            return refuse(self.says, Retry_After=self.pause)
        if received.headers.get("Authorization") != f"Basic {self.key}":
            return refuse(401)
        return accept(received) if received.path == f"/otlp/v1/{received.signal}" else refuse(404)


def through_all(checkpoint):
    """One run of the app, whose backend takes all, then says no in all ways, then nothing, and then takes all again."""
    run, provider = SimpleNamespace(waited={}, told={}, back=None), Provider()
    run.provider = provider
    checkpoint.fence()  # the learner may have an account, and its address in the script or the shell
    checkpoint.environment |= {"OTEL_EXPORTER_OTLP_TIMEOUT": "2", "OTEL_METRIC_EXPORT_INTERVAL": "500"}
    checkpoint.environment.pop("CLOUD_ENDPOINT", None)
    with FakeServer(provider) as run.server:
        checkpoint.sandbox.own_ports[PORT] = run.server.port
        instance = checkpoint.folder / "instance"
        instance.mkdir(exist_ok=True)
        (instance / "cloud.env").write_text(f"CLOUD_INSTANCE={provider.instance}\nCLOUD_TOKEN={provider.token}\n")
        with checkpoint.serve("sh cloud.sh") as run.app:
            run.commands = [" ".join(process.cmdline()) for process in run.app.processes()]
            run.first = run.app.submit("/add", {"text": "Buy milk"})
            run.app.until(lambda: not missing(run) or in_vain(run), 5)
            if not missing(run):
                says_no(run, provider)
    return run


def missing(run):
    """The signals of which nothing was taken that tells of the first request."""
    kept = run.server.stored
    spans = [span for span in kept.spans if span.user_agent == run.first.agent]
    traces = {span.trace_id for span in spans}
    came = {"traces": spans, "metrics": kept.metrics, "logs": [log for log in kept.logs if log.trace_id in traces]}
    return [name for signal, name in SIGNALS.items() if not came[signal]]


def in_vain(run):
    """Whether the exporter has said why, or the backend has, so that waiting does not help."""
    return "exporting spans batch" in run.app.output or "Failed to export spans" in run.app.output


def says_no(run, provider):
    for status, words in {301: "", **TOLD}.items():
        provider.says, before, said = status, len(run.server.requests), len(run.app.output)
        run.waited[status] = timed(run.app)
        run.server.until(lambda s, n=before: any(r.signal == "traces" for r in s.requests[n:]))
        run.app.until(lambda w=words, n=said: w in run.app.output[n:], 3)
        run.told[status] = run.app.output[said:]
    provider.says, provider.pause = 429, "0.2"
    run.later = run.app.get("/")
    run.app.until(lambda: "Transient error Too Many Requests" in run.app.output, 3)
    provider.says = 200
    run.server.until(lambda _: came(run, run.later))
    provider.says = 0
    run.waited["nothing"] = timed(run.app)
    provider.silent.wait(3)
    run.waited["still nothing"] = timed(run.app)
    provider.says = 200
    provider.speaks.set()
    run.back = run.app.get("/")
    run.server.until(lambda _: came(run, run.back))


def came(run, response):
    """Whether the backend has taken the span of a request."""
    return any(span.user_agent == response.agent for span in run.server.stored.spans)


def timed(app):
    """How long a page takes, in seconds."""
    begun = time.monotonic()
    app.get("/")
    return time.monotonic() - begun


def require_all(run):
    """All three signals were taken. Raises Broken with what kept them from it."""
    if lacks := missing(run):
        asked = [(request.path, dict(request.headers)) for request in run.server.requests]
        run.app.require(
            BACKEND,
            *([missing_package] if lacks == [SIGNALS["logs"]] else []),
            backend=Backend(URL, f"Basic {run.provider.key}", asked),
            lacks="OTEL_EXPORTER_OTLP",
            otherwise=run.app.diagnosis(
                "not-taken",
                f"of {run.first} the backend has no {' and no '.join(lacks)}; it got {len(asked)} exports",
                "spans, metrics and log records",
                "this lesson sends all three to one endpoint, with one key",
                "300/800/200",
            ),
        )


@pytest.mark.before("no-run-file")
def test_all_three_signals_come_with_the_key(checkpoint):
    run = checkpoint.shared(through_all)
    require_all(run)
    strange = [request for request in run.server.requests if request.problem]
    checkpoint.must(
        not strange,
        "not-otlp",
        seen=f"{strange and strange[0].path}: {strange and strange[0].problem}",
        expected=f"OTLP over HTTP, as {PROTOBUF} or JSON",
        why="a backend decodes what the content type says",
    )


@pytest.mark.before("no-run-file")
def test_the_key_is_in_that_header_and_nowhere_else(checkpoint):
    run = checkpoint.shared(through_all)
    secret = (run.provider.token, run.provider.key)
    checkpoint.must(
        not any(one in command for command in run.commands for one in secret),
        "key-on-command-line",
        seen="the key stands in the command line of a process",
        expected="a key in a variable that is exported",
        why="everybody on this machine can list command lines, with `ps`; a process's variables are its owner's alone",
        do="export OTEL_EXPORTER_OTLP_HEADERS in src/cloud.sh, in place of the flag",
    )
    told = [*run.app.told(), *texts(run.server.stored, "what was exported")]
    place = next((place for place, text in told if any(one in text for one in secret)), "")
    checkpoint.must(
        not place,
        "key-told",
        seen=f"the key stands in {place}",
        expected="it in the header Authorization alone",
        why="telemetry and terminals are copied, kept, and read by many",
        do="take out what shows it, such as `set -x` or an attribute",
    )


@pytest.mark.before("no-run-file")
def test_the_app_serves_whatever_the_backend_says(checkpoint):
    run = checkpoint.shared(through_all)
    require_all(run)
    how, longest = max(run.waited.items(), key=lambda pair: pair[1])
    checkpoint.must(
        longest < patient(SECONDS),
        "app-waits",
        seen=f"a page took {longest:.1f} s while the backend said {how}",
        expected=f"less than {SECONDS:.0f} s, as ever",
        why="whoever asks for a page must not wait for telemetry: it is sent from a thread of its own",
    )
    unsaid = [status for status, words in TOLD.items() if words not in run.told[status]]
    checkpoint.must(
        not unsaid and "spans batch" not in run.told[301],
        "not-told",
        seen=f"the app's terminal says nothing of {unsaid or 'what it said before of a redirect'}",
        expected="a line for each batch that was refused, and none for a redirect",
        why="without those lines nobody learns that nothing arrives",
        do="let the loggers of `opentelemetry` write errors to the terminal",
    )
    checkpoint.must(
        came(run, run.later) and came(run, run.back),
        "not-recovered",
        seen="what was asked while the backend wanted a short pause, or after it had been silent, has not come",
        expected="its spans, without a restart of the app",
        why="a refusal may cost the batch that was refused, and nothing after it",
    )


@pytest.mark.before("no-run-file")
def test_what_is_sent_is_compressed(checkpoint):
    run = checkpoint.shared(through_all)
    plain = {request.signal for request in run.server.requests if not request.headers.get("Content-Encoding")}
    checkpoint.must(
        run.server.requests and not plain,
        "not-compressed",
        seen=f"{' and '.join(sorted(plain)) or 'nothing'} came without Content-Encoding",
        expected="gzip, for all three signals",
        why="this is your own step of the lesson: what leaves your network is paid by the byte",
        do="one more variable in src/cloud.sh, for all signals, above the line that starts the app",
    )


@pytest.mark.before("no-run-file")
def test_a_header_is_read_as_the_page_says(checkpoint):
    rows = re.findall(r"^\| `(.+?)` \| (?:`(.+?)`|nothing).* \|$", checkpoint.lesson.readme.read_text(), re.MULTILINE)
    for given, sent in rows:
        read = parse_env_headers(given.replace("⏎", "\n"), liberal=True)
        assert sent == ", ".join(f"{name}: {value}" for name, value in read.items()), given
    assert len(rows) == 6
    checkpoint.shared(through_all)
    if checkpoint.showing:
        show(checkpoint.beside("shown"))


def show(there):
    """What the page shows: a backend on this machine, its key, and what the app says when it is refused."""
    there.sandbox.own_ports[PORT] = free_port()
    there.environment |= {"OTEL_EXPORTER_OTLP_TIMEOUT": "2"}
    with there.serve("flask --app cloud run", port=PORT) as cloud:
        there.run("(umask 077")
        there.run("git check-ignore", folder=there.lesson.root / "src")
        with there.serve("sh cloud.sh", shown=True) as app:
            app.submit("/add", {"text": "Buy milk"})
            app.until(lambda: ": 0" not in cloud.get("/seen", traced=False).text, 5)
            there.run("curl -s http://localhost:5350/seen")
            for status, words in {401: "code: 401", 429: GAVE_UP}.items():
                there.run(f"curl -s -X POST http://localhost:5350/answer/{status}")
                app.get("/")
                app.until(lambda w=words: w in app.output, 5)
            there.run(". instance/cloud.env")
            cloud.post("/answer/200", wanted=200, traced=False)
