"""Make a thousand spans while a backend is away, with room for so many, and say which of them arrive in the end."""

import sys
from threading import Event

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

ALL = 1000
queue, batch = int(sys.argv[1]), int(sys.argv[2])
asked, back, arrived = Event(), Event(), []


class Away(SpanExporter):
    """A backend that takes what it is handed, once it is back."""

    def export(self, spans):
        asked.set()
        back.wait()
        arrived.extend(int(span.name) for span in spans)
        return SpanExportResult.SUCCESS


reader = InMemoryMetricReader()
meters, tracers = MeterProvider([reader]), TracerProvider()
tracers.add_span_processor(
    BatchSpanProcessor(Away(), max_queue_size=queue, max_export_batch_size=batch, meter_provider=meters)
)
tracer = tracers.get_tracer("full")
for number in range(1, ALL + 1):
    tracer.start_span(str(number)).end()
    if number == batch:
        asked.wait()  # the first batch is on its way, and stays there
for resource in reader.get_metrics_data().resource_metrics:
    for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
        for point in metric.data.data_points:
            print(metric.name, point.attributes.get("error.type", ""), point.value)
back.set()
tracers.shutdown()
first = [number for number in arrived if number <= batch]
print(f"arrived: {first[0]} to {first[-1]}, and {arrived[batch]} to {arrived[-1]}; lost: {ALL - len(arrived)}")
