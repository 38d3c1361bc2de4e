"""OTLP as JSON: what the Collector writes into a file, what a fake server was sent, what Jaeger answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from workshop.telemetry.logs import LogRecord
from workshop.telemetry.metrics import Exemplar, ExponentialPoint, HistogramPoint, Metric, NumberPoint, Point
from workshop.telemetry.spans import Event, Link, Span

KINDS = ("internal", "internal", "server", "client", "producer", "consumer")
STATUSES = ("UNSET", "OK", "ERROR")
TEMPORALITIES = ("", "delta", "cumulative")
# Where Jaeger puts its remarks on a span. They are not the app's, and Jaeger 2.13 adds the same one with every answer.
WARNINGS = "@jaeger@warnings"


@dataclass
class Telemetry:
    """What was sent, by signal, in the order in which it came."""

    spans: list[Span] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    logs: list[LogRecord] = field(default_factory=list)

    def add(self, message: dict) -> None:
        """Add what one message of OTLP holds: an export of any signal, as the JSON of the specification has it.

        Ids may also be in base64, as protobuf's own JSON has them. Raises ValueError when it is no such message."""
        try:
            spans = list(_each(message, "resourceSpans", "scopeSpans", "spans", _span))
            metrics = list(_each(message, "resourceMetrics", "scopeMetrics", "metrics", _metric))
            logs = list(_each(message, "resourceLogs", "scopeLogs", "logRecords", _log))
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise ValueError(f"no message of OTLP: {type(error).__name__}: {error}") from None
        self.spans += spans
        self.metrics += metrics
        self.logs += logs


def write_otlp(telemetry: Telemetry) -> dict[str, dict]:
    """A message of OTLP's JSON for each signal of which there is something. Of metrics it can write numbers and histograms."""
    written = {
        "traces": {"resourceSpans": [_wrapped(span, "scopeSpans", "spans", _span_as_json(span)) for span in telemetry.spans]},
        "metrics": {"resourceMetrics": [_wrapped(m, "scopeMetrics", "metrics", _metric_as_json(m)) for m in telemetry.metrics]},
        "logs": {"resourceLogs": [_wrapped(log, "scopeLogs", "logRecords", _log_as_json(log)) for log in telemetry.logs]},
    }
    return {signal: message for signal, message in written.items() if any(message.values())}


def read_otlp(text: str) -> Telemetry:
    """What a stream of JSON objects holds: one message, one a line, or one after the other, each bare or as a `result`.

    Raises ValueError when it is not that."""
    telemetry, decoder, at = Telemetry(), json.JSONDecoder(), 0
    text = text.strip()
    while at < len(text):
        message, at = decoder.raw_decode(text, at)
        while at < len(text) and text[at].isspace():
            at += 1
        telemetry.add(message.get("result", message) if isinstance(message, dict) else message)
    return telemetry


def _each(message: dict, resources: str, scopes: str, items: str, read: Callable) -> Iterator:
    for resource in message.get(resources, ()):
        attributes = _attributes(resource.get("resource", {}))
        for scope in resource.get(scopes, ()):
            for item in scope.get(items, ()):
                yield read(item, attributes, scope.get("scope", {}))


def _span(value: dict, resource: dict, scope: dict) -> Span:
    attributes, status = _attributes(value), value.get("status", {})
    return Span(
        name=value.get("name", ""),
        kind=KINDS[value.get("kind", 0)],
        trace_id=_id(value["traceId"]),
        span_id=_id(value["spanId"]),
        parent_id=_id(value.get("parentSpanId")) or None,
        start_ns=int(value["startTimeUnixNano"]),
        end_ns=int(value["endTimeUnixNano"]),
        status=STATUSES[status.get("code", 0)],
        status_text=status.get("message", ""),
        warnings=tuple(dict.fromkeys(attributes.pop(WARNINGS, ()))),
        attributes=attributes,
        events=tuple(Event(e.get("name", ""), int(e["timeUnixNano"]), _attributes(e)) for e in value.get("events", ())),
        links=tuple(Link(_id(link["traceId"]), _id(link["spanId"]), _attributes(link)) for link in value.get("links", ())),
        resource=resource,
        scope=scope.get("name", ""),
        scope_version=scope.get("version", ""),
    )


def _metric(value: dict, resource: dict, scope: dict) -> Metric:
    kind = next((kind for kind in POINTS if kind in value), "")
    data = value.get(kind, {})
    return Metric(
        name=value.get("name", ""),
        kind=kind,
        points=tuple(POINTS[kind](point) for point in data.get("dataPoints", ())),
        unit=value.get("unit", ""),
        description=value.get("description", ""),
        temporality=TEMPORALITIES[data.get("aggregationTemporality", 0)],
        monotonic=data.get("isMonotonic", False),
        resource=resource,
        scope=scope.get("name", ""),
    )


def _common(point: dict) -> tuple:
    """What the points of all kinds have, in the order of the fields of `Point`."""
    exemplars = tuple(
        Exemplar(
            _number(e),
            int(e["timeUnixNano"]),
            _id(e.get("traceId")),
            _id(e.get("spanId")),
            _attributes(e, "filteredAttributes"),
        )
        for e in point.get("exemplars", ())
    )
    return _attributes(point), int(point.get("startTimeUnixNano", 0)), int(point.get("timeUnixNano", 0)), exemplars


def _number(value: dict) -> float:
    return int(value["asInt"]) if "asInt" in value else float(value.get("asDouble", "nan"))


def _number_point(point: dict) -> Point:
    return NumberPoint(*_common(point), _number(point))


def _distribution(point: dict) -> tuple[tuple, dict]:
    """What the points of all histograms have: the first fields in order, and the extremes where they are known."""
    extremes = {name: float(point[name]) for name in ("min", "max") if name in point}
    return (*_common(point), int(point.get("count", 0)), float(point.get("sum", 0))), extremes


def _histogram_point(point: dict) -> Point:
    common, extremes = _distribution(point)
    bounds = tuple(map(float, point.get("explicitBounds", ())))
    return HistogramPoint(*common, **extremes, bounds=bounds, buckets=tuple(map(int, point.get("bucketCounts", ()))))


def _exponential_point(point: dict) -> Point:
    common, extremes = _distribution(point)
    sides = [
        {side.get("offset", 0) + number: int(count) for number, count in enumerate(side.get("bucketCounts", ())) if int(count)}
        for side in (point.get("positive", {}), point.get("negative", {}))
    ]
    return ExponentialPoint(*common, point.get("scale", 0), int(point.get("zeroCount", 0)), *sides, **extremes)


# What reads a point of each kind of metric; the quantiles of a summary are left out.
POINTS = {
    "sum": _number_point,
    "gauge": _number_point,
    "histogram": _histogram_point,
    "exponentialHistogram": _exponential_point,
    "summary": _histogram_point,
}


def _log(value: dict, resource: dict, scope: dict) -> LogRecord:
    return LogRecord(
        body=_value(value.get("body", {})),
        severity=value.get("severityText", ""),
        severity_number=value.get("severityNumber", 0),
        time_ns=int(value.get("timeUnixNano", 0)),
        observed_ns=int(value.get("observedTimeUnixNano", 0)),
        trace_id=_id(value.get("traceId")),
        span_id=_id(value.get("spanId")),
        event_name=value.get("eventName", ""),
        attributes=_attributes(value),
        resource=resource,
        scope=scope.get("name", ""),
    )


def _attributes(holder: dict, name: str = "attributes") -> dict:
    return {pair["key"]: _value(pair.get("value", {})) for pair in holder.get(name, ())}


def _value(value: dict) -> object:
    """A value of any type; None for one without a type, which OTLP has for null."""
    for kind, content in value.items():
        if kind == "intValue":
            return int(content)
        if kind == "doubleValue":
            return float(content)
        if kind == "bytesValue":
            return base64.b64decode(content)
        if kind == "arrayValue":
            return [_value(item) for item in content.get("values", ())]
        if kind == "kvlistValue":
            return _attributes(content, "values")
        return content
    return None


def _id(value: str | None) -> str:
    """An id in hex, as it stands in OTLP's JSON, or in base64, as it stands in protobuf's; empty for none."""
    if value and len(value) in (12, 24):  # base64 of 8 and of 16 bytes; in hex they have 16 and 32 characters
        value = base64.b64decode(value).hex()
    return value if value and value.strip("0") else ""


def _wrapped(item: Span | Metric | LogRecord, scopes: str, items: str, value: dict) -> dict:
    return {"resource": _pairs(item.resource), scopes: [{"scope": {"name": item.scope}, items: [value]}]}


def _span_as_json(span: Span) -> dict:
    return {
        "name": span.name,
        "kind": KINDS.index(span.kind, 1),
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_id or "",
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
        "status": {"code": STATUSES.index(span.status), "message": span.status_text},
        **_pairs(span.attributes),
        "events": [{"name": e.name, "timeUnixNano": str(e.time_ns), **_pairs(e.attributes)} for e in span.events],
        "links": [{"traceId": link.trace_id, "spanId": link.span_id, **_pairs(link.attributes)} for link in span.links],
    }


def _metric_as_json(metric: Metric) -> dict:
    kept = {"sum": ("aggregationTemporality", "isMonotonic"), "histogram": ("aggregationTemporality",)}.get(metric.kind, ())
    known = {"aggregationTemporality": TEMPORALITIES.index(metric.temporality), "isMonotonic": metric.monotonic}
    data = {"dataPoints": list(map(_point_as_json, metric.points)), **{name: known[name] for name in kept}}
    return {"name": metric.name, "unit": metric.unit, "description": metric.description, metric.kind: data}


def _point_as_json(point: NumberPoint | HistogramPoint) -> dict:
    written = {"startTimeUnixNano": str(point.start_ns), "timeUnixNano": str(point.time_ns), **_pairs(point.attributes)}
    if point.exemplars:
        written["exemplars"] = [
            {
                "timeUnixNano": str(one.time_ns),
                "asDouble": one.value,
                "traceId": one.trace_id,
                "spanId": one.span_id,
                "filteredAttributes": _pairs(one.attributes)["attributes"],
            }
            for one in point.exemplars
        ]
    if isinstance(point, NumberPoint):
        return {**written, "asDouble": point.value}
    ends = {name: value for name, value in (("min", point.min), ("max", point.max)) if value is not None}
    counts = {"bucketCounts": list(map(str, point.buckets)), "explicitBounds": list(point.bounds)}
    return {**written, "count": str(point.count), "sum": point.sum, **counts, **ends}


def _log_as_json(log: LogRecord) -> dict:
    return {
        "timeUnixNano": str(log.time_ns),
        "observedTimeUnixNano": str(log.observed_ns),
        "severityText": log.severity,
        "severityNumber": log.severity_number,
        "body": _any(log.body),
        "eventName": log.event_name,
        "traceId": log.trace_id,
        "spanId": log.span_id,
        **_pairs(log.attributes),
    }


def _pairs(attributes: dict) -> dict:
    return {"attributes": [{"key": name, "value": _any(value)} for name, value in attributes.items()]}


def _any(value: object) -> dict:
    """A value with the name of its type; null has none."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": _pairs(value)["attributes"]}}
    if isinstance(value, (list, tuple)):
        return {"arrayValue": {"values": [_any(item) for item in value]}}
    if isinstance(value, bytes):
        return {"bytesValue": base64.b64encode(value).decode()}
    kind = {bool: "boolValue", int: "intValue", float: "doubleValue"}.get(type(value), "stringValue")
    return {kind: str(value) if kind == "intValue" else value}
