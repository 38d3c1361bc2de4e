"""Every write is kept and a share of the reads, in whole traces; and what counts requests still counts all of them."""

import math
import re
import secrets
from types import SimpleNamespace

import pytest

from workshop.checks.fake_server import FakeServer
from workshop.checks.sandbox import OTLP_HTTP
from workshop.diagnosis.configuration import CONFIGURATION
from workshop.diagnosis.facts import Stage
from workshop.diagnosis.packages import missing_package
from workshop.telemetry.metrics import current

SAMPLING = Stage("SAMPLING")  # the rungs are this lesson's own
READS, MISSING, WRITES, CALLS, SHARE = 150, 50, 30, 15, 0.1
DURATION = "http.server.request.duration"


def runs(checkpoint):
    """Reads, writes and errors that begin here, and calls whose callers are kept or not."""
    run = SimpleNamespace()
    with FakeServer(port=checkpoint.sandbox.own_ports[OTLP_HTTP]) as server:
        with checkpoint.serve("sh sampled.sh") as run.app:
            ask, run.first = run.app, run.app.get("/")
            form = ask.form("/add")
            run.reads = [ask.get("/") for _ in range(READS)]
            run.reads += [ask.get("/nowhere", wanted=404) for _ in range(MISSING)]
            run.writes = [ask.post("/add", {**form, "text": f"Call {number}"}) for number in range(WRITES)]
            run.kept = [ask.get("/health/records", wanted=404, traceparent=True) for _ in range(CALLS)]
            unkept = [{"traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"} for _ in range(CALLS)]
            run.unkept = [ask.get("/nowhere", wanted=404, headers=headers, traced=False) for headers in unkept]
            run.unkept += [ask.post("/nowhere", form, wanted=404, headers=headers, traced=False) for headers in unkept]
        run.stored = server.stored
    run.spans = {span.user_agent: span for span in run.stored.spans if span.kind == "server"}
    if checkpoint.showing:
        for command in ("parentbased_traceidratio OTEL_TRACES_SAMPLER_ARG=0.1", "jaeger_remote"):
            checkpoint.run(f"OTEL_TRACES_SAMPLER={command}")
        checkpoint.run("OTEL_TRACES_SAMPLER=parentbased_traceidratio OTEL_TRACES_SAMPLER_ARG=10 ")
    return run


def there(run, asked):
    return [run.spans[response.agent] for response in asked if response.agent in run.spans]


@pytest.mark.before("no-run-file")
def test_every_write_is_kept_and_a_share_of_the_reads(checkpoint):
    run = checkpoint.shared(runs)
    writes, reads = there(run, run.writes), there(run, run.reads)
    bound = 5 * math.sqrt(len(run.reads) * SHARE * (1 - SHARE))
    wanted = len(run.reads) * SHARE
    right = len(writes) == WRITES and 1 <= len(reads) <= wanted + bound
    if not right:
        run.app.require(SAMPLING, *CONFIGURATION, lacks="OTEL_TRACES_SAMPLER")
    checkpoint.must(
        len(writes) == WRITES,
        "writes-dropped",
        seen=f"{len(writes)} of {WRITES} requests POST /add are kept; of {len(run.reads)} GET, {len(reads)}",
        expected=f"all {WRITES}",
        why="somebody will ask about a change; the method is among the attributes that a sampler is given when the span begins",
        do="ALWAYS_ON for what is neither GET nor HEAD, and OTEL_TRACES_SAMPLER=keep_writes in src/sampled.sh",
    )
    checkpoint.must(
        right,
        "wrong-share",
        seen=f"{len(reads)} of {len(run.reads)} requests that only read are kept",
        expected=f"a tenth: {wanted:.0f}, give or take {bound:.0f}, and at least one",
        why="chance decides by the trace id, and goes beyond that once in a million times",
        do="OTEL_TRACES_SAMPLER_ARG=0.1 in src/sampled.sh, and TraceIdRatioBased with that share in src/sampling.py",
    )


@pytest.mark.before("no-run-file")
def test_a_trace_obeys_its_caller_and_is_whole(checkpoint):
    run = checkpoint.shared(runs)
    of_unkept = [span for span in there(run, run.unkept)]
    checkpoint.must(
        not of_unkept,
        "caller-ignored",
        seen=f"{len(of_unkept)} of {len(run.unkept)} requests are kept whose callers are not: their `traceparent` ends in -00",
        expected="none of them",
        why="half a trace tells a story without a beginning",
        do="ParentBased(…) around your sampler; this is your own step of the lesson",
    )
    checkpoint.must(
        len(there(run, run.kept)) == CALLS,
        "caller-ignored",
        seen=f"{len(there(run, run.kept))} of {CALLS} requests are kept whose callers are kept: their `traceparent` ends in -01",
        expected=f"all {CALLS}",
        why="the caller shows this trace, and the part that was here is missing",
        do="ParentBased(…) around your sampler; this is your own step of the lesson",
    )
    inserts = {span.trace_id for span in run.stored.spans if span.statement.startswith("INSERT INTO task")}
    writes = there(run, run.writes)
    whole = [span for span in writes if span.trace_id in inserts]
    checkpoint.must(
        len(whole) == len(writes) > 0,
        "torn-trace",
        seen=f"{len(whole)} of {len(writes)} kept requests POST /add have their INSERT below them",
        expected="all",
        why="the sampler is asked for each span, also for those inside of a trace, and these have no method",
        do="ParentBased(…) around your sampler; this is your own step of the lesson",
    )


@pytest.mark.before("no-run-file")
def test_metrics_and_log_records_are_of_all_requests_and_exemplars_of_kept_ones(checkpoint):
    run = checkpoint.shared(runs)
    asked = [r for r in run.app.responses if r.path != "/health"]
    points = [point for metric in current(run.stored.metrics, DURATION) for point in metric.points]
    measured = sum(point.count for point in points)
    checkpoint.must(
        measured == len(asked),
        "not-all-measured",
        seen=f"{measured} measurements of {DURATION} for {len(asked)} requests",
        expected="one for each, whether its trace is kept or not",
        why="what is counted before anything is dropped stays exact",
        do="leave OTEL_METRICS_EXPORTER in src/run.sh as it is",
    )
    started = [point for metric in current(run.stored.metrics, "otel.sdk.span.started") for point in metric.points]
    by_result = {result: 0 for result in ("DROP", "RECORD_AND_SAMPLE")}
    for point in started:
        by_result[point.attributes.get("otel.span.sampling_result")] += point.value
    checkpoint.must(
        by_result["DROP"] and by_result["RECORD_AND_SAMPLE"] >= len(run.stored.spans),
        "not-all-measured",
        seen=f"otel.sdk.span.started: {by_result}; {len(run.stored.spans)} spans have arrived",
        expected="those that were kept, and apart from them those that were dropped",
        why="it is the one number that says how much the sampler drops",
        do="leave OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED in src/run.sh as it is",
    )
    kept = {span.trace_id for span in run.stored.spans}
    states = [point for metric in run.stored.metrics if metric.name == DURATION for point in metric.points]
    pointed = {exemplar.trace_id for point in states for exemplar in point.exemplars}
    checkpoint.must(
        pointed and pointed <= kept,
        "exemplar-into-nothing",
        seen=f"{len(pointed)} exemplars, of which {len(pointed - kept)} name a trace that was not kept",
        expected="at least one, and all of kept traces",
        why="an exemplar is made where a kept span is current; the click on it must end at a trace",
        do="leave OTEL_METRICS_EXEMPLAR_FILTER as it is: trace_based",
    )
    records = [log for log in run.stored.logs if re.match(r"(GET|POST) ", str(log.body)) and log.trace_id]
    if not records:
        run.app.require(missing_package, lacks="a log record")
    nowhere = {log.trace_id for log in records} - kept
    checkpoint.must(
        len(records) == len(asked) and nowhere,
        "not-all-logged",
        seen=f"{len(records)} log records for {len(asked)} requests, {len(nowhere)} of them of traces that were not kept",
        expected="one for each; a record is no part of a trace, and no sampler asks about it",
        why="who searches the log finds every request, and for most of them no trace",
        do="leave OTEL_LOGS_EXPORTER in src/run.sh as it is",
    )


@pytest.mark.before("no-threshold")
def test_a_kept_span_says_how_many_it_stands_for(checkpoint):
    said = checkpoint.run("OTEL_TRACES_SAMPLER=consistent").output
    found = re.search(r"(\d+) of 1000 are kept, tracestate: ot=th:c$", said, re.M)
    bound = 5 * math.sqrt(1000 * 0.25 * 0.75)
    checkpoint.must(
        found and abs(int(found[1]) - 250) <= bound,
        "no-threshold",
        seen=said.strip()[-300:],
        expected=f"250 of 1000, give or take {bound:.0f}, each with the tracestate ot=th:c",
        why="a span of a tenth and one of a quarter look the same, unless it says so",
        do="`consistent` in src/sampling.py, and its line in src/sampling.dist-info/entry_points.txt",
    )
    checkpoint.must(
        "have lost their attributes" not in said,
        "attributes-lost",
        seen=said.strip()[-300:],
        expected="spans that have the attributes with which they began",
        why="in 1.45.1 the experimental sampler answers without them, and the SDK takes what a sampler answers",
        do="`Whole(…)` around it in src/sampling.py, which gives them back",
    )
