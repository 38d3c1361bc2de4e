"""The backend that 300/800/200 hands over takes whatever the exporter can send."""

import gzip
import runpy
import zlib

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from workshop.course import lessons

PACK = {"none": bytes, "gzip": gzip.compress, "deflate": zlib.compress}


def test_each_compression_of_the_exporter_is_taken():
    backend = runpy.run_path(str(lessons.find("300/800/200").folder / "src/cloud.py"))
    request = ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[Span(name="one")])])])
    assert {compression.value for compression in Compression} == set(PACK)
    for number, (name, pack) in enumerate(PACK.items(), 1):
        headers = {"Authorization": backend["keys"][0]} | ({"Content-Encoding": name} if name != "none" else {})
        sent = backend["app"].test_client().post("/otlp/v1/traces", data=pack(request.SerializeToString()), headers=headers)
        assert sent.status_code == 200, name
        assert backend["seen"]["traces"] == number
