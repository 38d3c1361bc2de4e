"""What one request of this app weighs in telemetry, and what so many a second come to."""

import gzip
import os
from threading import Thread

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from werkzeug.serving import make_server

RATES = 10, 1_000, 100_000
KEPT, DAYS = 0.1, 30  # the gateway's share, and how long the store keeps it
PRICE = 0.50  # for a GB that a vendor takes in: put yours here
PAGES = 100

os.environ["FLASK_SQLALCHEMY_DATABASE_URI"] = "sqlite://"
spans, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
for instrumentor in (FlaskInstrumentor, SQLAlchemyInstrumentor, RequestsInstrumentor):
    instrumentor().instrument()

import advisor
from todo import create_app

with make_server("127.0.0.1", 0, advisor.app) as server:
    Thread(target=server.serve_forever, daemon=True).start()
    os.environ["FLASK_ADVISOR_URL"] = f"http://127.0.0.1:{server.port}"
    browser = create_app().test_client()
    spans.clear()
    for _ in range(PAGES):
        browser.get("/")
    server.shutdown()
batch = encode_spans(spans.get_finished_spans()).SerializeToString()
each = len(spans.get_finished_spans()) // PAGES
size, packed = (round(len(data) / PAGES, -2) for data in (batch, gzip.compress(batch)))

print(f"one request: {each} spans, {size:,.0f} bytes, {packed:,.0f} with gzip")
print(f"{'requests/s':>10} {'spans/s':>9} {'GB a day':>9} {'GB kept':>9} {'a month':>11}")
for rate in RATES:
    day = rate * size * 86_400 / 1e9
    print(f"{rate:>10,} {rate * each:>9,} {day:>9,.1f} {day * DAYS * KEPT:>9,.0f} {day * 30 * PRICE:>11,.0f}")
