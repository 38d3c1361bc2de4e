"""What only the lesson about Jaeger asks for."""

from __future__ import annotations

from workshop.diagnosis.arrival import endpoint, protocol
from workshop.diagnosis.facts import Diagnosis, Facts

HERE = "300/300/300"


def still_grpc(f: Facts) -> Diagnosis | None:
    setting = endpoint(f)
    at_grpc = setting is None or setting.value.rstrip("/") == "http://localhost:4317"
    if f.lesson != HERE or f.stored != [] or not at_grpc or protocol(f) != "grpc":
        return None
    exporters = f.settings.get("OTEL_TRACES_EXPORTER")
    if not exporters or "otlp" not in exporters.value:
        return None
    return Diagnosis(
        "still-grpc",
        f"{setting.where}: {setting.shown} {setting.value}, and the protocol is grpc"
        if setting
        else "the default: gRPC, port 4317",
        "OTLP over HTTP, which has port 4318",
        "this is your own step of the lesson; the check lets nothing but HTTP through",
        f"take port 4318 and add `export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf` in {setting.where if setting else 'src/run.sh'}",
        HERE,
    )


ARRIVAL = (still_grpc,)
