"""The same die, with the cure that articles name."""

from dice import app
from opentelemetry.instrumentation.flask import FlaskInstrumentor

FlaskInstrumentor().instrument_app(app)
