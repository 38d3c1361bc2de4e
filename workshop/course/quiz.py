"""Quizzes: questions beside a lesson, each wrong choice with why it is wrong.

`quiz.md` in a lesson's folder holds questions that are the same for everybody. `quiz.py` there makes more of them from
a trace that the learner has made: it has `questions_from(spans) -> list[Question]` and `introduction(spans) -> str`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from workshop.course.fences import LessonError
from workshop.course.lessons import Lesson
from workshop.telemetry.spans import Span

LETTERS = "abcdefgh"
ID = re.compile(r"<!-- (?P<id>[a-z][a-z-]*) -->")
ITEM = re.compile(r"- (?P<letter>[a-z])\. (?P<text>\S.*)")
VERDICT = re.compile(r"(?P<verdict>Right|No): (?P<why>.+)")
FORMAT = (
    "a question is `## The question?` with its id as `<!-- id -->` below, its choices are `- a. …`, "
    "and in <details> stands a reason for each: `- a. No: …` or `- a. Right: …`"
)


@dataclass(frozen=True)
class Choice:
    """One choice of a question, and why it is right or wrong: a sentence of its own."""

    text: str
    why: str
    right: bool = False

    def __str__(self) -> str:
        return f"{'Right' if self.right else 'No'}: {self.why}"


@dataclass(frozen=True)
class Question:
    """A question with 2 to 8 different choices, one of them right. Raises ValueError for any other.

    `id` is its name in the learner's kept answers, the same in each language and however the question is worded."""

    id: str
    ask: str
    choices: tuple[Choice, ...]

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("has no id; write one below it, such as `<!-- who-decides -->`")
        texts, reasons = ({getattr(c, name) for c in self.choices} for name in ("text", "why"))
        if not 2 <= len(self.choices) <= len(LETTERS):
            raise ValueError(f"has {len(self.choices)} choices; 2 to {len(LETTERS)} are possible")
        if (right := sum(c.right for c in self.choices)) != 1:
            raise ValueError(f"has {right} right choices; there must be one")
        if len(texts) != len(self.choices) or len(reasons) != len(self.choices):
            raise ValueError("has two choices with the same text or the same reason; each needs its own")

    @property
    def letters(self) -> str:
        return LETTERS[: len(self.choices)]

    @property
    def right(self) -> Choice:
        return next(choice for choice in self.choices if choice.right)

    @property
    def key(self) -> str:
        """The letter of the right choice."""
        return LETTERS[self.choices.index(self.right)]


def read(text: str, where: str) -> list[Question]:
    """The questions of a `quiz.md`.

    Raises LessonError, with file and line, for a question that is not in the format."""
    sections: list[tuple[int, str, list[list[str]], list[list[str]]]] = []
    ids: dict[int, str] = {}
    items: list[list[str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("## "):
            items = []
            sections.append((number, line[3:].strip(), items, []))
        elif not sections or line.strip() in ("", "</details>"):
            continue
        elif match := ID.fullmatch(line.rstrip()):
            if match["id"] in ids.values():
                raise LessonError(f"{where}:{number}: the id {match['id']} is another question's; each needs its own")
            ids[sections[-1][0]] = match["id"]
        elif line.startswith("<details>"):
            items = sections[-1][3]
        elif match := ITEM.fullmatch(line.rstrip()):
            items.append([match["letter"], match["text"]])
        elif line.startswith("  ") and items:
            items[-1][1] += " " + line.strip()
        else:
            raise LessonError(f"{where}:{number}: {line!r} is no part of a question; {FORMAT}")
    return [_question(f"{where}:{number}", ids.get(number, ""), *section) for number, *section in sections]


def _question(where: str, name: str, ask: str, choices: list[list[str]], reasons: list[list[str]]) -> Question:
    letters = LETTERS[: len(choices)]
    if "".join(letter for letter, _ in choices) != letters or "".join(letter for letter, _ in reasons) != letters:
        raise LessonError(f"{where}: choices and reasons are not both lettered a, b, c …; {FORMAT}")
    found = []
    for (letter, text), (_, reason) in zip(choices, reasons):
        verdict = VERDICT.fullmatch(reason)
        if verdict is None:
            raise LessonError(f"{where}: the reason of choice {letter} begins neither with `Right:` nor with `No:`")
        found.append(Choice(text, verdict["why"], verdict["verdict"] == "Right"))
    try:
        return Question(name, ask, tuple(found))
    except ValueError as error:
        raise LessonError(f"{where}: the question {error}") from None


def questions(lesson: Lesson) -> list[Question]:
    """Those of a lesson's `quiz.md`; none where it has no such page."""
    return read(lesson.quiz.read_text(encoding="utf-8"), f"{lesson.name}/{lesson.quiz.name}") if lesson.quiz.exists() else []


def has_quiz(lesson: Lesson) -> bool:
    return lesson.quiz.exists() or (lesson.folder / "quiz.py").exists()


def root_of(spans: list[Span]) -> Span | None:
    """The one span whose parent is not among them, None when there are several or none."""
    ids = {span.span_id for span in spans}
    roots = [span for span in spans if span.parent_id not in ids]
    return roots[0] if len(roots) == 1 else None
