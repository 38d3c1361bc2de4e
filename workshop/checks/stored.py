"""What a checkpoint can say about what Prometheus has."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from workshop.diagnosis.stored import EXEMPLARS, PUSHED, QUERIED, SCRAPED, SHOWN, Store
from workshop.programs.prometheus import PROMETHEUS, Prometheus, Series, Target

FOLLOWS = 0.5  # seconds; a rule may take what a rule of another group has kept


class Stored:
    """Verbs of an app whose metrics are in a Prometheus that runs: each returns what it proved, or raises Broken."""

    def in_prometheus(self, prometheus: Prometheus, query: str, exactly: float | None = None) -> list[Series]:
        """What a query about this app's metrics comes to: at least one series, and together `exactly` so much.

        Raises Broken when nothing was pushed, when the query names what is not there, or when the sum is another."""
        found = prometheus.query(query)
        total = sum(series.value for series in found)
        if found and exactly in (None, total):
            return found
        store = self._store(prometheus, query)
        shown = [f"{series.value:g} for {series.labels}" for series in found[:SHOWN]]
        about = [name for name in store.names if not name.startswith(("prometheus_", "go_", "net_", "promhttp_"))]
        remarks = "".join(f"\nPrometheus says: {remark}" for remark in prometheus.remarks(query))
        told = "\n".join(shown) if found else f"metrics that are there: {', '.join(about[:SHOWN]) or 'none'}{remarks}"
        self.require(
            *([] if found else [QUERIED, PUSHED]),
            store=store,
            lacks="" if found else "metrics in Prometheus",
            otherwise=self.diagnosis(
                "not-in-prometheus" if not found else "metric-value",
                f"{query}\ncomes to {total:g}\n{told}" if found else f"{query}\ncomes to nothing; {told}",
                "at least one series" if exactly is None else f"{exactly:g}",
                "a query finds what was pushed or scraped by exactly these names and labels",
                self.checkpoint.lesson.name,
            ),
        )
        return found

    def exemplar(self, prometheus: Prometheus, query: str, among: Iterable[str]) -> str:
        """The newest trace of an exemplar of these series, which is one of the traces that are right. Raises Broken."""
        found = sorted(prometheus.exemplars(query), key=lambda one: one.time_ns)
        right = [one.trace_id for one in found if one.trace_id in set(among)]
        if not right:
            self.require(
                PUSHED,
                EXEMPLARS,
                store=self._store(prometheus, query),
                lacks="exemplars",
                otherwise=self.diagnosis(
                    "no-exemplar",
                    f"{query}: {len(found)} exemplars, and none with a trace of these requests",
                    "at least one",
                    "they come with what is pushed, where a span is current and sampled when the measurement is made",
                    self.checkpoint.lesson.name,
                ),
            )
        return right[-1]

    def scraped(self, prometheus: Prometheus, job: str) -> None:
        """The job's targets are scraped, each of them one process. Raises Broken."""
        targets: list[Target] = []

        def known() -> bool:
            there = prometheus.targets()
            targets[:] = [target for target in there if target.job == job and target.health != "unknown"]
            return bool(targets or (there and all(t.job != job and t.health != "unknown" for t in there)))

        prometheus.until(known)
        counters = prometheus.query(f'{{__name__=~".+_total", job="{job}"}}[5m]')
        self.require(SCRAPED, store=replace(self._store(prometheus), fell=max(map(_fell, counters), default=0)))
        if not targets:
            raise self.broken(
                "no-target",
                f"Prometheus scrapes {', '.join(t.job for t in prometheus.targets()) or 'nothing'}",
                f"a job {job}",
                "Prometheus calls only what its `scrape_configs` name",
                self.checkpoint.lesson.name,
            )

    def recorded(self, prometheus: Prometheus, name: str, holds: Callable[[list[Series]], object]) -> list[Series]:
        """What a recording rule of this name has kept, once it `holds`. Raises Broken when it is not there or never does."""
        rules = prometheus.rules()
        rule = next((rule for rule in rules if rule.name == name and rule.kind == "recording"), None)
        lesson = self.checkpoint.lesson.name
        if rule is None:
            names = ", ".join(rule.name for rule in rules) or "none at all"
            why = "Prometheus reads the files that `rule_files` names, relative to its own configuration"
            raise self.broken("no-rule", f"rules: {names}", f"a rule that records {name}", why, lesson)
        found: list[Series] = []
        begun = time.time()  # all that counts has arrived; what is evaluated from now on knows it

        def asked() -> bool:
            rule = next(rule for rule in prometheus.rules() if rule.name == name)
            found[:] = prometheus.query(name)
            return bool(found and holds(found)) or rule.evaluated > begun + FOLLOWS

        prometheus.until(asked)
        if found and holds(found):
            return found
        rule = next(rule for rule in prometheus.rules() if rule.name == name)
        shown = [f"{series.value:g} for {series.labels}" for series in found[:SHOWN]] or ["nothing"]
        self.require(
            *([] if found else [QUERIED, PUSHED]),
            store=self._store(prometheus, rule.query),
            lacks="" if found else "metrics in Prometheus",
            otherwise=self.diagnosis(
                "rule-value",
                "\n".join([f"{name} is {shown[0]}", *shown[1:], rule.query, *([rule.error] if rule.error else [])]),
                "what follows from the requests of this check",
                "a rule is a query that Prometheus asks itself, again and again, and whose answer it keeps under a name",
                lesson,
            ),
        )
        return found

    def _store(self, prometheus: Prometheus, query: str = "") -> Store:
        counts: dict[str, float] = {}
        for series in prometheus.metrics():
            counts[series.labels["__name__"]] = counts.get(series.labels["__name__"], 0) + series.value
        return Store(
            port=PROMETHEUS.ports["http"].number,
            log=prometheus.log.read_text(errors="replace") if prometheus.log.exists() else "",
            names=tuple(prometheus.json("/api/v1/label/__name__/values")["data"]),
            targets=prometheus.targets(),
            counts=counts,
            query=query,
        )


def _fell(counter: Series) -> int:
    """How often a counter is smaller than it was before."""
    values = [value for _, value in counter.samples]
    return sum(later < before for before, later in zip(values, values[1:]))
