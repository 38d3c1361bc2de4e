"""Lessons: numbered folders whose README is the text and the program.

A fenced block of a README creates, changes or quotes a file, is a command, or is what a command shows. Replaying the blocks
of all lessons in folder order gives `src/` at any lesson.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from workshop.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
SECONDS = Path(__file__).with_name("seconds.json")

NUMBER = re.compile(r"\d{3}")
FENCE = re.compile(r"^(?P<indent>[\s>]*)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)$")
INFO = re.compile(r'^(?P<language>[a-z]+)(?: title="(?P<title>[^"]+)")?$')
NOT_RUN = "not run here: "
HOW = 'for example ```python title="src/todo/views.py", ```diff title="src/run.sh", ```shell or ```json title="console"'


class LessonError(UserError):
    """A lesson's text is not what the format allows, or its blocks do not fit. The message says where and what to do."""


@dataclass(frozen=True)
class Block:
    """A fenced block. `line` is the line of its opening fence, counted from 1; `kind` is one of
    create, change, quote, command, console, output, query, shown (create may turn out to quote an existing file)."""

    where: str
    line: int
    language: str
    title: str
    kind: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def error(self, problem: str, offset: int = 0) -> LessonError:
        return LessonError(f"{self.where}:{self.line + offset}: {problem}")


class Lesson:
    """One numbered folder with a README and its checkpoint tests."""

    def __init__(self, folder: Path, root: Path):
        self.folder, self.root = folder, root
        self.name = folder.relative_to(root).as_posix()
        self.readme = folder / "README.md"

    def __repr__(self) -> str:
        return f"<Lesson {self.name}>"

    @cached_property
    def _parsed(self) -> tuple[tuple[Block, ...], list[str]]:
        where = self.readme.relative_to(self.root).as_posix()
        try:
            text = self.readme.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise LessonError(f"{where}: is not UTF-8 text ({error.reason}); save it as UTF-8") from None
        return parse(text, where, self.root)

    @property
    def blocks(self) -> tuple[Block, ...]:
        return self._parsed[0]

    @cached_property
    def title(self) -> str:
        return title(self.readme)

    @cached_property
    def tests(self) -> list[Path]:
        return sorted(self.folder.glob("test_*.py"))

    @cached_property
    def minutes(self) -> int:
        """Reading at 200 words a minute, typing four lines a minute, and the time its commands take."""
        words = sum(len(line.split()) for line in self._parsed[1])
        typed = sum(_typed(block) for block in self.blocks)
        return math.ceil(words / 200 + typed / 4 + _seconds().get(self.name, 0) / 60)


def title(readme: Path) -> str:
    """The first heading of a page.

    Raises LessonError when there is none."""
    with readme.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("# "):
                return line[2:].strip()
    raise LessonError(f"{readme}: has no title; begin it with `# Title`")


def chapters(root: Path = ROOT) -> list[Path]:
    """The folders that hold lessons or chapters, in order."""
    return [folder for folder in _numbered(root) if len(folder.relative_to(root).parts) == 1 or _subfolders(folder)]


def lessons(root: Path = ROOT) -> list[Lesson]:
    """Every lesson, in the order in which they are taken."""
    return [
        Lesson(folder, root)
        for folder in _numbered(root)
        if len(folder.relative_to(root).parts) > 1 and not _subfolders(folder)
    ]


def find(name: str, root: Path = ROOT) -> Lesson:
    """The lesson of this name, given as `300/200/100`, with or without a slash at the end.

    Raises LessonError, naming the nearest lessons, when there is none."""
    everything = {lesson.name: lesson for lesson in lessons(root)}
    wanted = name.removeprefix("./").removesuffix("/README.md").strip("/")
    if wanted in everything:
        return everything[wanted]
    near = [n for n in everything if n.startswith(wanted + "/")] or difflib.get_close_matches(wanted, everything, 3, 0.5)
    hint = f" Did you mean {' or '.join(near[:3])}?" if near else ""
    raise LessonError(f"there is no lesson {name!r}.{hint} `workshop` lists them all.")


def replay(until: Lesson, end: bool = True) -> dict[str, bytes]:
    """The files of `src/`, by path below it, at the end of a lesson or (`end=False`) as it begins.

    Raises LessonError where a block does not fit."""
    state: dict[str, bytes] = {}
    typed: set[str] = set()
    for lesson in lessons(until.root):
        last = lesson.name == until.name
        _hand_over(lesson, state, typed)
        if last and not end:
            break
        for block in lesson.blocks:
            if block.title.startswith("src/"):
                apply(block, state)
                typed.add(block.title[4:])
        if last:
            break
    return state


def parse(text: str, where: str, root: Path = ROOT) -> tuple[tuple[Block, ...], list[str]]:
    """The blocks of a page, and the lines of its prose.

    Raises LessonError for a fence of no kind, an indented or unclosed one, and a title that names nothing."""
    blocks, prose, opened, inside = [], [], None, []
    for number, line in enumerate(text.splitlines(), 1):
        match = FENCE.match(line)
        if opened:
            start, fence, block_info = opened
            if line.rstrip() == fence:
                blocks.append(_block(where, start, block_info, tuple(inside), root))
                opened = None
            elif line.startswith(fence):
                raise LessonError(
                    f"{where}:{number}: {line.strip()!r} stands inside the block that begins in line {start}; "
                    f"close that block with {fence!r} first, or open it with a longer fence"
                )
            else:
                inside.append(line)
        elif match:
            if match["indent"]:
                raise LessonError(f"{where}:{number}: the fence is indented or quoted; begin it in the first column")
            opened, inside = (number, match["fence"], match["info"].strip()), []
        else:
            prose.append(line)
    if opened:
        raise LessonError(f"{where}:{opened[0]}: the block is never closed; end it with a line {opened[1]!r}")
    return tuple(blocks), prose


def _block(where: str, line: int, info: str, lines: tuple[str, ...], root: Path) -> Block:
    match = INFO.match(info)
    if not match:
        raise LessonError(f"{where}:{line}: a fence with {info!r} says nothing that is known here; {HOW}")
    language, title = match["language"], match["title"] or ""
    kind = ""
    if title.startswith("src/"):
        kind = "change" if language == "diff" else "create"
    elif title == "console" and language in ("json", "text"):
        kind = "console"
    elif title == "output" and language in ("json", "text"):
        kind = "output"
    elif language == "console" and title.startswith(NOT_RUN) and title != NOT_RUN:
        kind = "shown"
    elif not title and language == "shell":
        kind = "command"
    elif not title and language in ("promql", "logql"):
        kind = "query"
    elif title and language not in ("diff", "shell", "console"):
        kind = "quote"
    block = Block(where, line, language, title, kind, lines)
    if not kind:
        raise block.error(f"a {language} block" + (f" titled {title!r}" if title else " without a title") + f" has no meaning; {HOW}")
    if ".." in title.split("/") or title.startswith("/"):
        raise block.error(f"{title!r} leaves the repository; name a file below it")
    if kind == "quote":
        _quote_of_repository(block, root)
    return block


def _quote_of_repository(block: Block, root: Path) -> None:
    path = root / block.title
    if not path.is_file():
        names = [p.name for p in root.iterdir() if p.is_file()] + ["console", "output"]
        top = block.title.split("/")[0]
        near = difflib.get_close_matches(block.title, names, 1) or difflib.get_close_matches(top, ["src"], 1, 0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise block.error(f"the title names {block.title!r}, which is no file of the repository.{hint}")
    if not _places(path.read_text(encoding="utf-8").splitlines(), list(block.lines)):
        raise block.error(f"{block.title} does not hold these lines word for word; copy them anew from the file")


def apply(block: Block, state: dict[str, bytes]) -> None:
    """Create, change or quote the block's file in `state`.

    Raises LessonError where the block does not fit."""
    path = block.title[4:]
    if block.kind == "create" and path not in state:
        state[path] = (block.text + "\n").encode()
        return
    if path not in state:
        near = difflib.get_close_matches(path, state, 1)
        hint = f" Did you mean 'src/{near[0]}'?" if near else ""
        raise block.error(f"changes {block.title}, which does not exist yet.{hint}")
    try:
        lines = state[path].decode().splitlines()
    except UnicodeDecodeError:
        raise block.error(f"{block.title} is not text; only text can be changed or quoted") from None
    if block.kind == "create":
        if not _places(lines, list(block.lines)):
            raise block.error(f"{block.title} exists and does not hold these lines word for word; to change it, use ```diff")
        return
    state[path] = ("\n".join(_changed(block, lines)) + "\n").encode()


def _changed(block: Block, lines: list[str]) -> list[str]:
    """`lines` with the hunks of a diff block applied, each at its one place after the one before."""
    done: list[str] = []
    for start, hunk in _hunks(block):
        for offset, line in enumerate(hunk):
            if line and line[0] not in " +-":
                raise block.error(f"a line of a diff begins with ' ', '+' or '-', this one is {line!r}", start + offset)
        old = [line[1:] for line in hunk if line[:1] in ("", " ", "-")]
        new = [line[1:] for line in hunk if line[:1] in ("", " ", "+")]
        if not any(line.strip() for line in old):
            raise block.error("the hunk shows no line of the file that stands there; give it one to hold on to", start)
        places = _places(lines, old)
        if len(places) != 1:
            missing = next((line for line in old if line not in lines), None)
            hint = f"; no line there reads {missing!r}" if missing and not places else ""
            more = "; show one more line around it" if places else ""
            raise block.error(f"fits {len(places)} places of {block.title}, not one{hint}{more}", start)
        at = places[0]
        done += lines[:at] + new
        lines = lines[at + len(old) :]
    return done + lines


def _hunks(block: Block) -> list[tuple[int, list[str]]]:
    hunks: list[tuple[int, list[str]]] = [(1, [])]
    for offset, line in enumerate(block.lines, 1):
        if line.rstrip() == "@@":
            hunks.append((offset + 1, []))
        else:
            hunks[-1][1].append(line)
    return hunks


def _places(lines: list[str], wanted: list[str]) -> list[int]:
    return [at for at in range(len(lines) - len(wanted) + 1) if lines[at : at + len(wanted)] == wanted]


def _hand_over(lesson: Lesson, state: dict[str, bytes], typed: set[str]) -> None:
    given = lesson.folder / "src"
    for path in sorted(p for p in given.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        name = path.relative_to(given).as_posix()
        if name in typed:
            raise LessonError(f"{lesson.name}/src/{name}: an earlier lesson lets the learner type this file; hand over another")
        state[name] = path.read_bytes()


def _typed(block: Block) -> int:
    if block.kind == "change":
        return sum(line.startswith("+") for line in block.lines)
    return len(block.lines) if block.kind in ("create", "command", "query") else 0


def _seconds() -> dict[str, float]:
    return json.loads(SECONDS.read_text()) if SECONDS.exists() else {}


def _numbered(folder: Path) -> list[Path]:
    found = []
    for child in _subfolders(folder):
        if (child / "README.md").is_file():
            found += [child, *_numbered(child)]
    return found


def _subfolders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and NUMBER.fullmatch(child.name))
