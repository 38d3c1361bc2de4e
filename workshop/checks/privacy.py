"""What a checkpoint can say about privacy."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from workshop.course.requirements import requirements
from workshop.telemetry.spans import Span


class Privacy:
    """Verbs of an app that has stopped: each raises Broken, naming the place."""

    def keeps_secrets(self) -> None:
        """No canary of 200/300 stands in a span, on the console or in Jaeger, or in any other line that the app printed.

        Raises Broken, naming the place."""
        own = {span.trace_id for span in self.spans}
        stored = [span for span in self.jaeger.traces(self.service) if span.trace_id in own] if self.jaeger else []
        for secret in requirements().secrets:
            shapes = (secret.canary, quote(secret.canary, safe=""))
            told = (
                f"{where}: {what} of the span {span.name!r}"
                for where, spans in (("the console", self.spans), ("Jaeger", stored))
                for span in spans
                for what, text in _texts(span)
                if any(shape in text for shape in shapes)
            )
            lines = (f"the terminal: {line.strip()}" for line in self.output.splitlines() if any(s in line for s in shapes))
            if place := next(told, next(lines, "")):
                raise self.broken(
                    "private",
                    f"{secret.what} in {place}",
                    "it nowhere but in the app's own database and pages",
                    f"telemetry is copied, kept for months and read by many; this slips in by {secret.where}",
                    "200/300",
                )


def _texts(span: Span) -> Iterator[tuple[str, str]]:
    """Every text that a span carries, each as (what it is, the text)."""
    yield "the name", span.name
    yield "the status", span.status_text
    yield from ((f"the attribute {name}", str(value)) for name, value in span.attributes.items())
    for event in span.events:
        yield from ((f"{name} of the event {event.name!r}", str(value)) for name, value in event.attributes.items())
