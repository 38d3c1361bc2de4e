"""What the blocks of all lessons make of `src/`, replayed in the order of the folders."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from workshop.course.fences import Block, LessonError, lines_of
from workshop.course.lessons import Lesson, lessons, read


def replay(until: Lesson, end: bool = True) -> dict[str, bytes]:
    """The files of `src/`, by path below it, at the end of a lesson or (`end=False`) as it begins.

    Raises LessonError where a block does not fit."""
    state: dict[str, bytes] = {}
    typed: set[str] = set()
    for lesson in lessons(until.root):
        last = lesson.name == until.name
        _add_provided_files(lesson, state, typed)
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


def apply(block: Block, state: dict[str, bytes]) -> None:
    """Create, change or quote the block's file in `state`.

    Raises LessonError where the block does not fit."""
    path = block.title[4:]
    if block.kind == "create" and path not in state:
        if clash := _clash(path, state):
            raise block.error(f"{block.title} cannot stand beside src/{clash}: one name is a file and a folder")
        state[path] = bytes_of(block.lines)
        return
    if path not in state:
        near = difflib.get_close_matches(path, state, 1)
        hint = f" Did you mean 'src/{near[0]}'?" if near else ""
        raise block.error(f"changes {block.title}, which does not exist yet.{hint}")
    try:
        lines = lines_of(state[path].decode())
    except UnicodeDecodeError:
        raise block.error(f"{block.title} is not text; only text can be changed or quoted") from None
    if block.kind == "change":
        state[path] = bytes_of(_changed(block, lines))
    elif not places(lines, list(block.lines)):
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
        fitting = places(rest, old)
        if len(fitting) != 1:
            why = "show one more line around it" if fitting else _why_nowhere(old, lines)
            raise block.error(f"fits {len(fitting)} places of {block.title}, not one; {why}", start)
        at = fitting[0]
        done += rest[:at] + new
        rest = rest[at + len(old) :]
    return done + rest


def _why_nowhere(wanted: list[str], lines: list[str]) -> str:
    missing = next((line for line in wanted if line.strip() and line not in lines), None)
    if missing is not None:
        near = difflib.get_close_matches(missing, lines, 1)
        return f"no line there reads {missing!r}" + (f"; the nearest is {near[0]!r}" if near else "")
    if places(lines, wanted):
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


def places(lines: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where all wanted lines stand one after the other; nowhere when none is wanted."""
    starts = range(len(lines) - len(wanted) + 1) if wanted else ()
    return [at for at in starts if lines[at : at + len(wanted)] == wanted]


def _add_provided_files(lesson: Lesson, state: dict[str, bytes], typed: set[str]) -> None:
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


def bytes_of(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def check_quotes(lesson: Lesson) -> None:
    """Raise LessonError where a block quotes a file of the repository and the file reads otherwise.

    For authors: a learner may change docker-compose.yml, and every other command goes on."""
    for block in (block for block in lesson.blocks if block.kind == "quote"):
        if not places(lines_of(read(lesson.root / block.title, lesson.root)), list(block.lines)):
            raise block.error(f"{block.title} does not hold these lines word for word; copy them anew from there")
