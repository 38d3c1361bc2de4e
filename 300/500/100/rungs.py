"""What only this package's setting can have wrong."""

from __future__ import annotations

from fnmatch import fnmatchcase

from workshop.diagnosis.facts import Diagnosis, Facts

EXCLUDED = "OTEL_PYTHON_SYSTEM_METRICS_EXCLUDED_METRICS"


def metric_excluded(f: Facts) -> Diagnosis | None:
    setting = f.known(EXCLUDED)
    pattern = next((p for p in setting.values if fnmatchcase(f.metric, p)), "") if setting and f.metric else ""
    if not pattern or any(metric.name == f.metric for metric in f.metrics):
        return None
    return Diagnosis(
        "metric-excluded",
        f"{setting.where}: {pattern} is excluded, and {f.metric} is one of these",
        f"{f.metric} among the metrics",
        "a star stands for anything, dots as well",
        f"exclude less in {setting.where}",
        "300/500/100",
    )


METRICS = (metric_excluded,)
