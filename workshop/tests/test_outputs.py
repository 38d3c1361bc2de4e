"""What a lesson shows against what a run printed, and how it is written anew."""

from __future__ import annotations

import json

import pytest

from workshop.checks import outputs
from workshop.checks.outputs import ANY, console_matches, matches, rewrite, rewrite_console, write
from workshop.course.fences import Block, parse
from workshop.telemetry.console import read_console


def block(*lines: str, language: str = "text", kind: str = "output") -> Block:
    return Block("300/100/README.md", 1, language, kind, kind, lines)


# --- matching --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        (["a", "b"], "a\nb\n"),
        (["a", "b"], "\n \na  \r\nb\t\r\n\n"),
        (["id 0x…", "…"], "id 0x12\n"),
        (["id …, …!"], "id 12, now!"),
        (["…"], ""),
        (["…"], "a\nb\nc\n"),
        (["a", "…", "b"], "a\nb\n"),
        (["a", "…", "b"], "a\n1\n\n2\nb\n"),
        (["…", "b", "…"], "a\nb\nc\n"),
        (["a", "", "b"], "a\n\nb\n"),
        (["(a)", "[b]*"], "(a)\n[b]*\n"),
        (["  a"], "  a\n"),
        ([], "\n\n"),
        (["é …"], "é ü\n"),
    ],
)
def test_all_that_was_printed_is_what_is_shown(shown, printed):
    assert matches(shown, printed, whole=True)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        (["a"], "a\nb\n"),
        (["b"], "a\nb\n"),
        (["a", "b"], "a\nx\nb\n"),
        (["a…"], "a\n"),
        (["a…b"], "a1\nb\n"),
        (["a", "…", "b"], "a\nb\nc\n"),
        (["a"], " a\n"),
        (["a", "b"], "a\n\nb\n"),
        (["a.c"], "abc\n"),
        (["A"], "a\n"),
        (["a"], ""),
        ([], "a\n"),
    ],
)
def test_anything_more_less_or_else_is_a_difference(shown, printed):
    assert not matches(shown, printed, whole=True)


OBJECT = '{\n    "name": "GET /",\n    "status": {\n        "code": "UNSET"\n    },\n\n    "end": 1\n}\n'


@pytest.mark.parametrize(
    ("shown", "held"),
    [
        (['"name": "GET /",', '"status": {', '    "code": "UNSET"'], True),
        (['    "name": "GET /",', '    "status": {'], True),
        (['"status": {', "…", "},", "", '"end": 1'], True),
        (["},", "", '"end": 1'], True),
        (["…", '"end": …', "…"], True),
        (['"name": "GET /",', '"code": "UNSET"'], False),
        (['"name": "GET /",', '"end": 1'], False),
        (['  "name": "GET /",', '"status": {'], False),
        (['     "name": "GET /",'], False),
        (['name": "GET /",'], False),
        (['"name": "GET'], False),
    ],
)
def test_a_part_is_consecutive_whole_lines_all_moved_by_the_same_spaces(shown, held):
    assert matches(shown, f"before\n{OBJECT}after\n", whole=False) is held


ROOT_SPAN = json.dumps({"name": "GET /", "kind": "SpanKind.SERVER", "parent_id": None}, indent=4)
CHILD = json.dumps({"name": "connect", "kind": "SpanKind.CLIENT", "parent_id": "0x1234567890abcdef"}, indent=4)
CONSOLE = read_console(f" * Running on http://127.0.0.1:5001\n{ROOT_SPAN}\n127.0.0.1 - GET\n{CHILD}\n")


@pytest.mark.parametrize(
    ("lines", "held"),
    [
        (['"name": "GET /",', '"kind": "SpanKind.SERVER",'], True),
        (["{", "…", '    "parent_id": "0x…"', "}"], True),
        (['"name": "GET /",', "…", '"kind": "SpanKind.CLIENT",'], False),
        ([" * Running on http://127.0.0.1:5001"], False),
    ],
)
def test_a_json_block_stands_inside_one_object(lines, held):
    assert console_matches(block(*lines, language="json", kind="console"), CONSOLE) is held


@pytest.mark.parametrize(
    ("lines", "held"),
    [
        ([" * Running on http://127.0.0.1:5001"], True),
        (["* Running on http://127.0.0.1:5001"], True),
        (["127.0.0.1 - GET", "{", '    "name": "connect",'], True),
        (['    "name": "GET /",', "…", '    "name": "connect",'], True),
        (["127.0.0.1 - GET", "}"], False),
    ],
)
def test_a_text_block_stands_anywhere_in_the_console(lines, held):
    assert console_matches(block(*lines, kind="console"), CONSOLE) is held


def test_a_long_console_that_does_not_match_is_answered_soon():
    printed = '{\n    "a": 1\n}\n' * 3000
    assert not matches(["{", "…", "{", "…", '"a": …', "…", "}", "…", "never"], printed, whole=False)


# --- writing anew ----------------------------------------------------------------------------------------------------


def test_one_line_is_a_wish_for_all_that_was_printed():
    assert rewrite(block("?"), "\nthree\n\n  lines  \nhere\n\n") == ["three", "", "  lines", "here"]
    assert rewrite(block(), "three\n") == ["three"]


def test_a_block_without_elision_becomes_all_that_was_printed():
    assert rewrite(block("one 1", "two 2"), "zero 0\none 11\nand a new line\ntwo 22\nlast\n") == [
        "zero 0",
        "one 11",
        "and a new line",
        "two 22",
        "last",
    ]


def test_what_is_elided_stays_elided_and_nothing_else():
    shown = block("{", '    "name": "GET /",', ANY, '    "kind": "SERVER",', '    "end": 1', "}")
    printed = '{\n    "name": "GET /x",\n    "a": 1,\n    "b": 2,\n    "kind": "SERVER",\n    "new": 3,\n    "end": 11\n}\n'
    assert rewrite(shown, printed) == [
        "{",
        '    "name": "GET /x",',
        ANY,
        '    "kind": "SERVER",',
        '    "new": 3,',
        '    "end": 11',
        "}",
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["one 1", ANY, "two 2"], ["one 1", ANY, "two 2"]),
        ([ANY, "one 1", "two 2", ANY], [ANY, "one 1", "x", "two 2", ANY]),
        (["one 1", "gone, and like nothing", "two 2"], ["one 1", "x", "two 2"]),
        (["one 1", "", ANY, "", "two 2"], ["one 1", ANY, "two 2"]),
    ],
)
def test_a_part_of_the_console_stays_the_part_that_it_was(lines, expected):
    assert rewrite(block(*lines, kind="console"), "start\none 1\nx\ntwo 2\nend\n") == expected


def test_a_json_block_is_made_from_the_object_that_is_most_like_it():
    wanted = block("{", '    "name": "connects",', '    "kind": "SpanKind.CLIENT",', ANY, language="json", kind="console")
    assert rewrite_console(wanted, CONSOLE) == ["{", '    "name": "connect",', '    "kind": "SpanKind.CLIENT",', ANY]
    shown = block(" * Running on http://127.0.0.1:1", "{", kind="console")
    assert rewrite_console(shown, CONSOLE) == [" * Running on http://127.0.0.1:5001", "{"]


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ('"trace_id": "0x4bf92f3577b34da6a3ce929d0e0e4736",', '"trace_id": "…",'),
        ('"span_id": "00f067aa0ba902b7"', '"span_id": "…"'),
        ('"service.instance.id": "0a1b2c3d-0a1b-4c3d-8e5f-0a1b2c3d4e5f"', '"service.instance.id": "…"'),
        ('"start_time": "2026-11-21T09:00:00.123456Z",', '"start_time": "…",'),
        ("2026-11-21 09:00:00,123 INFO ready", "… INFO ready"),
        ('127.0.0.1 - - [21/Nov/2026 10:33:09] "GET / HTTP/1.1" 200 -', '127.0.0.1 - - […] "GET / HTTP/1.1" 200 -'),
        ("Date: Sat, 21 Nov 2026 09:00:00 GMT", "Date: …"),
        ("Server: Werkzeug/3.1.9 Python/3.11.7", "Server: Werkzeug/… Python/…"),
        ('"time_unix_nano": 1795000000000000001,', '"time_unix_nano": …,'),
        ('"net.peer.port": 41234,', '"net.peer.port": …,'),
        ('"client.port": 41234,', '"client.port": …,'),
        ('"server.port": 5001,', '"server.port": 5001,'),
        ("took 1.25 ms, not 2 s", "took … ms, not 2 s"),
        ("CLIENT    └─GET    0.52 ms    1.30 ms  ━━━━━━◆", "CLIENT    └─GET  …"),
        ("CLIENT    └─GET    0.52 ms    1.30 ms  ━━━◆━━", "CLIENT    └─GET  …"),
        ("              ◆ exception at 1.2 ms", "              ◆ exception at … ms"),
        ("workshop-check/0123456789abcdef", "…"),
        ('"http.status_code": 302', '"http.status_code": 302'),
        ("Jaeger 2.13.0 on port 16686", "Jaeger 2.13.0 on port 16686"),
    ],
)
def test_what_changes_from_run_to_run_is_masked_and_nothing_else(printed, expected):
    fresh = rewrite(block(), f"first\n{printed}\n")
    assert fresh == ["first", expected]
    assert matches(fresh, f"first\n{printed}\n", whole=True)


def test_a_block_that_was_written_anew_matches_the_run_it_was_made_from():
    for lines, language in (
        (["{", ANY, '    "parent_id": 5', "}"], "json"),
        (["127.0.0.1 - GETS", "{", ANY, "}"], "text"),
    ):
        shown = block(*lines, language=language, kind="console")
        assert not console_matches(shown, CONSOLE)
        fresh = rewrite_console(shown, CONSOLE)
        assert console_matches(block(*fresh, language=language, kind="console"), CONSOLE)


def test_blocks_are_written_into_their_pages_from_the_last_up(toy, monkeypatch):
    monkeypatch.setattr(outputs, "ROOT", toy.root)
    text = '# Title\n\n```text title="output"\na\n```\nodd\x0cprose\n```text title="output"\nb\nc\n```\nend\n'
    page = toy.page("100/100", text)
    first, second = parse(text, "100/100/README.md", toy.root)[0]
    write({"100/100": {3: (first, ["1", "2", "3"]), 7: (second, [])}})
    expected = text.replace("a\n", "1\n2\n3\n", 1).replace("b\nc\n", "")
    assert page.read_bytes().decode() == expected
    assert [b.lines for b in parse(expected, "100/100/README.md", toy.root)[0]] == [("1", "2", "3"), ()]
