"""Taking a quiz: its questions one at a time, and what was answered so far."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from types import ModuleType

import click

from workshop.course import lessons
from workshop.course.lessons import Lesson
from workshop.course.quiz import LETTERS, Choice, Question, has_quiz, questions, root_of
from workshop.errors import UserError
from workshop.programs import jaeger
from workshop.setup.cache import write_whole
from workshop.telemetry.console import read_console
from workshop.telemetry.spans import Event, Link, Span
from workshop.telemetry.waterfall import by_trace
from workshop.terminal import say, wrapped

FOLDER = "WORKSHOP_QUIZ_FOLDER"


class QuizError(UserError):
    """A quiz cannot be taken, or an answer cannot be read. The message says what to do."""


class Quiz:
    """The quiz of a lesson and what was answered of it so far; it is kept in `folder`, by default in `.saved/quiz/`.

    Raises QuizError when the lesson has none."""

    def __init__(self, lesson: Lesson, folder: Path | None = None):
        if not has_quiz(lesson):
            others = ", ".join(other.name for other in lessons.lessons(lesson.root) if has_quiz(other))
            raise QuizError(f"{lesson.name} has no quiz; these lessons have one: {others}")
        folder = folder or Path(os.environ.get(FOLDER) or lesson.root / ".saved" / "quiz")
        self.lesson, self.path = lesson, folder / f"{lesson.name.replace('/', '-')}.json"
        self.answers, self.trace = _kept(self.path)

    @property
    def about_a_trace(self) -> bool:
        return (self.lesson.folder / "quiz.py").exists()

    @cached_property
    def _module(self) -> ModuleType:
        return lessons.load(self.lesson.folder / "quiz.py")

    @cached_property
    def _same_for_all(self) -> list[Question]:
        return questions(self.lesson)

    @property
    def questions(self) -> list[Question]:
        """Those about the kept trace, and those of `quiz.md`."""
        return (self._module.questions_from(self.trace) if self.trace else []) + self._same_for_all

    @property
    def introduction(self) -> str:
        """What is shown of the kept trace before the questions."""
        return self._module.introduction(self.trace) if self.trace else ""

    @property
    def left(self) -> list[Question]:
        """The questions that are not answered right yet."""
        return [question for question in self.questions if self.answers.get(question.id) != question.key]

    @property
    def finished(self) -> bool:
        return not self.left and not (self.about_a_trace and not self.trace)

    def begin(self, again: bool = False, log: Path | None = None) -> None:
        """Go on where one stopped; start over when asked to (`again`), or when a console log (`log`) has another trace.

        Raises QuizError when the quiz is about a trace and there is none."""
        if self.about_a_trace and (again or log or not self.trace):
            trace = newest_trace(log)
            again = again or trace[0].trace_id != (self.trace[0].trace_id if self.trace else "")
            self.trace = trace
        if again:
            self.answers = {}
        self._keep()

    def answer(self, question: Question, letter: str) -> Choice:
        """Record an answer and return what was chosen. Raises QuizError when it cannot be kept."""
        choice = question.choices[LETTERS.index(letter)]
        self.answers[question.id] = letter
        self._keep()
        return choice

    def _keep(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            kept = {"answers": self.answers, "trace": [asdict(span) for span in self.trace]}
            write_whole(self.path, json.dumps(kept, indent=1))
        except OSError as error:
            raise QuizError(
                f"your answers cannot be kept: {error.filename or self.path}: {error.strerror}.\n"
                f"Mend that, or name a folder that you may write to: `export {FOLDER}=…`"
            ) from None


def _kept(path: Path) -> tuple[dict[str, str], list[Span]]:
    """Answers and trace as they were kept; nothing where there is nothing that can be read."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {**kept["answers"]}, [_span(span) for span in kept["trace"]]
    except (OSError, ValueError, KeyError, TypeError):
        return {}, []


def _span(kept: dict) -> Span:
    events = tuple(Event(**event) for event in kept["events"])
    links = tuple(Link(**link) for link in kept["links"])
    return Span(**{**kept, "events": events, "links": links, "warnings": tuple(kept["warnings"])})


def newest_trace(log: Path | None = None) -> list[Span]:
    """The newest trace of a request that asked the database: in `log`, or else in Jaeger, or else in `src/output.log`.

    Raises QuizError, naming the command that makes one, when there is none."""
    tried = []
    for where, spans in _sources(log):
        try:
            traces = by_trace(spans()).values()
        except OSError as error:
            tried.append(f"{where}: {error.strerror or error}")
            continue
        if found := [trace for trace in traces if root_of(trace) and any(span.statement for span in trace)]:
            return found[-1]
        tried.append(f"{where}: no trace of a request that asked the database")
    raise QuizError(
        "there is no trace to ask about.\n" + "\n".join(f"  {line}" for line in tried) + "\n"
        "Make one: run `workshop demo`, add a task in the browser, wait five seconds, try again in another terminal"
    )


def _sources(log: Path | None) -> list[tuple[str, Callable[[], list[Span]]]]:
    """Where traces may be, each with what reads them there."""
    path = log or lessons.ROOT / "src" / "output.log"
    name = str(log or "src/output.log")
    printed = (name, lambda: read_console(path.read_text(encoding="utf-8", errors="replace")).spans)
    return [printed] if log else [("Jaeger", lambda: jaeger.configured().traces("todo")), printed]


# Asking


def take(quiz: Quiz, given: list[str] | None) -> bool:
    """Show the questions and answer them: at the terminal those that are left, else each by its letter in `given`.

    Returns whether all are answered right. Stopping loses no answer."""
    questions = quiz.questions
    total = len(questions)
    say(f"{quiz.lesson.name} {quiz.lesson.title}: {total} questions, {total - len(quiz.left)} answered right")
    _show_trace(quiz)
    try:
        for number, question in enumerate(questions, 1):
            if given is None and question not in quiz.left:
                continue
            say(f"\n{_shown(question, number, total)}")
            if given is None:
                while not _answered(quiz, question, asked(question)):
                    pass
            elif number <= len(given) and given[number - 1]:
                _answered(quiz, question, given[number - 1])
    except (click.Abort, KeyboardInterrupt):
        say("\n\nStopped; your answers are kept.")
    left = len(quiz.left)
    if not left:
        say(f"\nAll {total} questions are answered right. Now: `workshop check {quiz.lesson.name}`")
    else:
        say(f"\n{total - left} of {total} answered right. Go on: `workshop quiz {quiz.lesson.name}`")
        if given == []:
            say("Without a terminal, answer from a file with one letter a line: `--answers answers.txt`")
    return not left


def read_answers(data: bytes, name: str, questions: list[Question]) -> list[str]:
    """The letters of a file: line 3 answers question 3, an empty line none.

    Raises QuizError, naming the line, for what is no letter of its question."""
    try:
        lines = data.decode("utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError:
        raise QuizError(f"{name}: is not UTF-8 text; write one letter a line") from None
    given = [line.strip().lower() for line in lines]
    for number, (letter, question) in enumerate(zip(given, questions), 1):
        if letter and (len(letter) > 1 or letter not in question.letters):
            shown = letter if len(letter) <= 20 else letter[:19] + "…"
            choices = f"{', '.join(question.letters[:-1])} or {question.letters[-1]}"
            raise QuizError(f"{name}:{number}: {shown!r} is no choice of question {number}; write {choices}")
    if (total := len(questions)) < len(given):
        raise QuizError(f"{name}:{total + 1}: there are {total} questions, and this is one answer more; take it out")
    return given


def _show_trace(quiz: Quiz) -> None:
    if quiz.trace:
        from rich.console import Console

        from workshop.telemetry import waterfall

        say()
        waterfall.terminal(quiz.trace, Console(highlight=False))
        say(f"\n{quiz.introduction}")


def _shown(question: Question, number: int, total: int) -> str:
    choices = [wrapped(choice.text, f"  {letter}  ", " " * 5) for letter, choice in zip(question.letters, question.choices)]
    ask = wrapped(question.ask)
    return "\n".join([f"Question {number} of {total}", click.style(ask, bold=True), "", *choices])


def asked(question: Question) -> str:
    """The letter of a choice, from whoever sits at the terminal."""
    letters = click.Choice(question.letters, case_sensitive=False)
    say()
    ask = f"Your answer ({', '.join(question.letters)})"
    return click.prompt(ask, value_proc=lambda said: letters.convert(said.strip(), None, None))


def _answered(quiz: Quiz, question: Question, letter: str) -> bool:
    choice = quiz.answer(question, letter)
    verdict, why = wrapped(str(choice)).split(":", 1)
    say("\n" + click.style(f"{verdict}:", fg="green" if choice.right else "red", bold=True) + why)
    return choice.right
