"""An instrumentation that cannot be loaded is found and named, and one that has nothing to watch is no fault."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from workshop.checks.process import Process
from workshop.checks.sandbox import OLLAMA
from workshop.setup.environments import environment_of
from workshop.setup.uv import find_uv
from workshop.telemetry.console import read_console

TALK = ("What shall I do first?", "Take the smallest one first.")
NEEDS = "python -c 'from importlib.metadata import requires; print(requires(\"opentelemetry-instrumentation-openai-v2\"))'"
AGENT = "opentelemetry-instrument"
LATEST = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
}
ASKING = [
    (f"traceloop {AGENT} python ask.py ollama", {}),
    (f"traceloop {AGENT} python ask.py cut", {}),
    ("traceloop python ask.py traceloop", {}),
    ("traceloop python ask.py traceloop", {"TRACELOOP_TRACE_CONTENT": "false"}),
    (f"pinned {AGENT} python ask.py openai", {}),
    (f"pinned {AGENT} python ask.py openai", LATEST),
]
# What Python says last of an error that nobody has caught.
DIED = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception)(?::.*)?\Z", re.MULTILINE)
# Two instrumentations of the check's own: one breaks in a way of its own, the library of the other is not there.
MADE = {
    "broken_one": ("", 'raise RuntimeError("broken for good")'),
    "idle_one": (
        "Requires-Dist: no-such-library >= 1 ; extra == 'instruments'\nProvides-Extra: instruments\n",
        "import no_such_library",
    ),
}


def watched(checkpoint):
    """What `watching.py` says and how it ends: in each environment, and beside what the check has made."""
    file = checkpoint.folder / "watching.py"
    checkpoint.must(
        file.is_file(),
        "not-written",
        seen="no src/watching.py",
        expected="the lines that load what the agent would load",
        why="this lesson writes it",
        do="write src/watching.py as this page has it",
    )
    checkpoint.must(
        (checkpoint.folder / "with.sh").is_file(),
        "no-with-sh",
        seen="no src/with.sh",
        expected="the script that was given with this lesson",
        why="it runs a command in an environment of this lesson",
        do="cp 300/800/550/src/with.sh src/",
    )
    for name in ("openai", "pinned"):
        checkpoint.make_environment(f"300/800/550/{name}-requirements.txt")
    made = {name: install(checkpoint.folder.parent / "made" / name, name) for name in MADE}
    with ThreadPoolExecutor() as pool:
        runs = {
            "silent": pool.submit(run, checkpoint, "openai"),
            "well": pool.submit(run, checkpoint, "pinned", made["idle_one"]),
            "broken": pool.submit(run, checkpoint, "pinned", made["broken_one"]),
        }
    runs = {how: ran.result() for how, ran in runs.items()}
    died = DIED.search(runs["well"].said) or DIED.search(runs["silent"].said)
    checkpoint.must(
        not died,
        "watching-dies",
        seen=f"src/watching.py ends with\n{died and last(died.string)}",
        expected="a line for each instrumentation, whatever becomes of one",
        why="an error that nobody catches ends it before it has looked at the others",
        do="mend the line that it names, or catch the error there",
    )
    return runs


def install(folder, name):
    """Put an instrumentation of the check's own where Python finds it: the folder."""
    needs, code = MADE[name]
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}")
    (about / "entry_points.txt").write_text(f"[opentelemetry_instrumentor]\n{name} = {name}:Instrumentor\n")
    (folder / f"{name}.py").write_text(code)
    return folder


def run(checkpoint, environment, path=""):
    """What `watching.py` says in an environment, and its status."""
    command = checkpoint.block("command", "sh with.sh openai python watching.py").text.replace("openai", environment)
    process = ended(checkpoint, command, PYTHONPATH=str(path))
    said = process.output.replace(f"{checkpoint.folder}/", "src/").strip()
    return SimpleNamespace(said=said, status=process.exit_code)


def last(said):
    """The last lines of an output."""
    return "\n".join(said.splitlines()[-4:])


@pytest.mark.before("not-written")
def test_an_instrumentation_that_says_nothing_is_found_and_named(checkpoint):
    found = checkpoint.shared(watched)["silent"]
    checkpoint.must(
        any("openai" in line and "httpx" in line for line in found.said.splitlines()),
        "silence-kept",
        seen=f"in the environment `openai` it says: {found.said.strip()[-300:] or 'nothing'}",
        expected="openai, and that httpx is missing",
        why="the agent takes a missing module for a missing library, and says nothing; who does the same finds nothing",
    )
    checkpoint.must(
        found.status not in (0, None),
        "status-0",
        seen=f"it ends with status {found.status} where openai cannot be loaded",
        expected="another one",
        why="a deployment goes on after status 0; this is your own step of the lesson",
        do="end src/watching.py with `raise SystemExit(1)` when something could not be loaded",
    )
    if checkpoint.showing:
        show(checkpoint)


@pytest.mark.before("not-written")
def test_where_all_is_well_it_says_so_and_ends_well(checkpoint):
    found = checkpoint.shared(watched)["well"]
    checkpoint.must(
        found.status == 0 and "openai" in found.said,
        "false-alarm",
        seen=f"openai can be loaded, the library of idle_one is not there; it ends with status {found.status} and says:\n"
        + found.said.strip()[-300:],
        expected="status 0, and a line about openai",
        why="an instrumentation without its library is idle, as many are: an alarm that is always on is no alarm",
        do="ask `get_dist_dependency_conflicts(entry.dist)` first, as the agent does",
    )


@pytest.mark.before("not-written")
def test_one_that_breaks_in_another_way_hides_no_other(checkpoint):
    found = checkpoint.shared(watched)["broken"]
    checkpoint.must(
        found.status not in (0, None) and all(name in found.said for name in ("openai", "broken_one", "broken for good")),
        "one-stops-all",
        seen=f"broken_one raises a RuntimeError; it ends with status {found.status} and says:\n{last(found.said)}",
        expected="a line about broken_one, one about openai, and a status that is not 0",
        why="a package can raise anything while it is loaded, and your program runs on all the same",
        do="catch `Exception`, remember it in a name that is set once, before the loop, and end after the loop",
    )


def show(checkpoint):
    """What the page shows and its table says, by asking the parrot in each environment."""
    checkpoint.make_environment("300/800/550/traceloop-requirements.txt")
    checkpoint.on_the_way("sh with.sh openai python watching.py").run("sh with.sh openai python watching.py")
    checkpoint.environment["OLLAMA_HOST"] = f"http://127.0.0.1:{checkpoint.sandbox.own_ports[OLLAMA]}"
    with checkpoint.serve("flask --app parrot run", port=OLLAMA):
        checkpoint.run("sh with.sh openai opentelemetry-instrument")
        checkpoint.run("sh with.sh pinned opentelemetry-instrument")
        checkpoint.run("OTEL_RESOURCE_ATTRIBUTES=token")
        checkpoint.run("OTEL_METRICS_EXPORTER=console")
        with ThreadPoolExecutor() as pool:
            spans = [pool.submit(asked, checkpoint, command, **more) for command, more in ASKING]
    gave_up = ended(
        checkpoint,
        f"sh with.sh pinned {AGENT} python -c pass",
        PYTHONPATH=str(checkpoint.folder.parent / "made" / "broken_one"),
    )
    assert "Failed to auto initialize" in gave_up.output and gave_up.exit_code == 0
    single, cut, llmetry, silenced, openai, latest = [asking.result() for asking in spans]
    needs = ended(checkpoint, f"sh with.sh openai {NEEDS}").output
    file = checkpoint.lesson.folder / "openai-requirements.txt"
    find_uv()("pip", "check", "--python", environment_of(file, progress=print))  # fails where it finds a conflict
    assert "util-genai" in needs and "httpx" not in needs
    assert [sorted(span.name for span in spans) for spans in (single, llmetry, openai, latest)] == [
        ["ollama.chat"],
        ["advise.workflow", "ollama.chat"],
        ["chat parrot"],
        ["chat parrot"],
    ]
    assert [talk(spans) for spans in (single, llmetry, silenced, openai, latest)] == [True, True, False, False, True]
    [workflow] = [span for span in llmetry if span.name == "advise.workflow"]
    assert talk([workflow])
    stream = read_console((checkpoint.folder / "stream.log").read_text(encoding="utf-8"))
    [span] = stream.spans
    [duration] = [metric for metric in stream.metrics if metric.name == "gen_ai.client.operation.duration"]
    assert duration.points[0].sum < 1e-9 * (span.end_ns - span.start_ns) / 10
    assert ["gen_ai.usage.output_tokens" in found.attributes for found in (span, *cut)] == [True, False]
    names = [{name for span in spans for name in span.attributes} for spans in (single, llmetry, openai, latest)]
    assert ["gen_ai.operation.name" in found for found in names] == [False, False, True, True]
    assert ["gen_ai.system" in found for found in names] == [True, True, True, False]
    assert ["gen_ai.provider.name" in found for found in names] == [False, False, False, True]
    assert all({"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"} <= found for found in names)


def asked(checkpoint, what, **more):
    """The spans on the console of a question that is asked so."""
    process = ended(checkpoint, f"sh with.sh {what}", **more)
    assert process.exit_code == 0, process.output
    return read_console(process.output).spans


def ended(checkpoint, command, **more):
    """A command that has run to its end."""
    process = Process(command, checkpoint.folder, checkpoint.variables(**more))
    try:
        checkpoint.must(
            process.wait(60),
            "does-not-end",
            seen=f"`{command}` still runs after 60 s\n{process.output[-300:]}",
            expected="a command that ends",
            why="it waits for something",
        )
    finally:
        process.kill()
    return process


def talk(spans):
    return all(any(words in json.dumps(dict(span.attributes)) for span in spans) for words in TALK)
