"""The trace id of a change, handed to whoever made it."""

from flask import Response, flash, request
from opentelemetry import trace


def hand_out_trace_id(response: Response) -> Response:
    """Keep the trace id of a change for the page that is shown after it."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        response.headers["X-Trace-Id"] = trace.format_trace_id(context.trace_id)
    if request.method == "POST" and response.status_code == 302 and context.is_valid:
        flash(trace.format_trace_id(context.trace_id), "trace")
    return response
