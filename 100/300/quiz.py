"""Questions about a trace that the learner has made, their key computed from it; `workshop quiz 100/300` asks them."""

from datetime import datetime, timezone

from workshop.course.quiz import Choice, Question, root_of
from workshop.telemetry.spans import Span

KINDS = {
    "SERVER": "SERVER is a request that came in from outside",
    "CLIENT": "CLIENT is a request that goes out, to a database or to another service",
    "INTERNAL": "INTERNAL is work that stays inside the process",
    "PRODUCER": "PRODUCER hands over a message that is worked on later",
    "CONSUMER": "CONSUMER works on a message that a producer left",
}
STATUSES = {
    "UNSET": "UNSET is the default: nobody reported an error, and nobody vouched for success",
    "OK": "OK is said only by code that vouches for success, and it overrules every later ERROR",
    "ERROR": "ERROR says that this piece of work failed; a SERVER span of Flask gets it with an answer of 500 or more",
}
SHOWN = 64


def introduction(spans: list[Span]) -> str:
    """The root span in full, field by field, as the specification names them."""
    root = root_of(spans)
    moment = datetime.fromtimestamp(root.start_ns / 1e9, timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f UTC")
    rows = [
        ("name", [root.name]),
        ("context", [f"trace_id {root.trace_id}", f"span_id  {root.span_id}"]),
        ("parent", [root.parent_id or "none"]),
        ("kind", [root.kind.upper()]),
        ("start", [moment]),
        ("duration", [f"{root.duration_ms:.2f} ms"]),
        ("status", [root.status]),
        ("attributes", _pairs(root.attributes)),
        ("events", [event.name for event in root.events] or ["none"]),
        ("links", [link.trace_id for link in root.links] or ["none"]),
        ("scope", [root.scope or "the console does not tell"]),
        ("resource", _pairs(root.resource)),
    ]
    lines = [f"  {'' if at else name:<12}{_line(text)}" for name, texts in rows for at, text in enumerate(texts)]
    return "\n".join(["The root of it, in full:", *lines])


def questions_from(spans: list[Span]) -> list[Question]:
    """Seven questions about a trace, which must have one root and below it a span of another name."""
    root = root_of(spans)
    below = [span for span in spans if span is not root]
    return [
        _which_root(root, below),
        _which_longest(root, below),
        _how_many_statements(spans),
        _one_of("kind", "What is the kind of the root span?", KINDS, root.kind.upper()),
        _one_of("status", "What is the status of the root span?", STATUSES, root.status),
        _what_is_shared(root),
        _what_is_the_resource(root),
    ]


def _which_root(root: Span, below: list[Span]) -> Question:
    names = {span.span_id: _label(span) for span in [root, *below]}
    choices = [Choice(_label(root), "it is the only span here without a parent; the story begins with it.", True)]
    for span in _different(below, {_label(root)}):
        parent = names[span.parent_id]
        choices.append(Choice(_label(span), f"`{_label(span)}` has a parent, `{parent}`: it is part of that work."))
    return Question("root", "Which span is the root of your trace?", _sorted(choices))


def _which_longest(root: Span, below: list[Span]) -> Question:
    longest = max(below, key=lambda span: span.duration_ms)
    twin = " (below the root)" if _label(longest) == _label(root) else ""
    choices = [
        Choice(_label(longest) + twin, f"it took {longest.duration_ms:.2f} ms; no bar below the root is longer.", True),
        Choice(_label(root), "that is the root: it holds all others, and the question is about those below it."),
    ]
    # As many digits as every waterfall shows: whoever reads it must be able to tell.
    shorter = [span for span in below if f"{span.duration_ms:.1f}" != f"{longest.duration_ms:.1f}"]
    for span in _different(shorter, {choice.text for choice in choices}):
        why = f"`{_label(span)}` took {span.duration_ms:.2f} ms, and another span took longer."
        choices.append(Choice(_label(span), why))
    return Question("longest", "Which span below the root took longest?", _sorted(choices))


def _how_many_statements(spans: list[Span]) -> Question:
    count = sum(bool(span.statement) for span in spans)
    clients = sum(span.kind == "client" for span in spans)
    others = {
        len(spans) - 1: "that is every span but the root; look at what each of them did.",
        clients: "that counts each CLIENT span; a `connect` opens the way, it is no statement.",
        len(spans): "that is every span of the trace; only those that carry a statement count.",
        0: "the request did ask the database: look for the spans that show SQL.",
    }
    choices = [Choice(str(count), f"{count} of the {len(spans)} spans carry SQL.", True)]
    choices += [Choice(str(number), why) for number, why in others.items() if number != count]
    return Question(
        "statements", "How many SQL statements did the request make?", tuple(sorted(choices, key=lambda c: int(c.text)))
    )


def _one_of(name: str, ask: str, meanings: dict[str, str], seen: str) -> Question:
    """The first three values, or the first two and the one that was seen."""
    values = list(meanings)[:3]
    values = values if seen in values else [*values[:2], seen]
    also = {value: "" if value == seen else f"; the root says {seen}" for value in values}
    return Question(name, ask, tuple(Choice(value, f"{meanings[value]}{also[value]}.", value == seen) for value in values))


def _what_is_shared(root: Span) -> Question:
    story = "the trace id, 16 bytes; it is the same in every span of this story and in no other."
    choices = [
        Choice(root.trace_id, story, True),
        Choice(root.span_id, "that is the span id, 8 bytes: the root's alone. Its children name it as their parent."),
    ]
    if instance := root.resource.get("service.instance.id"):
        choices.append(Choice(instance, "the service instance id names the process; thousands of traces come from it."))
    return Question("trace-id", "Which of these ids makes the spans of your trace one story?", _sorted(choices))


def _what_is_the_resource(root: Span) -> Question:
    process = "it is a fact about the process, and true for all its spans."
    choices = [Choice(_line(f"service.name = {root.service}"), process, True)]
    for name in ("http.route", "http.status_code", "http.response.status_code", "http.method", "http.request.method"):
        if name in root.attributes:
            why = f"`{name}` is an attribute: it is true for this one request, and may differ in the next."
            choices.append(Choice(_line(f"{name} = {root.attributes[name]}"), why))
    sort = "the name is a field of the span itself; it says which sort of work this was."
    choices.append(Choice(_line(f"name = {root.name}"), sort))
    return Question("resource", "Which of these facts belongs to the resource?", _sorted(choices[:4]))


def _different(spans: list[Span], taken: set[str]) -> list[Span]:
    """The first three spans whose labels differ from each other and from those taken."""
    found: dict[str, Span] = {}
    for span in spans:
        if _label(span) not in taken:
            found.setdefault(_label(span), span)
    return list(found.values())[:3]


def _sorted(choices: list[Choice]) -> tuple[Choice, ...]:
    """By their text, so that the place of a choice does not tell whether it is right."""
    return tuple(sorted(choices, key=lambda choice: choice.text.lower()))


def _label(span: Span) -> str:
    return _line(" ".join((span.statement or span.name).split()))


def _line(text: str) -> str:
    clean = "".join(c if c.isprintable() else " " for c in text)
    return clean if len(clean) <= SHOWN else clean[: SHOWN - 1] + "…"


def _pairs(values: dict) -> list[str]:
    return [f"{name} = {value}" for name, value in sorted(values.items())] or ["none"]
