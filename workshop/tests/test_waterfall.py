"""The waterfall: what is drawn for real, odd and hostile traces, on every kind of output."""

from __future__ import annotations

import io
import os
import pickle
import random
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from rich.cells import cell_len
from rich.console import Console

from workshop.telemetry import waterfall
from workshop.telemetry.console import read_console
from workshop.telemetry.spans import Event, Link, Span

MS = 1_000_000
START = 1_763_000_000_000_000_000
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SVG = "{http://www.w3.org/2000/svg}"
LETTER = 12 * 0.62  # SF Mono, the widest of the usual monospaced fonts, at 12 px


def span(name, span_id, parent=None, start=0.0, end=10.0, kind="internal", service="todo", trace=TRACE, **more) -> Span:
    """A span that runs from `start` to `end`, in ms after the trace's start."""
    times = START + int(start * MS), START + int(end * MS)
    return Span(name, kind, trace, span_id, parent, *times, resource={"service.name": service}, **more)


def event(name, at, **attributes) -> Event:
    return Event(name, START + int(at * MS), {f"exception.{key}": value for key, value in attributes.items()})


REQUEST = [
    span("POST /add", "a", None, 0, 40, "server", attributes={"http.status_code": 302}),
    span("validate", "b", "a", 1, 2),
    span("INSERT /home/me/todo.db", "d", "a", 20, 30, "client", attributes={"db.statement": "INSERT INTO task"}),
    span("connect", "c", "a", 10, 11, "client"),
]
ERROR = [
    span(
        "GET /boom",
        "a",
        None,
        0,
        40,
        "server",
        status="ERROR",
        status_text="ValueError: no\nsuch task",
        events=(event("exception", 30, type="ValueError", message="no\nsuch task"),),
    ),
    span("find", "b", "a", 5, 20, events=(event("miss", 10), event("exception", 15, type="KeyError", message="7"))),
]
SERVICES = [
    span("POST /add", "a", None, 0, 40, "server"),
    span("POST", "b", "a", 4, 36, "client"),
    span("POST /advice", "c", "b", 9, 30, "server", "advisor"),
    span("ask model", "d", "c", 10, 20, "client", "advisor"),
]
NASTY = '</text><script>alert("x")</script> & ]]> \x1b[31mred\x1b[0m\r\n\x00\u202eback \ud800'
HOSTILE = [
    span(NASTY, "a", None, 0, 48, "server", NASTY, status="ERROR", status_text=NASTY, warnings=(NASTY,)),
    span("任务列表" * 30 + "🎉", "b", "a", 1, 5, "clientele" * 5),
    span("x" * 100_000, "c", "b", 3, 4, attributes={"db.query.text": "\n\n" + NASTY, "http.status_code": NASTY}),
    span("", "n", "a", 20, 48, "client", events=(Event(NASTY, START, {}), Event("", START * 3, {}))),
    span("remote", "r", NASTY, 1, 9, "client", service=""),
    span("much earlier", "e", "a", -5_000_000, -2),
    span("backwards", "z", "a", 9, 3),
]
MANY = [span("GET /", "root", None, 0, 600, "server")] + [
    span(f"step {i:03}", f"s{i}", "root", i, i + 1, status="ERROR" if i in (3, 400, 450) else "UNSET") for i in range(499)
]
DEEP = [span(f"level {i}", f"d{i}", f"d{i - 1}" if i else None, i, 900 - i) for i in range(400)]
TRACES = {"request": REQUEST, "error": ERROR, "services": SERVICES, "hostile": HOSTILE, "many": MANY, "deep": DEEP}
every_trace = pytest.mark.parametrize("spans", TRACES.values(), ids=TRACES.keys())


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def printed(spans, width=80, encoding="utf-8", **console) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    waterfall.terminal(spans, Console(file=file, width=width, **console))
    file.flush()
    return raw.getvalue().decode(encoding)


def drawn(spans) -> ET.Element:
    return ET.fromstring(waterfall.svg(spans))


def texts(picture: ET.Element) -> list[str]:
    return [element.text or "" for element in picture.iter(f"{SVG}text")]


# Which rows, in what order


def test_the_terminal_shows_the_trace_as_a_tree_with_times_and_bars():
    assert printed(REQUEST).splitlines() == [
        f"trace {TRACE} · todo · 4 spans · 40.00 ms",
        "kind      span                  offset  duration  0          20.00 ms   40.00 ms",
        "SERVER    POST /add → 302      0.00 ms  40.00 ms  " + "━" * 30,
        "INTERNAL  ├─validate           1.00 ms   1.00 ms  ╺╸",
        "CLIENT    ├─connect           10.00 ms   1.00 ms         ╺",
        "CLIENT    └─INSERT INTO task  20.00 ms  10.00 ms" + " " * 17 + "━━━━━━━╸",
    ]


def test_the_lines_are_one_plain_sentence_per_span():
    assert waterfall.text(REQUEST).splitlines() == [
        "SERVER POST /add → 302, service todo: at 0.00 ms for 40.00 ms",
        "  INTERNAL validate, in POST /add → 302: at 1.00 ms for 1.00 ms",
        "  CLIENT connect, in POST /add → 302: at 10.00 ms for 1.00 ms",
        "  CLIENT INSERT INTO task, in POST /add → 302: at 20.00 ms for 10.00 ms",
    ]


def test_spans_that_the_sdk_printed_are_drawn():
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

    log = io.StringIO()
    provider = TracerProvider(resource=Resource({"service.name": "todo"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=log)))
    tracer = provider.get_tracer("test")
    with pytest.raises(ValueError), tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner"):
        raise ValueError("no such task")
    provider.shutdown()
    lines = printed(read_console(log.getvalue()).spans).splitlines()
    assert re.fullmatch(r"trace [0-9a-f]{32} · todo · 2 spans · \d+\.\d+ ms", lines[0])
    assert lines[2].startswith("INTERNAL  outer ")
    assert "│ ERROR ValueError: no such task" in lines[3]
    assert re.search(r"│ ◆ exception at \d+\.\d+ ms$", lines[4])
    assert lines[5].startswith("INTERNAL  └─inner ")


@pytest.mark.parametrize("draw", [waterfall.text, waterfall.svg, printed], ids=["text", "svg", "terminal"])
@every_trace
def test_the_order_of_the_list_does_not_matter(draw, spans):
    shuffled = random.Random(7).sample(spans, len(spans))
    assert draw(shuffled) == draw(spans)


@pytest.mark.parametrize("draw", [waterfall.text, waterfall.svg, printed], ids=["text", "svg", "terminal"])
def test_no_span_and_spans_of_several_traces_are_refused(draw):
    with pytest.raises(ValueError, match="no spans: a waterfall needs at least one"):
        draw([])
    with pytest.raises(ValueError, match=r"spans of 2 traces: .* by_trace"):
        draw([span("one", "a"), span("other", "b", trace="f" * 32)])


def test_spans_are_sorted_into_traces_by_start():
    late, early = span("late", "a", start=5, trace="1" * 32), span("early", "b", start=1, trace="2" * 32)
    first = span("first", "c", start=2, trace="1" * 32)
    traces = waterfall.by_trace(iter([late, early, first]))
    assert list(traces.items()) == [("2" * 32, [early]), ("1" * 32, [first, late])]
    assert waterfall.by_trace([]) == {}


def test_of_many_spans_the_first_sixty_are_shown_and_the_rest_is_counted():
    rest = "… 440 more spans are not shown, 2 of them ERROR"
    lines = printed(MANY).splitlines()
    assert len([line for line in lines[2:] if " ms  " in line]) == 60
    assert "500 spans · 600.00 ms" in lines[0]
    assert "step 058" in lines[-2]
    assert lines[-1] == rest
    assert waterfall.text(MANY).splitlines()[-1] == rest and len(waterfall.text(MANY).splitlines()) == 61
    assert texts(drawn(MANY))[-1] == rest
    assert len(drawn(MANY).findall(f"{SVG}svg/{SVG}text")) == 60


def test_exactly_sixty_spans_are_all_shown_and_one_more_is_counted():
    assert "not shown" not in waterfall.text(MANY[:60])
    assert waterfall.text(MANY[:61]).splitlines()[-1] == "… 1 more span is not shown"


def test_a_span_whose_parent_is_elsewhere_is_a_root_and_says_so():
    spans = [span("GET /", "a", "b7ad6b7169203331", 0, 9, "server"), span("other", "b", None, 1, 2)]
    hint = "parent not here: b7ad6b7169203331"
    assert printed(spans).splitlines()[3] == f"            {hint}"
    assert waterfall.text(spans).splitlines()[0].endswith(f"; {hint}")
    assert hint in texts(drawn(spans))
    assert printed(spans).count("parent not here") == 1


@pytest.mark.parametrize(
    "spans",
    [
        [span("self", "s", "s")],
        [span("one", "a", "b"), span("two", "b", "a")],
        [span("root", "r"), span("one", "a", "c"), span("two", "b", "a"), span("three", "c", "b")],
    ],
    ids=["its own parent", "two", "three beside a root"],
)
def test_parents_in_a_circle_come_once_each(spans):
    lines = waterfall.text(spans).splitlines()
    assert sorted(line.split()[1].rstrip(",:") for line in lines) == sorted(s.name for s in spans)
    assert sum("its parents run in a circle" in line for line in lines) == 1


def test_the_same_span_twice_is_drawn_twice_and_its_children_once():
    lines = waterfall.text([REQUEST[0], *REQUEST]).splitlines()
    assert [line.split(",")[0].strip() for line in lines].count("SERVER POST /add → 302") == 2
    assert len(lines) == 5


def test_of_equal_starts_the_longer_span_comes_first():
    lines = waterfall.text([span("short", "a", None, 0, 1), span("long", "b", None, 0, 9)]).splitlines()
    assert [line.split()[1] for line in lines] == ["long,", "short,"]


# What a row says


def test_errors_and_events_are_marked_with_their_text():
    lines = printed(ERROR).splitlines()
    assert lines[2].endswith("━━◆━━━━━━━━━")
    assert re.search(r" ━━━━━◆━━━━◆━━━━$", lines[5])
    assert lines[3:5] == ["          │ ERROR ValueError: no such task", "          │ ◆ exception at 30.00 ms"]
    assert lines[6:] == ["              ◆ miss at 10.00 ms", "              ◆ exception at 15.00 ms: KeyError: 7"]
    parent, child = waterfall.text(ERROR).splitlines()
    assert parent.endswith(" for 40.00 ms; ERROR ValueError: no such task; exception at 30.00 ms")
    assert child.endswith(" for 15.00 ms; miss at 10.00 ms; exception at 15.00 ms: KeyError: 7")
    picture = drawn(ERROR)
    assert [e.text for e in picture.iter(f"{SVG}text") if e.get("class") == "error"] == [
        "ERROR ValueError: no such task",
        "◆ exception at 30.00 ms",
        "◆ exception at 15.00 ms: KeyError: 7",
    ]
    assert [e.get("class") for e in picture.iter(f"{SVG}path") if "mark" in e.get("class")] == [
        "error mark",
        "text mark",
        "error mark",
    ]


def test_an_error_is_red_in_a_terminal():
    lines = printed(ERROR, force_terminal=True, color_system="standard").splitlines()
    assert "\x1b[1;31mERROR ValueError: no such task\x1b[0m" in lines[3]
    assert re.search(r"\x1b\[1;31m━+◆━+\x1b\[0m$", lines[2])
    assert "\x1b[1;31m" not in lines[5]


def test_an_error_without_a_text_is_still_an_error():
    assert printed([span("x", "a", status="ERROR")]).splitlines()[3].strip() == "ERROR"


def test_exceptions_come_before_other_events_and_the_rest_is_counted():
    busy = span("busy", "a", None, 0, 50, events=(*(event(f"tick {i}", i) for i in range(9)), event("exception", 45)))
    notes = waterfall.text([busy]).split("; ")[1:]
    assert notes == ["tick 0 at 0.00 ms", "tick 1 at 1.00 ms", "exception at 45.00 ms", "… 7 more events"]


def test_a_link_names_the_span_it_leads_to_or_the_trace_where_that_is_another():
    near, far = Link(TRACE, "b"), Link("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    retried = [
        span("import", "a", None, 0, 50, "server"),
        span("try", "b", "a", 5, 20),
        span("try", "c", "a", 21, 30, links=(near, far)),
        span("late", "d", "a", 31, 40, links=(far,) * 5),
    ]
    elsewhere = f"links to span {far.span_id} of trace {far.trace_id}"
    lines = waterfall.text(retried).splitlines()
    assert lines[2].endswith(f"; links to try at 5.00 ms; {elsewhere}")
    assert lines[3].endswith("; ".join([elsewhere] * 3 + ["… 2 more links"]))
    assert "          │   → links to try at 5.00 ms" in printed(retried).splitlines()
    assert "→ links to try at 5.00 ms" in [e.text for e in drawn(retried).iter(f"{SVG}text")]
    assert "; links to span \ufffd[2J of trace <b>" in waterfall.text([span("x", "a", links=(Link("<b>", "\x1b[2J"),))])


@pytest.mark.parametrize(
    ("attributes", "shown"),
    [
        ({"db.statement": "SELECT 1"}, "SELECT 1"),
        ({"db.query.text": "SELECT 2", "db.statement": "SELECT 1"}, "SELECT 2"),
        ({"db.statement": "\n  SELECT a,   b  \nFROM task"}, "SELECT a, b …"),
        ({"db.statement": "  "}, "SELECT /home/me/todo.db"),
        ({"db.statement": 7}, "7"),
        ({}, "SELECT /home/me/todo.db"),
    ],
)
def test_sql_is_shown_by_the_first_line_of_its_statement(attributes, shown):
    query = span("SELECT /home/me/todo.db", "a", None, kind="client", attributes=attributes)
    assert waterfall.text([query]).startswith(f"CLIENT {shown}, service todo:")
    assert f"  {shown}  " in printed([query])
    label = drawn([query]).find(f"{SVG}svg/{SVG}text")
    assert (label.text, label.get("class")) == (shown, "text" if "/home" in shown else "dim")


def test_a_statement_is_dim_in_a_terminal_and_a_name_is_not():
    lines = printed(REQUEST, force_terminal=True, color_system="standard").splitlines()
    assert "\x1b[2mINSERT INTO task\x1b[0m" in lines[-1]
    assert "\x1b[2m" not in lines[2]


@pytest.mark.parametrize("name", ["http.status_code", "http.response.status_code"])
def test_the_status_of_the_http_answer_follows_the_name(name):
    assert waterfall.text([span("GET /x", "a", attributes={name: 404})]).startswith("INTERNAL GET /x → 404, ")


def test_a_service_is_named_where_it_begins_when_there_are_several():
    lines = printed(SERVICES, width=100).splitlines()
    assert lines[0] == f"trace {TRACE} · todo, advisor · 4 spans · 40.00 ms"
    labels = [re.split(r" {2,}", line[10:].strip())[0] for line in lines[2:]]
    assert labels == ["todo: POST /add", "└─POST", "└─advisor: POST /advice", "└─ask model"]
    assert ["service" in line for line in waterfall.text(SERVICES).splitlines()] == [True, False, True, False]


def test_a_child_before_its_parent_is_clipped_and_marked():
    spans = [span("parent", "a", None, 0, 40), span("child", "b", "a", -10, 20), span("gone", "c", "a", -30, -20)]
    lines = printed(spans).splitlines()
    assert "40.00 ms" in lines[0]
    assert re.search(r"gone +-30.00 ms  10.00 ms  ◂$", lines[3])
    assert lines[4].strip("│ ") == "starts 30.00 ms before its parent: the clocks differ"
    assert re.search(r"child +-10.00 ms  30.00 ms  ◂━+╸?$", lines[5])
    bars = [e for e in drawn(spans).findall(f"{SVG}rect") if e.get("height") == "12"]
    left, right = float(bars[0].get("x")), float(bars[0].get("x")) + float(bars[0].get("width"))
    assert all(left <= float(e.get("x")) and float(e.get("x")) + float(e.get("width")) <= right for e in bars)
    assert [e.get("class") for e in drawn(spans).iter(f"{SVG}path")].count("warn") == 2


def test_a_span_that_ends_before_it_starts_and_one_without_length_are_drawn():
    assert "ends before it starts" in waterfall.text([span("x", "a", None, 5, 3)])
    assert printed([span("nothing", "a", None, 0, 0)]).splitlines()[2].endswith("0.000 ms  0.000 ms  ╸")


def test_warnings_of_jaeger_are_shown():
    assert "clock skew not adjusted" in printed([span("x", "a", warnings=("clock skew not adjusted",))])


@pytest.mark.parametrize(
    ("end", "length"),
    [(0.0625, "0.062 ms"), (12.345, "12.35 ms"), (1234.56, "1234.6 ms"), (3_600_000, "3600 s")],
)
def test_the_digits_of_a_time_fit_the_length_of_the_trace(end, length):
    assert waterfall.text([span("x", "a", None, 0, end)]).endswith(f"for {length}")


# Outputs


@every_trace
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
@pytest.mark.parametrize("width", [60, 80, 120, 300])
def test_no_line_is_wider_than_the_output(spans, width, encoding):
    lines = printed(spans, width, encoding).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert lines[0].startswith(f"trace {TRACE}")


@pytest.mark.parametrize("width", [60, 70, 80, 110, 200])
def test_the_scale_stands_above_the_bars(width):
    whole = [span("GET /", "a", None, 0, 40, "server"), span("half", "b", "a", 20, 40)]
    head, root, half = printed(whole, width).splitlines()[-3:]
    begin, end = root.index("━"), len(root)
    scale = head[begin:]
    assert scale.startswith("0 ") and len(head) == end and scale.endswith(" 40.00 ms")
    middle = half.index("━") if "━" in half else half.index("╺")
    if "20.00 ms" in scale:
        at = head.index("20.00 ms")
        assert at <= middle < at + len("20.00 ms")
    else:
        assert end - begin < 30


def test_a_scale_that_has_no_room_is_left_out():
    names = [span("a name that takes what there is", "a", None, 0, 40, "server")]
    assert printed(names, 60).splitlines()[-2].endswith("duration")


def test_what_is_too_long_ends_after_a_word_where_one_is_near():
    failed = span(
        "x",
        "a",
        status="ERROR",
        status_text="every word of this message is shown whole or not at all, as long as words are short",
    )
    note = printed([failed], 60).splitlines()[-1].strip()
    assert note == "ERROR every word of this message is shown whole…"
    assert "x" * 40 in printed([span("x" * 200, "a")], 120)


def test_below_sixty_columns_it_is_drawn_as_for_sixty():
    assert printed(REQUEST, 20) == printed(REQUEST, 60)


def test_wide_characters_keep_the_columns_straight():
    spans = [span("GET /", "a", None, 0, 9), span("任务🎉" * 20, "b", "a", 1, 9), span("naïve", "c", "a", 2, 9)]
    ends = {cell_len(line[: line.index(" ms")]) for line in printed(spans).splitlines()[2:]}
    assert len(ends) == 1


def test_a_deep_tree_leaves_room_for_names():
    lines = printed(DEEP, 60).splitlines()[3:-1]
    assert lines[3].startswith("INTERNAL      └─level 3 ")
    assert {line.index("level") for line in lines[5:]} == {lines[5].index("level")}
    assert all(line.startswith("INTERNAL  …") and f"level {5 + i} " in line for i, line in enumerate(lines[5:]))


def test_services_that_do_not_fit_are_shortened_on_a_line_of_their_own():
    lines = printed([span("x", f"{i}", None, 0, i, service=f"service-{i}") for i in range(20)], 60).splitlines()
    assert lines[0] == f"trace {TRACE}"
    assert re.fullmatch(r"service-\d.*… · 20 spans · 19.00 ms", lines[1])


@every_trace
def test_what_is_not_a_terminal_gets_no_control_codes(spans):
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", printed(spans))


def test_no_color_is_respected(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    styles = set(re.findall(r"\x1b\[([\d;]*)m", printed(ERROR, force_terminal=True)))
    assert styles and styles <= {"0", "1", "2"}


def test_a_name_cannot_send_control_codes_to_a_terminal():
    codes = set(re.findall(r"\x1b(.[\d;]*.)", printed(HOSTILE, force_terminal=True, color_system="standard")))
    assert codes <= {f"[{style}m" for style in ("0", "1", "2", "31", "1;31", "32", "34", "35", "36")}
    assert "\ufffd[31mred\ufffd[0m" in printed(HOSTILE)


def test_markup_in_a_name_is_text():
    assert "[red]x[/red] [/] :boom:" in printed([span("[red]x[/red] [/] :boom:", "a")])


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_an_output_without_box_characters_gets_plain_ones(encoding):
    assert printed(ERROR + [span("naïve …", "c", "a", 30, 40)], encoding=encoding).splitlines()[2:] == [
        "SERVER    GET /boom   0.00 ms  40.00 ms  " + "=" * 29 + "*" + "=" * 9,
        "          | ERROR ValueError: no such task",
        "          | * exception at 30.00 ms",
        "INTERNAL  |-find      5.00 ms  15.00 ms      =====*====*=====",
        "          |   * miss at 10.00 ms",
        "          |   * exception at 15.00 ms: KeyError: 7",
        f"INTERNAL  `-na{'?' if encoding == 'ascii' else 'ï'}ve ~  30.00 ms  10.00 ms  {' ' * 29}{'=' * 10}",
    ]


def test_it_can_be_piped_through_a_program_without_unicode():
    script = (
        "import sys, pickle\nfrom rich.console import Console\nfrom workshop.telemetry.waterfall import terminal\n"
        "terminal(pickle.load(sys.stdin.buffer), Console())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        input=pickle.dumps(HOSTILE),
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=30,
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
    lines = ran.stdout.decode("ascii").splitlines()
    assert lines[0].startswith(f"trace {TRACE}") and max(map(len, lines)) <= 80
    assert b"\x1b" not in ran.stdout


# The picture


@every_trace
def test_the_picture_stands_on_its_own_and_is_described(spans):
    source = waterfall.svg(spans)
    picture = ET.fromstring(source)
    assert (picture.tag, picture.get("role")) == (f"{SVG}svg", "img")
    assert picture.get("viewBox").startswith("0 0 880 ")
    assert [child.tag for child in picture][:2] == [f"{SVG}title", f"{SVG}desc"]
    assert picture.find(f"{SVG}title").text.startswith("Waterfall of a trace: ")
    assert picture.find(f"{SVG}desc").text == waterfall.text(spans)
    assert {element.tag.removeprefix(SVG) for element in picture.iter()} <= {
        *("svg", "title", "desc", "style", "rect", "path", "text"),
    }
    attributes = {name for element in picture.iter() for name in element.attrib}
    assert not [name for name in attributes if name.startswith("on") or "href" in name or name == "style"]
    style = picture.find(f"{SVG}style").text
    assert "font-family:ui-monospace,monospace" in style and "url(" not in style and "@import" not in style
    assert source.count("http") == source.count("http://www.w3.org/2000/svg") == 1
    source.encode("utf-8")


@every_trace
def test_no_text_leaves_its_column_or_the_picture(spans):
    picture = drawn(spans)
    column = picture.find(f"{SVG}svg")
    names_end = float(column.get("width"))
    for element in column.findall(f"{SVG}text"):
        assert float(element.get("x")) + LETTER * cell_len(element.text) <= names_end + 0.1
    height = float(picture.get("height"))
    for element in picture.findall(f"{SVG}text"):
        letter = LETTER * (1.25 if "title" in element.get("class") else 1)
        x, wide = float(element.get("x")), letter * cell_len(element.text or "")
        left = x - wide * {None: 0, "middle": 0.5, "end": 1}[element.get("text-anchor")]
        assert left >= 0 and left + wide <= 880 - 15.9
        assert 0 < float(element.get("y")) < height - 4


@every_trace
def test_no_shape_leaves_the_picture(spans):
    picture = drawn(spans)
    height = float(picture.get("height"))
    for shape in picture.findall(f"{SVG}rect")[1:]:
        x, y, wide, high = (float(shape.get(name)) for name in ("x", "y", "width", "height"))
        assert x >= 0 and x + wide <= 880 - 15.9 and y >= 0 and y + high <= height


def colors(dark: bool) -> dict[str, str]:
    light, _, other = drawn(HOSTILE).find(f"{SVG}style").text.partition("@media(prefers-color-scheme:dark)")
    return dict(re.findall(r"\.waterfall \.(\w+){fill:(#\w{6})}", other if dark else light))


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_color_can_be_read_on_its_ground(dark):
    found = colors(dark)
    ground = luminance(found.pop("ground"))
    assert found.pop("tag") == ("#0d1117" if dark else "#ffffff")  # the tag is the ground's color, on that of its kind
    assert set(found) == {*("text", "dim", "event", "warn", "error"), *waterfall.KINDS}
    for name, color in found.items():
        low, high = sorted((luminance(color), ground))
        assert (high + 0.05) / (low + 0.05) >= 4.5, name


def test_every_class_that_is_used_has_a_color():
    used = {name for e in drawn(HOSTILE + [span("x", "w", "a")]).iter() for name in (e.get("class") or "").split()}
    assert used - {"waterfall", "title", "mark", "line"} <= {*colors(False)}


def test_the_bars_are_to_scale():
    bars = [e for e in drawn(REQUEST).findall(f"{SVG}rect") if e.get("height") == "12"]
    whole = float(bars[0].get("width"))
    begins = [(float(e.get("x")) - float(bars[0].get("x"))) / whole * 40 for e in bars]
    lengths = [float(e.get("width")) / whole * 40 for e in bars]
    assert begins == pytest.approx([0, 1, 10, 20], abs=0.02)
    assert lengths == pytest.approx([40, 1, 1, 10], abs=0.02)
