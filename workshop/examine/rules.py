"""The Instrumentation Score: its rules as far as one run can decide them, and its formula.

The specification is https://github.com/instrumentation-score/spec, as of April 9, 2026 (commit e6ee222). Ids, criteria, impacts,
weights and the formula are its own; the sentences are ours. A criterion that looks back for hours or days can be broken in a run
of seconds, and never proved in one: such a rule stays open."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from functools import cache

from workshop.examine.entries import FAILED, OPEN, PASSED, Entry, some
from workshop.telemetry.metrics import HistogramPoint
from workshop.telemetry.otlp import Telemetry

WEIGHTS = {"Critical": 40, "Important": 30, "Normal": 20, "Low": 10}
CATEGORIES = ((90, "Excellent"), (75, "Good"), (50, "Needs Improvement"), (0, "Poor"))
MOST_INTERNAL, MOST_SHORT, SHORT_MS, MOST_VALUES = 10, 20, 5, 10_000

RESOURCE_KEY = re.compile(
    r"service\.(name|namespace|version|instance\.id)|telemetry\.(sdk|distro)\.\w+|deployment\.environment(\.name)?"
    r"|k8s\.(pod|namespace|node|cluster|deployment|container)\.[\w.]+|host\.(name|id|arch|type)|container\.(id|name|image\.\w+)"
    r"|cloud\.(provider|region|account\.id|platform)|os\.(type|version)|process\.(pid|command\w*|executable\.\w+|runtime\.\w+)"
)
SPAN_KEY = re.compile(r"(http|url|db|rpc|messaging|exception|client|server|network|error|code)\.[\w.]+")
# UCUM as far as telemetry uses it: atoms with a metric prefix or without, annotations in braces, exponents, products, quotients.
ATOM = r"(?:\{[^{}\s]*\}|1|%|10\*-?\d+|(?:da|[YZEPTGMkhdcmunpfazy]|Ki|Mi|Gi|Ti)?(?:s|m|g|By|bit|Hz|K|Cel|A|V|W|J|N|Pa|mol|cd|L|l|B|t)|min|h|d|wk|mo|a)"
UCUM = re.compile(rf"/?{ATOM}(?:-?\d)?(?:\{{[^{{}}\s]*\}})?(?:[./]{ATOM}(?:-?\d)?(?:\{{[^{{}}\s]*\}})?)*")
SPELLED = {
    "s": ("s", "sec", "second", "seconds"),
    "ms": ("ms", "millis", "millisecond", "milliseconds"),
    "us": ("us", "micros", "microsecond", "microseconds"),
    "ns": ("ns", "nanos", "nanosecond", "nanoseconds"),
    "min": ("minute", "minutes"),
    "h": ("hour", "hours"),
    "By": ("byte", "bytes"),
    "KiBy": ("kib", "kibibytes"),
    "kBy": ("kb", "kilobytes"),
    "MBy": ("mb", "megabytes"),
    "%": ("percent", "percentage"),
    "Cel": ("celsius",),
    "Hz": ("hertz", "hz"),
}

Judged = tuple[str, str]  # the state, and what was seen
Rule = Callable[[Telemetry], Judged]


def resources(told: Telemetry) -> list[dict]:
    """Each resource once, in the order in which they came."""
    every = [item.resource for item in (*told.spans, *told.metrics, *told.logs)]
    return list({repr(sorted(resource.items(), key=str)): resource for resource in every}.values())


def instance_id(told: Telemetry) -> Judged:
    bare = [resource for resource in resources(told) if not resource.get("service.instance.id")]
    return _judged(resources(told), bare, lambda r: f"{r.get('service.name', 'a resource')} has none")


def unique_instance(told: Telemetry) -> Judged:
    """Open with one process only: nothing is there that could have the same id."""
    places = defaultdict(set)
    for r in resources(told):
        if r.get("service.instance.id"):
            place = tuple(r.get(key) for key in ("k8s.pod.name", "k8s.pod.uid", "host.name", "process.pid"))
            places[r.get("service.name"), r["service.instance.id"]].add(place)
    if shared := next((id_ for (_, id_), where in places.items() if len(where) > 1), ""):
        return FAILED, f"{shared} is the id of more than one process"
    if len(places) > 1:
        return PASSED, f"{len(places)} processes, {len(places)} ids"
    return OPEN, "one process, so there is nothing to confuse it with"


def pod_uid(told: Telemetry) -> Judged:
    pods = [r for r in resources(told) if any(key.startswith("k8s.") for key in r)]
    bare = [r for r in pods if not r.get("k8s.pod.uid")]
    return _judged(pods, bare, lambda r: some([k for k in r if k.startswith("k8s.")]), "no resource is about Kubernetes")


def right_level(told: Telemetry) -> Judged:
    points = [point.attributes for metric in told.metrics for point in metric.points]
    inner = [*(("a span", s.attributes) for s in told.spans), *(("a log record", log.attributes) for log in told.logs)]
    inner += [("a data point", attributes) for attributes in points]
    wrong = [f"{key} on {place}" for place, attributes in inner for key in attributes if RESOURCE_KEY.fullmatch(key)]
    wrong += [f"{key} on the resource" for resource in resources(told) for key in resource if SPAN_KEY.fullmatch(key)]
    return _judged(inner, wrong, str)


def service_name(told: Telemetry) -> Judged:
    found = resources(told)
    bare = [r for r in found if not isinstance(r.get("service.name"), str) or not r["service.name"]]
    return _judged(found, bare, lambda r: "a resource without a service.name")


def few_internal(told: Telemetry) -> Judged:
    counts = Counter((s.trace_id, s.service) for s in told.spans if s.kind == "internal")
    many = [f"{count} INTERNAL spans in one trace" for count in counts.values() if count > MOST_INTERNAL]
    return _judged(told.spans, many, str)


def no_orphans(told: Telemetry) -> Judged:
    """Judged by the parents that this run can know: the asker's own spans are not told, and are no fault of the app."""
    there = {(s.trace_id, s.span_id) for s in told.spans}
    orphans = [s for s in told.spans if s.parent_id and (s.trace_id, s.parent_id) not in there]
    return _judged(told.spans, orphans, lambda s: f"{s.name!r} has a parent that nobody told of")


def bound_names(told: Telemetry) -> Judged:
    return OPEN, "its criterion is not written yet"


def no_client_roots(told: Telemetry) -> Judged:
    roots = [s for s in told.spans if s.kind == "client" and not s.parent_id]
    return _judged(told.spans, roots, lambda s: f"{short(s.name)!r} is CLIENT and has no parent")


def few_short(told: Telemetry) -> Judged:
    counts = Counter(s.trace_id for s in told.spans if s.duration_ms < SHORT_MS)
    many = [f"{count} spans of less than {SHORT_MS} ms in one trace" for count in counts.values() if count > MOST_SHORT]
    return _judged(told.spans, many, str)


def debug_for_long(told: Telemetry) -> Judged:
    return OPEN, "it is about 14 days"


def severity(told: Telemetry) -> Judged:
    bare = [log for log in told.logs if log.severity.upper() == "UNSET" or not (log.severity or log.severity_number)]
    return _judged(told.logs, bare, lambda log: f"{short(str(log.body))!r} has none", "no log records came")


def bound_attributes(told: Telemetry) -> Judged:
    values = defaultdict(set)
    for metric in told.metrics:
        for point in metric.points:
            for key, value in point.attributes.items():
                values[metric.name, key].add(str(value))
    many = [f"{key} of {name}: {len(found)} values" for (name, key), found in values.items() if len(found) >= MOST_VALUES]
    return (FAILED, many[0]) if many else (OPEN, "it is about an hour")


def useful_units(told: Telemetry) -> Judged:
    units = {metric.name: metric.unit for metric in told.metrics}
    wrong = [f"{name} {unit!r}" for name, unit in units.items() if not UCUM.fullmatch(unit)]
    return _judged(units, wrong, str, "no metrics came")


def same_unit(told: Telemetry) -> Judged:
    units = defaultdict(set)
    for metric in told.metrics:
        units[metric.name].add(metric.unit)
    wrong = [f"{name}: {some(sorted(found))}" for name, found in units.items() if len(found) > 1]
    return (FAILED, some(wrong)) if wrong else (OPEN, "it is about 14 days")


def same_buckets(told: Telemetry) -> Judged:
    bounds = defaultdict(set)
    for metric in told.metrics:
        bounds[metric.name].update(point.bounds for point in metric.points if isinstance(point, HistogramPoint))
    wrong = [f"{name} has {len(found)} sets of buckets" for name, found in bounds.items() if len(found) > 1]
    return (FAILED, some(wrong)) if wrong else (OPEN, "it is about 14 days")


def no_unit_in_name(told: Telemetry) -> Judged:
    units = {metric.name: metric.unit for metric in told.metrics}
    wrong = [
        f"{name} {unit!r}"
        for name, unit in units.items()
        if set(re.split(r"[._]", name.lower())) & set(SPELLED.get(unit, (unit.lower(),) if unit.isalpha() else ()))
    ]
    return _judged(units, wrong, str, "no metrics came")


def no_attribute_as_name(told: Telemetry) -> Judged:
    names = list(dict.fromkeys(metric.name for metric in told.metrics))
    return _judged(names, [name for name in names if name in attribute_keys()], str, "no metrics came")


def supported(told: Telemetry) -> Judged:
    return OPEN, "it depends on a list of versions that the specification does not have"


# id, impact, what it asks, the rule, the cure, the lesson
RULES: tuple[tuple[str, str, str, Rule, str, str], ...] = (
    ("RES-001", "Normal", "service.instance.id is there", instance_id, "an SDK of 1.45 or newer sets one for each process", "300/500/300"),
    ("RES-002", "Important", "service.instance.id is one process's own", unique_instance, "leave it to the SDK, or make it of the pod's name", "300/500/300"),
    ("RES-003", "Important", "k8s.pod.uid is there in a pod", pod_uid, "OTEL_RESOURCE_ATTRIBUTES=k8s.pod.uid=… by the downward API, or `k8s_attributes` in the Collector", ""),
    ("RES-004", "Important", "attributes are at their level", right_level, "what is true of the whole process belongs to the resource, the rest to spans", "300/300/200"),
    ("RES-005", "Critical", "service.name is there", service_name, "OTEL_SERVICE_NAME=<name>", "300/300/100"),
    ("SPA-001", "Normal", f"at most {MOST_INTERNAL} INTERNAL spans in a trace", few_internal, "a span for a step that somebody will ask about, and none for each turn of a loop", "300/400/100"),
    ("SPA-002", "Normal", "every parent is told of", no_orphans, "stop in good order, and let one sampler decide for a whole trace", "300/400/300"),
    ("SPA-003", "Important", "names of spans are few", bound_names, "", ""),
    ("SPA-004", "Important", "no trace begins with CLIENT", no_client_roots, "open a span around work that no request asked for, such as a start", "300/400/100"),
    ("SPA-005", "Important", f"at most {MOST_SHORT} spans under {SHORT_MS} ms in a trace", few_short, "look for a query in a loop", "300/300/400"),
    ("LOG-001", "Important", "DEBUG is off in production", debug_for_long, "", ""),
    ("LOG-002", "Important", "log records have a severity", severity, "log through `logging`, or let the Collector parse the level", "300/600/100"),
    ("MET-001", "Important", "attributes of metrics have few values", bound_attributes, "no ids, no addresses: routes and kinds", "300/500/200"),
    ("MET-002", "Important", "metrics have a unit of UCUM", useful_units, "`unit=` where the instrument is made: s, By, {task}. A library's own: drop it by a view, or wait", "300/500/200"),
    ("MET-003", "Important", "one name, one unit", same_unit, "make an instrument at one place", "300/500/200"),
    ("MET-004", "Normal", "one histogram, one set of buckets", same_buckets, "set the bounds at one place", "300/500/200"),
    ("MET-005", "Normal", "no unit in a metric's name", no_unit_in_name, "the unit has a field of its own; Prometheus appends it by itself", "300/500/200"),
    ("MET-006", "Important", "no metric is named like an attribute", no_attribute_as_name, "name what is counted", "300/500/200"),
    ("SDK-001", "Low", "Python and SDK fit", supported, "", ""),
)  # fmt: skip


def judge(told: Telemetry) -> list[Entry]:
    """What became of each rule."""
    judged = []
    for id_, impact, title, rule, do, lesson in RULES:
        state, seen = rule(told) if told.spans or told.metrics or told.logs else (OPEN, "nothing was told")
        failed = state == FAILED
        judged.append(Entry(id_, title, state, seen, do if failed else "", lesson if failed else "", impact))
    return judged


def score(judged: Iterable[Entry], if_open: str = "") -> float | None:
    """The specification's formula over the rules that were decided; None where none was.

    With `if_open` those that were not count as if they had that state."""
    states = [(entry.state if entry.state != OPEN else if_open, WEIGHTS[entry.impact]) for entry in judged]
    total = sum(weight for state, weight in states if state)
    return 100 * sum(weight for state, weight in states if state == PASSED) / total if total else None


def category(value: float) -> str:
    return next(name for least, name in CATEGORIES if value >= least)


def short(text: str, most: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _judged(all_of: Iterable, wrong: list, tell: Callable, nothing: str = "nothing of the kind came") -> Judged:
    """Open where there is nothing to judge, else failed where something is wrong."""
    if not all_of:
        return OPEN, nothing
    if not wrong:
        return PASSED, ""
    return FAILED, some([tell(one) for one in wrong])


@cache
def attribute_keys() -> frozenset[str]:
    """The keys of attributes that the semantic conventions define, as the package of this environment has them."""
    import importlib
    import pkgutil

    from opentelemetry.semconv import _incubating, attributes

    found = set()
    for package in (attributes, importlib.import_module(f"{_incubating.__name__}.attributes")):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            constants = vars(importlib.import_module(module.name))
            found |= {value for name, value in constants.items() if name.isupper() and isinstance(value, str)}
    return frozenset(found)
