"""Each panel of each board answers, with what follows from the traffic; the ways from a graph to a trace and to its logs are open."""

import re
import sqlite3
import time
from contextlib import closing
from types import SimpleNamespace

import pytest

from workshop.checks.sandbox import ADVISOR
from workshop.programs.instance import ProgramError
from workshop.scenarios import boards, traffic
from workshop.scenarios.expected import Expected

COUNT = 'http_server_request_duration_seconds_count{job="todo"}'
BUCKETS = 'http_server_request_duration_seconds_bucket{job="todo"}'
RECORDED = "todo:error_ratio:rate5m"
BUDGET, FIVE_MINUTES = 0.01, 300
SHARES = 0.5, 0.95, 0.99


def visited(checkpoint):
    """One run with people, of an app that has the new names only; and what each panel answers then."""
    written = sorted(path.name for path in (checkpoint.folder / "otel/dashboards").glob("*.json"))
    checkpoint.must(
        set(written) - {"article.json"},
        "board-unwritten",
        seen=f"boards: {', '.join(written) or 'none'}",
        expected="src/otel/dashboards/todo.json",
        why="this lesson writes it",
        do="write it as the page has it",
    )
    checkpoint.environment |= {"OTEL_METRIC_EXPORT_INTERVAL": "200", "OTEL_SEMCONV_STABILITY_OPT_IN": "http,database"}
    jaeger, calls = checkpoint.program("jaeger"), called(checkpoint)
    with checkpoint.start("prometheus") as prometheus, checkpoint.start("logs") as logs:
        services = {"jaeger": True}, {"command": "sh advisor.sh", "port": ADVISOR, "service": "advisor", "jaeger": True}
        with checkpoint.serve_together(*services) as (app, _), traffic.trouble(checkpoint.database):
            requests = traffic.send_one_of_each(app.url)
            if prometheus.until(lambda: counted(prometheus), 3):
                prometheus.until(lambda: counted(prometheus) >= len(requests), 10)
            with closing(sqlite3.connect(checkpoint.database)) as database, database:  # those who come delete what they add
                database.execute(
                    "INSERT INTO task (text, created_at) VALUES ('Milk', CURRENT_TIMESTAMP), ('Tea', CURRENT_TIMESTAMP)"
                )
            requests += traffic.send(app.url, traffic.plan(12, 1.5, errors=0.2)).requests
        app.in_prometheus(prometheus, f"sum({COUNT})", exactly=len(requests))
        complete = time.time()
        broken = {request.trace_id for request in requests if request.status >= 500}
        run = SimpleNamespace(app=app, prometheus=prometheus, logs=logs, jaeger=jaeger, broken=broken)
        run.expected = Expected(requests, prometheus.query(f"{COUNT}[5m]"), app.spans)
        run.bounds = [float(s.labels["le"]) for s in prometheus.query(f"count by (le) ({BUCKETS})") if s.labels["le"] != "+Inf"]
        over_all = f"sum by (le) (rate({BUCKETS}[5m]))"
        run.shares = [prometheus.query(f"histogram_quantile({share}, {over_all})")[0].value for share in SHARES]
        with closing(sqlite3.connect(checkpoint.database)) as database:
            [run.open] = database.execute("SELECT count(*) FROM task WHERE done_at IS NULL").fetchone()
        second_worker(prometheus, run.open)
        jaeger.until(lambda: called(checkpoint) > calls, 3)
        run.called = called(checkpoint) > calls
        prometheus.until(lambda: prometheus.query(f"timestamp({RECORDED}) >= {complete}"), 3)  # it is recorded every 2 s
        read(checkpoint, run)
        run.exemplar = app.exemplar(prometheus, BUCKETS, {request.trace_id for request in requests})
        run.trace = jaeger.until(lambda: jaeger.trace(run.exemplar), 3)
        follow(checkpoint, run)
    return run


def second_worker(prometheus, open_tasks):
    """What a second worker of the same server would tell just now: the same number of open tasks."""
    names = {"service.name": "todo", "service.instance.id": "second-worker"}
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in names.items()]
    point = {"asInt": str(open_tasks), "timeUnixNano": str(time.time_ns())}
    metric = {"name": "todo.tasks.open", "unit": "{task}", "gauge": {"dataPoints": [point]}}
    message = {"resourceMetrics": [{"resource": {"attributes": attributes}, "scopeMetrics": [{"metrics": [metric]}]}]}
    prometheus.post(dict(prometheus.addresses())["OTLP over HTTP"], message)


def read(checkpoint, run):
    """What the learner's files say, and what each panel gets; the first fault of a file is the verdict."""
    folder = checkpoint.folder / "otel"
    try:
        run.sources, run.panels = boards.sources(folder), boards.panels(folder)
        run.answers = {panel.where: answers(checkpoint, run, panel) for panel in run.panels}
    except boards.BoardError as error:
        checkpoint.must(
            False,
            "board-unreadable",
            seen=f"{error.where}: {error.problem}",
            expected="what Grafana can read",
            why="Grafana shows a board that it cannot read not at all, and says so in its own log",
            do=f"mend {error.where.partition(',')[0]}",
        )


def answers(checkpoint, run, panel):
    """What each question of a panel gets: at least one series, row or pair of services."""
    source = run.sources.get(panel.source)
    checkpoint.must(
        source,
        "no-data-source",
        seen=f"{panel.where} asks the data source {panel.source}",
        expected=f"one of {', '.join(run.sources) or 'those that a file below src/otel/grafana/datasources names; there is none'}",
        why="a panel finds its data source by the uid that the file of the data sources gives it",
    )
    try:
        found = list(boards.answers(panel, source))
    except ProgramError as error:
        checkpoint.must(
            False,
            "panel-error",
            seen=f"{panel.where}: {error}",
            expected="an answer",
            why="in Grafana that is a red corner, and no graph",
            do=f"mend it in {panel.where.partition(',')[0]}, or the url of {source.where}",
        )
    for question, answer in zip(panel.questions, found):
        if not answer and source.program.name == "prometheus":
            run.app.in_prometheus(run.prometheus, question.over("5m"))
        checkpoint.must(
            answer,
            "panel-empty",
            seen=f"{panel.where}: {question.text or 'the service map'} comes to nothing",
            expected="at least one answer, after people came and some of them met errors",
            why="an empty panel looks like a calm day",
        )
    return found


def follow(checkpoint, run):
    """The ways of the data sources: from an exemplar to a trace, from a trace to its log lines."""
    stores = {source.program.name: source for source in run.sources.values()}
    prometheus, jaeger = stores.get("prometheus"), stores.get("jaeger")
    run.to_trace = prometheus.more.get("exemplarTraceIdDestinations") or [] if prometheus else []
    run.to_logs = jaeger.more.get("tracesToLogsV2") or {} if jaeger else {}
    run.lines = []
    if run.to_logs.get("datasourceUid") in run.sources:
        asked = 'trace_id:="${__span.traceId}"' if run.to_logs.get("filterByTraceID") else ""  # Grafana's own
        asked = run.to_logs.get("query") if run.to_logs.get("customQuery") else asked
        run.asked = query = re.sub(r"\$\{__(trace|span)\.traceId\}", run.exemplar, str(asked))
        run.lines = run.logs.until(lambda: run.logs.query(query), 3) if run.exemplar in query else []


def counted(prometheus):
    return sum(series.value for series in prometheus.query(COUNT))


def called(checkpoint):
    """How often Jaeger has seen the app call the advisor."""
    return sum(d["callCount"] for d in checkpoint.jaeger.dependencies() if (d["parent"], d["child"]) == ("todo", "advisor"))


def failed(kind):
    return kind[1] >= "500"


def one(checkpoint, run, title):
    """The panel of that title, and its answers."""
    found = [panel for panel in run.panels if panel.title.casefold() == title.casefold()]
    checkpoint.must(
        len(found) == 1,
        "no-panel",
        seen=f"panels: {', '.join(panel.title for panel in run.panels) or 'none'}",
        expected=f"one with the title {title}",
        why="whoever is woken at night looks for a name",
        do="write it in src/otel/dashboards/todo.json",
    )
    return found[0], run.answers[found[0].where]


def holds(checkpoint, run, title, *wanted):
    """Each question of that panel comes to a sum between these two."""
    panel, found = one(checkpoint, run, title)
    checkpoint.must(
        len(found) == len(wanted),
        "panel-value",
        seen=f"{panel.where} asks {len(found)} questions",
        expected=f"{len(wanted)}",
        why="the page says what this panel shows",
    )
    for question, answer, (least, most) in zip(panel.questions, found, wanted):
        total = sum(series.value for series in answer)
        checkpoint.must(
            least - 1e-6 <= total <= most + 1e-6,
            "panel-value",
            seen=f"{panel.where}: {question.over('5m')} comes to {total:g}",
            expected=f"between {least:g} and {most:g}, which follows from what was sent",
            why="a graph that nobody held against known requests may be wrong for years",
        )


def holds_open_tasks(checkpoint, run):
    """Each number of that panel is the number of open tasks, although two workers tell it."""
    panel, found = one(checkpoint, run, "Open tasks")
    shown = [series.value for answer in found for series in answer]
    checkpoint.must(
        set(shown) == {run.open},
        "panel-value",
        seen=f"{panel.where} shows {', '.join(f'{value:g}' for value in shown)}",
        expected=f"{run.open}, which is what each of two workers told",
        why="the workers of a server count the same tasks, so their numbers are not added up",
    )


def holds_shares(checkpoint, run):
    """Each of the three is the share that the page names: what the traffic implies leaves room within a bucket, and Prometheus does not."""
    panel, found = one(checkpoint, run, "Answer times")
    for share, right, question, answer in zip(SHARES, run.shares, panel.questions, found):
        shown = [series.value for series in answer]
        checkpoint.must(
            shown == [pytest.approx(right, rel=0.03)],
            "panel-value",
            seen=f"{panel.where}: {question.over('5m')} comes to {', '.join(f'{value:g}' for value in shown)}",
            expected=f"{right:g}, within which {share:.0%} of all requests were answered",
            why="a share that is a little lower looks much better, and nobody sees it in a graph",
        )


@pytest.mark.before("board-unwritten")
def test_each_panel_answers_and_says_what_follows_from_the_traffic(checkpoint):
    run = checkpoint.shared(visited)
    expected = run.expected
    least, most = expected.increase()
    holds(checkpoint, run, "Requests a second", (least / FIVE_MINUTES, most / FIVE_MINUTES))
    least, most = expected.share(failed)
    holds(checkpoint, run, "Share of errors", (least, most))
    holds(checkpoint, run, "Error budget left", (1 - most / BUDGET, 1 - least / BUDGET))
    holds_open_tasks(checkpoint, run)
    holds(checkpoint, run, "Answer times", *(expected.quantile(share, run.bounds) for share in SHARES))
    holds_shares(checkpoint, run)
    panel, [rows] = one(checkpoint, run, "Requests that broke")
    checkpoint.must(
        sum(int(row.get("requests", 0)) for row in rows) == len(run.broken),
        "panel-value",
        seen=f"{panel.where}: {boards.told(rows)}",
        expected=f"{len(run.broken)} requests",
        why="one failure may be told twice: requests are counted, not records",
    )
    _, [map_] = one(checkpoint, run, "Who calls whom")
    checkpoint.must(
        run.called and ("todo", "advisor") in {(call["parent"], call["child"]) for call in map_},
        "panel-value",
        seen=f"who calls whom: {boards.told(map_)}",
        expected="todo calls advisor, once more than before",
        why="the map is drawn from spans whose parent belongs to another service",
    )


@pytest.mark.before("board-unwritten")
def test_a_dot_in_a_graph_leads_to_its_trace_and_the_trace_to_its_lines(checkpoint):
    run = checkpoint.shared(visited)
    panel, _ = one(checkpoint, run, "Answer times")
    ids = {source.id for source in run.sources.values() if source.program.name == "jaeger"}
    ways = [way for way in run.to_trace if way.get("name") == "trace_id" and way.get("datasourceUid") in ids]
    asks = any(question.exemplars for question in panel.questions)
    checkpoint.must(
        ways and asks and run.trace,
        "no-way-to-trace",
        seen=f"{panel.where} {'asks for exemplars' if asks else 'does not ask for exemplars'}; "
        f"the data source of Prometheus leads to {run.to_trace or 'nothing'}",
        expected=f"exemplars in the panel, and a way by their label trace_id to one of {', '.join(ids) or 'no Jaeger at all'}",
        why="an exemplar has an id and nothing else; that a click opens a trace is written in the data source",
        do='"exemplar": true in a target of the panel, and exemplarTraceIdDestinations in src/otel/grafana/datasources/stores.yaml',
    )
    checkpoint.must(
        run.lines and all(row.get("trace_id") == run.exemplar for row in run.lines),
        "no-way-to-logs",
        seen=f"the trace {run.exemplar} leads to {run.to_logs or 'nothing'}"
        + (f", which asks {run.asked!r} and gets {len(run.lines)} lines" if run.to_logs else ""),
        expected="the lines of that trace, and of no other",
        why="Grafana puts the id of the trace where the query has `${__trace.traceId}`; in a file of data sources its $ is written twice",
        do="query: 'trace_id:=\"$${__trace.traceId}\"' below tracesToLogsV2 in src/otel/grafana/datasources/stores.yaml",
    )
    if checkpoint.showing:
        show(checkpoint)


def show(checkpoint):
    """What the page shows: what each panel gets, before the article's two are mended."""
    there = checkpoint.on_the_way("workshop panels")
    root = there.folder.parent
    with there.start("prometheus") as prometheus, there.start("logs"):
        services = {"jaeger": True}, {"command": "sh advisor.sh", "port": ADVISOR, "service": "advisor", "jaeger": True}
        with there.serve_together(*services) as (app, _):
            where = {"WORKSHOP_TRAFFIC_URL": app.url, "WORKSHOP_TRAFFIC_DATABASE": str(there.database)}
            there.run("workshop traffic", folder=root, **where)
        prometheus.until(lambda: counted(prometheus), 3)
        there.run("workshop panels", folder=root, WORKSHOP_PANELS_FOLDER=str(there.folder / "otel"))
    with checkpoint.serve(checkpoint.block("command", "OTEL_SEMCONV_STABILITY_OPT_IN").text) as app:
        app.get("/")
