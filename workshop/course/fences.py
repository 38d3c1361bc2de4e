"""The fenced blocks of a page: which there are, and what each one means."""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from workshop.errors import UserError

ROOT = Path(__file__).resolve().parent.parent.parent

OPENING = re.compile(r"^(?P<before>(?:[\s>]|[-*+]\s|\d+[.)]\s)*)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)$")
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


@dataclass(frozen=True)
class Fence:
    """A fence as it stands in a text. `line` is that of its opening, counted from 1; `before` is what stands left of it.

    `closed` is False when the text ends inside of it."""

    line: int
    before: str
    mark: str
    info: str
    lines: tuple[str, ...]
    closed: bool = True


def scan(lines: list[str]) -> Iterator[tuple[int, str] | Fence]:
    """The parts of a page in their order: a line outside of all fences as (number, text), or a whole fence."""
    opening, start, inside = None, 0, []
    for number, line in enumerate(lines, 1):
        if opening:
            if line.rstrip() == opening["fence"]:
                yield Fence(start, opening["before"], opening["fence"], opening["info"].strip(), tuple(inside))
                opening = None
            else:
                inside.append(line)
        elif opening := OPENING.match(line):
            start, inside = number, []
        else:
            yield number, line
    if opening:
        yield Fence(start, opening["before"], opening["fence"], opening["info"].strip(), tuple(inside), closed=False)


@lru_cache(maxsize=200)
def parse(text: str, where: str, root: Path = ROOT) -> tuple[tuple[Block, ...], tuple[str, ...]]:
    """The blocks of a page, and the lines of its prose.

    Raises LessonError for a fence of no kind, an indented or unclosed one, and a title that names nothing."""
    blocks, prose = [], []
    for part in scan(lines_of(text)):
        if isinstance(part, Fence):
            _require_whole(part, where)
            blocks.append(_block(where, part.line, part.info, part.lines, root))
        else:
            prose.append(part[1])
    return tuple(blocks), tuple(prose)


def lines_of(text: str) -> list[str]:
    """The lines of a text with LF or CRLF. `str.splitlines` would break at form feeds and the like, too."""
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text else []


def _require_whole(fence: Fence, where: str) -> None:
    if fence.before:
        raise LessonError(f"{where}:{fence.line}: the fence is indented, quoted or in a list; begin it in the first column")
    for number, line in enumerate(fence.lines, fence.line + 1):
        if re.match(f" {{0,3}}{fence.mark}", line):
            raise LessonError(
                f"{where}:{number}: {line.strip()!r} stands inside the block that begins in line {fence.line}; "
                f"close that block with {fence.mark!r} first, or open it with a longer fence"
            )
    if not fence.closed:
        raise LessonError(f"{where}:{fence.line}: the block is never closed; end it with a line {fence.mark!r}")


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
    elif not title and language in ("promql", "logsql"):
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
