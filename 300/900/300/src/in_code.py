"""The app with traces that the code sets up: spans leave one by one, or in batches."""

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

PROCESSORS = {"batch": BatchSpanProcessor, "simple": SimpleSpanProcessor}


def make(processor: str):
    """Make the app, watched from before its first import."""
    provider = TracerProvider()
    provider.add_span_processor(PROCESSORS[processor](OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    for library in (FlaskInstrumentor, RequestsInstrumentor, SQLAlchemyInstrumentor):
        library().instrument()
    from wsgi import app

    return app
