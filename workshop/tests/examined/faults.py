"""httpbin with one fault put into it: python faults.py FAULT, under the agent."""

import logging
import sqlite3
import sys
import uuid

from flask import abort
from httpbin import app
from opentelemetry import context, metrics, propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags

FAULT = sys.argv[1]
tracer, meter = trace.get_tracer("faults"), metrics.get_meter("faults")
database = sqlite3.connect(":memory:", check_same_thread=False)
counter = meter.create_counter("visits", unit="visits" if FAULT == "unit" else "{visit}")


@app.before_request
def misbehave():
    span = trace.get_current_span()
    if FAULT == "n-plus-1":
        for number in range(12):
            database.cursor().execute("SELECT ?", (number,)).fetchall()
    elif FAULT == "status":
        child = tracer.start_span("pay")
        child.record_exception(ValueError("refused"))
        child.end()
    elif FAULT == "secret":
        span.set_attribute("user.password", "hunter2hunter2")
    elif FAULT == "address":
        span.set_attribute("db.address", "postgresql://app:hunter2hunter2@db/app")
    elif FAULT == "log":
        token = context.attach(context.Context())
        logging.getLogger("shop").warning("nobody knows for whom")
        context.detach(token)
    elif FAULT == "unbounded":
        counter.add(1, {"user.id": str(uuid.uuid4())})
    elif FAULT == "unit":
        counter.add(1)
    elif FAULT == "internal-many":
        for _ in range(11):
            tracer.start_span("turn").end()
    elif FAULT == "orphan":
        lost = NonRecordingSpan(SpanContext(span.get_span_context().trace_id, 0xDEAD, False, TraceFlags(TraceFlags.SAMPLED)))
        tracer.start_span("late", trace.set_span_in_context(lost)).end()
    elif FAULT == "level":
        span.set_attribute("service.name", "httpbin")
    elif FAULT == "client-root":
        tracer.start_span("ask", context.Context(), SpanKind.CLIENT).end()
    elif FAULT == "down":
        abort(503)


if FAULT == "propagation":
    propagate.set_global_textmap(W3CBaggagePropagator())
if FAULT == "open-span":
    with tracer.start_as_current_span("serve"):
        app.run(port=0, threaded=False)
else:
    app.run(port=0)
