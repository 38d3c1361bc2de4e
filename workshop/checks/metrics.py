"""What a checkpoint can say about metrics."""

from __future__ import annotations

from workshop.diagnosis import spans as rungs
from workshop.telemetry.metrics import Metric, current


class Metrics:
    """Verbs of an app that has stopped: each returns what it proved, or raises Broken."""

    def metric(self, name: str) -> Metric:
        """The last state of a metric on the console. Raises Broken."""
        found = current(self.console.metrics, name)
        if not found:
            others = ", ".join(sorted({metric.name for metric in self.console.metrics})) or "none at all"
            self.require(
                rungs.misspelt_setting,
                rungs.wrong_exporter,
                rungs.not_under_agent,
                otherwise=self.diagnosis(
                    "no-metric",
                    f"the metrics on the console: {others}",
                    name,
                    "metrics go where OTEL_METRICS_EXPORTER says; they leave every minute, and when the app stops",
                    "300/300/100",
                ),
            )
        return found[-1]
