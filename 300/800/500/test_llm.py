"""A question to a language model is a span with its tokens, nothing of the talk is told, and no model holds anybody up."""

import importlib.util
import json
import os
import secrets
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import requests

from workshop.checks.fake_server import FakeServer, refuse, response
from workshop.checks.privacy import leak
from workshop.checks.sandbox import ADVISOR, OLLAMA
from workshop.course.requirements import requirements
from workshop.telemetry.otlp import Telemetry

LLM, RULE = "sh llm.sh", "Begin with the oldest."
MODEL, BY, USED = "gen_ai.request.model", "todo.advice.by", "gen_ai.client.token.usage"
TYPES = {"input": "prompt_eval_count", "output": "eval_count"}
CANARY = "zyxomma-4d81"
FAULTS = {"is missing": "no-such", "talks": "prose", "refuses": "refuses", "is busy": "busy", "is slow": "slow"}
ERRORS = ("is missing", "is busy", "is slow")
WANTED = "deepseek-r1:1.5b"
PIECE = 20
SECONDS, THINKING, SILENCE = 1.0, 0.02, 3.0
BY_PACKAGE = {
    "why": "people tell a model what they would tell nobody else; and this package records it unless it is told not to",
    "do": "export TRACELOOP_TRACE_CONTENT=false in src/llm.sh, above the line that starts the advisor",
}
BY_CODE = {
    "why": "people tell a model what they would tell nobody else; and no setting keeps what your own code tells",
    "do": "take it out of the code in src/ that prints it, logs it, or makes an attribute of it",
}


def asked(checkpoint):
    """One run of both services, whose model is the parrot: it does well at first, and then one thing after another wrong."""
    checkpoint.make_environment("300/800/500/llm-requirements.txt")
    bird, says = parrot(checkpoint), {}
    run = SimpleNamespace(failed={}, took={}, told=[], prompts=[])
    at_port = checkpoint.sandbox.own_ports[OLLAMA]  # where a host that stands in the code leads, too

    def answer(received):
        question = json.loads(received.body)
        run.prompts += [message["content"] for message in question.get("messages", ())] or [question["prompt"]]
        if says.get("model") == "slow":
            return [SILENCE]
        if says.get("model") == "busy":
            return refuse(503, '{"error": "server busy, please try again. maximum pending requests exceeded"}')
        told = bird.post(received.path, json={**question, **says})
        if told.status_code == 200:
            run.told.append(told.get_data(as_text=True).splitlines()[-1])
        return [THINKING, response(told.data, told.status, content_type=told.content_type)]

    services = {"command": LLM, "port": ADVISOR, "service": "advisor", "jaeger": True}, {"jaeger": True}
    with FakeServer(answer, port=at_port) as fake:
        checkpoint.environment |= {"OLLAMA_HOST": fake.url, "ADVISOR_MODEL": "parrot"}
        with checkpoint.serve_together(*services) as (advisor, app):
            form = app.form("/add")
            for canary in requirements().canaries:
                app.post("/add", {**form, "text": canary})
            run.page = app.get("/")
            before = len(fake.requests)
            run.word = advisor.get("/advice?left=3", wanted=200)
            run.questions = len(fake.requests) - before
            run.first = run.told[-1:]
            for how, says["model"] in FAULTS.items():
                begun = time.monotonic()
                run.failed[how] = advisor.get("/advice?left=3", wanted=200)
                run.took[how] = time.monotonic() - begun
    run.app, run.advisor, run.fake = app, advisor, fake
    run.request = advisor.server_span(run.word, name="GET /advice")
    checkpoint.must(
        run.questions,
        "model-not-asked",
        seen="no question came to the model while GET /advice was answered",
        expected="one",
        why="`--app advisor` serves src/advisor/__init__.py, and src/advisor/model.py asks only where it is imported",
        do="write `--app advisor.model` in src/llm.sh, and let the code ask where the endpoint is `advice`",
    )
    return run


def parrot(checkpoint):
    """The parrot as the lesson has it, whatever has become of the learner's, with words that stand nowhere else."""
    spec = importlib.util.spec_from_file_location("parrot", checkpoint.lesson.folder / "src" / "parrot.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ADVICE, module.REFUSAL = f"Feed the {CANARY} first.", f"I cannot talk about the {CANARY}."
    return module.app.test_client()


@pytest.mark.before("no-run-file")
def test_a_question_to_the_model_is_a_span_below_the_request_with_its_tokens(checkpoint):
    run = checkpoint.shared(asked)
    span = question_below(checkpoint, run.advisor, run.request)
    run.advisor.attribute(span, MODEL, "parrot")
    run.advisor.attribute(run.request, BY, "model")
    run.advisor.attribute(span, "gen_ai.response.model", "parrot")
    told = json.loads(run.first[0])
    for way, count in TYPES.items():
        run.advisor.attribute(span, f"gen_ai.usage.{way}_tokens", told[count])
    [below] = run.app.called(run.app.server_span(run.page, name="GET /"), run.advisor)
    question_below(checkpoint, run.advisor, below)
    if not checkpoint.turn:
        ask_an_ollama(checkpoint)
    if checkpoint.showing:
        show(checkpoint)


def question_below(checkpoint, advisor, request):
    """The one span of a question to a model that lies below this request."""
    found = [span for span in advisor.below(request) if span.kind == "client" and MODEL in span.attributes]
    elsewhere = [span for span in advisor.spans if MODEL in span.attributes and span.trace_id != request.trace_id]
    checkpoint.must(
        len(found) == 1,
        "no-model-span",
        seen=f"{len(found)} CLIENT spans with {MODEL} below {request.name}"
        + (f", and {len(elsewhere)} in other traces" if elsewhere else ""),
        expected="one, for one question",
        why="the instrumentation of `ollama` watches the client of that package, in the environment in which the advisor runs",
        do="ask by `ollama.Client`, in the thread of the request; `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS` must not name ollama",
    )
    return found[0]


@pytest.mark.before("no-run-file")
def test_nothing_of_the_talk_is_told_in_any_signal(checkpoint):
    run = checkpoint.shared(asked)
    run.app.keeps_secrets(run.advisor, run.fake)
    squeezed = [squeeze(prompt) for prompt in run.prompts]
    pieces = {prompt[at : at + PIECE] for prompt in squeezed for at in range(max(1, len(prompt) - PIECE + 1))}
    for place, text in (told for one in (run.advisor, run.app) for told in one.told()):
        asked_or_told = any(piece in squeeze(text) for piece in pieces) or leak(text, (CANARY,))
        checkpoint.must(
            not asked_or_told,
            "talk-recorded",
            seen=f"{text[:80]!r} in {place}",
            expected="neither what the model was asked nor what it said, nowhere",
            **(BY_PACKAGE if "gen_ai." in place else BY_CODE),
        )


def squeeze(text):
    return "".join(filter(str.isalnum, text)).casefold()


@pytest.mark.before("no-run-file")
def test_whatever_the_model_does_the_rule_answers_in_time_and_the_spans_say_why(checkpoint):
    run = checkpoint.shared(asked)
    for how, failed in run.failed.items():
        request = next(iter(run.advisor.facts().spans_of(failed)), None) or run.advisor.server_span(failed)
        checkpoint.must(
            RULE in failed.text,
            "no-rule",
            seen=f"the model {how}, and the advisor says {failed.text.strip()[:60]}",
            expected=RULE,
            why="a model may be gone, late, or talk: whoever asks the advisor gets what the rule says",
        )
        run.advisor.attribute(request, BY, "rule")
        statuses = [span.status for span in run.advisor.below(request) if MODEL in span.attributes]
        checkpoint.must(
            len(statuses) < 2,
            "asked-twice",
            seen=f"the model {how}, and {len(statuses)} questions came to it while GET /advice was answered once",
            expected="one",
            why="each takes its time and its tokens",
            do="look whether src/advisor/model.py holds its code twice, or asks in two places",
        )
        checkpoint.must(
            (statuses == ["ERROR"]) == (how in ERRORS) and len(statuses) == 1,
            "model-status",
            seen=f"the model {how}: its spans are {statuses}",
            expected="one, which is "
            + ("ERROR" if how in ERRORS else "no error: the call went well, only the answer is of no use"),
            why="a call fails where no answer comes, and an answer is of no use where your code says so: two different faults",
        )
    [slow] = [span for span in run.advisor.below(request) if MODEL in span.attributes]
    waited = min(run.took["is slow"], (slow.end_ns - slow.start_ns) / 1e9)  # the span, for this machine may be busy
    checkpoint.must(
        waited < SECONDS,
        "waits-for-model",
        seen=f"the model is slow, and the advisor has waited for it for {waited:.1f} s",
        expected=f"the rule's word, after less than {SECONDS:.0f} s",
        why="the to-do list waits one second; what comes later is paid for and thrown away. This is your own step of the lesson",
        do="give the model less than that: ADVISOR_SECONDS in src/llm.sh",
    )


@pytest.mark.before("no-run-file")
def test_tokens_are_counted(checkpoint):
    run = checkpoint.shared(asked)
    told = [json.loads(answer) for answer in run.told]
    for way, count in TYPES.items():
        found = run.advisor.histogram(USED, {"gen_ai.token.type": way}).sum
        wanted = sum(answer[count] for answer in told)
        checkpoint.must(
            found == wanted,
            "tokens-counted",
            seen=f"{USED}: {found:g} tokens of {way}",
            expected=f"{wanted}, those of answers that were of no use, too",
            why="what a model reads and writes is paid for, whatever it is good for",
        )


@pytest.mark.before("no-run-file")
def test_the_collector_masks_secrets_and_no_counts(checkpoint):
    run = checkpoint.shared(asked)
    trace_id, resource = secrets.token_hex(16), {"service.name": f"advisor-{secrets.token_hex(4)}"}
    told = question_below(checkpoint, run.advisor, run.request)
    span = replace(told, trace_id=trace_id, resource=resource, attributes=told.attributes | {"session.token": CANARY})
    used = replace(run.advisor.metric(USED), resource=resource)
    series = f'{USED.replace(".", "_")}_sum{{job="{resource["service.name"]}"}}'
    there = checkpoint.beside("collector")
    jaeger, prometheus, _ = map(there.program, ("jaeger", "prometheus", "logs"))
    with there.start("collector") as collector:
        collector.send(Telemetry([span], [used]))
        jaeger.until(lambda: jaeger.trace(trace_id) and prometheus.query(series), 5)
        came, ways = jaeger.trace(trace_id), {one.labels.get("gen_ai_token_type") for one in prometheus.query(series)}
    attributes = came[0].attributes if came else {}
    counts = {name: attributes.get(name) for name in (f"gen_ai.usage.{way}_tokens" for way in TYPES)}
    there.must(
        ways == set(TYPES) and all(value == span.attributes[name] for name, value in counts.items()),
        "counts-masked",
        seen=f"{counts} in Jaeger, series of {sorted(map(str, ways))} in Prometheus",
        expected="the numbers, and a series of input and one of output",
        why="`blocked_key_patterns` masks whatever has token in its name, and a token is a piece of a word, too",
        do="let `ignored_key_patterns` of the processor `redaction` in src/otel/collector.yaml name those of gen_ai",
        behind=collector,
    )
    there.must(
        attributes["session.token"] == "****",
        "secret-told",
        seen=f"session.token is {attributes['session.token']!r} in Jaeger",
        expected="****",
        why="what lets all names with token through lets secrets through",
        do="name no more than the counts in `ignored_key_patterns`: `^gen_ai\\.(token|usage)\\.`",
    )


def ask_an_ollama(checkpoint):
    """Ask a model of the Ollama that answers here, too. Where none does, say that only a stand-in was asked."""
    host = os.environ.get("OLLAMA_HOST", "127.0.0.1").rpartition("//")[2]
    url = f"http://{host}" if ":" in host else f"http://{host}:{OLLAMA}"
    try:
        models = [model["name"] for model in requests.get(f"{url}/api/tags", timeout=0.5).json()["models"]]
    except (requests.RequestException, ValueError, KeyError):
        models = []
    if not models:
        checkpoint.note(f"No Ollama with a model answers at {url}: a stand-in was asked, which answers as one does.")
        return
    model = WANTED if WANTED in models else models[0]
    checkpoint.note(f"What answers at {url} was asked, too: its model {model}.")
    there = checkpoint.beside("ollama")

    def pass_on(received):
        kind = {"Content-Type": "application/json"}
        told = requests.request(received.method, url + received.path, data=received.body, headers=kind, timeout=70)
        return [response(told.content, f"{told.status_code} {told.reason}", content_type=told.headers["Content-Type"])]

    with FakeServer(pass_on, port=there.sandbox.own_ports[OLLAMA]) as way:
        there.environment |= {"OLLAMA_HOST": way.url, "ADVISOR_MODEL": model, "ADVISOR_SECONDS": "60"}
        with there.serve(LLM, port=ADVISOR, service="advisor") as advisor:
            word = advisor.get("/advice?left=3", wanted=200, seconds=70)
    request = advisor.server_span(word, name="GET /advice")
    span = question_below(there, advisor, request)
    counted = [span.attributes.get(f"gen_ai.usage.{way}_tokens", 0) for way in TYPES]
    there.must(
        min(counted) > 0,
        "tokens-counted",
        seen=f"{span.name} of {model}: {counted[0]} tokens in, {counted[1]} out",
        expected="some of both",
        why="an Ollama says with its answer how many tokens it has read and written",
    )


def show(checkpoint):
    """What the page shows: the parrot, the talk in the trace, then no more of it, and what the tokens cost."""
    there = checkpoint.on_the_way("curl -s http://localhost:5001/")
    prometheus, cost = (
        there.program("prometheus"),
        checkpoint.block("query", "sum(gen_ai").text.replace("{", '{job="advisor", '),
    )
    there.environment |= {"OLLAMA_HOST": f"127.0.0.1:{there.sandbox.own_ports[OLLAMA]}"}
    with there.serve("flask --app parrot run", port=OLLAMA, jaeger=True):
        services = {"command": LLM, "port": ADVISOR, "service": "advisor", "jaeger": True, "shown": True}, {"jaeger": True}
        with there.serve_together(*services) as (advisor, app):
            app.get("/")  # the first page takes longest, and the list waits a second for advice
            there.run("curl -s http://localhost:5001/")
        there.run("workshop trace --service", JAEGER_URL=there.jaeger.query_url)  # both have stopped: the trace is whole
    assert prometheus.until(lambda: prometheus.query(cost), 5)
    used = {way: advisor.histogram(USED, {"gen_ai.token.type": way}).sum for way in TYPES}
    [series] = prometheus.query(cost)
    assert series.value == pytest.approx(used["input"] * 0.15e-6 + used["output"] * 0.60e-6)
    checkpoint.run("grep -c 'open tasks'")
    run = checkpoint.shared(asked)
    found = {}
    for how, failed in run.failed.items():
        [request] = run.advisor.facts().spans_of(failed)
        [span] = [span for span in run.advisor.below(request) if MODEL in span.attributes]
        found[how] = span.status, span.attributes.get("error.type"), span.attributes.get("gen_ai.usage.output_tokens", 0) > 0
    assert found == {
        "is missing": ("ERROR", "ResponseError", False),
        "is busy": ("ERROR", "ResponseError", False),
        "is slow": ("ERROR", "ReadTimeout", False),
        "talks": ("OK", None, True),
        "refuses": ("OK", None, True),
    }
