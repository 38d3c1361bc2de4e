"""What a terminal of 80 columns shows: every message of the commands is measured, and nothing in it is parted."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from workshop import cli
from workshop.course import lessons
from workshop.diagnosis.facts import Diagnosis, climb
from workshop.doctor import report
from workshop.doctor.findings import FIX, Finding
from workshop.learner import quiz, reporter
from workshop.learner.quiz import Quiz
from workshop.terminal import COLUMNS, wrapped
from workshop.tests.test_diagnosis import ALL, FAULTS, HEALTHY
from workshop.tests.test_quiz import ANATOMY, QUIZZES, ROOT, made, questions_from

LONG = "`workshop trace --name 'POST /add'`"


def parted(text: str) -> list[str]:
    """The lines of a text that a terminal of 80 columns would part, or that part a `command`."""
    found = []
    for line in click.unstyle(text).splitlines():
        whole = re.fullmatch(r"\s*(?:\w+(?:: | {2,}))?\W*(`[^`]+`|\S+)[.,;:)]*", line)
        if (len(line) > COLUMNS and not whole) or line.replace("```", "").count("`") % 2:
            found.append(line)
    return found


def said(*command: str) -> str:
    return CliRunner().invoke(cli.main, command, prog_name="workshop", terminal_width=COLUMNS).output


def every_command() -> list[str]:
    return list(cli.main.commands)


# The measure itself


@pytest.mark.parametrize(
    "text, wrong",
    [
        ("word " * 20, True),
        ("run `workshop\nsolve` then", True),
        ("x" * 100, False),
        ("  do  `" + "x " * 60 + "`.", False),
        ("short `words`", False),
    ],
)
def test_the_measure_sees_what_is_parted(text, wrong):
    assert bool(parted(text)) == wrong


def test_wrapping_keeps_every_word_and_every_command_whole():
    pick = random.Random(8)
    pieces = ["a", "exporter", "auto-instrumentation", "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318", LONG, f"({LONG})"]
    for _ in range(300):
        text = "\n".join(" ".join(pick.choices(pieces, k=pick.randrange(1, 30))) for _ in range(3))
        shown = wrapped(text, "      do  ", " " * 10)
        assert not parted(shown)
        assert shown.split() == ["do", *text.split()]
        assert all(line.startswith(" " * 6) for line in shown.splitlines())


def test_a_line_that_fits_stays_as_it_is_and_its_color_takes_no_room():
    line = click.style("x" * 40, fg="red") + "  " + "y" * 38
    assert wrapped(line) == line
    assert wrapped("a  table\n  of two\n\nlines") == "a  table\n  of two\n\nlines"


def test_what_goes_on_is_indented_like_the_line_that_it_goes_on():
    assert wrapped("    " + "word " * 20).splitlines()[1].startswith("    word")


# Every message


@pytest.mark.parametrize("command", [(), *((name,) for name in every_command())], ids=" ".join)
def test_every_help(command):
    shown = said(*command, "--help")
    assert shown.startswith("Usage: workshop") and not parted(shown)


def test_the_help_lists_commands_by_section_and_cuts_no_description():
    learners, authors = said("--help").split("Commands:\n")[1].split("\nFor authors:\n")
    assert re.findall(r"^  (\w+)  ", learners, re.M)[:4] == ["demo", "doctor", "start", "check"]
    assert "output" in re.findall(r"^  (\w+)  ", authors, re.M)
    assert not re.search(r"^  output ", learners, re.M)
    rows = [line for line in (learners + authors).splitlines() if line]
    assert len(rows) == len(every_command()) and all(row.endswith(".") and not row.endswith("..") for row in rows)


def test_the_map():
    shown = said()
    assert all(lesson.title in shown for lesson in lessons.lessons()) and not parted(shown)


@pytest.mark.parametrize(
    "command",
    [
        ("start", "300/300/1000"),
        ("start", "30"),
        ("start",),
        ("chek",),
        ("check", "--at", "nowhere"),
        ("trace", "--log", "nothing.log"),
        ("trace", "--log", "README.md"),
        ("metrics", "--log", "README.md", "http.server"),
        ("trace", "x" * 200),
        ("quiz", "300/300/100"),
        ("quiz", "100/200", "--answers", "README.md"),
        ("environment", "no/such/requirements.txt"),
        ("status",),
        ("down",),
        ("up",),
    ],
    ids=" ".join,
)
def test_every_mistake(command, monkeypatch):
    monkeypatch.setenv("JAEGER_URL", "http://127.0.0.1:9")
    shown = said(*command)
    assert shown and not parted(shown)


@pytest.mark.parametrize("rung", FAULTS)
def test_every_diagnosis(rung):
    assert not parted(str(climb(replace(HEALTHY, **FAULTS[rung]), ALL)))


def test_what_a_program_printed_is_wrapped_and_cut_between_words():
    error = "opentelemetry.exporter says that the endpoint is wrong; " * 8
    shown = str(Diagnosis("r", f"first\n{error}", "x", "why", f"run {LONG} or {LONG} or {LONG}"))
    assert not parted(shown)
    assert [line for line in shown.splitlines() if line.endswith(" …")]


@pytest.mark.parametrize("name", QUIZZES)
def test_every_question_and_every_answer(name, tmp_path):
    asked = Quiz(lessons.find(name))
    spans = [replace(ROOT, attributes={"db.statement": "SELECT 1 " * 60})] + [made(f"span {n}", ROOT, n) for n in (1, 2, 3)]
    questions = asked.questions + (questions_from(spans, tmp_path) if name == ANATOMY else [])
    assert questions
    for number, question in enumerate(questions, 1):
        assert not parted(quiz._shown(question, number, len(questions)))
        assert not [choice for choice in question.choices if parted(wrapped(str(choice)))]


def test_a_finding_of_the_doctor():
    finding = Finding(
        FIX, "variables", f"OTEL_LOG_EXPORTER: {'no package reads it ' * 8}", f"{LONG}, {LONG}", f"run {LONG} or {LONG}"
    )
    assert not parted(report.report([finding], click.style))


def test_a_check_red_and_green(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    shown = "not-under-agent\n" + str(climb(replace(HEALTHY, **FAULTS["not-under-agent"]), ALL))
    marked = reporter._marked(shown)
    assert marked.startswith(click.style("not-under-agent", fg="red", bold=True))
    assert marked.count("\x1b[1m") == 6 and click.unstyle(marked) == shown and not parted(marked)


def test_messages_are_printed_by_what_wraps_them():
    """`click.echo` prints a line as it is: only what wraps itself may use it, or what is read by a program."""
    rooms = Path(cli.__file__).parent
    calls = {
        f"{path.relative_to(rooms)}: {line.strip()}"
        for path in sorted(rooms.rglob("*.py"))
        if "tests" not in path.parts
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"click\.s?echo\(", line) and not line.endswith("# as it is")
    }
    assert calls == {"terminal.py: click.echo(wrapped(text), err=to_stderr)"}
