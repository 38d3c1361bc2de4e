"""A lesson in another language: `README.zh.md` beside its `README.md`, and `quiz.zh.md` beside its `quiz.md`.

The text is another; blocks, and ids, letters and verdicts (`Right:`, `No:`) of a quiz, are the same. Only the pages in English
are replayed and asked.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest

from workshop.course import quiz
from workshop.course.fences import Block, LessonError
from workshop.course.lessons import Lesson


def check_translations(lesson: Lesson) -> None:
    """Raise LessonError where a translation of a lesson has other blocks, or a quiz with another key."""
    for translated in lesson.translations:
        name = translated.readme.name
        for ours, theirs in zip_longest(lesson.blocks, translated.blocks):
            if ours is None:
                raise theirs.error("README.md has no such block; a translation has the blocks of its lesson, and no more")
            if theirs is None:
                raise ours.error(f"{name} ends without this block; copy it to there")
            if _same(ours) != _same(theirs):
                raise theirs.error(f"differs from the block in line {ours.line} of README.md; copy that one, byte for byte")
        ours, theirs = (_key(page) for page in (lesson, translated))
        if ours != theirs:
            raise LessonError(f"{lesson.name}/{translated.quiz.name}: its key is {theirs}, and that of quiz.md is {ours}")


def _same(block: Block) -> Block:
    return replace(block, where="", line=0)


def _key(lesson: Lesson) -> dict[str, str]:
    """The letter of the right choice, by the id of each question."""
    return {question.id: question.key for question in quiz.questions(lesson)}
