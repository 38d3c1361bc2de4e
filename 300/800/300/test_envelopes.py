"""What a request tells arrives at Azure whole, under other names; and nobody else is asked."""

import re
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from workshop.checks.fake_server import FakeServer, response
from workshop.checks.ingestion import Ingestion
from workshop.checks.sandbox import ADVISOR
from workshop.course.requirements import requirements
from workshop.diagnosis.spans import SPANS
from workshop.setup.ports import free_port

INGESTION, COMMAND = 5324, "sh azure.sh"
ADVICE = response('{"advice": "Begin with the oldest."}')
CANARIES = requirements().canaries
TABLES = {"server": "Request", "client": "RemoteDependency", "internal": "RemoteDependency"}


@pytest.mark.before("no-run-file")
def test_each_span_of_a_request_is_an_item_in_azure(checkpoint):
    run = checkpoint.shared(visited)
    span = run.app.server_span(run.advised, name="GET /", route="/")
    here = {s.span_id: s for s in run.app.spans if s.trace_id in run.traces}
    there = {item.data["id"]: item for item in run.azure.envelopes if item.kind in TABLES.values() and "id" in item.data}
    came(checkpoint, run, "traces", f"{len(here.keys() & there.keys())} of {len(here)} spans", here.keys() <= there.keys())
    server = there[span.span_id]
    roles = (server.tags["ai.cloud.role"], server.tags["ai.cloud.roleInstance"], server.tags.get("ai.application.ver"))
    checkpoint.must(
        roles == ("workshop.todo", span.resource["service.instance.id"], "1.0"),
        "another-role",
        seen=f"role {roles[0]}, version {roles[2]}",
        expected="role workshop.todo, version 1.0",
        why="Azure's map and its filters go by the role: `service.namespace`, a dot, `service.name`",
        do=f"set service.namespace and service.version in OTEL_RESOURCE_ATTRIBUTES in src/{run.app.facts().script}",
    )
    for span_id, told in here.items():
        same(told, there[span_id])
    assert (server.data["responseCode"], server.data["success"], server.rate) == ("200", True, 100)
    missed = there[run.app.server_span(run.nowhere).span_id]
    assert (missed.data["responseCode"], missed.data["success"], missed.kind) == ("404", False, "Request")
    good, bad = ([i for i in there.values() if i.trace_id == t and i.data.get("type") == "HTTP"] for t in run.traces[:2])
    assert [(i.data["name"], i.data["success"], i.data["resultCode"]) for i in good] == [("GET /advice", True, "200")]
    assert [i.data["success"] for i in bad] == [False]
    [failed] = run.azure.of("Exception", run.traces[1])
    assert (failed.data["exceptions"][0]["typeName"], failed.parent_id) == (
        "requests.exceptions.ConnectionError",
        bad[0].data["id"],
    )
    assert any(i.data.get("type") == "SQL" and "task" in i.data.get("data", "") for i in there.values())


def same(span, item):
    """An item says of a span what the span says of itself."""
    assert (item.kind, item.trace_id, item.parent_id) == (TABLES[span.kind], span.trace_id, span.parent_id), (span, item)
    days, hours, minutes, seconds = map(float, re.split(r"[.:]", item.data["duration"], maxsplit=3))
    assert abs((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000 - span.duration_ms) <= 1, (span, item)


@pytest.mark.before("no-run-file")
def test_a_line_of_the_log_arrives_in_its_trace_and_the_uploads_do_not(checkpoint):
    run = checkpoint.shared(visited)
    span = run.app.server_span(run.advised)
    said = [item for item in run.azure.of("Message", span.trace_id) if item.data["message"] == "GET / 200"]
    came(checkpoint, run, "logs", f"{len(said)} lines `GET / 200` in the trace of that request", len(said) == 1)
    assert said[0].parent_id == span.span_id
    about_itself = [m for m in run.azure.of("Message") if m.data["properties"].get("logger_name", "").startswith("azure")]
    checkpoint.must(
        not about_itself,
        "logs-its-uploads",
        seen=f"{len(about_itself)} items by {about_itself[0].data['properties']['logger_name'] if about_itself else ''}",
        expected="none: nobody asked for anything that is worth a warning",
        why="each upload is logged, and what is logged is uploaded: it goes on for ever, and each item costs",
        do="let the logger `azure` say WARNING and worse only, in src/todo/logs.py",
    )


@pytest.mark.before("no-run-file")
def test_what_you_count_arrives_and_no_other_address_is_asked(checkpoint):
    run = checkpoint.shared(visited)
    added = run.azure.metrics("todo.tasks.added")
    total = sum(point["value"] for point, _ in added)
    came(checkpoint, run, "metrics", f"todo.tasks.added comes to {total:g}", total == len(CANARIES))
    assert added[0][1] == {"todo.task.source": "form"}
    checkpoint.must(
        not run.asked,
        "asked-elsewhere",
        seen=f"the app asks for {', '.join(run.asked)}",
        expected="the address in the connection string, and no other",
        why="the exporter also asks which switches Microsoft has turned and on which machine it is, unless three variables forbid it",
        do=f"export the three APPLICATIONINSIGHTS_…=true of the page in src/{run.app.facts().script}",
    )
    if checkpoint.showing:
        show(checkpoint)


def visited(checkpoint):
    """One run: a page with the advisor's advice, one without, a task, an address that nobody has."""
    checkpoint.fence()
    with Ingestion() as azure:
        lead(checkpoint, azure.port)
        with checkpoint.serve(COMMAND) as app:
            with FakeServer(ADVICE, port=checkpoint.sandbox.ports[ADVISOR]):
                advised = app.get("/", traceparent=True)
            alone = app.get("/", traceparent=True)
            form = app.form("/add")
            for canary in CANARIES:
                app.post("/add", {**form, "text": canary})
            nowhere = app.get("/nowhere", 404, traceparent=True)
            azure.until(lambda azure: azure.of("Message", nowhere.trace_id), 2)
            seen = len(azure.requests)
            azure.until(lambda azure: len(azure.requests) >= seen + 2, 1)  # an upload, and what is said of it
    traces = [response.trace_id for response in (advised, alone, nowhere)]
    app.keeps_secrets(azure)
    asked = checkpoint.asked
    return SimpleNamespace(app=app, azure=azure, advised=advised, nowhere=nowhere, traces=traces, asked=asked)


def lead(checkpoint, port):
    """Let the port of the text lead to this one; what cannot be sent is kept in a folder of the check's own."""
    checkpoint.sandbox.own_ports[INGESTION] = port
    kept = checkpoint.folder.with_name("kept")
    kept.mkdir(exist_ok=True)
    checkpoint.environment["TMPDIR"] = str(kept)


def came(checkpoint, run, signal, seen, held):
    """What Azure got of a signal is what was told."""
    if not held:
        run.app.require(SPANS, lacks=signal)
    checkpoint.must(
        held,
        f"{signal}-not-in-azure",
        seen=f"{seen}; {len(run.azure.requests)} uploads came to the address in src/{run.app.facts().script}",
        expected="all that the app told",
        why="each signal has an exporter of its own, and all three have the same name",
        do=f"OTEL_{signal.upper()}_EXPORTER in src/{run.app.facts().script} needs azure_monitor_opentelemetry_exporter"
        if run.azure.requests
        else "compare the address in the connection string with the page's, with http:// and the port, and each …_EXPORTER",
    )


def show(checkpoint):
    """What the page shows, with the program that takes Azure's place; the last step is not taken yet."""
    assert "satisfied" in checkpoint.run("pip install", folder=checkpoint.lesson.root).output
    uploads = "grep -c 'Request URL'"
    there = checkpoint.on_the_way(uploads)
    there.fence()
    lead(there, free_port())
    seen, kept = there.folder / "azure.log", there.folder.with_name("kept")
    with ExitStack() as stack:
        stack.enter_context(there.serve("python ingestion.py", port=INGESTION))
        with there.serve(COMMAND) as app:
            there.run("curl -s -o /dev/null -H 'traceparent")
            there.run("curl -s -o /dev/null http://localhost:5001/nowhere")
            assert app.until(
                lambda: {"requests", "traces"} <= tables(seen, "4bf92f35") and "requests" in tables(seen, "nowhere")
            )
            there.run("grep 4bf92f35")
            there.run("grep 'requests.*nowhere")
            assert app.until(lambda: "traces" in tables(seen, "Request URL"))
            assert int(there.run(uploads).output) > 0
            stack.close()
            alone = app.get("/", traceparent=True)
            assert app.until(lambda: list(kept.glob("Microsoft-AzureMonitor-*/*/*.lock")))
            there.run("find ")
    sent_later(there, kept, alone)


def sent_later(there, kept, alone):
    """The next process with this key sends what the last one left: after a minute, which the name of a file stands for."""
    for file in kept.glob("Microsoft-AzureMonitor-*/*/*.lock"):
        file.rename(file.with_name(file.name.partition("@")[0]))
    with Ingestion(port=there.sandbox.ports[INGESTION]) as azure, there.serve(COMMAND) as app:
        app.get("/")
        assert azure.until(lambda azure: azure.of("Request", alone.trace_id))
    assert not list(kept.glob("Microsoft-AzureMonitor-*/*/*.blob"))


def tables(file, text):
    """The tables of the lines that hold a text."""
    return (
        {line.split()[0] for line in file.read_text(encoding="utf-8").splitlines() if text in line} if file.exists() else set()
    )
