"""All three signals reach Elastic with a key, by the agent and by Elastic's own distribution, which is really the one that runs."""

import secrets
from types import SimpleNamespace

import pytest

from workshop.checks.fake_server import FakeServer, accept, refuse
from workshop.diagnosis.backend import BACKEND, Backend
from workshop.diagnosis.packages import missing_package
from workshop.setup.ports import free_port

PORT, URL = 5350, "http://localhost:5350"
SIGNALS = {"traces": "spans", "metrics": "metrics", "logs": "log records"}
BASE, EDOT = "requirements.txt", "300/800/400/edot-requirements.txt"
ELASTIC = "elastic-otlp-http-python/"


def exported(checkpoint, command):
    """One run of the app by a script, and what the backend got that the script sends to."""
    run = SimpleNamespace(token=f"essu_{secrets.token_urlsafe(60)}==")
    keys = f"Bearer {run.token}", f"ApiKey {run.token}"

    def answer(received):
        if received.headers.get("Authorization") not in keys:
            return refuse(401)
        return accept(received) if received.path == f"/v1/{received.signal}" else refuse(404)

    checkpoint.fence()  # the learner may have an account, and its address in the script or the shell
    checkpoint.environment |= {"OTEL_EXPORTER_OTLP_TIMEOUT": "2", "OTEL_METRIC_EXPORT_INTERVAL": "500"}
    checkpoint.environment.pop("CLOUD_ENDPOINT", None)
    with FakeServer(answer) as run.server:
        checkpoint.sandbox.own_ports[PORT] = run.server.port
        instance = checkpoint.folder / "instance"
        instance.mkdir(exist_ok=True)
        (instance / "cloud.env").write_text(f"CLOUD_INSTANCE=100000\nCLOUD_TOKEN={run.token}\n")
        with checkpoint.serve(command) as run.app:
            run.first = run.app.submit("/add", {"text": "Buy milk"})
            run.app.until(lambda: not missing(run) or in_vain(run), 5)
    return run


def missing(run):
    """The signals of which nothing was taken that tells of the first request."""
    kept = run.server.stored
    spans = [span for span in kept.spans if span.user_agent == run.first.agent]
    traces = {span.trace_id for span in spans}
    histograms = [metric for metric in kept.metrics if metric.kind == "histogram"]
    came = {"traces": spans, "metrics": histograms, "logs": [log for log in kept.logs if log.trace_id in traces]}
    return [name for signal, name in SIGNALS.items() if not came[signal]]


def in_vain(run):
    """Whether the exporter has said why, or the backend has, so that waiting does not help."""
    return "exporting spans batch" in run.app.output or "Failed to export spans" in run.app.output


def by_agent(checkpoint):
    return exported(checkpoint, "sh elastic.sh")


def by_edot(checkpoint):
    """The run by Elastic's distribution, which may reach this machine and no other."""
    there = checkpoint.beside("edot")
    for files in ((EDOT,), (BASE, EDOT)):
        there.make_environment(*files)
    run = exported(there, "sh edot.sh")
    run.asked = there.asked
    return run


def require_all(run):
    if lacks := missing(run):
        asked = [(request.path, dict(request.headers)) for request in run.server.requests]
        run.app.require(
            BACKEND,
            *([missing_package] if lacks == [SIGNALS["logs"]] else []),
            backend=Backend(URL, f"ApiKey {run.token}", asked),
            lacks="OTEL_EXPORTER_OTLP",
            otherwise=run.app.diagnosis(
                "not-taken",
                f"of {run.first} the backend has no {' and no '.join(lacks)}; it got {len(asked)} exports",
                "spans, metrics and log records",
                "this lesson sends all three to one endpoint, with one key",
                "300/800/400",
            ),
        )


@pytest.mark.before("no-run-file")
def test_all_three_signals_come_with_the_key(checkpoint):
    require_all(checkpoint.shared(by_agent))
    if checkpoint.showing:
        show(checkpoint)


@pytest.mark.before("no-run-file")
def test_histograms_are_told_as_deltas(checkpoint):
    run = checkpoint.shared(by_agent)
    require_all(run)
    wrong = {m.name for m in run.server.stored.metrics if m.kind == "histogram" and m.temporality != "delta"}
    checkpoint.must(
        not wrong,
        "cumulative-histograms",
        seen=f"{', '.join(sorted(wrong))}: cumulative",
        expected="delta",
        why="the agent's default is cumulative, and Elastic's own distribution says that Elastic can handle only deltas",
        do="`export OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=delta` in src/elastic.sh",
    )


@pytest.mark.before("no-run-file")
def test_what_comes_has_an_api_key(checkpoint):
    run = checkpoint.shared(by_agent)
    require_all(run)
    schemes = {request.headers.get("Authorization", "").partition(" ")[0] for request in run.server.requests}
    checkpoint.must(
        schemes == {"ApiKey"},
        "still-secret-token",
        seen="Authorization: Bearer …",
        expected="Authorization: ApiKey …",
        why="this is your own step of the lesson: a secret token is one for all, an API key can be taken back alone",
        do="another scheme in OTEL_EXPORTER_OTLP_HEADERS, in src/elastic.sh",
    )


@pytest.mark.before("no-run-file")
def test_elastics_distribution_runs_and_asks_nobody_else(checkpoint):
    run = checkpoint.shared(by_edot)
    checkpoint.must(
        "Configuration of configurator not loaded" not in run.app.output,
        "two-distros",
        seen="the agent said: Configuration of configurator not loaded, configurator already loaded",
        expected="one distribution in the environment of src/edot.sh: elastic-opentelemetry",
        why="the agent starts the first that Python finds; beside opentelemetry-distro, Elastic's may never start, and both are "
        "called `distro`, so that no setting can choose",
        do="take requirements.txt out of the line that makes the environment; elsewhere `pip uninstall opentelemetry-distro`",
    )
    require_all(run)
    senders = {request.headers.get("User-Agent", "") for request in run.server.requests}
    checkpoint.must(
        all(sender.startswith(ELASTIC) for sender in senders),
        "edot-inactive",
        seen=f"what came was sent by {', '.join(sorted(senders))}",
        expected=f"{ELASTIC}…",
        why="Elastic's distribution puts its own name first; without it another one was started",
        do='`. "$folder/bin/activate"` in src/edot.sh, before the line that runs elastic.sh',
    )
    checkpoint.must(
        not run.asked,
        "asks-the-clouds",
        seen=f"at its start it asked for {', '.join(run.asked)}",
        expected="this machine alone",
        why="those are the addresses at which a cloud tells its machines what they are; elsewhere nobody answers",
        do="name the detectors that you want: OTEL_EXPERIMENTAL_RESOURCE_DETECTORS in src/edot.sh",
    )


def show(checkpoint):
    """What the page shows: the steps in their order, with the backend that the learner was given."""
    first, second, last = (
        checkpoint.on_the_way(c) for c in ("sh elastic.sh", "sh edot.sh", "curl -s http://localhost:5350/seen | grep")
    )
    port = free_port()
    for there in (first, second, last):
        there.sandbox.own_ports[PORT] = port
    with first.serve("flask --app cloud run", port=PORT) as cloud:
        first.run("(umask 077")
        key = (first.folder / "instance" / "cloud.env").read_text()
        with first.serve("sh elastic.sh") as app:
            app.submit("/add", {"text": "Buy milk"})
        first.run("curl -s http://localhost:5350/seen")
        for there in (second, last):
            (there.folder / "instance").mkdir(exist_ok=True)
            (there.folder / "instance" / "cloud.env").write_text(key)
        second.fence()
        with second.serve("sh edot.sh", shown=True) as app:
            app.submit("/add", {"text": "Buy milk"})
        first.run("(. ")
        with last.serve("sh edot.sh") as app:
            app.submit("/add", {"text": "Buy milk"})
            app.until(lambda: ELASTIC in cloud.get("/seen", traced=False).text, 5)
        last.run("curl -s http://localhost:5350/seen | grep")
