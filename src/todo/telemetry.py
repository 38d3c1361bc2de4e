"""Traces, set up by the app itself where no agent has done it."""

import os
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points

from flask import Flask
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

LIBRARIES = ("sqlalchemy", "requests")


def set_up(app: Flask) -> None:
    """Watch this app, where telemetry is ours to set up."""
    if in_charge():
        FlaskInstrumentor().instrument_app(app)


@cache
def in_charge() -> bool:
    """At the first call, give the process its provider and watch its libraries.

    Not where nobody has named an exporter, or only `none`; and not where another was first, such as the agent."""
    first = not isinstance(trace.get_tracer_provider(), TracerProvider)
    wanted = os.environ.get("OTEL_TRACES_EXPORTER", "none") != "none"
    if first and wanted:
        trace.set_tracer_provider(make_provider())
        for instrumentor in entry_points(group="opentelemetry_instrumentor"):
            if instrumentor.name in LIBRARIES:
                instrumentor.load()().instrument()
    return first and wanted


def make_provider() -> TracerProvider:
    """A provider by the same settings as the agent's. It sends what is left when Python ends."""
    provider = TracerProvider(resource=Resource.create())
    for exporter in exporters():
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def exporters() -> Iterator[SpanExporter]:
    """The exporters that OTEL_TRACES_EXPORTER names."""
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc").partition("/")[0]
    known = entry_points(group="opentelemetry_traces_exporter")
    for name in os.environ["OTEL_TRACES_EXPORTER"].split(","):
        yield known[f"otlp_proto_{protocol}" if name == "otlp" else name].load()()
