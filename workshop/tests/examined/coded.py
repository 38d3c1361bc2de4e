"""Runs a Flask program that knows nothing of OpenTelemetry, set up in code: python coded.py PROGRAM ARGUMENT…"""

import runpy
import shutil
import sys

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider(resource=Resource.create({"service.name": "coded"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
FlaskInstrumentor().instrument()

sys.argv = sys.argv[1:]
runpy.run_path(shutil.which(sys.argv[0]), run_name="__main__")
