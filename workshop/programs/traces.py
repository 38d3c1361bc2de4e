"""Finding a trace for people: by its id, or the newest, in Jaeger or in what an app printed."""

from __future__ import annotations

import re
from pathlib import Path

from workshop.errors import UserError
from workshop.programs import jaeger
from workshop.telemetry import waterfall
from workshop.telemetry.console import read_console
from workshop.telemetry.spans import Span


class NoTrace(UserError):
    """There is no such trace. The message says where it was looked for and what to do."""


def find(trace_id: str | None, log: Path | None = None, service: str = "todo", name: str = "") -> list[Span]:
    """The spans of one trace. Without an id: the newest with a span of this `name`, or the newest request for a page.

    Raises NoTrace, and ProgramError when Jaeger does not answer."""
    if trace_id is not None and not trace_id.strip():
        raise NoTrace("The TRACE_ID is empty. Did a command between $( and ) find one? Run it alone, and see what it prints.")
    wanted = (trace_id or "").strip().lower().removeprefix("0x")
    if wanted and not re.fullmatch("[0-9a-f]{32}", wanted):
        raise NoTrace(f"{trace_id!r} is no trace id: one has 32 digits, from 0 to 9 and from a to f.")
    if log:
        spans, where = read_console(log.read_text(encoding="utf-8", errors="replace")).spans, str(log)
    else:
        asked = jaeger.configured()
        spans = asked.trace(wanted) if wanted else asked.traces(service, operation=name)
        where = f"Jaeger at {asked.query_url}"
    traces = waterfall.by_trace(spans)
    if name and not wanted:
        traces = {key: trace for key, trace in traces.items() if any(span.name == name for span in trace)}
    if wanted and wanted in traces:
        return traces[wanted]
    if wanted or not traces:
        sought = f"no trace {wanted}" if wanted else f"no trace of {service!r}" + (f" with a span {name!r}" if name else "")
        raise NoTrace(
            f"{where} has {sought}. Spans leave in batches, every five seconds: ask the app once more, wait, and try again."
        )
    pages = [trace for trace in traces.values() if any(map(_is_page, trace))]
    return (pages or list(traces.values()))[-1]


def _is_page(span: Span) -> bool:
    """Whether a span is a request for a page, and not for one of the files that a browser loads with it."""
    route = span.attributes.get("http.route", "")
    return span.kind == "server" and not route.startswith("/static/")
