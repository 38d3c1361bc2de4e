"""The checkpoint of a lesson with a quiz: every question is answered right."""

from __future__ import annotations

from collections.abc import Callable

from workshop.app import Process
from workshop.checks import Checkpoint, Result
from workshop.quiz import FOLDER, Quiz
from workshop.subject import MINE, START
from workshop.workspace import Workspace


def every_question_is_answered_right(checkpoint: Checkpoint, prepare: Callable[[], dict[str, str]] = dict) -> None:
    """With `--at mine` the learner's own kept answers are read; at the lesson's start nothing is answered. At its end
    the lesson's command gets every wrong choice, each of which must be answered by its own reason, and then the key.

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
    """Without a terminal the command shows the questions. Then wrong choices are handed in, and last the key."""
    command = f"workshop quiz {checkpoint.lesson.name}"
    shown = _plain(checkpoint.run(command, **env))
    questions = Quiz(checkpoint.lesson, checkpoint.folder.with_name("quiz")).questions
    assert all(question.ask in shown for question in questions), shown
    wrong = [[letter for letter in question.letters if letter != question.key] for question in questions]
    for turn in range(max(map(len, wrong))):
        result = _hand_in(checkpoint, command, [letters[turn % len(letters)] for letters in wrong], env)
        assert result.exit_code == 1, result.output
        for question in questions:
            choice = [choice for choice in question.choices if not choice.right][turn % (len(question.choices) - 1)]
            assert f"No: {choice.why}" in _plain(result), result.output
    result = _hand_in(checkpoint, command, [question.key for question in questions], env)
    assert result.exit_code == 0, result.output
    assert all(f"Right: {question.right.why}" in _plain(result) for question in questions), result.output


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
