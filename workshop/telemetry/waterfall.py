"""A trace as a waterfall: for a terminal, as an SVG picture, and as plain lines that say what the picture shows.

All three draw the same rows. What comes from a span may be hostile: it is cleaned of control characters here, once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from workshop.telemetry.spans import Event, Link, Span

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 60
SHOWN_EVENTS = SHOWN_LINKS = 3
NARROWEST = 60
WIDEST_BAR = 60
LONGEST_TEXT = 500
TEXT_LABEL, TEXT_PARENT = 100, 40

# Pixels of the SVG.
WIDTH = 880
MARGIN = 16
TOP = 94
LETTER = 7.5  # of 12 px: wider than that of any usual monospaced font
ROW, NOTE = 26, 18
BAR_WIDTH = 270
NAME_X = MARGIN + 76
INDENT, DEEPEST = 12, 14

KINDS = ("server", "client", "internal", "producer", "consumer")
GLYPHS = "│├└─━╸╺◆◂…·→\ufffd"
ASCII = str.maketrans(GLYPHS, "||`-===*<~->?")
TERMINAL_STYLES = {
    "server": "cyan",
    "client": "magenta",
    "internal": "green",
    "producer": "blue",
    "consumer": "blue",
    "error": "bold red",
    "warn": "bold",
    "head": "bold",
    "event": "dim",
    "dim": "dim",
    "text": "",
}
# Class in the SVG: color on a light, on a dark ground. Each has a contrast of at least 4.5 to its ground.
PALETTE = {
    "ground": ("#ffffff", "#0d1117"),
    "text": ("#1f2328", "#e6edf3"),
    "dim": ("#59636e", "#9aa4af"),
    "event": ("#59636e", "#9aa4af"),
    "warn": ("#7d4e00", "#e3b341"),
    "error": ("#c21b2b", "#ff8a82"),
    "server": ("#0b5cad", "#6cb6ff"),
    "client": ("#8f3f97", "#e0a3ea"),
    "internal": ("#2c6e3f", "#7ccf8f"),
    "producer": ("#5a4fc4", "#b4aaff"),
    "consumer": ("#5a4fc4", "#b4aaff"),
}


@dataclass(frozen=True, eq=False)
class Row:
    """One span in its place. `guides` are the tree's lines before its label, `below` those before a note under it."""

    span: Span
    parent: Row | None
    depth: int
    guides: str
    below: str
    in_circle: bool

    @property
    def kind(self) -> str:
        return self.span.kind.upper() if self.span.kind in KINDS else "OTHER"

    @property
    def kind_style(self) -> str:
        return self.span.kind if self.span.kind in KINDS else "dim"

    @property
    def bar_style(self) -> str:
        return "error" if self.span.status == "ERROR" else self.kind_style

    @property
    def service(self) -> str:
        return _service(self.span)

    @property
    def enters(self) -> bool:
        """Whether another service begins here."""
        return self.parent is None or self.parent.service != self.service

    @property
    def statement(self) -> str:
        """The first line of the span's SQL, with `…` when there is more of it; empty when it has none."""
        attributes = self.span.attributes
        statement = str(attributes.get("db.query.text") or attributes.get("db.statement") or "")
        first, _, more = statement.strip().partition("\n")
        return _clean(first) + (" …" if first and more else "")

    @property
    def label(self) -> str:
        """The statement, or else the name, with the status of the HTTP answer."""
        attributes = self.span.attributes
        code = attributes.get("http.response.status_code") or attributes.get("http.status_code")
        return self.statement or (_clean(self.span.name) or "(no name)") + (f" → {_clean(code)}" if code else "")

    @property
    def events(self) -> list[Event]:
        """The events worth a mark: exceptions first, then the earliest, in order of time."""
        first = sorted(self.span.events, key=lambda event: (event.name != "exception", event.time_ns))
        return sorted(first[:SHOWN_EVENTS], key=lambda event: event.time_ns)


@dataclass(frozen=True)
class Picture:
    """The rows that are drawn, and the scale that all spans, also the hidden ones, were measured for."""

    rows: list[Row]
    start_ns: int
    end_ns: int
    services: list[str]
    hidden: int
    hidden_errors: int

    @property
    def trace_id(self) -> str:
        return _clean(self.rows[0].span.trace_id)

    @property
    def duration(self) -> str:
        return self.length(self.end_ns - self.start_ns)

    @property
    def count(self) -> str:
        count = len(self.rows) + self.hidden
        return "1 span" if count == 1 else f"{count} spans"

    @property
    def rest(self) -> str:
        """What is not drawn, in words; empty when everything is."""
        if not self.hidden:
            return ""
        errors = f", {self.hidden_errors} of them ERROR" if self.hidden_errors else ""
        return f"… {self.hidden} more {'span is' if self.hidden == 1 else 'spans are'} not shown{errors}"

    def length(self, nanoseconds: int) -> str:
        """A length of time in ms, with as many digits for every row as the whole trace needs; in s from 1000 s on."""
        total = self.end_ns - self.start_ns
        if abs(nanoseconds) >= 1e12:
            return f"{nanoseconds / 1e9:.0f} s"
        return f"{nanoseconds / 1e6:.{3 if total < 1e6 else 2 if total < 1e9 else 1}f} ms"

    def moment(self, time_ns: int) -> str:
        return self.length(time_ns - self.start_ns)

    def times(self, row: Row) -> tuple[str, str]:
        """When the row's span starts, and how long it takes."""
        return self.moment(row.span.start_ns), self.length(row.span.end_ns - row.span.start_ns)

    def place(self, time_ns: int) -> float:
        """Where a moment lies on the scale: 0 at its start, 1 at its end, clipped to it."""
        return min(1.0, max(0.0, (time_ns - self.start_ns) / max(1, self.end_ns - self.start_ns)))

    def label(self, row: Row) -> str:
        """The row's label, behind the service where several are in the trace and another one begins."""
        return f"{row.service}: {row.label}" if row.enters and len(self.services) > 1 else row.label

    def notes(self, row: Row) -> list[tuple[str, str]]:
        """What there is to say below a row, each as (style, text)."""
        span, notes = row.span, []
        if row.in_circle:
            notes.append(("warn", f"its parents run in a circle: {_clean(span.parent_id)}"))
        elif span.parent_id and not row.parent:
            notes.append(("dim", f"parent not here: {_clean(span.parent_id)}"))
        if row.parent and span.start_ns < row.parent.span.start_ns:
            early = self.length(row.parent.span.start_ns - span.start_ns)
            notes.append(("warn", f"starts {early} before its parent: the clocks differ"))
        if span.end_ns < span.start_ns:
            notes.append(("warn", "ends before it starts: the clock was changed"))
        notes += [("warn", _clean(warning)) for warning in span.warnings]
        if span.status == "ERROR":
            notes.append(("error", f"ERROR {_clean(span.status_text)}".rstrip()))
        notes += [("error" if e.name == "exception" else "event", self._event(span, e)) for e in row.events]
        if more := len(span.events) - len(row.events):
            notes.append(("event", f"… {more} more {'event' if more == 1 else 'events'}"))
        notes += [("event", self._link(link)) for link in span.links[:SHOWN_LINKS]]
        if more := len(span.links[SHOWN_LINKS:]):
            notes.append(("event", f"… {more} more {'link' if more == 1 else 'links'}"))
        return notes

    def _link(self, link: Link) -> str:
        there = next((row for row in self.rows if (row.span.trace_id, row.span.span_id) == (link.trace_id, link.span_id)), None)
        if there:
            return f"→ links to {there.label} at {self.moment(there.span.start_ns)}"
        return f"→ links to span {_clean(link.span_id)} of trace {_clean(link.trace_id)}"

    def _event(self, span: Span, event: Event) -> str:
        said = f"◆ {_clean(event.name) or '(no name)'} at {self.moment(event.time_ns)}"
        message = str(event.attributes.get("exception.message", ""))
        if event.name != "exception" or (message and message in str(span.status_text)):
            return said
        kind = str(event.attributes.get("exception.type", ""))
        return f"{said}: {_clean(': '.join(filter(None, (kind, message))))}".removesuffix(": ")


def by_trace(spans: Iterable[Span]) -> dict[str, list[Span]]:
    """The spans of each trace, traces and spans in order of their start."""
    traces: dict[str, list[Span]] = {}
    for span in sorted(spans, key=_order):
        traces.setdefault(span.trace_id, []).append(span)
    return traces


def terminal(spans: Iterable[Span], console: Console) -> None:
    """Print one trace as a tree with bars, as wide as the console (at least 60 columns).

    Raises ValueError when there is no span, or spans of several traces.
    """
    from rich.cells import cell_len
    from rich.text import Text

    picture = _picture(spans)
    plain = not _carries(console.encoding, GLYPHS)
    width = max(NARROWEST, console.width)

    def own(said: str) -> str:
        """What a span says, in the characters that the output's encoding has, with one character for one."""
        return "".join(c if c in GLYPHS or _carries(console.encoding, c) else "?" for c in said)

    def put(*pieces: tuple[str, str]) -> None:
        line = Text()
        for content, style in pieces:
            line.append(content.translate(ASCII) if plain else content, TERMINAL_STYLES[style])
        line.rstrip()
        console.print(line, soft_wrap=True)

    labels = [own(picture.label(row)) for row in picture.rows]
    offsets, lengths = zip(*map(picture.times, picture.rows))
    offset_width = max(map(len, ["offset", *offsets]))
    length_width = max(map(len, ["duration", *lengths]))
    rest = width - len("INTERNAL  ") - offset_width - length_width - 6
    wanted = max(cell_len(row.guides) + cell_len(label) for row, label in zip(picture.rows, labels))
    name_width = max(len("span"), min(wanted, rest - rest // 3))
    bar_width = min(rest - name_width, WIDEST_BAR)
    deepest = rest // 6 * 2

    head = f"trace {own(picture.trace_id)}"
    facts = f"{picture.count} · {picture.duration}"
    services = own(", ".join(picture.services))
    if cell_len(f"{head} · {services} · {facts}") <= width:
        put((head, "head"), (f" · {services} · {facts}", "text"))
    else:
        put((_shorten(head, width), "head"))
        put((f"{_shorten(services, width - len(facts) - 3)} · {facts}", "text"))
    head = f"{'kind':8}  {'span':{name_width}}  {'offset':>{offset_width}}  {'duration':>{length_width}}"
    put((f"{head}  {_scale(picture, bar_width)}", "dim"))
    for row, label, offset, length in zip(picture.rows, labels, offsets, lengths):
        guides = _last_of(row.guides, deepest)
        label = _shorten(label, name_width - len(guides))
        gap = " " * (name_width - len(guides) - cell_len(label))
        put(
            (f"{row.kind:8}  ", row.kind_style),
            (guides, "dim"),
            (label, "dim" if row.statement else "text"),
            (f"{gap}  {offset:>{offset_width}}  {length:>{length_width}}  ", "text"),
            (_bar(picture, row, bar_width), row.bar_style),
        )
        below = " " * 10 + _last_of(row.below, deepest)
        for style, note in picture.notes(row):
            put((below, "dim"), (_shorten(own(note), width - len(below), whole_words=True), style))
    if picture.rest:
        put((picture.rest, "head"))


def text(spans: Iterable[Span]) -> str:
    """One plain line per span, saying what the picture shows. Not escaped for HTML or Markdown.

    Raises ValueError when there is no span, or spans of several traces.
    """
    picture = _picture(spans)
    lines = []
    for row in picture.rows:
        parent = f", in {_shorten(row.parent.label, TEXT_PARENT)}" if row.parent else ""
        service = f", service {row.service}" if row.enters else ""
        said = ["at {} for {}".format(*picture.times(row))]
        said += [_shorten(note.removeprefix("◆ ").removeprefix("→ "), TEXT_LABEL) for _, note in picture.notes(row)]
        label = _shorten(row.label, TEXT_LABEL)
        lines.append(f"{'  ' * row.depth}{row.kind} {label}{service}{parent}: {'; '.join(said)}")
    return "\n".join(lines + ([picture.rest] if picture.rest else []))


def svg(spans: Iterable[Span]) -> str:
    """One trace as a self-contained SVG picture for light and dark pages, 880 wide; the same for the same spans.

    Raises ValueError when there is no span, or spans of several traces.
    """
    spans = list(spans)
    picture = _picture(spans)
    offsets, lengths = zip(*map(picture.times, picture.rows))
    bar_x = WIDTH - MARGIN - BAR_WIDTH
    length_x = bar_x - 20
    offset_x = length_x - LETTER * max(map(len, ["duration", *lengths])) - 12
    name_width = offset_x - LETTER * max(map(len, ["offset", *offsets])) - 12 - NAME_X

    def words(x: float, y: float, style: str, content: str, room: float = WIDTH, extra: str = "") -> str:
        fitted = escape(_shorten(content, int(room / LETTER)))
        return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}"{extra}>{fitted}</text>'

    end = ' text-anchor="end"'
    title = f"{', '.join(picture.services)} · {picture.rows[0].label}"
    facts = f"trace {picture.trace_id} · {picture.count} · {picture.duration}"
    room = WIDTH - 2 * MARGIN
    drawn = [
        words(MARGIN, 30, "text title", title, room / 1.25),
        words(MARGIN, 50, "dim", facts, room),
        words(MARGIN, TOP - 16, "dim", "kind"),
        words(NAME_X, TOP - 16, "dim", "span"),
        words(offset_x, TOP - 16, "dim", "offset", extra=end),
        words(length_x, TOP - 16, "dim", "duration", extra=end),
        words(bar_x, TOP - 16, "dim", picture.length(0)),
        words(WIDTH - MARGIN, TOP - 16, "dim", picture.duration, extra=end),
    ]
    names, rows, grid, middles = [], [], "", {}
    y = TOP
    for row, offset, length in zip(picture.rows, offsets, lengths):
        middle = y + ROW / 2
        middles[row] = middle
        indent = INDENT * min(row.depth, DEEPEST)
        if row.parent:
            from_y = middles[row.parent] + 7
            names.append(f'<path class="line" d="M{indent - 8} {from_y:.1f}V{middle:.1f}h6"/>')
        label_style = "dim" if row.statement else "text"
        names.append(words(indent, middle + 4, label_style, picture.label(row), name_width - indent))
        rows += [
            f'<rect x="{MARGIN}" y="{middle - 8:.1f}" width="66" height="16" rx="4" class="{row.kind_style}"/>',
            words(MARGIN + 33, middle + 3.5, "tag", row.kind, extra=' text-anchor="middle"'),
            words(offset_x, middle + 4, "text", offset, extra=end),
            words(length_x, middle + 4, "text", length, extra=end),
        ]
        begin, until = picture.place(row.span.start_ns), picture.place(row.span.end_ns)
        wide = max(2.0, (until - begin) * BAR_WIDTH)
        left = bar_x + min(begin * BAR_WIDTH, BAR_WIDTH - wide)
        box = f'x="{left:.1f}" y="{middle - 6:.1f}" width="{wide:.1f}" height="12" rx="2"'
        rows.append(f'<rect {box} class="{row.bar_style}"/>')
        grid += "".join(f"M{bar_x + BAR_WIDTH * part / 4:.1f} {y}v{ROW}" for part in range(5))
        if row.span.start_ns < picture.start_ns:
            rows.append(f'<path class="warn" d="M{bar_x - 1:.1f} {middle - 8:.1f}l-8 8l8 8z"/>')
        for event in row.events:
            at = bar_x + picture.place(event.time_ns) * BAR_WIDTH
            mark = "error" if event.name == "exception" else "text"
            rows.append(f'<path class="{mark} mark" d="M{at:.1f} {middle - 7:.1f}l6 7l-6 7l-6 -7z"/>')
        y += ROW
        for style, note in picture.notes(row):
            note_x = NAME_X + indent + INDENT  # right of the line down to its children
            rows.append(words(note_x, y + 9, style, note, WIDTH - MARGIN - note_x))
            y += NOTE
    if picture.rest:
        rows.append(words(MARGIN, y + 18, "text", picture.rest))
        y += NOTE + 6
    height = y + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" class="waterfall" role="img">',
            f"<title>{escape(f'Waterfall of a trace: {title}, {picture.count}, {picture.duration}')}</title>",
            f"<desc>{escape(text(spans))}</desc>",
            f"<style>{_css()}</style>",
            f'<rect width="{WIDTH}" height="{height}" rx="8" class="ground"/>',
            f'<path class="line" d="{grid}"/>',
            # What is wider than it should be, by a font or a character, ends at the column's edge.
            f'<svg x="{NAME_X}" y="0" width="{name_width:.1f}" height="{height}">',
            *names,
            "</svg>",
            *drawn,
            *rows,
            "</svg>",
            "",
        ]
    )


def _css() -> str:
    def colors(dark: int) -> str:
        return "".join(f".waterfall .{name}{{fill:{pair[dark]}}}" for name, pair in PALETTE.items()) + (
            f".waterfall .tag{{fill:{PALETTE['ground'][dark]}}}"
            f".waterfall .mark{{stroke:{PALETTE['ground'][dark]}}}"
            f".waterfall .line{{stroke:{('#d1d9e0', '#30363d')[dark]}}}"
        )

    return (
        ".waterfall{max-width:100%;height:auto}"
        ".waterfall text{font-family:ui-monospace,monospace;font-size:12px}"
        ".waterfall .title{font-size:15px;font-weight:600}"
        ".waterfall .tag{font-size:10px;font-weight:600}"
        ".waterfall .line{fill:none}"
        f"{colors(0)}@media(prefers-color-scheme:dark){{{colors(1)}}}"
    )


def _picture(spans: Iterable[Span]) -> Picture:
    spans = sorted(spans, key=_order)
    if not spans:
        raise ValueError("no spans: a waterfall needs at least one")
    traces = len({span.trace_id for span in spans})
    if traces > 1:
        raise ValueError(f"spans of {traces} traces: a waterfall shows one, so choose one of by_trace(spans)")
    ids = {span.span_id for span in spans}
    start_ns = min((s.start_ns for s in spans if s.parent_id not in ids), default=spans[0].start_ns)
    rows = _rows(spans)
    return Picture(
        rows,
        start_ns,
        end_ns=max(start_ns, *(span.end_ns for span in spans)),
        services=list(dict.fromkeys(map(_service, spans))),
        hidden=len(spans) - len(rows),
        hidden_errors=sum(s.status == "ERROR" for s in spans) - sum(row.span.status == "ERROR" for row in rows),
    )


def _rows(spans: list[Span]) -> list[Row]:
    """The first spans of the tree, depth first. Each span comes once, whatever its ids and parents claim."""
    ids = {span.span_id for span in spans}
    children: dict[str | None, list[Span]] = defaultdict(list)
    for span in spans:
        children[span.parent_id if span.parent_id in ids else None].append(span)
    rows: list[Row] = []
    waiting = [(span, None, "", "", 0, False) for span in reversed(children.pop(None, []))]
    while len(rows) < SHOWN and (waiting or children):
        if not waiting:  # only circles are left: enter one at its earliest span
            parent_id, group = min(children.items(), key=lambda item: _order(item[1][0]))
            waiting.append((group.pop(0), None, "", "", 0, True))
            if not group:
                del children[parent_id]
        span, parent, guides, lead, depth, in_circle = waiting.pop()
        below = children.pop(span.span_id, [])
        row = Row(span, parent, depth, guides, lead + ("│ " if below else "  "), in_circle)
        rows.append(row)
        for child in reversed(below):
            own, on = ("└─", "  ") if child is below[-1] else ("├─", "│ ")
            waiting.append((child, row, lead + own, lead + on, depth + 1, False))
    return rows


def _bar(picture: Picture, row: Row, width: int) -> str:
    """The bar in half cells, at least one of them, with a mark for each event and for a start before the scale's."""
    halves = 2 * width
    begin = min(halves - 1, int(picture.place(row.span.start_ns) * halves))
    end = max(begin + 1, round(picture.place(row.span.end_ns) * halves))
    cells = [" ╺╸━"[2 * (begin <= 2 * i < end) + (begin <= 2 * i + 1 < end)] for i in range(width)]
    for event in row.events:
        cells[min(width - 1, int(picture.place(event.time_ns) * width))] = "◆"
    if row.span.start_ns < picture.start_ns:
        cells[0] = "◂"
    return "".join(cells)


def _scale(picture: Picture, width: int) -> str:
    """What stands above the bars: where they begin and end, and their middle where there is room for it."""
    end, middle = picture.duration, picture.length((picture.end_ns - picture.start_ns) // 2)
    if width < len(end) + 3:
        return ""
    at = (width - len(middle)) // 2
    said = f"{'0':{at}}{middle}" if at >= 3 and at + len(middle) + 2 <= width - len(end) else "0"
    return f"{said}{end:>{width - len(said)}}"


def _order(span: Span) -> tuple:
    return span.start_ns, -span.end_ns, span.span_id, span.name


def _service(span: Span) -> str:
    return _clean(span.service) or "no service name"


def _clean(value: object) -> str:
    """One line of printable characters; a control character becomes the replacement character."""
    line = " ".join(str(value)[:LONGEST_TEXT].split())
    return "".join(c if c.isprintable() else "\ufffd" for c in line)


def _shorten(content: str, width: int, whole_words: bool = False) -> str:
    """As much as fits; with `whole_words` up to a blank, where one is near."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(content) <= width:
        return content
    kept = set_cell_size(content, max(0, width - 1))
    words = kept[: max(0, content.rfind(" ", 0, len(kept) + 1))].rstrip()
    return (words if whole_words and cell_len(words) > width * 2 // 3 else kept.rstrip()) + "…"


def _last_of(guides: str, width: int) -> str:
    return guides if len(guides) <= width else "…" + guides[1 - width :]


def _carries(encoding: str, characters: str) -> bool:
    try:
        characters.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
