"""Finding a trace for people: by its id, or the newest, in Jaeger or in what an app printed."""

from __future__ import annotations

from pathlib import Path

from workshop import jaeger, waterfall
from workshop.errors import UserError
from workshop.spans import Span, read_console


class NoTrace(UserError):
    """There is no such trace. The message says where it was looked for and what to do."""


def find(trace_id: str | None, log: Path | None = None, service: str = "todo") -> list[Span]:
    """The spans of one trace. Without an id: the newest that holds a request, or the newest of all.

    Raises NoTrace, and JaegerError when Jaeger does not answer."""
    wanted = (trace_id or "").lower().removeprefix("0x")
    if log:
        spans, where = read_console(log.read_text(encoding="utf-8", errors="replace")).spans, str(log)
    else:
        asked = jaeger.mine()
        spans = asked.trace(wanted) if wanted else asked.traces(service, limit=20)
        where = f"Jaeger at {asked.query_url}"
    traces = waterfall.by_trace(spans)
    if wanted and wanted in traces:
        return traces[wanted]
    if wanted or not traces:
        sought = f"no trace {wanted}" if wanted else f"no trace of {service!r}"
        raise NoTrace(f"{where} has {sought}. Spans leave in batches, every five seconds: ask the app once more, wait, and try again.")
    requests = [trace for trace in traces.values() if any(span.kind == "server" for span in trace)]
    return (requests or list(traces.values()))[-1]
