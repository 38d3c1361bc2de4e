"""Does the Collector take its configuration, and pass on what it is sent?

It says what is wrong, and not where: only YAML's own mistakes have a line. The place is looked up in the file that it was given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from workshop.course.fences import ROOT
from workshop.diagnosis.facts import EXCERPT, Broken, Diagnosis, Facts, Stage, climb
from workshop.diagnosis.settings import nearest
from workshop.programs.program import Program

HERE = "300/700/400"
FIRST = "300/700/100"
SECTIONS = ("receivers", "processors", "exporters", "connectors", "extensions", "service", "pipelines", "telemetry")
# Keys of the components that the lessons use; the Collector names the wrong one, and none that would be right.
KEYS = """endpoint protocols grpc http tls insecure headers check_interval limit_mib spike_limit_mib attributes actions key value
action timeout send_batch_size sending_queue queue_size storage batch flush_timeout min_size max_size retry_on_failure
traces_endpoint metrics_endpoint logs_endpoint directory create_directory path flush_interval verbosity exporters receivers
processors extensions policies decision_wait num_traces name type status_code status_codes latency threshold_ms probabilistic
sampling_percentage allow_all_keys blocked_values blocked_key_patterns allowed_keys summary hash_function error_mode
trace_statements metric_statements log_statements trace_conditions metrics_flush_interval dimensions histogram exemplars
enabled level readers""".split()
# What other pages still teach, and what it is called in 0.159.
UNKNOWN = re.compile(r"'(\w+)' unknown type: \"([^\"]+)\".*?valid values: \[([^\]]*)\]", re.DOTALL)
RENAMED = {
    "logging": "debug",
    "jaeger": "otlp_grpc",
    "otlp": "otlp_grpc",
    "otlphttp": "otlp_http",
    "spanmetrics": "span_metrics",
    "filelog": "file_log",
    "hostmetrics": "host_metrics",
    "prometheusremotewrite": "prometheus_remote_write",
}


def yaml_syntax(f: Facts) -> Diagnosis | None:
    found = re.search(r"yaml: (?:unmarshal errors:\s+)?line (\d+): (.*)", f.collector)
    if not found:
        return None
    number, said = int(found[1]), found[2]
    lines = _lines(f)
    # The parser counts from 0 for some mistakes, and from 1 for others.
    tab = next((n for n in (number, number + 1) if "\t" in "".join(lines[n - 1 : n])), 0)
    if tab:
        return Diagnosis(
            "yaml-tab",
            f"{_at(f, tab)}: a tab, where YAML indents: {lines[tab - 1].strip()}",
            "blanks",
            "YAML takes nothing but blanks for indentation; how many is your choice, and the same for neighbors",
            f"put blanks in the place of the tab in {_at(f, tab)}",
            HERE,
        )
    if twice := re.search(r'mapping key "([^"]+)" already defined at line (\d+)', said):
        return Diagnosis(
            "yaml-twice",
            f"{_at(f, number)}: {twice[1]} stands there a second time; the first is in line {twice[2]}",
            f"each key once: two of a kind have names of their own, such as {twice[1].partition('/')[0]}/second",
            "the second one would take the place of the first, without a word",
            f"rename one of them, or make the two one, in {f.configuration_file}",
            HERE,
        )
    return Diagnosis(
        "yaml-syntax",
        f"{_at(f, number)}: {said}\n{''.join(lines[number - 1 : number]).strip()}",
        "a line that YAML understands",
        "brackets, braces and quotes come in pairs, a blank follows each colon, and neighbors are indented alike",
        f"mend {_at(f, number)} or the line after it",
        HERE,
    )


def unknown_key(f: Facts) -> Diagnosis | None:
    found = re.search(r"has invalid keys: ([\w., /-]+)", f.collector)
    if not found:
        return None
    key = found[1].split(",")[0].strip()
    owner = re.findall(r'configuration for "([^"]+)"', f.collector)
    near = nearest(key, SECTIONS if not owner else KEYS)
    where = _find(f, rf"\b{re.escape(key)}\s*:")
    return Diagnosis(
        "unknown-key",
        f"{where}: {key}" + (f" in {owner[-1]}" if owner else ""),
        (near or "a key that it knows")
        + (f"; the sections are {', '.join(SECTIONS[:6])}" if not owner else "" if near else f" in {owner[-1]}"),
        "what is misspelled is not left out in silence, as an environment variable would be: the Collector does not start",
        f"write {near} in {where}" if near else f"look up the settings of {owner[-1] if owner else 'the Collector'}",
        HERE,
    )


def removed_component(f: Facts) -> Diagnosis | None:
    said = re.search(r"the (\w+) exporter has been deprecated, use the (\w+) exporter", f.collector)
    unknown = UNKNOWN.search(f.collector)
    old = said[1] if said else unknown[2] if unknown else ""
    if old not in RENAMED:
        return None
    where = _find(f, rf"^\s+{old}(/[\w-]+)?\s*:")
    return Diagnosis(
        "removed-component",
        f"{where}: {old}",
        f"{RENAMED[old]}, which took its place",
        "old pages still show it; it was deprecated for a long time, and then taken out",
        f"write {RENAMED[old]} in {where}, with its own settings, and wherever a pipeline names it",
        HERE,
    )


def unknown_component(f: Facts) -> Diagnosis | None:
    found = UNKNOWN.search(f.collector)
    if not found:
        return None
    section, kind, valid = found[1], found[2], found[3].split()
    near = nearest(kind, valid)
    where = _find(f, rf"^\s+{re.escape(kind)}(/[\w-]+)?\s*:", section)
    return Diagnosis(
        "unknown-component",
        f"{where}: {kind} in {section}",
        near or f"one of {', '.join(valid)}",
        "the part before the slash is a type that this Collector has; what stands behind a slash is a name of your own",
        f"write {near} in {where}, and wherever a pipeline names it" if near else f"take another one in {where}",
        HERE,
    )


def not_configured(f: Facts) -> Diagnosis | None:
    found = re.search(r'service::(?:pipelines::)?([\w/-]+): references (\w+) "([^"]+)" which is not configured', f.collector)
    if not found:
        return None
    pipeline, kind, name = found.groups()
    section = f"{kind}s"
    there = _configured(f, section)
    near = nearest(name, there)
    where = _find(f, rf"[\[,\s]{re.escape(name)}[\],\s]", "service")
    return Diagnosis(
        "not-configured",
        f"{where}: {pipeline} names the {kind} {name}, and {section} has none of that name",
        near or f"one of {', '.join(there) or f'what stands below {section}'}",
        "a pipeline refers to components by the whole name under which they are configured, with what follows the slash",
        f"write {near} in {where}" if near else f"configure {name} below {section}, or take it out of {where}",
        HERE,
    )


def variable_missing(f: Facts) -> Diagnosis | None:
    found = re.search(r'unset environment variable.*[{ ]"name": "([^"]+)"', f.collector)
    if not found:
        return None
    where = _find(f, rf"\$\{{(env:)?{re.escape(found[1])}")
    return Diagnosis(
        "variable-missing",
        f"{where}: ${{env:{found[1]}}}, and nobody has set {found[1]}",
        "a variable that is set where the Collector starts, or a value to fall back on",
        "it becomes nothing at all: `validate` is silent, the start gives a warning, and the address has a hole",
        f"write ${{env:{found[1]}:-value}} in {where}, or set {found[1]} before `workshop up collector`",
        HERE,
    )


def no_health(f: Facts) -> Diagnosis | None:
    named = "health_check" in _service(f, "extensions")
    written = "\n".join(line for _, line in _section(f, "extensions"))
    port = re.search(r"health_check\S*:\s*\{?\s*endpoint:\s*\S*:(\d+)", written)
    elsewhere = port and port[1] != "5316"
    if "Everything is ready" not in f.collector or (named and not elsewhere):
        return None
    there = "health_check" in _configured(f, "extensions")
    return Diagnosis(
        "no-health-check",
        "the Collector runs, and nothing answers on port 5316"
        + (
            f"; {_find(f, 'health_check', 'extensions')} configures health_check"
            + (" with another port" if named else ", and service does not name it")
            if there
            else ""
        ),
        "extensions: [health_check] below service, with the endpoint localhost:5316",
        "an extension runs only where service names it; `workshop up` and the check ask this one whether the Collector is ready",
        f"mend {_find(f, 'health_check', 'extensions')}"
        if named
        else f"mend `extensions` below service in {f.configuration_file}",
        FIRST,
    )


def port_twice(f: Facts) -> Diagnosis | None:
    found = re.search(r":(\d+): bind: address already in use", f.collector)
    if not found:
        return None
    port = found[1]
    lines = [n for n, line in enumerate(_lines(f), 1) if re.search(rf"endpoint:.*:{port}\b|\bport: {port}\b", line)]
    owner = {"4317": "Jaeger", "4318": "Jaeger", "9090": "Prometheus", "9428": "VictoriaLogs", "5001": "the app"}.get(port, "")
    places = " and ".join(_at(f, n) for n in lines[:2]) or f.configuration_file
    return Diagnosis(
        "port-used-twice",
        f"{places}: port {port}, on which {owner or 'something'} listens already",
        "a port of its own for whatever listens: 5317 and 5318 for what comes in, 5316 for health",
        "one port belongs to one listener on a machine; who comes second ends at once",
        f"take another port in {places}",
        HERE,
    )


def bound_to_localhost(f: Facts) -> Diagnosis | None:
    reads = f.configuration.rpartition("/")[2]
    contained = [
        name for name in f.files if re.search(r"(^|/)(docker-)?compose[\w.-]*\.ya?ml$", name) and reads in f.files[name]
    ]
    compose = contained[0] if contained else ""
    text = f.files.get(compose, "")
    if "collector" not in text or "ports:" not in text or "network_mode: host" in text:
        return None
    bound = next((n for n, line in _section(f, "receivers") if re.search(r"endpoint:.*\b(localhost|127\.0\.0\.1):", line)), 0)
    if not bound:
        return None
    return Diagnosis(
        "bound-to-localhost",
        f"{_at(f, bound)}: {_lines(f)[bound - 1].strip()}; and src/{compose} runs the Collector in a container",
        "0.0.0.0, which is every address of the container",
        "inside a container, localhost is the container itself: what Docker publishes comes from outside of it, and is refused",
        f"write 0.0.0.0 in {_at(f, bound)}, and publish the port on this machine alone: 127.0.0.1:5318:5318",
        HERE,
    )


def loop(f: Facts) -> Diagnosis | None:
    listens = {port for _, line in _section(f, "receivers") for port in re.findall(r"endpoint:.*?:(\d+)", line)}
    for number, line in _section(f, "exporters"):
        port = re.search(r"endpoint:.*(?:localhost|127\.0\.0\.1|0\.0\.0\.0):(\d+)", line)
        if port and port[1] in listens:
            return Diagnosis(
                "collector-loop",
                f"{_at(f, number)}: an exporter sends to port {port[1]}, at which this very Collector receives",
                "the address of who comes next: Jaeger is at localhost:4317",
                "what it sends it receives again, and sends again: it turns round for ever and is in nobody's store",
                f"mend the endpoint in {_at(f, number)}",
                HERE,
            )
    return None


def disk_full(f: Facts) -> Diagnosis | None:
    if "no space left on device" not in f.collector:
        return None
    return Diagnosis(
        "disk-full",
        _said(f, "no space left on device"),
        "room on the disk that holds the queue and the files",
        "a queue on the disk grows while nobody takes from it; once the disk is full the Collector answers 503, and the app drops it",
        "make room (`df -h`), give the queue a smaller `queue_size`, or bring back who should take from it",
        HERE,
    )


def queue_full(f: Facts) -> Diagnosis | None:
    if "sending queue is full" not in f.collector:
        return None
    return Diagnosis(
        "queue-full",
        _said(f, "sending queue is full"),
        "a queue that is longer than the time for which the next one is away",
        "what does not fit is refused: the Collector answers 503, and the app drops it after a few seconds",
        f"bring back who takes from it (`workshop status`), or raise `queue_size` of that exporter in {f.configuration_file}",
        HERE,
    )


def jaeger_refuses(f: Facts) -> Diagnosis | None:
    heard = re.search(
        r"unknown service opentelemetry\.proto\.collector\.(metrics|logs)\.v1|:431[78]/v1/(metrics|logs)\b.*?\b404\b",
        f.collector,
    )
    if not heard:
        return None
    signal = heard[1] or heard[2]
    sent = [n for n, line in _section(f, "service") if re.match(rf"\s*{signal}\b", line)]
    where = _at(f, sent[0]) if sent else f.configuration_file
    return Diagnosis(
        "jaeger-refuses",
        f"{where}: {signal} are sent to Jaeger, which says "
        + ("404" if heard[2] else f"UNIMPLEMENTED: unknown service …{signal}.v1"),
        f"{signal} for {'Prometheus' if signal == 'metrics' else 'the log store'}, and only traces for Jaeger",
        "Jaeger takes traces and nothing else; what it refuses for good is dropped, and not tried again",
        f"name another exporter in the pipeline of {where}",
        HERE,
    )


def exporter_fails(f: Facts) -> Diagnosis | None:
    """What an exporter last reported of whom it sends to: it tries again, or has dropped it."""
    failed = re.findall(
        r'(?:Exporting failed|Dropping data).*"otelcol\.component\.id": "([^"]+)".*"error": "((?:[^"\\]|\\.)+)"', f.collector
    )
    if not failed:
        return None
    name, error = failed[-1]
    error = re.sub(r".*(?:rpc error: code = \w+ desc = |failed to make an HTTP request: )", "", error).replace('\\"', '"')
    where = _find(f, rf"^\s+{re.escape(name)}\s*:", "exporters")
    return Diagnosis(
        "exporter-fails",
        f"{where}: {name} is not rid of what it has: {error[:EXCERPT]}",
        "an address, with its scheme and path, at which somebody takes this signal by this protocol",
        "to its `endpoint` otlp_http adds /v1/ and the signal; a `metrics_endpoint` or `logs_endpoint` is used as it is",
        f"compare {where} and the lines below it with the page; `workshop status` names the addresses",
        FIRST,
    )


def old_component(f: Facts) -> Diagnosis | None:
    found = re.search(r'"(\w+)" alias is deprecated; use "(\w+)"', f.collector)
    if not found:
        return None
    where = _find(f, rf"^\s+{found[1]}(/[\w-]+)?\s*:")
    return Diagnosis(
        "old-component",
        f"{where}: {found[1]}",
        found[2],
        "it still works, with a warning at each start that `validate` does not give; one day it is taken out",
        f"write {found[2]} in {where}, and wherever a pipeline names it",
        HERE,
    )


def refused(f: Facts) -> Diagnosis | None:
    """Whatever else it says of its configuration when it ends."""
    found = re.search(r"^Error: (?:failed to get config: |invalid configuration: )?(.*(?:\n\n.*)*)", f.collector, re.MULTILINE)
    if not found:
        return None
    said = re.sub(r"(cannot unmarshal the configuration: )?decoding failed due to the following error\(s\):\s*", "", found[1])
    said = " ".join(said.split("\n\n20")[0].split())
    path = re.match(r"([a-z]+)::([\w/-]+)", said)
    where = _find(f, rf"^\s+{re.escape(path[2])}\s*:", path[1]) if path else f.configuration_file
    return Diagnosis(
        "configuration-refused",
        f"{where}: {said[:EXCERPT]}",
        "a configuration that it takes",
        "the words before `::` are the way to the place: section, component, setting",
        f"mend {where}, then check again",
        HERE,
    )


def _lines(f: Facts) -> list[str]:
    return f.files.get(f.configuration, "").splitlines()


def _at(f: Facts, number: int) -> str:
    return f"{f.configuration_file}:{number}"


def _section(f: Facts, name: str) -> Iterator[tuple[int, str]]:
    """The lines of a section with their numbers, without comments."""
    inside = False
    for number, line in enumerate(_lines(f), 1):
        if re.match(r"\w", line):
            inside = line.startswith(f"{name}:")
        if inside:
            yield number, re.sub(r"(^|\s)#.*", "", line)


def _find(f: Facts, pattern: str, section: str = "") -> str:
    """Where a line looks like that, as `src/file:line`; the file where none does."""
    lines = _section(f, section) if section else enumerate(_lines(f), 1)
    number = next((number for number, line in lines if re.search(pattern, line)), 0)
    return _at(f, number) if number else f.configuration_file


def _configured(f: Facts, section: str) -> list[str]:
    """The components of a section, by their names: the keys with the least indentation."""
    keys = [(len(m[1]), m[2]) for _, line in _section(f, section) if (m := re.match(r"( +)([\w/-]+)\s*:", line))]
    return [key for indent, key in keys if indent == min(keys)[0]]


def _service(f: Facts, key: str) -> str:
    """What a key directly below `service` has in its line."""
    return next((line for _, line in _section(f, "service") if re.match(rf"\s+{key}\s*:\s*\S", line)), "")


def _said(f: Facts, words: str) -> str:
    """What the Collector reports with these words: of which component, and the error."""
    line = next(line for line in f.collector.splitlines() if words in line)
    found = re.findall(r'"(?:otelcol\.component\.id|error)": "([^"]+)"', line)
    return ": ".join(found)[:EXCERPT] or line[:EXCERPT]


# What it says before it ends comes first: then it has passed on nothing.
COLLECTOR = Stage(
    "COLLECTOR",
    yaml_syntax,
    unknown_key,
    removed_component,
    unknown_component,
    not_configured,
    variable_missing,
    port_twice,
    refused,
    no_health,
    disk_full,
    queue_full,
    loop,
    jaeger_refuses,
    exporter_fails,
    bound_to_localhost,
    old_component,
)


def refusal(program: Program, log: str) -> Broken | None:
    """What keeps the learner's own Collector from running, by what it said; None for another program, or where nothing is known."""
    file = ROOT / program.configuration
    if program.name != "collector" or not file.is_file():
        return None
    files = {file.relative_to(ROOT / "src").as_posix(): file.read_text(encoding="utf-8", errors="replace")}
    found = climb(Facts("", "", files, collector=log), COLLECTOR)
    return Broken(found) if found else None
