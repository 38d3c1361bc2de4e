"""Do the metrics arrive in Prometheus, by either way: pushed over OTLP, or scraped?"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from workshop.diagnosis import settings
from workshop.diagnosis.configuration import CONFIGURATION
from workshop.diagnosis.facts import EXCERPT, Diagnosis, Facts, Stage
from workshop.diagnosis.spans import not_under_agent
from workshop.programs.prometheus import Target

OTLP_PATH = "/api/v1/otlp/v1/metrics"
ENDPOINT = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
LESSON = "300/500/300"
SHOWN = 6
UNWRITTEN = "prometheus_tsdb_wal_writes_failed_total"
MISTIMED = ("prometheus_tsdb_out_of_bound_samples_total", "prometheus_tsdb_out_of_order_samples_total")


@dataclass
class Store:
    """What a check knows of the Prometheus that it asked: its own `log`, the `names` of all its metrics, its `targets`, and what
    it `counts` of itself.

    `fell` is how often a counter of the job that is asked about fell, and `query` a question that came to nothing."""

    port: int = 9090
    log: str = ""
    names: tuple[str, ...] = ()
    targets: list[Target] = field(default_factory=list)
    counts: dict[str, float] = field(default_factory=dict)
    fell: int = 0
    query: str = ""


def prometheus_cannot_write(f: Facts) -> Diagnosis | None:
    failed = f.store.counts.get(UNWRITTEN, 0) if f.store else 0
    if not failed:
        return None
    return Diagnosis(
        "prometheus-cannot-write",
        f"Prometheus' own page /metrics: {UNWRITTEN} {failed:g}",
        "0",
        "what comes it writes down first, and what it cannot write it drops; to who sends it, it answers 200 all the same, and "
        "its log says nothing",
        "make room on the disk, which `workshop doctor` looks at; then `workshop down prometheus` and `workshop up prometheus`",
        LESSON,
    )


def clock_jumped(f: Facts) -> Diagnosis | None:
    refused = re.search(r"Failed to export metrics batch code: 400\b.*", f.output)
    counts = {name: f.store.counts.get(name, 0) for name in MISTIMED} if f.store else {}
    if not refused or not any(counts.values()):
        return None
    told = " and ".join(f"{name} {value:g}" for name, value in counts.items() if value)
    return Diagnosis(
        "clock-jumped",
        f"{refused[0][:EXCERPT]}\nPrometheus' own page /metrics: {told}",
        "times that only go on, and are no more than ten minutes ahead of Prometheus' own",
        "a series takes no sample that is older than its newest one; after a clock has been set back it takes none until that time "
        "has come again",
        "set the clock right; what was sent from the future is gone with Prometheus' data: `workshop down prometheus`, "
        "`rm -r .saved/prometheus-data`, `workshop up prometheus`",
        LESSON,
    )


def metrics_not_pushed(f: Facts) -> Diagnosis | None:
    setting = f.known("OTEL_METRICS_EXPORTER")
    if not f.store or not setting or any(value.startswith("otlp") for value in setting.values):
        return None
    return Diagnosis(
        "metrics-not-pushed",
        f"{setting.where}: {setting.shown} {setting.value}",
        "an exporter that sends metrics away: otlp",
        "the metrics are made, and nobody sends them to Prometheus",
        f"write `console,otlp` in {setting.where}",
        LESSON,
    )


def delta_refused(f: Facts) -> Diagnosis | None:
    if not f.store or "invalid temporality" not in f.store.log:
        return None
    setting = f.settings.get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE")
    return Diagnosis(
        "delta-refused",
        "Prometheus answered 500 to the metrics; its log says: invalid temporality and type combination"
        + (f"\n{setting.where}: {setting.name} is {setting.value}" if setting else ""),
        "cumulative: each export says how much it was since the start",
        "Prometheus keeps sums that only grow; what is sent as the difference to the last time it refuses",
        f"take out {setting.where}: cumulative is the default" if setting else "send cumulative metrics, which is the default",
        LESSON,
    )


def metrics_endpoint(f: Facts) -> Diagnosis | None:
    """Where the exporter goes, when it says itself that it did not come through, or when that address cannot be right."""
    if not f.store:
        return None
    said = re.search(
        r"^(?:Failed to export metrics batch.*|.*host='[^']*', port=\d+.*while exporting metrics.*)$", f.output, re.MULTILINE
    )
    own = f.known(ENDPOINT)
    setting = own or f.known("OTEL_EXPORTER_OTLP_ENDPOINT")
    where = f"{setting.where}: {setting.name} is {setting.value}" if setting else f"no {ENDPOINT} in src/{f.script}"
    wrong = (
        settings.wrong_address(own.value, OTLP_PATH)
        if own
        else "Jaeger listens at the endpoint of all signals, and takes no metrics"
    )
    if not said and not (own and wrong):
        return None
    return Diagnosis(
        "metrics-path" if wrong else "metrics-unreachable",
        where + (f"\n{said[0][:EXCERPT]}" if said else "\nthe exporter has met no error"),
        f"http://localhost:{f.store.port}{OTLP_PATH}",
        wrong or "nothing that takes metrics listens there",
        f"`export {ENDPOINT}=http://localhost:{f.store.port}{OTLP_PATH}` in src/{f.script}",
        LESSON,
    )


def metrics_over_grpc(f: Facts) -> Diagnosis | None:
    chosen = f.known("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL") or f.known("OTEL_EXPORTER_OTLP_PROTOCOL")
    if not f.store or (chosen and chosen.value.startswith("http")):
        return None
    return Diagnosis(
        "metrics-protocol",
        f"{chosen.where}: {chosen.name} is {chosen.value}" if chosen else "the default protocol, which is grpc",
        "http/protobuf",
        "Prometheus takes OTLP over HTTP only",
        f"`export OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/protobuf` in src/{f.script}",
        LESSON,
    )


def counter_without_total(f: Facts) -> Diagnosis | None:
    """A query names a counter as the app does; in Prometheus it ends in `_total`."""
    names = re.findall(r"[a-zA-Z_:][\w:]*", f.store.query) if f.store else []
    known = set(f.store.names) if f.store else set()
    short = next((name for name in names if name not in known and f"{name}_total" in known), "")
    if not short:
        return None
    return Diagnosis(
        "counter-without-total",
        f"a query asks for {short}, and there is none; there is {short}_total",
        f"{short}_total",
        "on its way in, a counter's name gets its unit and then `_total`; a name that does not exist is no error, only nothing",
        f"write {short}_total",
        LESSON,
    )


def scrape_down(f: Facts) -> Diagnosis | None:
    down = next((target for target in f.store.targets if target.health == "down"), None) if f.store else None
    if not down:
        return None
    why = {
        "refused": "nothing listens on that port",
        "404": "something answers there, and has no page of metrics by that name",
        "ontent-Type": "what answers there is a web page, and no page of metrics",
        "deadline": "what listens there did not answer in time",
    }
    return Diagnosis(
        "scrape-down",
        f"job {down.job}, {down.url}: {down.error}",
        "a target that is up",
        next((said for word, said in why.items() if word in down.error), "Prometheus asks there, and gets no metrics"),
        f"mend the target of the job {down.job} in src/otel/prometheus.yml",
        LESSON,
    )


def scrape_shared(f: Facts) -> Diagnosis | None:
    if not f.store or f.store.fell < 2:
        return None
    return Diagnosis(
        "scrape-shared",
        f"a counter that is scraped fell {f.store.fell} times in the last minutes",
        "a counter that grows, and falls only when its process is started anew",
        "several processes share the port: each scrape meets another of them, and Prometheus takes each fall for a restart",
        "push over OTLP, where each process has series of its own, or give each process a port of its own",
        LESSON,
    )


def no_exemplar(f: Facts) -> Diagnosis | None:
    """Why measurements came without the trace in which they were made."""
    if not f.store:
        return None
    for name, value, why in (
        ("OTEL_METRICS_EXEMPLAR_FILTER", "always_off", "no measurement keeps its trace"),
        ("OTEL_TRACES_SAMPLER", "always_off", "a measurement keeps its trace only where the span is sampled"),
    ):
        setting = f.known(name)
        if setting and setting.value == value:
            return Diagnosis(
                "no-exemplar",
                f"{setting.where}: {setting.shown} {setting.value}",
                "exemplars: some measurements of a histogram, each with its trace",
                why,
                f"take out {setting.where}",
                "300/500/400",
            )
    return None


EXEMPLARS = Stage("EXEMPLARS", no_exemplar)
PUSHED = Stage(
    "PUSHED",
    prometheus_cannot_write,
    *CONFIGURATION,
    not_under_agent,
    metrics_not_pushed,
    delta_refused,
    clock_jumped,
    metrics_over_grpc,
    metrics_endpoint,
)
SCRAPED = Stage("SCRAPED", scrape_down, scrape_shared)
QUERIED = Stage("QUERIED", counter_without_total)
