"""What a server serves."""

from opentelemetry import trace
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.metrics import NoOpMeterProvider

SQLAlchemyInstrumentor().instrument(meter_provider=NoOpMeterProvider())

with trace.get_tracer("mine").start_as_current_span("start"):
    from todo import create_app

    app = create_app()
