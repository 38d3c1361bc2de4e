"""What only the lesson about Elastic asks for."""

from __future__ import annotations

from workshop.diagnosis.facts import Diagnosis, Facts

HERE = "300/800/400"


def elastic_names(f: Facts) -> Diagnosis | None:
    if f.lesson != HERE or not f.backend or f.backend.asked or "ELASTIC_APM_" not in f.run_sh:
        return None
    return Diagnosis(
        "elastic-apm-names",
        f"src/{f.script} exports ELASTIC_APM_…, and nothing was sent to {f.backend.url}",
        "OTEL_EXPORTER_OTLP_HEADERS, and the agent's flag --exporter_otlp_endpoint",
        "those names are read by elastic-apm, another agent; opentelemetry-instrument knows none of them",
        f"write the settings of OTLP in src/{f.script}, as this page has them",
        HERE,
    )


BACKEND = (elastic_names,)
