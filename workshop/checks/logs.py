"""What a checkpoint can say about log records."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from workshop.diagnosis.kept import KEPT, Kept
from workshop.diagnosis.logs import LOGS, PLACED, console_silent, filter_drops, handler_twice, level_swallowed
from workshop.programs import logs as store
from workshop.telemetry.console import read_lines
from workshop.telemetry.logs import LogRecord
from workshop.telemetry.spans import Span

SHOWN = 4
ARRIVE_SECONDS = 3  # what has arrived can be searched a second later
LOW = ("DEBUG", "INFO")


class Logs:
    """Verbs of an app that has stopped: each returns what it proved, or raises Broken.

    They look at the log records on the console, or at those that they are given, such as the ones that a fake server has."""

    def log_record(
        self, span: Span, event_name: str = "", text: str = "", severity: str = "", logs: Iterable[LogRecord] | None = None
    ) -> LogRecord:
        """The one record that was written inside a span or inside one below it, with this event name, text and severity.

        Raises Broken when there is none or more than one."""
        logs = list(self.console.logs if logs is None else logs)
        named = f"an event named {event_name!r}" if event_name else "a log record"
        wanted = named + (f" that says {text!r}" if text else "") + (f", {severity}" if severity else "")
        alike = [
            log
            for log in logs
            if (not event_name or log.event_name == event_name) and text in str(log.body) and severity in ("", log.severity)
        ]
        if not alike:
            told = "\n".join(_line(log) for log in logs[-SHOWN:])
            self.require(
                LOGS,
                *([level_swallowed] if severity in LOW else []),
                otherwise=self.diagnosis(
                    "no-log",
                    f"{len(logs)} log records, and none like that\n{told}".rstrip(),
                    wanted,
                    "log records go where OTEL_LOGS_EXPORTER says, and only what is handed to OpenTelemetry becomes one",
                    self.checkpoint.lesson.name,
                ),
                lacks="a log record",
                logs=logs,
                text=text or event_name,
            )
        inside = {span.span_id, *(below.span_id for below in self.below(span))}
        found = [log for log in alike if log.trace_id == span.trace_id and log.span_id in inside]
        if len(found) != 1:
            told = "\n".join(f"{_line(log)}: {_place(log, span)}" for log in alike[:SHOWN])
            self.require(
                PLACED,
                otherwise=self.diagnosis(
                    "log-span",
                    f"{span.name}: {len(found)} of them inside it\n{told}",
                    f"{wanted}, exactly once, in trace {span.trace_id}",
                    "a record takes along the ids of the span that is current where it is written",
                    self.checkpoint.lesson.name,
                ),
                logs=alike,
                text=text or str(alike[0].body),
                span=span,
            )
        return found[0]

    def in_log_store(self, logs: store.Logs, text: str, span: Span) -> dict[str, str]:
        """The one row of a log store that says `text` in this span's trace, awaited. Raises Broken when there is none or more."""
        asked = lambda: [row for row in logs.query(f"trace_id:={span.trace_id}") if text in row.get("_msg", "")]  # noqa: E731
        found = logs.until(asked, ARRIVE_SECONDS)
        if len(found) == 1:
            return found[0]
        (counted,) = logs.query(f'service.name:="{self.service}" | stats count() rows')
        own = logs.log.read_text(errors="replace") if logs.log.exists() else ""
        traces = frozenset({span.trace_id, *(log.trace_id for log in self.console.logs)})
        self.require(
            filter_drops,
            KEPT,
            kept=Kept(store.LOGS.numbers["http"], own, int(counted["rows"]), traces),
            lacks="a log record in the log store",
            logs=self.console.logs,
            text=text,
            otherwise=self.diagnosis(
                "not-in-log-store",
                f"{len(found)} rows of this trace say {text!r}; of this app there are {counted['rows']} rows, and on its console "
                f"{len(self.console.logs)} log records",
                "one row",
                "a search finds only what arrived, and a store that refuses or drops records tells whoever sent them, or nobody",
                self.checkpoint.lesson.name,
            ),
        )
        return {}

    def on_terminal(self, text: str) -> str:
        """The one line that says `text` on the terminal, where the console exporter's telemetry does not count. Raises Broken."""
        found = [line for line in self.lines if text in line]
        if len(found) != 1:
            self.require(
                *([handler_twice] if found else [LOGS, console_silent]),
                otherwise=self.diagnosis(
                    "no-line",
                    f"{len(found)} lines on the terminal say {text!r}",
                    "one",
                    "who looks at the terminal sees what the app logs, whatever else becomes of it",
                    self.checkpoint.lesson.name,
                ),
                lacks="" if found else "a line on the terminal",
                logs=self.console.logs,
                lines=self.lines,
                text=text,
            )
        return found[0]

    @property
    def json_lines(self) -> tuple[LogRecord, ...]:
        """The lines of JSON that the app has printed or written to files. What they hold besides is in `attributes`."""
        folder = self.checkpoint.folder
        written = [p for kind in ("*.log", "*.jsonl", "*.json") for p in sorted(folder.rglob(kind)) if p.name != "output.log"]
        files = [path.read_text(encoding="utf-8", errors="replace") for path in written]
        return read_lines("\n".join([*self.lines, *files]))

    @cached_property
    def lines(self) -> list[str]:
        """The lines on the terminal that are no part of the console exporter's telemetry."""
        told = {line for text, _ in self.console.objects for line in text.splitlines() if "\n" in text}
        return [line for line in self.output.splitlines() if line not in told]


def _line(log: LogRecord) -> str:
    return f"{log.severity} {log.event_name or str(log.body)[:20]!r}".strip()


def _place(log: LogRecord, span: Span) -> str:
    if not log.trace_id:
        return "in no span"
    return f"in span {log.span_id}" if log.trace_id == span.trace_id else f"in trace {log.trace_id}"
