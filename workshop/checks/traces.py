"""What a checkpoint can say about traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workshop.diagnosis import spans as rungs
from workshop.diagnosis.arrival import ARRIVAL
from workshop.diagnosis.facts import Response
from workshop.diagnosis.spans import CALLS, SPANS, STATEMENTS
from workshop.telemetry.spans import Span

if TYPE_CHECKING:
    from workshop.checks.app import App


class Traces:
    """Verbs of an app that has stopped: each returns what it proved, so that a test can say more about it, or raises Broken."""

    def server_span(self, response: Response, name: str = "", route: str = "", where: str = "console") -> Span:
        """The one SERVER span of a request: own trace when no parent was sent, the sent trace and parent when one was.

        `name` and `route`, where given, must be the span's. Raises Broken."""
        spans = self._seen(where)
        self.require(SPANS, spans=spans, about=response, wants=where)
        own = [s for s in spans if s.kind == "server" and s.user_agent == response.agent]
        if len(own) != 1:
            raise self.broken(
                "server-spans",
                f"{response}: {len(own)} SERVER spans in {where}",
                "exactly one",
                "each request is one piece of work" + ("; two instrumentations watch it" if own else ""),
            )
        span = own[0]
        if (span.parent_id, response.trace_id or span.trace_id) != (response.parent_id, span.trace_id):
            raise self.broken(
                "wrong-parent",
                f"{response}: trace {span.trace_id}, parent {span.parent_id or 'none'}",
                f"trace {response.trace_id}, parent {response.parent_id}"
                if response.trace_id
                else "no parent: a trace of its own",
                "the request's `traceparent` header says which trace it belongs to"
                if response.trace_id
                else "something in the app was still open when the request came",
            )
        others = [s for s in spans if s.kind == "server" and s.trace_id == span.trace_id and s.span_id != span.span_id]
        shared = [s for s in others if s not in self.below(span, where)]
        if shared:
            raise self.broken(
                "shared-trace",
                f"{response} and {shared[0].name} are one trace",
                "a trace for each request",
                "one story per request is what makes a trace readable",
                "300/400/600",
            )
        self._named(response, span, name, route)
        self.checkpoint.prove_by(span.trace_id)
        return span

    def sql_below(self, span: Span, at_least: int = 1, exactly: int | None = None, where: str = "console") -> list[Span]:
        """The SQL statements of a request: CLIENT spans below its span that carry a statement. Raises Broken."""
        found = [s for s in self.below(span, where) if s.kind == "client" and s.statement]
        wanted = f"{exactly}" if exactly is not None else f"at least {at_least}"
        if len(found) == exactly or (exactly is None and len(found) >= at_least):
            return found
        shown = "\n".join(f"{s.statement[:60]}" for s in found[:4])
        self.require(
            STATEMENTS,
            otherwise=self.diagnosis(
                "statements",
                f"{span.name}: {len(found)} SQL statements\n{shown}".rstrip(),
                wanted,
                "each statement that SQLAlchemy sends is a CLIENT span below the request",
                "300/300/400",
            ),
        )
        return found

    def below(self, span: Span, where: str = "console") -> list[Span]:
        """All spans below a span, by parent."""
        spans = self._seen(where)
        found, wanted = [], {span.span_id}
        while more := [s for s in spans if s.parent_id in wanted and s not in found]:
            found += more
            wanted = {s.span_id for s in more}
        return found

    def called(self, span: Span, other: App, exactly: int = 1) -> list[Span]:
        """What the app `other` made of the calls below a span: SERVER spans whose parents are this app's CLIENT spans.

        Raises Broken when a call was not watched, or when its trace ended on the way."""
        calls = [s for s in self.below(span) if s.kind == "client" and s.is_http]
        asked = [s for s in other.spans if s.kind == "server" and s.user_agent not in {r.agent for r in other.responses}]
        found = [s for s in asked if s.trace_id == span.trace_id and s.parent_id in {call.span_id for call in calls}]
        if len(found) == exactly:
            return found
        other.require(SPANS, wants="console")
        self.require(CALLS, lacks="calls" if len(calls) < exactly else "")
        other.require(CALLS)
        roots = [s for s in asked if not s.parent_id]
        if len(calls) < exactly and roots:
            raise self.broken(
                "no-client-span",
                f"{span.name}: {len(calls)} CLIENT spans of calls below it; {other.service} was called all the same",
                f"{exactly}",
                "a call is watched, and takes the trace along, only where its library is instrumented: `requests` is",
                "300/400/300",
            )
        if roots:
            raise self.broken(
                "trace-broken",
                f"{span.name}: nothing below its CLIENT span {calls[0].name} in trace {span.trace_id}; "
                f"{other.service}'s {roots[-1].name} began a trace of its own, {roots[-1].trace_id}",
                f"the SERVER span of {other.service} below that CLIENT span, in one trace",
                "the trace travels in the header `traceparent`, and on the way it was lost: a proxy or a middleware dropped it",
                "300/400/300",
            )
        said = "".join(f"\n{call.name}: {call.status} {call.status_text}" for call in calls[:3])
        raise self.broken(
            "not-called",
            f"{span.name}: {len(found)} calls came to {other.service}{said}",
            f"{exactly}",
            "a call that is not made, or does not arrive, makes no span on the other side",
            "300/400/300",
        )

    def attribute(self, span: Span, name: str, value: object) -> None:
        """A span's attribute, or one of its resource, has this value. Raises Broken."""
        found = span.attributes.get(name, span.resource.get(name))
        if found != value:
            raise self.broken(
                "attribute",
                f"{span.name}: {name} is {found!r}" if found is not None else f"{span.name}: has no {name}",
                repr(value),
                "the lesson's setting or code gives it this value",
                self.checkpoint.lesson.name,
            )

    def in_jaeger(self, response: Response, name: str = "", route: str = "") -> Span:
        """The SERVER span of a request as Jaeger stored it; `below(span, where="jaeger")` then finds its children.

        Raises Broken when the trace did not arrive, or arrived otherwise."""
        problem = ""
        try:
            found = self.find(response)
        except OSError as error:
            found, problem = [], f"Jaeger does not answer at {self.jaeger.query_url}: {error}"
        if not found:
            made = [SPANS] if self.spans else [rung for rung in SPANS if rung is not rungs.no_span]
            self.require(*made, ARRIVAL, about=response, stored=[], jaeger_problem=problem)
        known = {span.span_id for span in self._stored}
        self._stored += [span for span in found if span.span_id not in known]
        return self.server_span(response, name, route, where="jaeger")

    def find(self, response: Response) -> list[Span]:
        """The trace of a request in Jaeger, found by the trace that it was sent with or by its User-Agent; empty if not there."""
        if response.trace_id:
            return self.jaeger.trace(response.trace_id)
        spans = self.jaeger.traces(self.service, since=self.begun)
        ids = {span.trace_id for span in spans if span.user_agent == response.agent}
        return [span for span in spans if span.trace_id in ids]

    def _seen(self, where: str) -> list[Span]:
        return self.spans if where == "console" else self._stored

    def _named(self, response: Response, span: Span, name: str, route: str) -> None:
        if name and span.name != name:
            raise self.broken(
                "span-name",
                f"{response}: its span is named {span.name!r}",
                repr(name),
                "the name is the method and the route, so that many requests make one name",
            )
        if route and span.attributes.get("http.route") != route:
            raise self.broken(
                "span-route",
                f"{response}: http.route is {span.attributes.get('http.route')!r}",
                repr(route),
                "the route is the pattern in @route(...), not the address that was asked for",
            )
