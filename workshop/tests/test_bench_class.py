"""`make bench-class`: what a simulated app sends is what a real one would: new ids, whole traces, a service of its own, now."""

import time

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from workshop.dev.bench_class import batch, spans_of

TEMPLATE = ExportTraceServiceRequest()
ONE = TEMPLATE.resource_spans.add()
ONE.resource.attributes.add(key="service.name").value.string_value = "todo"
SPANS = ONE.scope_spans.add().spans
SPANS.add(
    name="SELECT", trace_id=b"t" * 16, span_id=b"2" * 8, parent_span_id=b"1" * 8, start_time_unix_nano=5, end_time_unix_nano=6
)
SPANS.add(name="GET /", trace_id=b"t" * 16, span_id=b"1" * 8, start_time_unix_nano=4, end_time_unix_nano=9)


def test_each_request_is_a_trace_of_its_own_with_the_shape_of_the_real_one():
    begun = time.time_ns()
    body, ids = batch(TEMPLATE, "todo-007", 3)
    message = ExportTraceServiceRequest.FromString(body)
    spans = spans_of(message)
    assert len(message.resource_spans) == 1 and len(spans) == 6
    assert message.resource_spans[0].resource.attributes[0].value.string_value == "todo-007"
    assert len(set(ids)) == 3 and {span.trace_id.hex() for span in spans} == set(ids)
    assert len({span.span_id for span in spans}) == 6
    roots = {span.trace_id: span for span in spans if not span.parent_span_id}
    assert len(roots) == 3
    for child in (span for span in spans if span.parent_span_id):
        assert child.parent_span_id == roots[child.trace_id].span_id
        assert child.start_time_unix_nano - roots[child.trace_id].start_time_unix_nano == 1
        assert roots[child.trace_id].start_time_unix_nano >= begun
