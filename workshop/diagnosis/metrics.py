"""Does the metric come that is due, and do its series say what they seem to say?"""

from __future__ import annotations

import re
from collections import Counter

from workshop.diagnosis.background import cure, first_traceback
from workshop.diagnosis.configuration import CONFIGURATION
from workshop.diagnosis.facts import Diagnosis, Facts, Stage, exception, frame, place
from workshop.diagnosis.packages import missing_package
from workshop.diagnosis.spans import not_under_agent
from workshop.telemetry.metrics import Metric, current

STABLE = {
    "http.server.duration": "http.server.request.duration",
    "http.client.duration": "http.client.request.duration",
}
RENAMED = {**STABLE, **{stable: old for old, stable in STABLE.items()}}


def callback_failed(f: Facts) -> Diagnosis | None:
    """The SDK logs what a function of an observable instrument raised, and goes on without it."""
    said = re.search(rf"Callback failed for instrument {re.escape(f.metric)}\.\s+(?=Traceback)", f.output) if f.metric else None
    if not said:
        return None
    told = first_traceback(f.output[said.end() :])
    empty = "object is not iterable" in exception(told)
    where = frame(told) or _created(f)
    return Diagnosis(
        "callback-failed",
        f"{where or 'a function of yours'}: {exception(told)}\n{said[0].strip()}",
        "a function that returns a list of observations: `[Observation(…)]`",
        "the SDK calls the function each time that metrics leave; what it raises is logged, and no request shows it",
        ("return the list, or `yield` each observation" if empty else cure(told)) or f"mend {where or 'the function'}",
        "300/500/200",
    )


def metrics_elsewhere(f: Facts) -> Diagnosis | None:
    setting = f.known("OTEL_METRICS_EXPORTER")
    if not _none_on_console(f) or not setting or "console" in setting.values:
        return None
    return Diagnosis(
        "metrics-elsewhere",
        f"{setting.where}: {setting.shown} {setting.value}",
        "console among them",
        "metrics go where their own exporter says, whatever those of traces and logs say",
        f"write console in {setting.where}",
        "300/300/100",
    )


def unit_changed(f: Facts) -> Diagnosis | None:
    """What was asked for under one name came under another, and in another unit."""
    found = _states(f, RENAMED.get(f.metric, ""))
    if not found or _states(f, f.metric):
        return None
    setting = f.settings.get("OTEL_SEMCONV_STABILITY_OPT_IN")
    return Diagnosis(
        "unit-changed",
        f"{found[-1].name} in {found[-1].unit}, and no {f.metric}" + (f"\n{setting.where}: {setting.value}" if setting else ""),
        f"{f.metric}, as long as anybody asks for it",
        "with its name the duration changes its unit, from milliseconds to seconds: a limit of 500 is then eight minutes",
        "write http/dup, which sends both" + (f", in {setting.where}" if setting else f" in src/{f.script}"),
        "300/300/500",
    )


def nothing_exported(f: Facts) -> Diagnosis | None:
    plain_tee = re.search(r"\|\s*tee\s+(?!-i\b|--ignore-interrupts)", f.run_sh)
    if not _none_on_console(f) or not (f.spans or plain_tee):
        return None
    setting = f.settings.get("OTEL_METRIC_EXPORT_INTERVAL")
    return Diagnosis(
        "nothing-exported",
        f"{len(f.spans)} spans on the console, and not a single metric"
        + (f"\n{setting.where}: {setting.name} is {setting.value}, in milliseconds" if setting else ""),
        f"{f.metric}, at the latest when the app stops",
        "metrics leave once in each interval, every 60 seconds by default, and a last time when the app ends in good order"
        + ("; a plain `tee` is gone by then" if plain_tee else ""),
        f"write `| tee -i output.log` in src/{f.script}"
        if plain_tee
        else "stop the app with Ctrl-C, so that the last ones leave",
        "300/500/100",
    )


def counted_by_each(f: Facts) -> Diagnosis | None:
    """Several processes tell the same number of a thing that there is once, as a sum."""
    states = _states(f, f.metric)
    values = [sum(getattr(point, "value", 0) for point in metric.points) for metric in states]
    same = len(set(values)) == 1 and values[0]
    if len(states) < 2 or not same or states[-1].kind != "sum" or states[-1].monotonic or f.expected != values[0]:
        return None
    return Diagnosis(
        "counted-twice",
        f"{f.metric}: {len(states)} processes tell {values[0]:g} each, as a sum, which makes {sum(values):g}",
        f"{values[0]:g}",
        "whoever reads a sum adds up what the processes tell; each of them looked at the same table",
        "make it an observable gauge: a gauge is what each process sees, and is not added up",
        "300/500/200",
    )


def series_grow(f: Facts) -> Diagnosis | None:
    states = _states(f, f.metric)
    points = [point for metric in states for point in metric.points]
    if f.most is None or len(points) <= f.most * max(1, len(states)):
        return None
    values = Counter(name for name, _ in sorted({(name, str(value)) for p in points for name, value in p.attributes.items()}))
    name, many = values.most_common(1)[0] if values else ("", 0)
    return Diagnosis(
        "series-grow",
        f"{f.metric}: {len(points)} series" + (f"; its attribute {name} has {many} values" if name else ""),
        f"{f.most}, however many tasks there are",
        "each value of an attribute makes a series of its own, which is kept, sent and paid for as long as the app runs",
        f"take {name} out of the metric's attributes; a span may have it" if name else "",
        "300/500/200",
    )


def _none_on_console(f: Facts) -> bool:
    return bool(f.metric) and "console" in f.wants and not f.metrics


def _created(f: Facts) -> str:
    """Where a metric's name stands in the learner's Python, as `file:line`."""
    return place(f.modules, rf"[\"']{re.escape(f.metric)}[\"']")


def _states(f: Facts, name: str) -> list[Metric]:
    return current(f.metrics, name) if name else []


METRICS = Stage(
    "METRICS",
    *CONFIGURATION,
    missing_package,
    not_under_agent,
    callback_failed,
    metrics_elsewhere,
    unit_changed,
    nothing_exported,
)
POINTS = Stage("POINTS", callback_failed, counted_by_each, series_grow)
