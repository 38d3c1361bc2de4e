"""What the operator wants everybody to read."""

from pathlib import Path

from flask import current_app
from opentelemetry import trace
from opentelemetry.trace import StatusCode

LONGEST = 200

tracer = trace.get_tracer(__name__)


def read_notice() -> str:
    """The first 200 characters of instance/notice.txt; nothing where there is none, or none that can be read."""
    with tracer.start_as_current_span("read notice") as span:
        try:
            notice = Path(current_app.instance_path, "notice.txt").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            span.set_status(StatusCode.ERROR, "the notice cannot be read")
            span.set_attribute("error.type", type(error).__qualname__)
            current_app.logger.exception("The notice cannot be read.")
            return ""
        span.set_attribute("todo.notice.length", len(notice))
        return notice[:LONGEST]
