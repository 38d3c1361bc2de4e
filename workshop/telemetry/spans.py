"""Spans, read from what an app printed or from what Jaeger stored, in one shape.

The console exporter writes indented JSON objects into a stream that also holds the server's own lines. Jaeger answers
with its own JSON. Both become `Span`, so that a check does not care where a span was seen.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

COLOR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
OBJECT = re.compile(r"^\{", re.MULTILINE)


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


@dataclass(frozen=True)
class Span:
    """One piece of work. Ids are bare lower-case hex, times are nanoseconds since the epoch, `kind` is lower case.

    `scope` is empty for console spans: the console exporter of SDK 1.45 does not print the instrumentation scope.
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


@dataclass(frozen=True)
class Console:
    """What an app printed, sorted by signal. `objects` holds each JSON object as (its text, its value), in order."""

    text: str
    objects: list[tuple[str, dict]]

    @cached_property
    def spans(self) -> list[Span]:
        return [_from_console(value) for _, value in self.objects if str(value.get("kind")).startswith("SpanKind.")]

    @property
    def metrics(self) -> list[dict]:
        """Every metric of every export, oldest first: `{"name", "unit", "data": {"data_points": [...]}}`."""
        return [
            metric
            for _, value in self.objects
            for resource in value.get("resource_metrics", ())
            for scope in resource.get("scope_metrics", ())
            for metric in scope.get("metrics", ())
        ]

    @property
    def logs(self) -> list[dict]:
        return [value for _, value in self.objects if "severity_text" in value and "body" in value]


def read_console(text: str) -> Console:
    """Find the JSON objects in `text`; what is not a complete object is left alone."""
    text = COLOR.sub("", text)
    decoder, objects, at = json.JSONDecoder(), [], 0
    while match := OBJECT.search(text, at):
        try:
            value, end = decoder.raw_decode(text, match.start())
        except ValueError:
            at = match.end()
            continue
        objects.append((text[match.start() : end], value))
        at = end
    return Console(text, objects)


def read_jaeger(answer: dict) -> list[Span]:
    """The spans in an answer of Jaeger's `/api/traces` or `/api/traces/ID`."""
    return [
        _from_jaeger(span, trace["processes"][span["processID"]])
        for trace in answer.get("data") or ()
        for span in trace["spans"]
    ]


def _hex(value: str | None) -> str | None:
    return value[2:] if value and value.startswith("0x") else value


def _nanoseconds(moment: str) -> int:
    """`2026-11-21T09:00:00.123456Z`, as the console exporter writes it, in nanoseconds since the epoch."""
    parsed = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    return int(parsed.timestamp()) * 1_000_000_000 + parsed.microsecond * 1000


def _from_console(value: dict) -> Span:
    return Span(
        name=value["name"],
        kind=value["kind"].removeprefix("SpanKind.").lower(),
        trace_id=_hex(value["context"]["trace_id"]),
        span_id=_hex(value["context"]["span_id"]),
        parent_id=_hex(value["parent_id"]),
        start_ns=_nanoseconds(value["start_time"]),
        end_ns=_nanoseconds(value["end_time"]),
        status=value["status"]["status_code"],
        status_text=value["status"].get("description", ""),
        attributes=value["attributes"],
        events=tuple(Event(e["name"], _nanoseconds(e["timestamp"]), e["attributes"]) for e in value["events"]),
        links=tuple(Link(_hex(link["context"]["trace_id"]), _hex(link["context"]["span_id"])) for link in value["links"]),
        resource=value["resource"]["attributes"],
    )


def _from_jaeger(value: dict, process: dict) -> Span:
    tags = {tag["key"]: tag["value"] for tag in value["tags"]}
    logs = [({f["key"]: f["value"] for f in log["fields"]}, log["timestamp"] * 1000) for log in value["logs"]]
    references = value["references"]
    parent = next((r for r in references if r["refType"] == "CHILD_OF" and r["traceID"] == value["traceID"]), None)
    return Span(
        name=value["operationName"],
        kind=tags.get("span.kind", "internal"),
        trace_id=value["traceID"],
        span_id=value["spanID"],
        parent_id=parent and parent["spanID"],
        start_ns=value["startTime"] * 1000,
        end_ns=(value["startTime"] + value["duration"]) * 1000,
        status=tags.get("otel.status_code", "UNSET"),
        status_text=tags.get("otel.status_description", ""),
        attributes=tags,
        events=tuple(Event(fields.pop("event", ""), at, fields) for fields, at in logs),
        links=tuple(Link(r["traceID"], r["spanID"]) for r in references if r is not parent),
        resource={"service.name": process["serviceName"], **{tag["key"]: tag["value"] for tag in process["tags"]}},
        scope=tags.get("otel.scope.name", ""),
        warnings=tuple(value.get("warnings") or ()),
    )
