"""What an app printed: the JSON of the SDK's console exporters, in a stream that also holds the server's own lines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache

from workshop.telemetry.logs import LogRecord
from workshop.telemetry.metrics import Exemplar, ExponentialPoint, HistogramPoint, Metric, NumberPoint, Point
from workshop.telemetry.spans import Event, Link, Span

COLOR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
OBJECT = re.compile(r"^\{", re.MULTILINE)
LINE = re.compile(r'^\{.*"message".*$', re.MULTILINE)
DECODER = json.JSONDecoder()
NEWLINE = re.compile(r"\r?\n?")
PRINTED = re.compile(r'\{\r?\n    "')  # how each object of the exporters begins, and nothing within one


@dataclass(frozen=True)
class Console:
    """What an app printed, sorted by signal. `objects` holds each JSON object as (its text, its value), in order."""

    text: str
    objects: list[tuple[str, dict]]

    @cached_property
    def spans(self) -> list[Span]:
        return self._whole(lambda value: [_span(value)] if str(value.get("kind")).startswith("SpanKind.") else [])

    @cached_property
    def metrics(self) -> list[Metric]:
        """Every metric of every export, oldest first."""
        return self._whole(lambda value: [*_metrics(value)] if "resource_metrics" in value else [])

    @cached_property
    def logs(self) -> list[LogRecord]:
        return self._whole(lambda value: [_log(value)] if {"severity_text", "observed_timestamp"} <= value.keys() else [])

    def _whole(self, read: Callable[[dict], list]) -> list:
        """What is read from the objects. One that was torn in another way than `read_console` mends is left alone."""
        found = []
        for _, value in self.objects:
            with suppress(AttributeError, KeyError, TypeError, ValueError):
                found += read(value)
        return found


def read_console(text: str) -> Console:
    """Find the JSON objects in `text`; what is not a complete object is left alone.

    Exporters print from threads of their own, and what is longer than the buffer of stdout, such as a log record with a stack trace,
    leaves in pieces: others may stand between them, whole. These are taken out, and then it is whole, too."""
    text = rest = COLOR.sub("", text)
    objects, at = [], 0
    while match := OBJECT.search(rest, at):
        try:
            value, at = _read(rest, match.start())
            objects.append((rest[match.start() : at], value))
        except json.JSONDecodeError as error:
            between, begin, end = _between(rest, match.end())
            mended = rest[:begin] + rest[end:] if between else rest
            if between and _breaks(mended, match.start()) > max(begin, error.pos - 1):
                objects += between
                rest, at = mended, match.start()
            else:
                at = match.end()
    return Console(text, objects)


def _between(text: str, at: int) -> tuple[list[tuple[str, dict]], int, int]:
    """The whole objects that follow next upon each other, and where the first begins and the last ends."""
    match, found = PRINTED.search(text, at), []
    begin = end = match.start() if match else at
    while PRINTED.match(text, end):
        try:
            value, after = _read(text, end)
        except json.JSONDecodeError:
            break
        found.append((text[end:after], value))
        end = NEWLINE.match(text, after).end()
    return found, begin, end


def _read(text: str, at: int) -> tuple[dict, int]:
    """The object that begins there, and where it ends. Raises JSONDecodeError; also where another one stands in a list of it."""
    value, end = DECODER.raw_decode(text, at)
    if other := PRINTED.search(text, at + 1, end):
        raise json.JSONDecodeError("another object", text, other.start())
    return value, end


def _breaks(text: str, at: int) -> int:
    """Where the object that begins there is no JSON any more; behind the text if it is whole."""
    try:
        _read(text, at)
    except json.JSONDecodeError as error:
        return error.pos
    return len(text) + 1


@lru_cache(maxsize=4)
def read_lines(text: str) -> tuple[LogRecord, ...]:
    """The log records among the lines of a text: each line that is a JSON object with a message, whatever else it holds."""
    found = []
    for line in text.splitlines():
        value = _object(line)
        if isinstance(value.get("message"), str):
            found.append(
                LogRecord(
                    body=value.pop("message"),
                    severity=str(value.pop("level", "")),
                    time_ns=_moment(value.pop("time", None)),
                    trace_id=str(value.pop("trace_id", "")),
                    span_id=str(value.pop("span_id", "")),
                    attributes=value,
                )
            )
    return tuple(found)


@lru_cache(maxsize=4)
def unfolded(text: str) -> str:
    """A text whose lines of JSON are told as people read them, a stack trace in its lines; other lines stay."""
    return LINE.sub(lambda line: _told(line[0]), text)


def _told(line: str) -> str:
    value = _object(line)
    if not isinstance(message := value.get("message"), str):
        return line
    return "\n".join([message, *(str(more) for more in value.values() if more != message and "\n" in str(more))])


def without_objects(text: str) -> str:
    """A text without the exporters' objects: what the app and its server have said themselves."""
    told, at = [], 0
    for found, _ in read_console(text).objects:
        begin = text.find(found, at)
        if begin >= at:  # a mended one stands in pieces
            told.append(text[at:begin])
            at = begin + len(found) + 1
    return "".join([*told, text[at:]])


def _object(line: str) -> dict:
    """The JSON object that a line is; empty for any other line."""
    try:
        value = json.loads(line) if line.startswith("{") else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _moment(text: object) -> int:
    """A time in nanoseconds since the epoch; 0 for none, and for one that does not say in which zone it is."""
    try:
        return _nanoseconds(str(text or "")) if re.search(r"(Z|[+-]\d\d:?\d\d)$", str(text)) else 0
    except ValueError:
        return 0


def _hex(value: str | int | None, digits: int) -> str:
    """An id, which spans and log records print as `0x…` and exemplars as a number; empty for none, which may be all zeros."""
    bare = f"{value:x}" if isinstance(value, int) else (value or "").removeprefix("0x")
    return bare.zfill(digits) if bare.strip("0") else ""


def _nanoseconds(moment: str | None) -> int:
    """`2026-11-21T09:00:00.123456Z`, as the console exporter writes it, in nanoseconds since the epoch; 0 for none."""
    if not moment:
        return 0
    parsed = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    return int(parsed.timestamp()) * 1_000_000_000 + parsed.microsecond * 1000


def _span(value: dict) -> Span:
    return Span(
        name=value["name"],
        kind=value["kind"].removeprefix("SpanKind.").lower(),
        trace_id=_hex(value["context"]["trace_id"], 32),
        span_id=_hex(value["context"]["span_id"], 16),
        parent_id=_hex(value["parent_id"], 16) or None,
        start_ns=_nanoseconds(value["start_time"]),
        end_ns=_nanoseconds(value["end_time"]),
        status=value["status"]["status_code"],
        status_text=value["status"].get("description", ""),
        attributes=value["attributes"],
        events=tuple(Event(e["name"], _nanoseconds(e["timestamp"]), e["attributes"]) for e in value["events"]),
        links=tuple(
            Link(_hex(link["context"]["trace_id"], 32), _hex(link["context"]["span_id"], 16), link["attributes"])
            for link in value["links"]
        ),
        resource=value["resource"]["attributes"],
    )


def _metrics(value: dict) -> Iterator[Metric]:
    for resource in value["resource_metrics"]:
        for scope in resource["scope_metrics"]:
            for metric in scope["metrics"]:
                data = metric["data"]
                yield Metric(
                    name=metric["name"],
                    kind=_kind(data),
                    points=tuple(map(_point, data["data_points"])),
                    unit=metric["unit"],
                    description=metric["description"],
                    temporality={1: "delta", 2: "cumulative"}.get(data.get("aggregation_temporality"), ""),
                    monotonic=data.get("is_monotonic", False),
                    resource=resource["resource"]["attributes"],
                    scope=scope["scope"]["name"],
                )


def _kind(data: dict) -> str:
    """Which kind of metric it is. The console does not say, yet each kind has a field that the others do not have."""
    if "is_monotonic" in data:
        return "sum"
    if "aggregation_temporality" not in data:
        return "gauge"
    return "exponentialHistogram" if any("scale" in point for point in data["data_points"]) else "histogram"


def _point(value: dict) -> Point:
    exemplars = tuple(
        Exemplar(
            e["value"], e["time_unix_nano"], _hex(e["trace_id"], 32), _hex(e["span_id"], 16), e["filtered_attributes"] or {}
        )
        for e in value["exemplars"]
    )
    common = value["attributes"] or {}, value["start_time_unix_nano"] or 0, value["time_unix_nano"], exemplars
    if "value" in value:
        return NumberPoint(*common, value["value"])
    extremes = {name: value[name] for name in ("min", "max") if value["count"]}
    if "scale" in value:
        buckets = [_buckets(value[side]["offset"], value[side]["bucket_counts"]) for side in ("positive", "negative")]
        return ExponentialPoint(
            *common, value["count"], value["sum"], value["scale"], value["zero_count"], *buckets, **extremes
        )
    bounds, buckets = tuple(value["explicit_bounds"]), tuple(value["bucket_counts"])
    return HistogramPoint(*common, value["count"], value["sum"], **extremes, bounds=bounds, buckets=buckets)


def _buckets(offset: int, counts: list[int]) -> dict[int, int]:
    return {offset + number: count for number, count in enumerate(counts) if count}


def _log(value: dict) -> LogRecord:
    return LogRecord(
        body=value["body"],
        severity=value["severity_text"] or "",
        severity_number=value["severity_number"] or 0,
        time_ns=_nanoseconds(value["timestamp"]),
        observed_ns=_nanoseconds(value["observed_timestamp"]),
        trace_id=_hex(value["trace_id"], 32),
        span_id=_hex(value["span_id"], 16),
        event_name=value["event_name"],
        attributes=value["attributes"] or {},
        resource=value["resource"]["attributes"],
    )
