"""Prometheus: the store of metrics, which also evaluates rules, and the client that asks it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from workshop.programs.instance import Instance, ProgramError
from workshop.programs.program import Archive, Port, Program
from workshop.setup.go import GoModule
from workshop.telemetry.metrics import Exemplar

SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)", re.MULTILINE)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Series:
    """A time series, or as much of it as was asked for: `samples` are pairs of a time (seconds since the epoch) and a value.

    A sample of a native histogram has its count for a value. A scalar has no labels."""

    labels: dict[str, str]
    samples: tuple[tuple[float, float], ...]

    @property
    def value(self) -> float:
        """The newest value."""
        return self.samples[-1][1]


@dataclass(frozen=True)
class Target:
    """What is scraped: `health` is "up", "down" or "unknown", and `error` says why it is down."""

    job: str
    url: str
    health: str
    error: str = ""
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """A rule of `kind` "alerting" or "recording". `state` of an alerting one is "inactive", "pending" or "firing".

    `evaluated` is when that was last done (seconds since the epoch), below 0 for never."""

    group: str
    name: str
    kind: str
    query: str
    health: str
    state: str = ""
    error: str = ""
    evaluated: float = -1


@dataclass(frozen=True)
class Alert:
    """An alert that is "pending" or "firing"."""

    name: str
    state: str
    value: float
    labels: dict[str, str]


class Prometheus(Instance):
    """A Prometheus on this machine, or wherever its URL says. Each question raises ProgramError when it is not answered."""

    def query(self, promql: str) -> list[Series]:
        """What a query comes to now."""
        return _series(self._data("query", query=promql))

    def remarks(self, promql: str) -> list[str]:
        """What it has to say of a query, such as that a bucket has no `le`."""
        answer = self.json("/api/v1/query", query=promql)
        return [*answer.get("warnings", []), *answer.get("infos", [])]

    def query_range(self, promql: str, start: float, end: float, step: float) -> list[Series]:
        """What a query comes to every `step` seconds between two times, which are seconds since the epoch."""
        return _series(self._data("query_range", query=promql, start=start, end=end, step=step))

    def exemplars(self, promql: str) -> list[Exemplar]:
        """The exemplars that the series of a query have had in the last hour, with the labels of their series among the attributes."""
        now = time.time()
        found = self._data("query_exemplars", query=promql, start=now - 3600, end=now + 60)
        return [_exemplar(one, series["seriesLabels"]) for series in found for one in series["exemplars"]]

    def targets(self) -> list[Target]:
        """What it scrapes, and how that goes."""
        found = self._data("targets", state="active")["activeTargets"]
        return [Target(t["labels"]["job"], t["scrapeUrl"], t["health"], t["lastError"], t["labels"]) for t in found]

    def rules(self) -> list[Rule]:
        """The rules of all groups, in their order."""
        return [
            Rule(
                group["name"],
                r["name"],
                r["type"],
                r["query"],
                r["health"],
                r.get("state", ""),
                r.get("lastError", ""),
                _seconds(r["lastEvaluation"]),
            )
            for group in self._data("rules")["groups"]
            for r in group["rules"]
        ]

    def alerts(self) -> list[Alert]:
        """The alerts that are pending or firing."""
        return [
            Alert(a["labels"]["alertname"], a["state"], float(a["value"]), a["labels"]) for a in self._data("alerts")["alerts"]
        ]

    def metrics(self) -> list[Series]:
        """What it counts of itself, such as `prometheus_tsdb_wal_writes_failed_total`."""
        return read_exposition(self.ask("/metrics"))

    def check(self) -> None:
        self._data("status/buildinfo")

    def has_page(self) -> bool:
        """Whether it serves its web page; one that Go built from its module does not."""
        try:
            return "<html" in self.ask("/query")
        except ProgramError:
            return False

    def addresses(self) -> list[tuple[str, str]]:
        none = "none: this Prometheus was built by Go, without its web page; its API answers"
        return [
            ("page", self.page if self.has_page() else none),
            ("API", f"{self.url}/api/v1"),
            ("OTLP over HTTP", f"{self.url}/api/v1/otlp/v1/metrics"),
        ]

    def _data(self, name: str, **query: object):
        try:
            return self.json(f"/api/v1/{name}", **query)["data"]
        except KeyError:
            raise ProgramError(f"there is no Prometheus at {self.url}: it answers without data") from None


def read_exposition(text: str) -> list[Series]:
    """The series of a page of metrics as it is there to be scraped; the time of each is now."""
    now = time.time()
    return [Series(dict(_labels(name, labels)), ((now, float(value)),)) for name, labels, value in SAMPLE.findall(text)]


def _seconds(moment: str) -> float:
    """A time such as `2026-11-27T21:00:00.123456789Z`, in seconds since the epoch; below 0 for the year 1, which means never."""
    whole, fraction, zone = re.fullmatch(r"(.*?)(\.\d+)?(Z|[+-]\d\d:\d\d)", moment).groups()
    parsed = datetime.fromisoformat(whole + zone.replace("Z", "+00:00"))
    return parsed.timestamp() + float(fraction or 0) if parsed.year > 1 else -1


def _labels(name: str, text: str) -> Iterator[tuple[str, str]]:
    yield "__name__", name
    for label, value in LABEL.findall(text):
        yield label, re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], value)


def _series(data: dict) -> list[Series]:
    if data["resultType"] in ("scalar", "string"):
        return [Series({}, (_sample(data["result"]),))]
    return [Series(found["metric"], tuple(map(_sample, _samples(found)))) for found in data["result"]]


def _samples(found: dict) -> list:
    """The samples of a series, by time: of numbers and of native histograms, one or many."""
    one = [found[kind] for kind in ("value", "histogram") if kind in found]
    return sorted(one + found.get("values", []) + found.get("histograms", []), key=lambda pair: pair[0])


def _sample(pair: list) -> tuple[float, float]:
    moment, value = pair
    return moment, float(value["count"] if isinstance(value, dict) else value)


def _exemplar(found: dict, series: dict[str, str]) -> Exemplar:
    labels = dict(found["labels"])
    ids = labels.pop("trace_id", ""), labels.pop("span_id", "")
    return Exemplar(float(found["value"]), int(found["timestamp"] * 1e9), *ids, {**series, **labels})


PROMETHEUS = Program(
    name="prometheus",
    title="Prometheus",
    version="3.16.0",
    ports={"http": Port(9090, "its page and API")},
    health=("http", "/-/ready"),
    ask_version=("--version",),
    arguments=(
        "--config.file={configuration}",
        "--storage.tsdb.path={data}",
        "--web.listen-address={host}:{http}",
        "--web.enable-otlp-receiver",
        "--enable-feature=exemplar-storage",
        "--scrape.discovery-reload-interval=200ms",  # else nothing is scraped in the first five seconds
    ),
    configuration="src/otel/prometheus.yml",
    default="workshop/programs/prometheus.yml",
    tools=("prometheus", "promtool"),
    image="prom/prometheus:v{version}",
    archive=Archive(
        folder="prometheus/prometheus/releases/download/v{version}",
        name="prometheus-{version}.{os}-{arch}.tar.gz",
        member="prometheus-{version}.{os}-{arch}/{tool}",
        sums="sha256sums.txt",
        platforms=("linux-amd64", "linux-arm64", "linux-s390x", "linux-ppc64le", "darwin-amd64", "darwin-arm64"),
    ),
    # Go modules count 3.16.0 as 0.316.0.
    go=GoModule(
        module="github.com/prometheus/prometheus",
        version="v0.316.0",
        package="./cmd/{tool}",
        needs=(1, 26, 7),
        stamp="github.com/prometheus/common/version.Version",
        disk=3e9,
        tag="{version}",
    ),
    instance=Prometheus,
    memory=0.15e9,
)
