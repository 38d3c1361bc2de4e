"""Lessons: numbered folders whose README is the text and the program."""

from __future__ import annotations

import difflib
import importlib.util
import json
import math
import re
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType

from workshop.course.fences import OPENING, ROOT, Block, LessonError, lines_of, parse

SECONDS = Path(__file__).with_name("seconds.json")
NUMBER = re.compile(r"\d{3}")
CHARACTER = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")  # of Chinese, Japanese and Korean


class Lesson:
    """One numbered folder with a README and its checkpoint tests. `language` is that of a translation, such as `zh`."""

    def __init__(self, folder: Path, root: Path, language: str = ""):
        self.folder, self.root = folder, root
        self.name = folder.relative_to(root).as_posix()
        ending = f".{language}.md" if language else ".md"
        self.readme, self.quiz = (folder / f"{page}{ending}" for page in ("README", "quiz"))

    def __repr__(self) -> str:
        return f"<Lesson {self.name}>"

    @cached_property
    def _parsed(self) -> tuple[tuple[Block, ...], tuple[str, ...]]:
        return parse(read(self.readme, self.root), self.readme.relative_to(self.root).as_posix(), self.root)

    @property
    def blocks(self) -> tuple[Block, ...]:
        return self._parsed[0]

    @cached_property
    def title(self) -> str:
        return title(self.readme, self.root)

    @cached_property
    def tests(self) -> list[Path]:
        return sorted(self.folder.glob("test_*.py"))

    @property
    def translations(self) -> list[Lesson]:
        """The same lesson in other languages."""
        return [Lesson(self.folder, self.root, page.name.split(".")[1]) for page in sorted(self.folder.glob("README.*.md"))]

    @cached_property
    def minutes(self) -> int:
        """Reading at 200 words or 300 characters without blanks a minute, typing four lines a minute, and its commands' time."""
        text = "\n".join([*self._parsed[1], self.quiz.read_text(encoding="utf-8") if self.quiz.exists() else ""])
        reading = len(CHARACTER.findall(text)) / 300 + len(CHARACTER.sub(" ", text).split()) / 200
        typed = sum(_typed(block) for block in self.blocks)
        return math.ceil(reading + typed / 4 + _seconds(SECONDS).get(self.name, 0) / 60)


def title(readme: Path, root: Path = ROOT) -> str:
    """The first heading of a page.

    Raises LessonError when there is none."""
    for line in lines_of(read(readme, root)):
        if line.startswith("# "):
            return line[2:].strip()
        if OPENING.match(line):
            break
    raise LessonError(f"{readme.relative_to(root).as_posix()}:1: has no title; begin it with `# Title`")


def chapters(root: Path = ROOT) -> list[Path]:
    """The folders that hold lessons or chapters, in order."""
    return [folder for folder, is_parent in _numbered(root) if is_parent or folder.parent == root]


def lessons(root: Path = ROOT) -> list[Lesson]:
    """Every lesson, in the order in which they are taken."""
    return [Lesson(folder, root) for folder, is_parent in _numbered(root) if not is_parent and folder.parent != root]


def find(name: str, root: Path = ROOT) -> Lesson:
    """The lesson of this name, given as `300/200/100`, with or without a slash at the end.

    Raises LessonError, naming the nearest lessons, when there is none."""
    everything = {lesson.name: lesson for lesson in lessons(root)}
    wanted = name.removeprefix("./").removesuffix("/README.md").strip("/")
    if wanted in everything:
        return everything[wanted]
    below = [name for name in everything if name.startswith(f"{wanted}/")]
    near = below or difflib.get_close_matches(wanted, everything, 3, 0.5)
    hint = f" Did you mean {' or '.join(near[:3])}?" if near else ""
    raise LessonError(f"there is no lesson {name!r}.{hint} `workshop` lists them all.")


def read(page: Path, root: Path) -> str:
    """The text of a file of the repository, with or without a byte order mark.

    Raises LessonError when it is not UTF-8."""
    try:
        return page.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        where = f"{page.relative_to(root).as_posix()}:{line}"
        raise LessonError(f"{where}: is not UTF-8 text ({error.reason}); save it as UTF-8") from None


def load(path: Path) -> ModuleType:
    """A Python file of a lesson's folder, run as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _typed(block: Block) -> int:
    if block.kind == "change":
        return sum(line.startswith("+") for line in block.lines)
    return len(block.lines) if block.kind in ("create", "command", "query") else 0


def note_seconds(took: dict[str, float]) -> None:
    """Keep how long the commands of some lessons took, in whole seconds, for `Lesson.minutes`."""
    kept = {**_seconds(SECONDS), **{name: round(seconds) for name, seconds in took.items()}}
    SECONDS.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n", encoding="utf-8")
    _seconds.cache_clear()


@cache
def _seconds(path: Path) -> dict[str, float]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _numbered(root: Path, folder: Path | None = None) -> list[tuple[Path, bool]]:
    """The numbered folders, in order, each with whether more of them lie below it.

    A folder that git left behind, with nothing but caches in it, is none. Raises LessonError for one without README."""
    found: list[tuple[Path, bool]] = []
    for child in sorted(child for child in (folder or root).iterdir() if NUMBER.fullmatch(child.name)):
        if (child / "README.md").is_file():
            below = _numbered(root, child)
            found += [(child, bool(below)), *below]
        elif any(child.rglob("README.md")) or any(child.rglob("test_*.py")):
            readme = (child / "README.md").relative_to(root).as_posix()
            raise LessonError(f"{readme} is missing; `git checkout {readme}` brings it back, or write it")
    return found
