"""Lessons: numbered folders whose README is the text and the program.

A fenced block of a README creates, changes or quotes a file, is a command, or is what a command shows. Replaying the
blocks of all lessons in folder order gives `src/` at any lesson.
"""

from __future__ import annotations

import difflib
import json
import math
import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from workshop.errors import UserError

ROOT = Path(__file__).resolve().parent.parent.parent
SECONDS = Path(__file__).with_name("seconds.json")

NUMBER = re.compile(r"\d{3}")
FENCE = re.compile(r"^(?P<before>(?:[\s>]|[-*+]\s|\d+[.)]\s)*)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)$")
INFO = re.compile(r'^(?P<language>[a-z]+)(?: title="(?P<title>[^"]+)")?$')
NOT_RUN = "not run here: "
HOW = 'for example ```python title="src/todo/views.py", ```diff title="src/run.sh", ```shell or ```json title="console"'


class LessonError(UserError):
    """A text is not what the format allows, or its blocks do not fit. The message says where and what to do."""


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
        return parse(_read(self.readme, self.root), self.readme.relative_to(self.root).as_posix(), self.root)

    @property
    def blocks(self) -> tuple[Block, ...]:
        return self._parsed[0]

    @cached_property
    def title(self) -> str:
        return title(self.readme, self.root)

    @cached_property
    def tests(self) -> list[Path]:
        return sorted(self.folder.glob("test_*.py"))

    @cached_property
    def minutes(self) -> int:
        """Reading at 200 words a minute, typing four lines a minute, and the time its commands take."""
        quiz = self.folder / "quiz.md"
        questions = quiz.read_text(encoding="utf-8").splitlines() if quiz.exists() else []
        words = sum(len(line.split()) for line in [*self._parsed[1], *questions])
        typed = sum(_typed(block) for block in self.blocks)
        return math.ceil(words / 200 + typed / 4 + _seconds(SECONDS).get(self.name, 0) / 60)

    def check_quotes(self) -> None:
        """Raise LessonError where a block quotes a file of the repository and the file reads otherwise.

        For authors: a learner may change docker-compose.yml, and every other command goes on."""
        for block in (block for block in self.blocks if block.kind == "quote"):
            if not _places(_lines(_read(self.root / block.title, self.root)), list(block.lines)):
                raise block.error(f"{block.title} does not hold these lines word for word; copy them anew from there")


def title(readme: Path, root: Path = ROOT) -> str:
    """The first heading of a page.

    Raises LessonError when there is none."""
    for line in _lines(_read(readme, root)):
        if line.startswith("# "):
            return line[2:].strip()
        if FENCE.match(line):
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
                path = block.title[4:]
                before = state.get(path)
                apply(block, state)
                if state[path] is not before:
                    typed.add(path)
        if last:
            break
    return state


def parse(text: str, where: str, root: Path = ROOT) -> tuple[tuple[Block, ...], list[str]]:
    """The blocks of a page, and the lines of its prose.

    Raises LessonError for a fence of no kind, an indented or unclosed one, and a title that names nothing."""
    blocks, prose, opened, inside = [], [], None, []
    for number, line in enumerate(_lines(text), 1):
        match = FENCE.match(line)
        if opened:
            start, fence, block_info = opened
            if line.rstrip() == fence:
                blocks.append(_block(where, start, block_info, tuple(inside), root))
                opened = None
            elif re.match(f" {{0,3}}{fence}", line):
                raise LessonError(
                    f"{where}:{number}: {line.strip()!r} stands inside the block that begins in line {start}; "
                    f"close that block with {fence!r} first, or open it with a longer fence"
                )
            else:
                inside.append(line)
        elif match:
            if match["before"]:
                raise LessonError(f"{where}:{number}: the fence is indented, quoted or in a list; begin it in the first column")
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
        titled = f"titled {title!r}" if title else "without a title"
        raise block.error(f"a {language} block {titled} has no meaning; {HOW}")
    if kind in ("create", "change", "quote") and (title.startswith(("/", "../")) or title != posixpath.normpath(title)):
        raise block.error(f"{title!r} leaves the repository, or goes round about; name a file as 'src/todo/views.py'")
    if kind == "quote" and not (root / title).is_file():
        near = _nearest_title(title, root)
        hint = f"Did you mean {near!r}?" if near else "What the learner types begins with 'src/'."
        raise block.error(f"the title names {title!r}, which is no file of the repository. {hint}")
    return block


def _nearest_title(title: str, root: Path) -> str:
    top, _, rest = title.partition("/")
    if rest and difflib.get_close_matches(top, ["src"], 1, 0.5):
        return f"src/{rest}"
    folder = (root / title).parent
    names = [p.relative_to(root).as_posix() for p in folder.iterdir() if p.is_file()] if folder.is_dir() else []
    return next(iter(difflib.get_close_matches(title, [*names, "console", "output"], 1)), "")


def apply(block: Block, state: dict[str, bytes]) -> None:
    """Create, change or quote the block's file in `state`.

    Raises LessonError where the block does not fit."""
    path = block.title[4:]
    if block.kind == "create" and path not in state:
        if clash := _clash(path, state):
            raise block.error(f"{block.title} cannot stand beside src/{clash}: one name is a file and a folder")
        state[path] = _bytes(block.lines)
        return
    if path not in state:
        near = difflib.get_close_matches(path, state, 1)
        hint = f" Did you mean 'src/{near[0]}'?" if near else ""
        raise block.error(f"changes {block.title}, which does not exist yet.{hint}")
    try:
        lines = _lines(state[path].decode())
    except UnicodeDecodeError:
        raise block.error(f"{block.title} is not text; only text can be changed or quoted") from None
    if block.kind == "change":
        state[path] = _bytes(_changed(block, lines))
    elif not _places(lines, list(block.lines)):
        raise block.error(f"{block.title} exists, and not with these lines word for word; to change it, use ```diff")


def _changed(block: Block, lines: list[str]) -> list[str]:
    """`lines` with the hunks of a diff block applied, each at its one place after the one before."""
    done: list[str] = []
    rest = lines
    for start, hunk in _hunks(block):
        for offset, line in enumerate(hunk):
            if line and line[0] not in " +-":
                problem = f"a line of a diff begins with ' ', '+' or '-', or is a bare '@@'; this one is {line!r}"
                raise block.error(problem, start + offset)
        old = [line[1:] for line in hunk if line[:1] in ("", " ", "-")]
        new = [line[1:] for line in hunk if line[:1] in ("", " ", "+")]
        if not any(line.strip() for line in old):
            raise block.error("the hunk shows no line of the file that stands there; give it one to hold on to", start)
        places = _places(rest, old)
        if len(places) != 1:
            why = "show one more line around it" if places else _why_nowhere(old, lines)
            raise block.error(f"fits {len(places)} places of {block.title}, not one; {why}", start)
        at = places[0]
        done += rest[:at] + new
        rest = rest[at + len(old) :]
    return done + rest


def _why_nowhere(wanted: list[str], lines: list[str]) -> str:
    missing = next((line for line in wanted if line.strip() and line not in lines), None)
    if missing is not None:
        near = difflib.get_close_matches(missing, lines, 1)
        return f"no line there reads {missing!r}" + (f"; the nearest is {near[0]!r}" if near else "")
    if _places(lines, wanted):
        return "it stands there before the hunk above; put the hunks in the order of the file"
    return "its lines stand there, but not one right after the other"


def _hunks(block: Block) -> list[tuple[int, list[str]]]:
    hunks: list[tuple[int, list[str]]] = [(1, [])]
    for offset, line in enumerate(block.lines, 1):
        if line.rstrip() == "@@":
            hunks.append((offset + 1, []))
        else:
            hunks[-1][1].append(line)
    return hunks


def _places(lines: list[str], wanted: list[str]) -> list[int]:
    """Where all wanted lines stand one after the other; nowhere when none is wanted."""
    starts = range(len(lines) - len(wanted) + 1) if wanted else ()
    return [at for at in starts if lines[at : at + len(wanted)] == wanted]


def _hand_over(lesson: Lesson, state: dict[str, bytes], typed: set[str]) -> None:
    given = lesson.folder / "src"
    for path in sorted(p for p in given.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        name = path.relative_to(given).as_posix()
        where = f"{lesson.name}/src/{name}"
        if name in typed:
            raise LessonError(f"{where}: an earlier lesson lets the learner type this file; hand over another")
        if clash := _clash(name, state):
            raise LessonError(f"{where}: cannot stand beside src/{clash}: one name is a file and a folder")
        state[name] = path.read_bytes()


def _clash(path: str, state: dict[str, bytes]) -> str:
    """The file that this path would make a folder of, or one below it; empty when there is none."""
    return next((other for other in state if path.startswith(f"{other}/") or other.startswith(f"{path}/")), "")


def _read(page: Path, root: Path) -> str:
    """The text of a file of the repository, with or without a byte order mark.

    Raises LessonError when it is not UTF-8."""
    try:
        return page.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        where = f"{page.relative_to(root).as_posix()}:{line}"
        raise LessonError(f"{where}: is not UTF-8 text ({error.reason}); save it as UTF-8") from None


def _lines(text: str) -> list[str]:
    """The lines of a text with LF or CRLF. `str.splitlines` would break at form feeds and the like, too."""
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text else []


def _bytes(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


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
