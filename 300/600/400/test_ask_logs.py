"""What was sent to the app is what the log store answers: each query of the page, held against the requests of the check."""

from collections import Counter
from types import SimpleNamespace

import pytest

from workshop.scenarios import traffic

KNOWN = "4bf92f3577b34da6a3ce929d0e0e4736"
SLOW_MS = 40


def visit(checkpoint):
    """One run with people: what they asked and were answered, and what the log store answers to each query."""
    with checkpoint.start("logs") as logs:
        with checkpoint.serve() as app, traffic.trouble(checkpoint.database, slow_rows=200):
            page = app.get("/", traceparent=True)
            checkpoint.run("curl -s -o /dev/null")
            requests = traffic.send(app.url, traffic.plan(14, 1.2, errors=0.2, slow=0.15)).requests
            # the span and the access line of an answer come after it
            app.until(lambda: app.output.count('"body": "127.0.0.1 - - ') >= len(requests) + 2)
        silent = [request for request in requests if request.problem]
        checkpoint.must(
            not silent,
            "no-answer",
            seen=f"{len(silent)} of {len(requests)} requests got no answer",
            expected="an answer to each of them",
            why="many people came at once, and the app did not keep up",
        )
        row = app.in_log_store(logs, "GET / 200", app.server_span(page))
        checkpoint.must(
            'service.name="todo"' in row["_stream"] and "service.instance.id" not in row["_stream"],
            "stream-fields",
            seen=f"the stream {row['_stream']}",
            expected='{service.name="todo"}',
            why="a stream is what is written and read together; with the id of a process in it, each start of the app begins another",
            do="`export OTEL_EXPORTER_OTLP_LOGS_HEADERS=VL-Stream-Fields=service.name` in src/run.sh",
        )
        told = app.console.logs
        logs.until(lambda: int(logs.query("* | stats count() n")[0]["n"]) >= len(told))
        answers = {block.text: logs.query(block.text) for block in checkpoint.lesson.blocks if block.kind == "query"}
        pieces = [logs.query(f'"task was add"{more} | stats count() n')[0]["n"] for more in ("", "*")]
    asked = Counter(request.kind[1:] for request in requests) + Counter({("GET /", "200"): 2})
    return SimpleNamespace(app=app, requests=requests, asked=asked, told=told, answers=answers, pieces=pieces)


def answer(checkpoint, run, start: str) -> list[dict[str, str]]:
    """What the page's query that begins so came to."""
    return run.answers[checkpoint.block("query", start).text]


def same(checkpoint, query: str, told, sent) -> None:
    checkpoint.must(
        told == sent,
        "query-answer",
        seen=f"{query} …\ncomes to {told}",
        expected=f"{sent}, which follows from what was sent",
        why="a query that nobody holds against known requests may be wrong for years",
    )


def counted(rows: list[dict[str, str]], name: str, number: str) -> Counter:
    """How often each value of `name`, over all rows."""
    found: Counter = Counter()
    for row in rows:
        found[row.get(name, "")] += int(row[number])
    return found


@pytest.mark.before("logs-not-sent")
def test_a_trace_is_found_by_its_id_with_every_line_of_it(checkpoint):
    run = checkpoint.shared(visit)
    rows = answer(checkpoint, run, "trace_id:=")
    said = sorted((log for log in run.told if log.trace_id == KNOWN), key=lambda log: log.time_ns)
    same(checkpoint, "trace_id:=", [row["_msg"] for row in rows], [log.body for log in said])
    assert "GET / 200" in [row["_msg"] for row in rows]


@pytest.mark.before("logs-not-sent")
def test_tasks_and_failures_are_as_many_as_were_sent(checkpoint):
    run = checkpoint.shared(visit)
    added = run.asked["POST /add", "302"]
    same(checkpoint, '"task was added"', answer(checkpoint, run, '_time:1h "task was added"'), [{"tasks": str(added)}])
    assert added and run.pieces == ["0", str(added)]

    failed: dict[str, set[str]] = {}
    for log in run.told:
        if log.severity == "ERROR" and "exception.type" in log.attributes:
            failed.setdefault(log.attributes["exception.type"], set()).add(log.trace_id)
    wanted = [{"service.name": "todo", "exception.type": name, "requests": str(len(ids))} for name, ids in failed.items()]
    same(checkpoint, "severity_number:>=17", answer(checkpoint, run, "_time:1h severity_number"), wanted)
    assert set().union(*failed.values()) == {request.trace_id for request in run.requests if request.status == 500} != set()
    if checkpoint.showing:
        show(checkpoint)


@pytest.mark.before("logs-not-sent")
def test_answers_are_counted_by_field_and_by_pattern(checkpoint):
    run = checkpoint.shared(visit)
    sent: Counter = Counter()
    for (_, status), count in run.asked.items():
        sent[status] += count
    over_time = answer(checkpoint, run, "_time:1h http.response.status_code")
    same(checkpoint, "by (_time:10s)", counted(over_time, "http.response.status_code", "answers"), sent)
    assert [row["_time"] for row in over_time] == sorted(row["_time"] for row in over_time)
    assert all(row["_time"].endswith("0Z") for row in over_time), "every ten seconds"
    same(checkpoint, "extract", counted(answer(checkpoint, run, "_time:1h scope.name"), "status", "answers"), sent)


@pytest.mark.before("logs-not-sent")
def test_what_was_slow_is_found_with_its_route(checkpoint):
    run = checkpoint.shared(visit)
    spans = {span.trace_id: span.duration_ms for span in run.app.spans if span.kind == "server"}
    lines = [log for log in run.told if "http.response.status_code" in log.attributes]
    bare = [log for log in lines if log.trace_id not in spans]
    checkpoint.must(
        not bare,
        "line-without-span",
        seen=f"{len(bare)} of {len(lines)} lines of an answer are of no trace that has a SERVER span on the console",
        expected="lines that are written while the request has its span",
        why="where a line belongs to no request, nobody knows whose time it tells",
    )
    lines = [log for log in lines if log not in bare]
    took = {log.trace_id: log.attributes.get("todo.duration_ms") for log in lines}
    wrong = [trace for trace, ms in took.items() if not isinstance(ms, (int, float)) or not 0 < ms <= spans[trace] + 1]
    slow = {request.trace_id for request in run.requests if request.journey == "slow" and request.path == "/add"}
    wrong += [trace for trace in slow if trace in took and trace not in wrong and took[trace] < spans[trace] / 2]
    checkpoint.must(
        took and not wrong,
        "duration",
        seen=", ".join(f"{took[trace]!r} where the span took {spans[trace]:.1f} ms" for trace in wrong[:2])
        or "no line of an answer",
        expected="todo.duration_ms is how long the request took, a number of milliseconds",
        why="a line that does not know how long its request took cannot be searched for what was slow",
        do="note the time in a function that `app.before_request` calls, and give the difference to `tell`'s line",
    )
    longest = sorted(((ms, trace) for trace, ms in took.items() if ms > SLOW_MS), reverse=True)[:5]
    rows = answer(checkpoint, run, "_time:1h todo.duration_ms:>")
    same(checkpoint, "todo.duration_ms:>", [float(row["todo.duration_ms"]) for row in rows], [ms for ms, _ in longest])
    assert slow and {row["trace_id"] for row in rows} <= {trace for trace, ms in took.items() if ms >= longest[-1][0]}
    p95 = {row.get("http.route", ""): float(row["p95"]) for row in answer(checkpoint, run, "_time:1h todo.duration_ms:*")}
    by_route: dict[str, list[float]] = {}
    for log in lines:
        by_route.setdefault(log.attributes.get("http.route", ""), []).append(took[log.trace_id])
    same(checkpoint, "quantile(0.95)", p95, {route: at(sorted(all_ms), 0.95) for route, all_ms in by_route.items()})


def at(values: list[float], share: float) -> float:
    """The value below which that share of them lies."""
    return values[min(len(values) - 1, int(share * len(values)))]


def show(checkpoint):
    """What the page shows: an answer after some traffic, what the store dropped, and an answer of a file's lines."""
    root = checkpoint.folder.parent
    with checkpoint.start("logs") as logs:
        checkpoint.run("workshop up", folder=root, LOGS_URL=logs.url)
        with checkpoint.serve() as app:
            there = {"WORKSHOP_TRAFFIC_URL": app.url, "WORKSHOP_TRAFFIC_DATABASE": str(checkpoint.database)}
            checkpoint.run("workshop traffic", folder=root, **there)
        told = len(app.console.logs)
        assert logs.until(lambda: int(logs.query("* | stats count() n")[0]["n"]) >= told)
        checkpoint.run("curl -s http://localhost:9428/select")
        checkpoint.run("curl -s http://localhost:9428/metrics")
    with checkpoint.serve("sh run.sh 2> lines.jsonl") as app:
        for path, status in (("/", 200), ("/health", 200), ("/no-such-page", 404)):
            app.get(path, wanted=status)
    checkpoint.run("jq ")
