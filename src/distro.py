"""Serves the to-do list with Azure's distro."""

from azure.monitor.opentelemetry import configure_azure_monitor
from opentelemetry.instrumentation.logging import LoggingInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor

configure_azure_monitor(enable_live_metrics=False, logger_name="nobody")
LoggingInstrumentor().instrument()
SQLAlchemyInstrumentor().instrument()

from todo import create_app  # noqa: E402

app = create_app()
