"""The format of lessons: what each block means, what does not fit, and where the message points to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workshop.course import lessons
from workshop.course.fences import Block, LessonError, parse
from workshop.course.lessons import chapters, find, title
from workshop.course.replay import apply, check_quotes, replay

HERE = "300/200/100/README.md"


def fence(info: str, *lines: str) -> str:
    return "\n".join([f"```{info}", *lines, "```", ""])


def blocks(root: Path, text: str) -> tuple[Block, ...]:
    return parse(text, HERE, root)[0]


def applied(state: dict[str, str], *text: str) -> dict[str, str]:
    """`state` after the blocks of a page whose first fence stands in line 1."""
    files = {path: data.encode() for path, data in state.items()}
    for block in parse("".join(text), HERE)[0]:
        apply(block, files)
    return {path: data.decode() for path, data in files.items()}


def refusal(function, *given) -> str:
    with pytest.raises(LessonError) as refused:
        function(*given)
    return str(refused.value)


# --- what a block is -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "kind"),
    [
        ('python title="src/todo/views.py"', "create"),
        ('sh title="src/run.sh"', "create"),
        ('diff title="src/run.sh"', "change"),
        ("shell", "command"),
        ('json title="console"', "console"),
        ('text title="console"', "console"),
        ('text title="output"', "output"),
        ('json title="output"', "output"),
        ("promql", "query"),
        ("logsql", "query"),
        ('console title="not run here: needs a Mac"', "shown"),
    ],
)
def test_a_fence_says_what_its_block_is(bare, info, kind):
    (block,) = blocks(bare.root, f"# Title\n\n{fence(info, 'one', '', '  two')}")
    assert (block.kind, block.line, block.lines, block.text) == (kind, 3, ("one", "", "  two"), "one\n\n  two")
    assert block.language == info.split()[0]
    assert str(block.error("is odd", 2)) == f"{HERE}:5: is odd"


def test_a_title_outside_of_src_quotes_a_file_of_the_repository(bare):
    (block,) = blocks(bare.root, fence('yaml title="docker-compose.yml"', "  jaeger:", "    mem_limit: 512m"))
    assert block.kind == "quote"


def test_a_tilde_fence_and_a_longer_fence_hold_shorter_ones(bare):
    text = '````text title="output"\n```shell\nls\n```\n````\n~~~shell\nls\n~~~\n'
    first, second = blocks(bare.root, text)
    assert (first.lines, second.lines) == (("```shell", "ls", "```"), ("ls",))


def test_what_is_outside_of_blocks_is_prose(bare):
    _, prose = parse(f"# Title\none ```two``` three\n{fence('shell', 'ls -l')}four\n", HERE, bare.root)
    assert prose == ("# Title", "one ```two``` three", "four")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("# T\n\n```\nls\n```\n", 3, ["''", "```python title="]),
        ("```python\nx\n```\n", 1, ["python block without a title", "title="]),
        ("```diff\n x\n```\n", 1, ["diff block without a title"]),
        ("```Python title=x\nx\n```\n", 1, ["'Python title=x'"]),
        ("```diff src/todo/views.py\nx\n```\n", 1, ["'diff src/todo/views.py'", 'title="src/run.sh"']),
        ('```shell title="console"\nx\n```\n', 1, ["a shell block titled 'console'"]),
        ('```diff title="docker-compose.yml"\n x\n```\n', 1, ["a diff block titled 'docker-compose.yml'"]),
        ('```console title="not run here: "\nx\n```\n', 1, ["not run here"]),
        ("```console\nx\n```\n", 1, ["console block without a title"]),
        ("\n  ```shell\n  ls\n  ```\n", 2, ["indented", "first column"]),
        ("> ```shell\n> ls\n> ```\n", 1, ["quoted", "first column"]),
        ("- ```shell\n  ls\n  ```\n", 1, ["list", "first column"]),
        ("1. ```shell\n", 1, ["list"]),
        ("# T\n```shell\nls\n", 2, ["never closed", "'```'"]),
        ("```shell\nls\n\n# T\n```text\n", 5, ["'```text'", "line 1", "longer fence"]),
        ("```shell\nls\n````\n", 3, ["'````'", "longer fence"]),
        ("```shell\nls\n  ```\n```\n", 3, ["line 1", "longer fence"]),
        ('```python title="src/../todo.py"\nx\n```\n', 1, ["'src/../todo.py'", "leaves the repository"]),
        ('```yaml title="../secret.yml"\nx\n```\n', 1, ["'../secret.yml'", "leaves the repository"]),
        ('```yaml title="/etc/passwd"\nx\n```\n', 1, ["'/etc/passwd'", "leaves the repository"]),
        ('```python title="src//todo.py"\nx\n```\n', 1, ["'src//todo.py'"]),
        ('```python title="src/"\nx\n```\n', 1, ["'src/'"]),
        ('```yaml title="docker-compose.yaml"\nx\n```\n', 1, ["no file of the repository", "'docker-compose.yml'?"]),
        ('```python title="scr/todo/views.py"\nx\n```\n', 1, ["Did you mean 'src/todo/views.py'?"]),
        ('```json title="consol"\n{\n```\n', 1, ["Did you mean 'console'?"]),
        ('```python title="todo/views.py"\nx\n```\n', 1, ["begins with 'src/'"]),
        ('```markdown title="100/REEDME.md"\nx\n```\n', 1, ["Did you mean '100/README.md'?"]),
    ],
)
def test_what_the_format_does_not_allow_is_named_with_its_line(bare, text, line, words):
    message = refusal(parse, text, HERE, bare.root)
    assert message.startswith(f"{HERE}:{line}: ")
    assert [word for word in words if word not in message] == []


# --- how blocks fit --------------------------------------------------------------------------------------------------

VIEWS = "import os\n\ndef a():\n    return 1\n\ndef b():\n    return 1\n"
DIFF = 'diff title="src/v.py"'


def test_a_titled_block_creates_its_file(bare):
    assert applied({}, fence('python title="src/todo/v.py"', "a", "", "é")) == {"todo/v.py": "a\n\né\n"}


def test_an_empty_block_creates_an_empty_file(bare):
    assert applied({}, fence('python title="src/todo/__init__.py"')) == {"todo/__init__.py": ""}


def test_form_feeds_and_the_like_stay_where_they_are(bare):
    odd = "a\x0cb\u2028c\x85d"
    created = applied({}, fence('python title="src/v.py"', odd, "end"))
    assert created == {"v.py": f"{odd}\nend\n"}
    assert applied(created, fence(DIFF, f" {odd}", "+new")) == {"v.py": f"{odd}\nnew\nend\n"}


def test_a_block_with_the_title_of_a_file_that_exists_quotes_it(bare):
    assert applied({"v.py": VIEWS}, fence('python title="src/v.py"', "def a():", "    return 1")) == {"v.py": VIEWS}


def test_a_diff_changes_whole_lines_at_one_place(bare):
    changed = applied({"v.py": VIEWS}, fence(DIFF, " def b():", "-    return 1", "+    return 2", "+", "+# end"))
    assert changed == {"v.py": VIEWS[: VIEWS.index("def b")] + "def b():\n    return 2\n\n# end\n"}


def test_each_hunk_fits_after_the_one_before(bare):
    text = fence(DIFF, " import os", "+import re", "@@", " def b():", "@@", "-    return 1", "+    return 3")
    changed = applied({"v.py": VIEWS}, text)
    assert changed["v.py"] == VIEWS.replace("os\n", "os\nimport re\n", 1).replace("b():\n    return 1", "b():\n    return 3")


def test_an_empty_line_of_a_diff_is_an_empty_line_of_context(bare):
    changed = applied({"v.py": VIEWS}, fence(DIFF, " import os", "", "+# next", " def a():"))
    assert changed["v.py"].startswith("import os\n\n# next\ndef a():\n")


def test_a_diff_fits_a_file_with_crlf(bare):
    assert applied({"v.py": "a\r\nb\r\n"}, fence(DIFF, " a", "+x", " b")) == {"v.py": "a\nx\nb\n"}


def test_a_diff_can_take_every_line_away(bare):
    assert applied({"v.py": "a\nb\n"}, fence(DIFF, "-a", "-b")) == {"v.py": ""}


@pytest.mark.parametrize(
    ("lines", "line", "words"),
    [
        (["+new"], 2, ["shows no line of the file"]),
        ([], 2, ["shows no line of the file"]),
        (["+new", "", "+more"], 2, ["shows no line of the file"]),
        ([" def a():", "@@", "+new"], 4, ["shows no line of the file"]),
        ([" def a():", "@@"], 4, ["shows no line of the file"]),
        (
            [" def aa():"],
            2,
            ["fits 0 places of src/v.py", "no line there reads 'def aa():'", "the nearest is 'def a():'"],
        ),
        ([" return 1"], 2, ["fits 0 places", "no line there reads 'return 1'", "'    return 1'"]),
        ([" def a():", " def b():"], 2, ["fits 0 places", "not one right after the other"]),
        (["     return 1"], 2, ["fits 2 places of src/v.py", "one more line"]),
        ([" def b():", "@@", " def a():", "+x"], 4, ["fits 0 places", "before the hunk above"]),
        ([" def a():", "@@", " def b():", "@@", " import os"], 6, ["fits 0 places", "before the hunk above"]),
        ([" import os", "def a():"], 3, ["begins with ' ', '+' or '-'", "'def a():'"]),
        ([" import os", "@@ -1,2 +1,3 @@"], 3, ["bare '@@'"]),
    ],
)
def test_a_diff_that_does_not_fit_says_which_hunk_and_why(lines, line, words):
    message = refusal(applied, {"v.py": VIEWS}, fence(DIFF, *lines))
    assert message.startswith(f"{HERE}:{line}: ")
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize(
    ("state", "text", "words"),
    [
        ({"v.py": VIEWS}, fence(DIFF.replace("v.py", "w.py"), " x"), ["src/w.py, which does not exist", "'src/v.py'?"]),
        ({}, fence(DIFF, " x"), ["src/v.py, which does not exist yet."]),
        (
            {"v.py": VIEWS},
            fence('python title="src/v.py"', "def a():", "return 1"),
            ["exists", "word for word", "```diff"],
        ),
        ({"v.py": VIEWS}, fence('python title="src/v.py"'), ["word for word"]),
        (
            {"todo": "x\n"},
            fence('python title="src/todo/v.py"', "x"),
            ["src/todo/v.py", "src/todo", "file and a folder"],
        ),
        ({"todo/v.py": "x\n"}, fence('python title="src/todo"', "x"), ["src/todo/v.py", "file and a folder"]),
    ],
)
def test_a_block_that_does_not_fit_what_is_there_says_so(state, text, words):
    message = refusal(applied, state, text)
    assert message.startswith(f"{HERE}:1: ")
    assert [word for word in words if word not in message] == []


def test_only_text_can_be_changed(bare):
    block = blocks(bare.root, fence(DIFF, " x"))[0]
    assert "is not text" in refusal(apply, block, {"v.py": b"\xff\xfe"})


# --- lessons ---------------------------------------------------------------------------------------------------------


def test_lessons_and_chapters_come_in_the_order_of_their_numbers(toy):
    toy.write("100/300/__pycache__/test_gone.pyc", b"left behind by git")
    toy.write("100/notes.txt", "no lesson")
    toy.write("1000/README.md", "# No lesson\n")
    assert [lesson.name for lesson in lessons.lessons(toy.root)] == ["100/100", "100/200", "200/100"]
    assert [folder.relative_to(toy.root).as_posix() for folder in chapters(toy.root)] == ["100", "200"]
    toy.page("100/200/050", "# Deeper\n")
    assert [lesson.name for lesson in lessons.lessons(toy.root)] == ["100/100", "100/200/050", "200/100"]
    assert [folder.relative_to(toy.root).as_posix() for folder in chapters(toy.root)] == ["100", "100/200", "200"]


@pytest.mark.parametrize("left", ["100/200/test_it.py", "100/100/README.md"])
def test_a_numbered_folder_without_its_readme_is_named(toy, left):
    gone = "100/200/README.md" if left.startswith("100/200") else "100/README.md"
    toy.write(left, "x = 1\n")
    (toy.root / gone).unlink()
    message = refusal(lessons.lessons, toy.root)
    assert message.startswith(f"{gone} is missing")
    assert f"git checkout {gone}" in message


def test_a_lesson_knows_its_title_and_its_tests(toy):
    for name in ("test_b.py", "test_a.py", "other.py"):
        toy.write(f"100/100/{name}", "")
    lesson = toy.lesson("100/100")
    assert (lesson.title, [path.name for path in lesson.tests]) == ("Hello", ["test_a.py", "test_b.py"])
    assert repr(lesson) == "<Lesson 100/100>"


def test_a_page_without_a_title_is_named(toy):
    readme = toy.page("100/100", "Hello\n\n```shell\n# not a title\n```\n")
    assert refusal(title, readme, toy.root) == "100/100/README.md:1: has no title; begin it with `# Title`"


def test_a_page_that_is_not_utf8_is_named_with_its_line(toy):
    toy.page("100/100", "# Hello\n\nÜber".encode("latin-1"))
    lesson = toy.lesson("100/100")
    assert refusal(lambda: lesson.blocks).startswith("100/100/README.md:3: is not UTF-8 text")
    assert refusal(lambda: lesson.title).startswith("100/100/README.md:3: is not UTF-8 text")


def test_a_page_with_crlf_and_a_byte_order_mark_is_the_same_lesson(toy):
    readme = toy.root / "100/100/README.md"
    expected = replay(toy.lesson("100/100"))
    readme.write_bytes(b"\xef\xbb\xbf" + readme.read_bytes().replace(b"\n", b"\r\n"))
    lesson = toy.lesson("100/100")
    assert (lesson.title, replay(lesson)) == ("Hello", expected)
    assert [block.line for block in lesson.blocks] == [5, 13, 19]


@pytest.mark.parametrize("name", ["100/200", "100/200/", "./100/200", "100/200/README.md"])
def test_a_lesson_is_found_by_its_folder(toy, name):
    assert find(name, toy.root).name == "100/200"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("100/210", "Did you mean 100/200"),
        ("100", "Did you mean 100/100 or 100/200?"),
        ("200/10", "Did you mean 200/100"),
        ("nonsense", "'nonsense'. `workshop` lists them all."),
        ("", "there is no lesson ''"),
    ],
)
def test_a_lesson_that_does_not_exist_is_answered_with_the_nearest(toy, name, hint):
    assert hint in refusal(find, name, toy.root)


# --- replay ----------------------------------------------------------------------------------------------------------

HELLO = {"app/views.py": b"first\nsecond\nthird\n", "run.sh": b"flask run -p 5001\n"}
GIVEN = {"static/style.css": b"body { margin: 0 }\n", "static/dot.png": b"\x89PNG\r\n\x00\xff"}
CHANGED = {"app/views.py": b"first\n2nd\nthird\n", "app/seite für alle.html": "<h1>é</h1>\n".encode()}


@pytest.mark.parametrize(
    ("name", "end", "expected"),
    [
        ("100/100", False, {}),
        ("100/100", True, HELLO),
        ("100/200", False, {**HELLO, **GIVEN}),
        ("100/200", True, {**HELLO, **GIVEN, **CHANGED}),
        ("200/100", False, {**HELLO, **GIVEN, **CHANGED}),
        ("200/100", True, {**HELLO, **GIVEN, **CHANGED, "last.py": b"last\n"}),
    ],
)
def test_a_replay_gives_src_as_a_lesson_begins_and_ends(toy, name, end, expected):
    assert replay(toy.lesson(name), end=end) == expected


def test_a_replay_stops_at_the_block_that_no_longer_fits(toy):
    readme = toy.root / "100/100/README.md"
    readme.write_text(readme.read_text().replace("second", "zweite"))
    assert replay(toy.lesson("100/100"))["app/views.py"] == b"first\nzweite\nthird\n"
    assert refusal(replay, toy.lesson("200/100")).startswith("100/200/README.md:6: fits 0 places of src/app/views.py")


def test_a_file_that_the_learner_types_cannot_be_handed_over_later(toy):
    toy.write("200/100/src/app/views.py", "mine\n")
    message = refusal(replay, toy.lesson("200/100"))
    assert message.startswith("200/100/src/app/views.py: an earlier lesson lets the learner type this file")


def test_a_file_that_was_only_quoted_can_be_handed_over_anew(toy):
    toy.page("200/100", "# Last\n\n" + fence('css title="src/static/style.css"', "body { margin: 0 }"))
    toy.page("200/200", "# New clothes\n")
    toy.write("200/200/src/static/style.css", "body { margin: 1px }\n")
    assert replay(toy.lesson("200/200"))["static/style.css"] == b"body { margin: 1px }\n"


def test_a_file_handed_over_cannot_stand_where_a_folder_is(toy):
    toy.write("200/100/src/app", "a file\n")
    assert refusal(replay, toy.lesson("200/100")).startswith("200/100/src/app: cannot stand beside src/app/")


def test_caches_are_not_handed_over(toy):
    toy.write("100/200/src/app/__pycache__/views.cpython-311.pyc", b"\x00")
    assert "app/__pycache__/views.cpython-311.pyc" not in replay(toy.lesson("100/200"))


def test_a_quote_of_the_repository_is_checked_for_authors_and_stops_no_learner(toy):
    toy.page("100/100", "# Hello\n\n" + fence('yaml title="docker-compose.yml"', "    mem_limit: 512m"))
    lesson = toy.lesson("100/100")
    check_quotes(lesson)
    toy.write("docker-compose.yml", "services:\n  jaeger:\n    mem_limit: 256m\n")
    assert refusal(check_quotes, lesson).startswith("100/100/README.md:3: docker-compose.yml does not hold these lines")
    assert (replay(lesson), lesson.minutes) == ({}, 1)
    toy.write("docker-compose.yml", b"\xff\xfe")
    assert refusal(check_quotes, lesson).startswith("docker-compose.yml:1: is not UTF-8 text")


def test_minutes_count_reading_typing_and_the_commands(toy, monkeypatch):
    typed = [
        fence('python title="src/a.py"', *"abcdefgh"),
        fence('diff title="src/a.py"', " a", "+b", "+c"),
        fence("shell", "x"),
    ]
    shown = fence('text title="output"', *"abcdefghijklmnop")
    toy.page("100/100", "# Title\n" + "word " * 398 + "\n" + "".join(typed) + shown)
    seconds = toy.write("seconds.json", json.dumps({"100/100": 61}))
    monkeypatch.setattr(lessons, "SECONDS", toy.root / "none.json")
    assert toy.lesson("100/100").minutes == 5  # 400 words are 2 minutes, 11 lines 2.75
    monkeypatch.setattr(lessons, "SECONDS", seconds)
    assert toy.lesson("100/100").minutes == 6


def test_every_lesson_of_this_workshop_parses_quotes_and_replays():
    everything = lessons.lessons()
    for lesson in everything:
        check_quotes(lesson)
        assert lesson.title and lesson.minutes > 0
    assert replay(everything[-1])
