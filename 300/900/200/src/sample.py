"""Begin a thousand requests as the sampler of this shell's settings decides, and count those that are kept."""

import os
import random

for signal in ("TRACES", "METRICS", "LOGS"):
    os.environ[f"OTEL_{signal}_EXPORTER"] = "none"

from opentelemetry import trace
from opentelemetry.instrumentation.auto_instrumentation import initialize

initialize()
random.seed(1)  # the same thousand trace ids each time
tracer = trace.get_tracer("sample")
started = [tracer.start_span("GET /", kind=trace.SpanKind.SERVER, attributes={"http.request.method": "GET"}) for _ in range(1000)]
kept = [span for span in started if span.is_recording()]
states = {span.get_span_context().trace_state.to_header() for span in kept} - {""}
print(f"{len(kept)} of 1000 are kept" + "".join(f", tracestate: {state}" for state in states))
if bare := sum(not span.attributes for span in kept):
    print(f"{bare} of them have lost their attributes")
