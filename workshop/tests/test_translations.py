"""Translations: the text is another, and what a learner types, sees and answers is the same."""

from __future__ import annotations

import pytest

from workshop.course import lessons
from workshop.course.fences import LessonError
from workshop.course.lessons import Lesson
from workshop.course.translations import check_translations

BLOCKS = """```python title="src/a.py"
one = 1
```

```shell
python a.py
```
"""
QUIZ = """## {ask}

<!-- one -->

- a. 1
- b. 2

<details><summary>…</summary>

- a. {a}: a.
- b. {b}: b.

</details>
"""
CHINESE = f"# 第一课\n\n运行你的程序。\n\n{BLOCKS}"


@pytest.fixture
def lesson(bare) -> Lesson:
    """A small lesson with a quiz, both in English and in Chinese."""
    bare.page("100/100", f"# The first\n\nRun your program.\n\n{BLOCKS}")
    bare.write("100/100/README.zh.md", CHINESE)
    bare.write("100/100/quiz.md", QUIZ.format(ask="What is one?", a="Right", b="No"))
    bare.write("100/100/quiz.zh.md", QUIZ.format(ask="一是多少？", a="Right", b="No"))
    return bare.lesson("100/100")


def test_every_translation_has_the_blocks_and_the_key_of_its_lesson(lesson):
    for one in [lesson, *lessons.lessons()]:
        check_translations(one)
    assert [(one.title, one.name) for one in lesson.translations] == [("第一课", "100/100")]


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("one = 1", "one = 1 ", "README.zh.md:5: differs from the block in line 5 of README.md; copy that one, byte for byte"),
        ("```shell", "```promql", "README.zh.md:9: differs from the block in line 9"),
        ("```shell\npython a.py\n```\n", "", "README.md:9: README.zh.md ends without this block; copy it to there"),
        ("python a.py\n```\n", "python a.py\n```\n\n```shell\nls\n```\n", "README.zh.md:13: README.md has no such block"),
    ],
)
def test_a_block_that_differs_is_named_with_its_line(lesson, old, new, said):
    assert old in CHINESE
    lesson.translations[0].readme.write_text(CHINESE.replace(old, new), encoding="utf-8")
    with pytest.raises(LessonError) as raised:
        check_translations(lesson)
    assert str(raised.value).startswith(f"100/100/{said}")


def test_a_quiz_with_another_key_is_named(lesson):
    lesson.translations[0].quiz.write_text(QUIZ.format(ask="一是多少？", a="No", b="Right"), encoding="utf-8")
    with pytest.raises(LessonError, match="100/100/quiz.zh.md: its key is {'one': 'b'}, and that of quiz.md is {'one': 'a'}"):
        check_translations(lesson)


@pytest.mark.parametrize("text, minutes", [("字" * 1500, 5), ("かな" * 750, 5), ("word " * 1000, 5), ("字 word " * 600, 5)])
def test_minutes_count_words_or_where_a_script_has_none_characters(bare, text, minutes):
    bare.page("100/100", f"# A\n\n{text}\n")
    assert bare.lesson("100/100").minutes == minutes + 1  # and a little for the heading
