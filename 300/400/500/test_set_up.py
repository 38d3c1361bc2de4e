"""The app traces itself where no agent does it: the same spans either way, each once, and none is left behind."""

import secrets
from collections import Counter

import pytest

from workshop.diagnosis.facts import climb
from workshop.diagnosis.spans import STATEMENTS

IN_CODE, UNDER_AGENT = "AGENT= sh run.sh", "sh run.sh"
TRACE = "workshop trace --log output.log"
AGENTS_MARK = "telemetry.auto.version"
OWN = {"service.instance.id", AGENTS_MARK}


@pytest.mark.before("still-under-agent")
def test_the_spans_are_the_same_with_the_agent_and_without(checkpoint):
    in_code, sources = observed(checkpoint, IN_CODE)
    checkpoint.run(f"{TRACE} | grep")
    under_agent, others = observed(checkpoint, UNDER_AGENT)

    same(checkpoint, spans(in_code), spans(under_agent))
    same(checkpoint, sources, others)
    made, given = resource(in_code), resource(under_agent)
    checkpoint.must(
        made == given,
        "resource",
        seen=f"without the agent: {made}",
        expected=f"as with it: {given}",
        why="a resource that is put together by hand does not read what stands in the environment",
        do="make it with `Resource.create()`",
    )
    assert AGENTS_MARK in under_agent.spans[0].resource


@pytest.mark.before("two-apps")
def test_two_apps_in_one_process_make_one_span_for_each_request(checkpoint):
    printed = checkpoint.run("OTEL_TRACES_EXPORTER=console python -c 'from todo").output.strip()
    checkpoint.must(
        printed == "2",
        "two-apps",
        seen=f"two apps and a request to each:\n{printed}",
        expected="2, the number of SERVER spans, and not a word else",
        why="a second set-up must find the first one and leave it as it is, and each app must be watched",
    )
    checkpoint.run("python -c 'from opentelemetry import trace")

    late = checkpoint.on_the_way(TRACE)
    with late.serve(IN_CODE, shown=True, jaeger=True) as app:
        late.run("curl -s -o /dev/null -w")
        app.get("/")
    late.run(TRACE)
    assert {span.name for span in app.spans if span.parent_id is None} == {"GET /"}
    assert climb(app.facts(), STATEMENTS).rung == "too-late"


def observed(checkpoint, command):
    """The app, started so and asked for all that might differ, and where the spans of its POST came from."""
    checkpoint.database.unlink(missing_ok=True)
    checkpoint.environment["OTEL_BSP_SCHEDULE_DELAY"] = "60000"  # nothing leaves before the end
    with checkpoint.serve(command, jaeger=True) as app:
        added = app.submit("/add", {"text": "Buy milk"})
        refused = app.post("/add", {"text": "forged"}, wanted=400)
        missing = app.get("/no-such-page", wanted=404)
        page = app.get("/", traceparent=True)
        unsampled = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
        untraced = [app.get("/", traced=False, headers={"traceparent": unsampled}), app.get("/health", traced=False)]

    checkpoint.must(
        command != IN_CODE or not any(AGENTS_MARK in span.resource for span in app.spans),
        "still-under-agent",
        seen=f"`{IN_CODE}`, and spans with {AGENTS_MARK} in their resource",
        expected="spans that your own set-up makes",
        why="src/run.sh starts the agent although AGENT is empty; `${AGENT:-…}` with a colon does so, too",
        do="begin the last line of src/run.sh with ${AGENT-opentelemetry-instrument}",
    )
    checkpoint.must(
        app.spans,
        "no-word",
        seen=f"`{command}`: the app answers, and does not tell of any span until its end",
        expected="a SERVER span for each request",
        why="nothing sets telemetry up, or what waits in the batch is not sent when Python ends",
    )
    app.sql_below(app.server_span(page, name="GET /", route="/"))
    app.sql_below(app.server_span(added, name="POST /add", route="/add"))
    app.server_span(missing, name="GET /no-such-page")
    checkpoint.must(
        app.facts().spans_of(refused),
        "refused-unseen",
        seen="a forged form was refused with 400, and no span tells of it",
        expected="a SERVER span for every request, also for one that is refused at once",
        why="what hooks into the app first runs first; the form was refused before the instrumentation saw it",
        do="set telemetry up as soon as there is an app, before CSRFProtect(app)",
    )
    app.server_span(refused)
    recorded = [str(answer) for answer in untraced if app.facts().spans_of(answer)]
    checkpoint.must(
        not recorded,
        "unsampled",
        seen=f"spans for {' and '.join(recorded)}",
        expected="none for a health probe, and none where `traceparent` ends in 00, not recorded",
        why="a sampler that is given in code replaces the default, which follows the caller",
        do="leave the sampler out, and the provider asks OTEL_TRACES_SAMPLER",
    )
    stored = app.in_jaeger(added)
    return app, Counter(
        (f"{span.kind.upper()} {span.name} by {span.scope}", span.scope_version)
        for span in (stored, *app.below(stored, where="jaeger"))
    )


def spans(app):
    """Each span of a run, without what is another one in each run: ids, times, values."""
    names = {span.span_id: span.name for span in app.spans}
    return Counter(
        (
            f"{span.kind.upper()} {span.name}, {span.status}"
            + (f", below {names.get(span.parent_id, 'a span of the caller')}" if span.parent_id else ""),
            ", ".join(sorted(span.attributes)),
        )
        for span in app.spans
    )


def resource(app):
    return {name: value for name, value in app.spans[0].resource.items() if name not in OWN}


def same(checkpoint, in_code, under_agent):
    found = {"lost": list(under_agent - in_code), "added": list(in_code - under_agent)}
    checkpoint.must(
        not any(found.values()),
        "other-spans",
        seen="\n".join(f"{how}: {what} {more}" for how, some in found.items() for what, more in some[:3]),
        expected="span for span what comes under the agent",
        why="the agent instruments all that is installed and known; your set-up instruments what it names",
        do="name it in src/todo/telemetry.py, beside the others",
    )
