"""Spans: pieces of work, wherever they were seen."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Event:
    """Something that happened at one moment of a span. `time_ns` is nanoseconds since the epoch."""

    name: str
    time_ns: int
    attributes: dict


@dataclass(frozen=True)
class Link:
    """A pointer from a span to a span of another place or time. Ids are bare lower-case hex."""

    trace_id: str
    span_id: str
    attributes: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Span:
    """One piece of work. Ids are bare lower-case hex, times are nanoseconds since the epoch, `kind` is lower case.

    `scope` is empty for console spans: the console exporter of SDK 1.45 does not print the instrumentation scope. `warnings`
    are Jaeger's.
    """

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str | None
    start_ns: int
    end_ns: int
    status: str = "UNSET"
    status_text: str = ""
    attributes: dict = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    links: tuple[Link, ...] = ()
    resource: dict = field(default_factory=dict)
    scope: str = ""
    scope_version: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def service(self) -> str:
        return self.resource.get("service.name", "")

    @property
    def duration_ms(self) -> float:
        return (self.end_ns - self.start_ns) / 1e6

    @property
    def user_agent(self) -> str | None:
        """The User-Agent that a request's span carries, under its old or its stable name."""
        return self.attributes.get("http.user_agent") or self.attributes.get("user_agent.original")

    @property
    def is_http(self) -> bool:
        """Whether it is about an HTTP request, by its old or its stable names."""
        return "http.method" in self.attributes or "http.request.method" in self.attributes

    @property
    def statement(self) -> str:
        """The SQL of a database span, under its old or its stable name; empty for any other span."""
        return self.attributes.get("db.statement") or self.attributes.get("db.query.text") or ""
