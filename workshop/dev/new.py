"""`workshop new`: the skeleton of a lesson. Its check is red until the lesson is written."""

from __future__ import annotations

from pathlib import Path

from workshop.course import lessons
from workshop.course.fences import ROOT
from workshop.errors import UserError

PAGE = """# {name}: its title

What you will see at the end of this lesson, in two sentences.

## The first step

In `src/{file}`:

```text title="src/{file}"
what the learner types
```

Start the app in `src/`:

```shell
sh run.sh
```

```text title="console"
…
```

## Check

```shell
workshop check {name}
```

**Stuck?** `workshop diff` shows what is left, `workshop solve` does it for you and keeps what you had.
"""
TEST = '''"""What this lesson proves, in one sentence."""

import pytest


def visited(checkpoint):
    """The app, started by the lesson's command line and asked; the lesson's tests share this run."""
    with checkpoint.serve(shown=True) as app:
        app.page = app.get("/")
    return app


@pytest.mark.before("not-written")
def test_what_must_be_true(checkpoint):
    app = checkpoint.shared(visited)
    span = app.server_span(app.page)
    checkpoint.must(
        "lesson.attribute" in span.attributes,
        "not-written",
        seen=f"attributes: {", ".join(span.attributes)}",
        expected="lesson.attribute",
        why="this check is red until the lesson is written",
    )
'''.replace('{", ".join(span.attributes)}', "{', '.join(span.attributes)}")
WRONG = """# Wrong turns of this lesson

At least three mistakes that people will make, each with the diagnosis that it must get.

## not-written: what was done wrong

```diff title="src/{file}"
-what the learner types
+what somebody else types
```
"""
OTHER = """# Other solutions of this lesson

At least two programs that are right and not the page's; every check must be green on them.

## what is done otherwise

```diff title="src/{file}"
-what the learner types
+the same, in other words
```
"""


def make(name: str, root: Path = ROOT) -> list[Path]:
    """Write page, check, wrong turns and other solutions of a new lesson; returns the files. Nothing is ever replaced.

    Raises UserError for a name that is no lesson's, is taken, or lies within a lesson."""
    parts = name.strip("/").split("/")
    folder = root.joinpath(*parts)
    if not all(lessons.NUMBER.fullmatch(part) for part in parts) or not 2 <= len(parts) <= 3:
        raise UserError(f"{name!r} is no lesson's folder; name one like 300/500/100, numbers in gaps of 100")
    if folder.exists():
        raise UserError(f"{name} is there already; `workshop` shows which numbers are taken")
    if not (folder.parent / "README.md").exists():
        above = folder.parent.relative_to(root)
        raise UserError(f"{above}/README.md is missing: write the chapter's page first, with a title and `## Lessons`")
    if any(folder.parent.glob("test_*.py")):
        raise UserError(f"{folder.parent.relative_to(root)} is a lesson, and a lesson holds no other; take a number beside it")
    texts = {"README.md": PAGE, "test_lesson.py": TEST, "wrong-turns.md": WRONG, "other-solutions.md": OTHER}
    folder.mkdir()
    for file, text in texts.items():
        text = text if file.endswith(".py") else text.format(name=name, file=f"lesson-{'-'.join(parts)}.txt")
        (folder / file).write_text(text, encoding="utf-8")
    return [folder / file for file in texts]
