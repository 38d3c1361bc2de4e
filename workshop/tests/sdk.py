"""Work by a real SDK in this process, for tests that read what it makes of all three signals."""

from __future__ import annotations

import io

from google.protobuf.json_format import MessageToDict
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from workshop.telemetry.otlp import Telemetry

RESOURCE = Resource({"service.name": "todo", "shop.tags": ("a", "b")})


class Work:
    """Work of all three signals by a real SDK: `printed` is what its console exporters wrote, `messages` its OTLP.

    `spans`, `metrics` and `logs` are what an exporter gets."""

    def __init__(self) -> None:
        out, spans, logs, metrics = io.StringIO(), InMemorySpanExporter(), InMemoryLogRecordExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
        for exporter in (ConsoleSpanExporter(out=out), spans):
            self.tracers.add_span_processor(SimpleSpanProcessor(exporter))
        loggers = LoggerProvider(resource=RESOURCE, shutdown_on_exit=False)
        for exporter in (ConsoleLogRecordExporter(out=out), logs):
            loggers.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        views = [View(instrument_name="shop.size", aggregation=ExponentialBucketHistogramAggregation())]
        meters = MeterProvider([metrics], RESOURCE, shutdown_on_exit=False, views=views)
        self.do(meters.get_meter("shop", "1.2"), loggers.get_logger("shop", "1.2"))
        self.spans, self.metrics, self.logs = spans.get_finished_spans(), metrics.get_metrics_data(), logs.get_finished_logs()
        ConsoleMetricExporter(out=out).export(self.metrics)
        self.printed = out.getvalue()
        self.messages = [encode_spans(self.spans), encode_metrics(self.metrics), encode_logs(self.logs)]

    def sent(self) -> Telemetry:
        """What is read from the SDK's OTLP, by way of protobuf's own JSON."""
        telemetry = Telemetry()
        for message in self.messages:
            telemetry.add(MessageToDict(message, use_integers_for_enums=True))
        return telemetry

    def do(self, meter, logger) -> None:
        tracer = self.tracers.get_tracer("shop", "1.2")
        elsewhere = trace.SpanContext(0xABC << 96, 0x12345, True)
        kinds = {"text": "Café", "number": 5, "share": 0.5, "open": True, "tags": ("a", "b"), "none": ""}
        with tracer.start_as_current_span("GET /", kind=trace.SpanKind.SERVER, attributes=kinds) as root:
            links = [trace.Link(elsewhere, {"why": "retry"}), trace.Link(root.get_span_context())]
            with tracer.start_as_current_span("find", kind=trace.SpanKind.CLIENT, links=links) as child:
                child.add_event("counted", {"items": 5})
                child.set_status(trace.StatusCode.ERROR, "no more tea")
                meter.create_counter("shop.asked", "{request}", "how often").add(2, {"route": "/", "ok": True})
                meter.create_up_down_counter("shop.guests").add(-1)
                meter.create_gauge("shop.level").set(1.5)
                waits = meter.create_histogram("shop.wait", "ms", explicit_bucket_boundaries_advisory=[10, 250])
                for wait in (3, 250, 251.5):
                    waits.record(wait, {"route": "/"})
                sizes = meter.create_histogram("shop.size")
                for size in (0, 1, 2, 1000):
                    sizes.record(size)
                logger.emit(body={"said": ["no", 2]}, severity_text="WARN", event_name="shop.closed", attributes={"items": 5})
            root.set_status(trace.StatusCode.OK)
        with tracer.start_as_current_span("late", context=context.Context()):
            pass
        logger.emit(timestamp=1_795_000_000_000_001_000, body="alone", severity_number=None, context=context.Context())
