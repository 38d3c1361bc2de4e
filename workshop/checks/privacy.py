"""What a checkpoint can say about privacy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import unquote

from workshop.course.requirements import requirements
from workshop.telemetry.logs import LogRecord
from workshop.telemetry.metrics import Metric
from workshop.telemetry.spans import Span

if TYPE_CHECKING:
    from workshop.checks.app import App
    from workshop.checks.fake_server import FakeServer

PIECE = 6
HEX = "0123456789abcdef"
# A word of a canary that stands in addresses of every sort: no piece of it tells anything.
ORDINARY = {"example"}
STORED = 500


class Privacy:
    """Verbs of an app that has stopped: each raises Broken, naming the place."""

    def keeps_secrets(self, *others: App | FakeServer) -> None:
        """No canary of 200/300 stands in what this app and the `others` told, in whatever case or URL-encoding, not even a piece.

        Of an app that is every field of the spans, metrics and log records on the console, of every span that Jaeger has of the
        traces in which it took part, also those of other services, and every line on the terminal; of a fake server it is what
        it was sent. Raises Broken, naming the place."""
        secrets = {secret.canary.casefold(): secret for secret in requirements().secrets}
        places: dict[str, str] = {}
        for place, text in (told for one in (self, *others) for told in one.told()):
            places.setdefault(text, place)
        for text, place in places.items():
            if found := leak(text, tuple(secrets)):
                secret = secrets.get(found)
                raise self.broken(
                    "private",
                    f"{secret.what if secret else f'{found!r}, a piece of what was typed,'} in {place}",
                    "it nowhere but in the app's own database and pages",
                    "telemetry is copied, kept for months and read by many"
                    + (f"; this slips in by {secret.where}" if secret else ", and a piece is private, too"),
                    "200/300",
                )

    def told(self) -> Iterator[tuple[str, str]]:
        """Every text that the app has told, with its place."""
        for where, things in (
            ("on the console", [*self.spans, *self.console.metrics, *self.console.logs]),
            ("in Jaeger", _stored(self)),
        ):
            for thing in things:
                yield from ((f"{place} of {_named(thing)} {where}", text) for place, text in texts(thing))
        yield from (("a line on the terminal", line) for line in self.output.splitlines())


def leak(text: str, canaries: tuple[str, ...]) -> str:
    """Which canary stands in a text, or which piece of one, in whatever case and URL-encoding; empty for nothing.

    The canaries are given in lower case. A piece has six characters, five of them at least of one word of the canary. One of
    hex digits inside a longer run of them is part of an id, and says nothing."""
    for _ in range(2):  # an address in the query of another one is encoded twice
        text = unquote(text)
    text = text.casefold()
    if whole := next((canary for canary in canaries if canary in text), ""):
        return whole
    piece = _pieces(canaries).search(text)
    return piece[0] if piece else ""


@cache
def _pieces(canaries: tuple[str, ...]) -> re.Pattern:
    pieces = {
        canary[at : at + PIECE]
        for canary in canaries
        for word in re.finditer(r"[^\W_]+", canary)
        if len(word[0]) >= PIECE and word[0] not in ORDINARY
        for at in range(max(0, word.start() - 1), min(len(canary) - PIECE, word.end() - PIECE + 1) + 1)
    }
    patterns = (re.escape(p) if p.strip(HEX + "-") else rf"(?<![{HEX}]){p}(?![{HEX}])" for p in sorted(pieces))
    return re.compile("|".join(patterns))


def _stored(app: App) -> list[Span]:
    """What Jaeger has of the traces in which a process of the app took part, with the spans of other services."""
    if not app.jaeger:
        return []
    spans = app.jaeger.traces(app.service, limit=STORED, since=app.begun)
    agents = {response.agent for response in app.responses}
    traces = {span.trace_id for span in app.spans} | {response.trace_id for response in app.responses}
    traces |= {span.trace_id for span in spans if span.user_agent in agents}
    own = {_process(span) for span in spans if span.trace_id in traces and span.service == app.service} - {None}
    traces |= {span.trace_id for span in spans if _process(span) in own}
    return [span for span in spans if span.trace_id in traces]


def _process(span: Span) -> str | None:
    return span.resource.get("service.instance.id")


def _named(thing: Span | Metric | LogRecord) -> str:
    if isinstance(thing, LogRecord):
        return "a log record"
    return f"the {type(thing).__name__.lower()} {thing.name!r}"


def texts(value: object, place: str = "") -> Iterator[tuple[str, str]]:
    """Every name and value inside a value, however deep, with the names that lead there."""
    if is_dataclass(value):
        items = ((field.name, getattr(value, field.name)) for field in fields(value))
    elif isinstance(value, dict):
        yield from ((f"a name in {place}", str(name)) for name in value)
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = (("", item) for item in value)
    else:
        yield place, str(value)
        return
    for name, item in items:
        yield from texts(item, f"{place} {name}".strip())
