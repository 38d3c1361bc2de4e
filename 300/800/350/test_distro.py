"""With Azure's distro every request arrives, with its statements; and how many arrive when nobody says so."""

from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from workshop.checks.ingestion import Ingestion
from workshop.checks.process import patient
from workshop.course.requirements import requirements
from workshop.diagnosis.spans import SPANS
from workshop.setup.ports import free_port

INGESTION, COMMAND = 5324, "sh distro.sh"
TIMES, PAGES = 60, 5


@pytest.mark.before("no-run-file")
def test_every_request_arrives_with_its_statements_and_nobody_else_is_asked(checkpoint):
    run = checkpoint.shared(asked)
    came = {item.trace_id for item in run.azure.of("Request")}
    missing = [response for response in run.quick if response.trace_id not in came]
    if not came:
        run.app.require(SPANS, lacks="traces")
    rates = {item.rate for item in run.azure.of("Request")}
    checkpoint.must(
        not missing and rates == {100},
        "sampled-away",
        seen=f"{TIMES - len(missing)} of {TIMES} requests" + (f", one that stands for {100 / min(rates):.0f}" if rates else ""),
        expected=f"{TIMES} of {TIMES}, each for itself",
        why="the distro keeps about five traces a second, unless a sampler that it knows says otherwise",
        do="OTEL_TRACES_SAMPLER=microsoft.fixed_percentage and OTEL_TRACES_SAMPLER_ARG=1.0, both exported in src/distro.sh",
    )
    sent = {response.trace_id for response in run.pages}
    lines = [i.trace_id for i in run.azure.of("Message") if i.data["message"] == "GET / 200" and i.trace_id in sent]
    checkpoint.must(
        sorted(lines) == sorted(sent),
        "lines-missing",
        seen=f"{len(lines)} lines `GET / 200` in the traces of {PAGES} pages",
        expected=f"{PAGES} lines, one in the trace of each page",
        why="where the root logger has a handler already, `basicConfig` does nothing; where it gets two, each line comes twice",
        do='logger_name="nobody" and LoggingInstrumentor().instrument() in src/distro.py',
    )
    statements = [
        i for i in run.azure.of("RemoteDependency") if i.data.get("type") == "SQL" and "SELECT" in i.data.get("data", "")
    ]
    checkpoint.must(
        sent <= {item.trace_id for item in statements},
        "sql-unwatched",
        seen=f"{len({item.trace_id for item in statements} & sent)} of {PAGES} pages with a statement below them",
        expected="one below each",
        why="the distro switches on the instrumentations that it knows, and that of SQLAlchemy is not among them; this is your own step",
        do="SQLAlchemyInstrumentor().instrument() in src/distro.py, before `from todo import create_app`: an engine that is made "
        "already is not watched",
    )
    checkpoint.must(
        not run.asked,
        "asked-elsewhere",
        seen=f"the app asks for {', '.join(run.asked)}",
        expected="the address in the connection string, and no other",
        why="live metrics have an address of their own, and a detector asks the machine whether it is one of Azure's",
        do="enable_live_metrics=False in src/distro.py; the detectors and the three …_DISABLED of the page in src/distro.sh",
    )
    roles = {item.tags["ai.cloud.role"] for item in run.azure.of("Request")}
    checkpoint.must(
        roles == {"workshop.todo"},
        "another-role",
        seen=f"role {', '.join(sorted(roles))}",
        expected="role workshop.todo",
        why="Azure's map and its filters go by the role: `service.namespace`, a dot, `service.name`",
        do="set service.namespace and service.name in OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME in src/distro.sh",
    )
    if checkpoint.showing:
        show(checkpoint)


def asked(checkpoint):
    """One run: sixty requests as quickly as they come, then some pages."""
    checkpoint.make_environment("300/800/350/distro-requirements.txt")
    checkpoint.fence()
    with Ingestion() as azure:
        checkpoint.sandbox.own_ports[INGESTION] = azure.port
        checkpoint.environment["TMPDIR"] = str(kept(checkpoint))
        with checkpoint.serve(COMMAND) as app:
            quick = [app.get("/health", traceparent=True, traced=False) for _ in range(TIMES)]
            pages = [app.get("/", traceparent=True, traced=False) for _ in range(PAGES)]
            form = app.form("/add")
            for canary in requirements().canaries:
                app.post("/add", {**form, "text": canary}, traced=False)
            app.until(lambda: checkpoint.asked, patient(1))  # live metrics first ask a second after the start
    app.keeps_secrets(azure)
    return SimpleNamespace(app=app, azure=azure, quick=quick, pages=pages, asked=checkpoint.asked)


def kept(checkpoint):
    """A folder of the check's own for what cannot be sent."""
    folder = checkpoint.folder.with_name("kept")
    folder.mkdir(exist_ok=True)
    return folder


def show(checkpoint):
    """What the page shows before the sampler is named, and what the agent says to two distros."""
    there = checkpoint.on_the_way("echo ")
    there.fence()
    there.sandbox.own_ports[INGESTION] = free_port()
    there.environment["TMPDIR"] = str(kept(there))
    with ExitStack() as stack:
        stack.enter_context(there.serve("python ingestion.py", port=INGESTION))
        with there.serve(COMMAND) as app:
            there.run("curl -s 'http://localhost:5001/health?[1-60]'")
        seen = there.folder / "azure.log"
        # The very first request stands for itself, and may come in a batch of its own.
        assert app.until(lambda: seen.read_text().count('"GET /health') == TIMES and sampled(seen))
        said = there.run("echo ").output.split()
        assert 0 < int(said[0]) < TIMES and said[4] == "0", said
        assert "x" in there.run("grep '^requests'").output
    assert app.under_agent is False
    assert checkpoint.run("(. ").exit_code == 0


def sampled(file):
    """Whether the last request that came stands for others, too."""
    requests = [line for line in file.read_text().splitlines() if line.startswith("requests")]
    return bool(requests) and "  x" in requests[-1]
