"""The checkpoint of a lesson with a quiz: every question is answered right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from workshop.checks.checkpoint import Checkpoint, Result
from workshop.checks.process import Process
from workshop.checks.sandbox import MINE, START
from workshop.learner.quiz import FOLDER, Quiz
from workshop.learner.workspace import Workspace


def every_question_is_answered_right(checkpoint: Checkpoint, prepare: Callable[[], dict[str, str]] = dict) -> None:
    """With `--at mine` the learner's own kept answers are read; at the lesson's start nothing is answered. At its end
    the lesson's command gets wrong choices, each of which must be answered by its own reason, and then the key.

    A clone in which nobody has begun holds the finished app, and so its quizzes count as taken by the key. `prepare` is
    called before the command, and what it returns goes into its environment. Raises Broken when a question is left."""
    lesson = checkpoint.lesson
    if checkpoint.at == MINE and Workspace(lesson.root).progress()["current"]:
        quiz = Quiz(lesson)
    else:
        folder = checkpoint.folder.with_name("quiz")
        if checkpoint.at != START:
            _take(checkpoint, {**prepare(), FOLDER: str(folder)})
        quiz = Quiz(lesson, folder)
    if not quiz.path.exists():
        seen = "no question answered yet"
    else:
        total, left = len(quiz.questions), quiz.left
        seen = f"{total - len(left)} of {total} questions answered right" + (f"; the next: {left[0].ask}" if left else "")
    checkpoint.must(
        quiz.finished,
        "quiz-open",
        seen=seen,
        expected="each question answered right",
        why="who has found out why a choice is wrong knows the lesson",
        do=f"answer them: `workshop quiz {lesson.name}`",
    )


def _take(checkpoint: Checkpoint, env: dict[str, str]) -> None:
    """Without a terminal the command shows the questions. Then a wrong choice for each is handed in, and last the key."""
    command = f"workshop quiz {checkpoint.lesson.name}"
    shown = _plain(checkpoint.run(command, **env))
    questions = Quiz(checkpoint.lesson, Path(env[FOLDER])).questions
    assert all(question.ask in shown for question in questions), shown
    wrong = [question.letters.replace(question.key, "")[-1] for question in questions]
    for letters, exit_code in ((wrong, 1), ([question.key for question in questions], 0)):
        result = _hand_in(checkpoint, command, letters, env)
        assert result.exit_code == exit_code, result.output
        for question, letter in zip(questions, letters):
            assert str(question.choices[question.letters.index(letter)]) in _plain(result), result.output


def _hand_in(checkpoint: Checkpoint, command: str, letters: list[str], env: dict[str, str]) -> Result:
    answers = checkpoint.folder / "answers.txt"
    answers.write_text("\n".join(letters), encoding="utf-8")
    process = Process(f"{command} --answers answers.txt", checkpoint.folder, {**checkpoint.environment, **env})
    try:
        assert process.wait(30), f"`{command}` still runs after 30 s"
    finally:
        process.kill()
    return Result(process.output, process.exit_code)


def _plain(result: Result) -> str:
    return " ".join(result.output.split())
