"""Quizzes: their format, answering at a terminal and from a file, what is kept, and the key that a trace gives."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from workshop.checks.checkpoint import Checkpoint
from workshop.checks.process import environment
from workshop.checks.quiz import every_question_is_answered_right
from workshop.checks.sandbox import MINE
from workshop.cli import main
from workshop.course import lessons
from workshop.course.fences import LessonError
from workshop.course.quiz import has_quiz, read, root_of
from workshop.diagnosis.facts import Broken
from workshop.learner import quiz
from workshop.learner.quiz import Quiz, QuizError
from workshop.programs.jaeger import for_checks
from workshop.telemetry.console import read_console
from workshop.telemetry.spans import Span
from workshop.tests import small_app

PICTURE = "100/200"
ANATOMY = "100/300"
QUIZZES = [lesson.name for lesson in lessons.lessons() if has_quiz(lesson)]
COLOR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> str:
    """What the small app printed when asked for a page, for a task that fails, and for a page without database."""

    def ask(app) -> None:
        app.get("/")
        app.post("/add?fail=1", {"text": "milk"})
        app.get("/static-page")

    return small_app.run(tmp_path_factory.mktemp("small"), ask, OTEL_METRICS_EXPORTER="none").text


@pytest.fixture
def log(printed: str, tmp_path: Path) -> Path:
    path = tmp_path / "output.log"
    path.write_text(printed, encoding="utf-8")
    return path


@pytest.fixture
def kept(tmp_path: Path, monkeypatch) -> Path:
    """The folder in which this test's answers are kept."""
    monkeypatch.setenv(quiz.FOLDER, str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture
def command(kept: Path):
    """Runs `workshop quiz` without a terminal; a list of letters is what stands in its standard input."""

    def run(*arguments: str | Path, letters: list[str] | None = None):
        return CliRunner().invoke(main, ["quiz", *map(str, arguments)], input="\n".join(letters or []))

    return run


def plain(text: str) -> str:
    return " ".join(COLOR.sub("", text).split())


# The format


GOOD = """# Questions

## Is it?

<!-- is-it -->

- a. Yes, as far as
  anybody knows
- b. No

<details><summary>Answers</summary>

- a. No: it is not, and
  never was.
- b. Right: that is it.

</details>
"""


def test_a_question_is_read_with_its_choices_and_a_reason_for_each():
    (question,) = read(GOOD, "quiz.md")
    assert (question.id, question.ask) == ("is-it", "Is it?")
    assert [choice.text for choice in question.choices] == ["Yes, as far as anybody knows", "No"]
    assert [str(choice) for choice in question.choices] == ["No: it is not, and never was.", "Right: that is it."]
    assert (question.key, question.letters) == ("b", "ab")


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("- b. No\n", "", "quiz.md:3: choices and reasons are not both lettered a, b, c"),
        ("- b. No\n", "- c. No\n", "quiz.md:3: choices and reasons are not both lettered"),
        ("Right: that is it.", "That is it.", "quiz.md:3: the reason of choice b begins neither with `Right:` nor"),
        ("Right: that", "No: that", "quiz.md:3: the question has 0 right choices; there must be one"),
        ("- b. No\n", "- b. Yes, as far as anybody knows\n", "quiz.md:3: the question has two choices with the same"),
        ("that is it.", "it is not, and never was.", "quiz.md:3: the question has two choices with the same text or"),
        ("<!-- is-it -->\n", "", "quiz.md:3: the question has no id; write one below it"),
        ("- b. No\n", "Think first.\n\n- b. No\n", "quiz.md:9: 'Think first.' is no part of a question; a question"),
    ],
)
def test_a_question_that_is_not_in_the_format_is_named_with_its_line(old, new, said):
    assert old in GOOD
    with pytest.raises(LessonError, match=re.escape(said)):
        read(GOOD.replace(old, new), "quiz.md")


def test_two_questions_with_one_id_are_refused():
    with pytest.raises(LessonError, match="quiz.md:20: the id is-it is another question's; each needs its own"):
        read(GOOD + GOOD.replace("# Questions\n\n", ""), "quiz.md")


def test_a_question_with_one_choice_is_refused():
    with pytest.raises(LessonError, match="quiz.md:1: the question has 1 choices; 2 to 8 are possible"):
        read("## Really?\n<!-- really -->\n- a. Yes\n<details>\n- a. Right: yes.\n", "quiz.md")


# Every quiz of the workshop


@pytest.mark.parametrize("name", QUIZZES)
def test_the_key_passes_and_every_wrong_choice_fails_with_a_reason_of_its_own(name, command, kept, log):
    begin = ["--log", log] if name == ANATOMY else []
    assert command(name, *begin).exit_code == 1
    questions = Quiz(lessons.find(name)).questions
    assert len({question.id for question in questions}) == len(questions) >= 6
    key = [question.key for question in questions]
    for number, question in enumerate(questions):
        for letter, choice in zip(question.letters, question.choices):
            result = command(name, letters=[*key[:number], letter, *key[number + 1 :]])
            assert result.exit_code == (0 if choice.right else 1), result.output
            assert f"{'Right' if choice.right else 'No'}: {choice.why}" in plain(result.output)
    assert command(name, letters=key).exit_code == 0
    assert Quiz(lessons.find(name)).finished
    number = {6: "Six", 7: "Seven", 9: "nine"}[len(questions)]
    assert f"{number} questions" in plain(lessons.find(name).readme.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", QUIZZES)
def test_the_place_of_a_choice_does_not_tell_the_key(name):
    keys = [question.key for question in read((lessons.ROOT / name / "quiz.md").read_text(encoding="utf-8"), name)]
    assert max(map(keys.count, keys)) <= len(keys) / 2


# The key of a trace


def traces(printed: str) -> dict[str, list[Span]]:
    """The traces of the app's requests, by the name of their root."""
    spans = read_console(printed).spans
    return {root.name: [s for s in spans if s.trace_id == root.trace_id] for root in spans if root.kind == "server"}


def questions_from(spans: list[Span], tmp_path: Path) -> list[quiz.Question]:
    taken = Quiz(lessons.find(ANATOMY), tmp_path)
    taken.trace = spans
    return [question for question in taken.questions if question not in taken._same_for_all]


def test_two_traces_give_two_keys(printed, tmp_path):
    found = traces(printed)
    page, failed = questions_from(found["GET /"], tmp_path), questions_from(found["POST /add"], tmp_path)
    assert [question.ask for question in page] == [question.ask for question in failed]
    assert [question.key for question in page] != [question.key for question in failed]
    right = [[question.right.text for question in questions] for questions in (page, failed)]
    assert [texts[0] for texts in right] == ["GET /", "POST /add"]
    assert [texts[2] for texts in right] == ["1", "2"]
    assert [texts[3] for texts in right] == ["SERVER", "SERVER"]
    assert [texts[4] for texts in right] == ["UNSET", "ERROR"]
    assert right[0][5] != right[1][5]
    assert [texts[6] for texts in right] == ["service.name = todo", "service.name = todo"]
    for texts, spans in zip(right, (found["GET /"], found["POST /add"])):
        longest = max((span for span in spans if span.parent_id), key=lambda span: span.duration_ms)
        assert texts[1] in (longest.name, longest.attributes.get("db.statement"))
        assert texts[5] == spans[0].trace_id


def made(name: str, parent: Span | None, milliseconds: float, **more) -> Span:
    own = {"span_id": f"{milliseconds:016.2f}", "parent_id": parent.span_id if parent else None}
    fields = {"kind": "internal", "resource": {"service.name": "todo"}, **own, **more}
    return Span(name, trace_id="f" * 32, start_ns=0, end_ns=int(milliseconds * 1e6), **fields)


ROOT = made("root", None, 9)


def test_spans_that_look_alike_are_one_choice_and_lengths_that_look_alike_are_none(tmp_path):
    below = [("step", 1), ("step", 5), ("step", 2), ("nearly", 4.98), ("short", 3)]
    spans = [ROOT, *(made(name, ROOT, milliseconds) for name, milliseconds in below)]
    root, longest, *_ = questions_from(spans, tmp_path)
    assert [choice.text for choice in root.choices] == ["nearly", "root", "short", "step"]
    assert [choice.text for choice in longest.choices] == ["root", "short", "step"]
    assert longest.right.text == "step"


def test_a_span_may_have_the_name_of_the_root(tmp_path):
    twin, other = made("root", ROOT, 8), made("other", ROOT, 1)
    root, longest, *_ = questions_from([ROOT, twin, other], tmp_path)
    assert [choice.text for choice in root.choices] == ["other", "root"]
    assert [choice.text for choice in longest.choices] == ["other", "root", "root (below the root)"]
    assert longest.right.text == "root (below the root)"


def test_a_root_of_another_kind_has_a_key_too(tmp_path):
    below = made("SELECT", ROOT, 1, kind="client", attributes={"db.query.text": "SELECT 1"})
    for kind in ("server", "client", "internal", "producer", "consumer"):
        kinds = questions_from([replace(ROOT, kind=kind), below], tmp_path)[3]
        assert kinds.right.text == kind.upper() and len(kinds.choices) == 3


def test_a_hostile_name_stays_one_printable_line(tmp_path):
    hostile = made("GET /\x1b[31m\r\n" + "x" * 300, ROOT, 1)
    choices = [choice.text for choice in questions_from([ROOT, hostile], tmp_path)[0].choices]
    assert all(text.isprintable() and len(text) < 70 for text in choices)


def test_the_newest_trace_that_asked_the_database_is_taken(log):
    names = {span.name for span in quiz.newest_trace(log)}
    assert "POST /add" in names and "GET /static-page" not in names


def test_without_a_trace_the_message_names_the_command_that_makes_one(tmp_path, monkeypatch):
    monkeypatch.setattr(lessons, "ROOT", tmp_path)
    monkeypatch.setenv("JAEGER_URL", "http://127.0.0.1:9")
    with pytest.raises(QuizError) as raised:
        quiz.newest_trace()
    said = str(raised.value)
    assert "Jaeger: no Jaeger answers at http://127.0.0.1:9" in said
    assert "src/output.log: No such file or directory" in said
    assert "run `workshop demo`" in said


def test_after_a_burst_the_newest_trace_is_still_found(monkeypatch):
    """Jaeger's limit cuts off by arrival, and traces that arrive in one batch have no order among them."""

    def span(number: int, span_id: int, **more) -> dict:
        begun = first + 1_000_000 * number
        own = {"traceId": f"{number + 1:032x}", "spanId": f"{span_id:016x}", "startTimeUnixNano": str(begun)}
        return {**own, "endTimeUnixNano": str(begun + 1000), **more}

    newest, first = 399, time.time_ns()
    numbers = sorted(range(newest + 1), key=lambda number: number * 7919 % 401)  # the newest is neither first nor last
    spans = []
    for number in numbers:
        sql = [{"key": "db.statement", "value": {"stringValue": "SELECT 1"}}]
        spans.append(span(number, 1, name="GET /", kind=2))
        spans.append(span(number, 2, name="SELECT", kind=3, parentSpanId=f"{1:016x}", attributes=sql))
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "todo"}}]}
    jaeger = for_checks()
    try:
        monkeypatch.setenv("JAEGER_URL", jaeger.query_url)
        body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}
        requests.post(f"http://127.0.0.1:{jaeger.http_port}/v1/traces", json=body, timeout=10).raise_for_status()
        assert {span.trace_id for span in quiz.newest_trace()} == {f"{newest + 1:032x}"}
    finally:
        jaeger.stop()


def test_a_log_beside_the_app_serves_where_no_jaeger_answers(log, tmp_path, monkeypatch):
    (tmp_path / "src").mkdir()
    shutil.copy(log, tmp_path / "src" / "output.log")
    monkeypatch.setattr(lessons, "ROOT", tmp_path)
    monkeypatch.setenv("JAEGER_URL", "http://127.0.0.1:9")
    assert root_of(quiz.newest_trace()).name == "POST /add"


def test_a_log_without_a_fitting_trace_is_named(tmp_path):
    path = tmp_path / "empty.log"
    path.write_bytes(b"\x00\xff{ nothing")
    with pytest.raises(QuizError, match=r"empty\.log: no trace of a request that asked the database"):
        quiz.newest_trace(path)


def test_a_newer_trace_changes_nothing_until_one_starts_over(command, kept, log, printed):
    spans = read_console(printed).spans
    older = log.with_name("older.log")
    older.write_text(printed[: printed.index('"name": "POST /add"')].rsplit("{", 1)[0], encoding="utf-8")
    assert command(ANATOMY, "--log", older, letters=["a"]).exit_code == 1
    first = Quiz(lessons.find(ANATOMY))
    assert len(first.answers) == 1
    assert command(ANATOMY).exit_code == 1
    again = Quiz(lessons.find(ANATOMY))
    assert (again.trace, again.answers) == (first.trace, first.answers)
    assert {span.trace_id for span in again.trace} <= {span.trace_id for span in spans}
    command(ANATOMY, "--log", log)
    newer = Quiz(lessons.find(ANATOMY))
    assert newer.trace[0].trace_id != first.trace[0].trace_id and newer.answers == {}


# Answering from a file


def test_answers_come_from_a_file_with_one_letter_a_line(command, tmp_path):
    questions = Quiz(lessons.find(PICTURE)).questions
    path = tmp_path / "answers.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(f" {q.key.upper()} " for q in questions).encode() + b"\r\n\r\n")
    result = command(PICTURE, "--answers", path)
    assert result.exit_code == 0, result.output
    assert f"All {len(questions)} questions are answered right. Now: `workshop check {PICTURE}`" in result.output


def test_an_empty_line_leaves_its_question_open(command):
    key = [question.key for question in Quiz(lessons.find(PICTURE)).questions]
    result = command(PICTURE, letters=[key[0], "", *key[2:]])
    assert result.exit_code == 1
    assert f"{len(key) - 1} of {len(key)} answered right" in result.output
    assert Quiz(lessons.find(PICTURE)).left == Quiz(lessons.find(PICTURE)).questions[1:2]


@pytest.mark.parametrize(
    "content, said",
    [
        (b"b\nx\n", "answers.txt:2: 'x' is no choice of question 2; write a, b, c or d"),
        (b"b\nd\na\na\nd\n", "answers.txt:5: 'd' is no choice of question 5; write a, b or c"),
        (b"abcdefghijklmnopqrstuvwxyz\n", "answers.txt:1: 'abcdefghijklmnopqrs…' is no choice of question 1"),
        (b"b\n\xff\n", "answers.txt: is not UTF-8 text; write one letter a line"),
        (b"b\nc\nd\na\nb\na\nc\na\n", "answers.txt:8: there are 7 questions, and this is one answer more; take it out"),
        (b"\x00" * 200_000, "answers.txt:1: "),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_before_anything_is_recorded(content, said, command, tmp_path):
    path = tmp_path / "answers.txt"
    path.write_bytes(content)
    result = command(PICTURE, "--answers", path)
    assert result.exit_code == 1 and said in " ".join(result.output.split()) and "Traceback" not in result.output
    assert Quiz(lessons.find(PICTURE)).answers == {}


def test_without_terminal_and_answers_the_questions_are_shown_and_how_to_answer_them(command):
    result = command(PICTURE)
    assert result.exit_code == 1
    assert all(question.ask in plain(result.output) for question in Quiz(lessons.find(PICTURE)).questions)
    assert "--answers answers.txt" in result.output


def test_a_lesson_without_a_quiz_names_those_that_have_one(command):
    result = command("300/300/100")
    assert result.exit_code == 1
    assert f"300/300/100 has no quiz; these lessons have one: {', '.join(QUIZZES)}" in plain(result.output)


# What is kept


def test_starting_over_forgets_the_answers(command):
    command(PICTURE, letters=["a", "b"])
    assert len(Quiz(lessons.find(PICTURE)).answers) == 2
    command(PICTURE, "--again")
    assert Quiz(lessons.find(PICTURE)).answers == {}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"answers": 3, "trace": []}', '{"answers": {}, "trace": [1]}'])
def test_a_damaged_record_counts_as_none(content, command, kept):
    kept.mkdir()
    (kept / "100-200.json").write_text(content)
    assert command(PICTURE, letters=["b"]).exit_code == 1
    assert len(Quiz(lessons.find(PICTURE)).answers) == 1


def test_a_folder_that_cannot_be_written_is_named(command, kept):
    kept.write_text("a file is in the way")
    result = command(PICTURE, letters=["b"])
    assert result.exit_code == 1
    assert "your answers cannot be kept" in result.output and quiz.FOLDER in result.output


def test_a_stop_while_writing_leaves_the_former_record_whole(command, kept, monkeypatch):
    command(PICTURE, letters=["b"])
    before = (kept / "100-200.json").read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    result = command(PICTURE, letters=["b", "c"])
    assert result.exit_code == 1 and "No space left on device" in result.output
    assert (kept / "100-200.json").read_bytes() == before


def test_a_question_that_was_written_anew_is_open_again(command, kept):
    command(PICTURE, letters=["b", "c"])
    path = kept / "100-200.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["answers"] = {ask.replace("library", "package"): text for ask, text in record["answers"].items()}
    path.write_text(json.dumps(record), encoding="utf-8")
    taken = Quiz(lessons.find(PICTURE))
    assert taken.questions[0] in taken.left and taken.questions[1] not in taken.left


def test_the_check_reads_what_the_learner_has_answered(tmp_path, kept):
    for name in ("100", PICTURE):
        (tmp_path / "clone" / name).mkdir(parents=True)
        shutil.copy(lessons.ROOT / name / "README.md", tmp_path / "clone" / name)
    shutil.copy(lessons.ROOT / PICTURE / "quiz.md", tmp_path / "clone" / PICTURE)
    (tmp_path / "clone" / ".saved").mkdir()
    (tmp_path / "clone" / ".saved" / "progress.json").write_text(json.dumps({"current": PICTURE, "done": []}))
    lesson = lessons.find(PICTURE, tmp_path / "clone")
    checkpoint = Checkpoint(lesson, MINE, tmp_path / "check", lambda: None)
    taken = Quiz(lesson)
    for number, question in enumerate(taken.questions):
        with pytest.raises(Broken) as raised:
            every_question_is_answered_right(checkpoint)
        assert raised.value.diagnosis.rung == "quiz-open"
        assert raised.value.diagnosis.seen == (
            f"{number} of 7 questions answered right; the next: {question.ask}" if number else "no question answered yet"
        )
        taken.answer(question, question.key)
    every_question_is_answered_right(checkpoint)


# At a terminal


class Terminal:
    """`workshop` at a terminal of 80 columns. `screen` is all that it has written."""

    def __init__(self, kept: Path, *arguments: str, **env: str):
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workshop.cli", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=lessons.ROOT,
            env={**environment(), "TERM": "xterm-256color", quiz.FOLDER: str(kept), **env},
            start_new_session=True,
            preexec_fn=lambda: (signal.signal(signal.SIGINT, signal.SIG_DFL), fcntl.ioctl(0, termios.TIOCSCTTY, 0)),
        )
        os.close(slave)
        self.screen, self._deadline = "", time.monotonic() + 60

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def until(self, text: str, times: int = 1) -> str:
        """Wait until this stands on the screen so many times."""
        while self.screen.count(text) < times:
            assert self._read(), f"ended without {text!r}:\n{self.screen}"
        return self.screen

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def ended(self) -> int:
        """Its exit status, once it has ended.

        Enter is pressed when nothing comes: Python notices a Ctrl-C between prompt and reading with the next key."""
        while self._read("\n"):
            pass
        return self._process.wait(10)

    def _read(self, nudge: str = "") -> bool:
        while not select.select([self._master], [], [], 1)[0]:
            assert time.monotonic() < self._deadline, f"nothing more within 60 s:\n{self.screen}"
            self.type(nudge)
        try:
            new = os.read(self._master, 65536)
        except OSError:  # Linux: the last writer is gone
            return False
        self.screen += new.decode(errors="replace").replace("\r\n", "\n")
        return bool(new)


ASKED = "Your answer ("


def test_at_a_terminal_a_wrong_choice_is_answered_by_why_and_asked_again(kept):
    questions = Quiz(lessons.find(PICTURE), kept).questions
    first = questions[0]
    wrong = next(letter for letter in first.letters if letter != first.key)
    with Terminal(kept, "quiz", PICTURE) as terminal:
        terminal.until(ASKED)
        terminal.type("z\n")
        terminal.until(ASKED, 2)
        terminal.type(f"{wrong}\n")
        terminal.until(ASKED, 3)
        for number, question in enumerate(questions):
            terminal.until(ASKED, 3 + number)
            terminal.type(f" {question.key.upper()}\n")
        assert terminal.ended() == 0
        screen = plain(terminal.screen)
    assert "'z' is not one of" in screen
    assert f"No: {first.choices[first.letters.index(wrong)].why}" in screen
    assert all(f"Right: {question.right.why}" in screen for question in questions)
    assert f"All {len(questions)} questions are answered right" in screen
    assert Quiz(lessons.find(PICTURE), kept).finished


@pytest.mark.parametrize("stop", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_a_stop_keeps_the_answers_and_the_next_time_goes_on_there(stop, kept):
    questions = Quiz(lessons.find(PICTURE), kept).questions
    with Terminal(kept, "quiz", PICTURE) as terminal:
        terminal.until(ASKED)
        terminal.type(f"{questions[0].key}\n")
        terminal.until(ASKED, 2)
        terminal.type(stop)
        assert terminal.ended() == 1
        assert "Stopped; your answers are kept." in terminal.screen and "Traceback" not in terminal.screen
    with Terminal(kept, "quiz", PICTURE) as terminal:
        screen = terminal.until(ASKED)
        assert f"{len(questions)} questions, 1 answered right" in screen
        assert f"Question 2 of {len(questions)}" in screen and "Question 1 of" not in screen


@pytest.mark.parametrize("name", QUIZZES)
def test_no_line_is_wider_than_a_terminal_of_80_columns(name, kept, log):
    with Terminal(kept, "quiz", name, *(["--log", str(log)] if name == ANATOMY else [])) as terminal:
        terminal.until(ASKED)
        for number, question in enumerate(Quiz(lessons.find(name), kept).questions, 1):
            terminal.until(ASKED, number)
            terminal.type(f"{question.key}\n")
        assert terminal.ended() == 0
    assert "\x1b[" in terminal.screen
    assert all(len(COLOR.sub("", line)) <= 80 for line in terminal.screen.splitlines())


def test_there_is_no_color_where_there_is_no_terminal(command, log):
    assert "\x1b" not in command(ANATOMY, "--log", log, letters=["a"] * 7).output


# What the questions say is so


def test_without_an_sdk_a_span_is_not_recorded_also_when_an_sdk_comes_later():
    program = """
from opentelemetry import trace
early = trace.get_tracer("early").start_span("early")
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
trace.set_tracer_provider(provider)
early.end()
trace.get_tracer("late").start_span("late").end()
"""
    line = [sys.executable, "-c", program]
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert [span.name for span in read_console(done.stdout).spans] == ["late"]


def test_ok_is_final_and_an_event_has_a_moment_of_its_own():
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Status, StatusCode

    span = TracerProvider().get_tracer("test").start_span("work")
    span.record_exception(ValueError("no"))
    span.set_status(Status(StatusCode.OK))
    span.set_status(Status(StatusCode.ERROR))
    span.end()
    assert span.status.status_code is StatusCode.OK
    assert [event.name for event in span.events] == ["exception"]
    assert span.start_time <= span.events[0].timestamp <= span.end_time


def test_flask_itself_makes_no_call_of_opentelemetry():
    import flask

    files = Path(flask.__file__).parent.rglob("*.py")
    assert not any("opentelemetry" in path.read_text(encoding="utf-8") for path in files)
