"""The trace id of a change, handed to whoever made it."""

from flask import Response, flash, request
from opentelemetry import trace


def hand_out_trace_id(response: Response) -> Response:
    """Keep the trace id of a change for the page that is shown after it."""
    span = trace.get_current_span()
    if span.is_recording():
        trace_id = trace.format_trace_id(span.get_span_context().trace_id)
        response.headers["X-Trace-Id"] = trace_id
        if request.method == "POST" and response.status_code == 302:
            flash(trace_id, "trace")
    return response
