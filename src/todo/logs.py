"""What the app says about itself."""

import atexit
import json
import logging
import os
import time
from datetime import datetime, timezone
from logging.handlers import QueueHandler, QueueListener
from queue import Queue

from flask import Response, g, request
from opentelemetry import metrics, trace

from todo.exceptions import ExceptionFields
from todo.masks import Mask, extra, masked

log = logging.getLogger(__name__)
dropped = metrics.get_meter(__name__).create_counter("todo.log.dropped", "{line}", "Lines that found too many others waiting.")


class DroppingHandler(QueueHandler):
    """Hands lines to another thread, or drops them when too many wait there already."""

    def enqueue(self, record: logging.LogRecord) -> None:
        if self.queue.qsize() < 1000:
            super().enqueue(record)
        else:
            dropped.add(1)


class JsonFormatter(logging.Formatter):
    """A record as a line of JSON, with the ids of the span that is current."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "service": os.environ.get("OTEL_SERVICE_NAME", "todo"),
        }
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            line["trace_id"] = trace.format_trace_id(span.trace_id)
            line["span_id"] = trace.format_span_id(span.span_id)
        if record.exc_info:
            line["exception"] = masked(self.formatException(record.exc_info))
        return json.dumps(line | extra(record), default=str)


def set_up() -> None:
    """Print what is logged, from INFO on, masked, by a thread of its own."""
    waiting = DroppingHandler(Queue())
    waiting.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[waiting])
    logging.getLogger("azure").setLevel(logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.addFilter(ExceptionFields())
        handler.addFilter(Mask())
    listener = QueueListener(waiting.queue, logging.StreamHandler())
    listener.start()
    atexit.register(setattr, waiting, "enqueue", listener.handle)  # comes second: what is registered last is called first
    atexit.register(listener.stop)


def begin() -> None:
    """Note when a request came."""
    g.begun = time.perf_counter()


def tell(response: Response) -> Response:
    """Log an answer while its span is current."""
    route, status = str(request.url_rule or "-"), response.status_code
    known = {"http.request.method": request.method, "http.route": route, "http.response.status_code": status}
    known["todo.duration_ms"] = round((time.perf_counter() - g.begun) * 1000, 1)
    log.info("%s %s %s", request.method, route, status, extra=known)
    return response
