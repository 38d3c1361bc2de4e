"""Decks: `slides.md` beside a chapter's README.

A line `---` begins the next slide, a line `Note:` what only the speaker sees. Blocks are those of lessons: every line
of them stands in one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from workshop.course.fences import ROOT, Block, Fence, LessonError, parse, scan
from workshop.course.lessons import lessons
from workshop.course.replay import places, replay

TEXT_LINES = 7
BLOCK_LINES = 12

# Pixels of a slide of 1280 by 720, without its margins and its heading.
LARGEST, SMALLEST = 48, 26
LETTER = 0.61  # the width of one letter of code, of its height
TEXT_WIDTH, TEXT_HEIGHT, CODE_WIDTH, PICTURE_HEIGHT = 1180, 570, 1120, 280


@dataclass(frozen=True)
class Slide:
    """What is shown, and what only the speaker sees. `line` is where it begins in its file, counted from 1."""

    line: int
    body: tuple[str, ...]
    notes: tuple[str, ...]


def decks(root: Path = ROOT) -> list[Path]:
    """Every deck, in the order of the chapters."""
    return sorted(root.glob("[0-9][0-9][0-9]/slides.md"))


def slides(text: str) -> list[Slide]:
    """The slides of a deck."""
    found, begin, body, notes = [], 1, [], []
    shown, lines = body, [*text.splitlines(), "---"]
    for part in scan(lines):
        if isinstance(part, Fence):
            shown += lines[part.line - 1 : part.line + len(part.lines) + 1]
            continue
        number, line = part
        if line.rstrip() == "---":
            found.append(Slide(begin, tuple(body), tuple(notes)))
            begin, body, notes = number + 1, [], []
            shown = body
        elif line.startswith("Note:"):
            shown = notes
            shown.append(line.removeprefix("Note:").strip())
        else:
            shown.append(line)
    return found


def sections(text: str) -> str:
    """A deck as the Markdown that is drawn: a section for each slide, which `#/2` finds, with an aside for the speaker."""
    return "\n".join(
        '<section markdown="1" style="--size: {}px">\n\n<div class="at" id="/{}"></div>\n\n{}\n\n'
        '<aside class="notes" markdown="1">\n\n{}\n\n</aside>\n\n</section>\n'.format(
            size(slide), number, "\n".join(slide.body), "\n".join(slide.notes)
        )
        for number, slide in enumerate(slides(text))
    )


def size(slide: Slide) -> int:
    """The pixels of a slide's letters, code and text alike: as large as what is on it allows."""
    return next((pixels for pixels in range(LARGEST, SMALLEST, -1) if _fits(slide, pixels)), SMALLEST)


def _fits(slide: Slide, pixels: int) -> bool:
    """Whether all lines find room on a slide of 1280 by 720; widths are those of usual fonts."""
    row, height = 1.4 * pixels, 0.0
    for part in _parts(slide):
        if isinstance(part, Fence):
            if max(map(len, part.lines), default=0) * LETTER * pixels > CODE_WIDTH:
                return False
            height += row * len(part.lines) + 3 * pixels
        elif part.startswith("!["):
            height += PICTURE_HEIGHT
        elif part.startswith("|"):
            height += row + 0.4 * pixels
        else:
            height += row * ceil(len(part) * 0.53 * pixels / TEXT_WIDTH) + 0.6 * pixels
    return height <= TEXT_HEIGHT


def _parts(slide: Slide) -> Iterator[str | Fence]:
    """What is below a slide's heading: blocks, and the paragraphs, items and rows, each as one line."""
    held = ""
    for part in [*scan(list(slide.body)), (0, "")]:
        line = "" if isinstance(part, Fence) else part[1].strip()
        if held and (not line or re.match(r"[-|!]|\d+\. ", line)):
            yield held
            held = ""
        if isinstance(part, Fence):
            yield part
        elif line and not line.startswith("#"):
            held = f"{held} {line}".strip()


def check(deck: Path, root: Path = ROOT) -> None:
    """Read a deck as strictly as a lesson.

    Raises LessonError for a slide with too many lines, and for a block that shows what no lesson does."""
    where = deck.relative_to(root).as_posix()
    text = deck.read_text(encoding="utf-8")
    blocks, _ = parse(text, where, root)
    for slide in slides(text):
        count = len(list(_text_lines(slide)))
        if count > TEXT_LINES:
            raise LessonError(f"{where}:{slide.line}: the slide has {count} lines of text; show {TEXT_LINES} at most")
    for block in blocks:
        if len(block.lines) > BLOCK_LINES:
            raise block.error(f"the block has {len(block.lines)} lines; show a part of it, {BLOCK_LINES} at most")
        if block.kind == "quote":
            if not places(_lines((root / block.title).read_bytes()), block.lines):
                raise block.error(f"{block.title} does not hold these lines; copy them word for word from it")
        elif block.kind == "create":
            _check_quoted(block, deck.parent, root)
        elif block.kind != "shown" and not any(
            (block.kind, block.title) == (other.kind, other.title) and places(other.lines, block.lines)
            for lesson in lessons(root)
            for other in lesson.blocks
        ):
            raise block.error("no lesson has a block with these lines; copy them word for word from one")


def _check_quoted(block: Block, chapter: Path, root: Path) -> None:
    everything = lessons(root)
    typing = [lesson for lesson in everything if chapter in lesson.folder.parents]
    writes = any(other.title.startswith("src/") for lesson in typing for other in lesson.blocks)
    for lesson in reversed(typing) if writes else everything[-1:]:
        if places(_lines(replay(lesson).get(block.title.removeprefix("src/"), b"")), block.lines):
            return
    raise block.error(f"after no lesson of {chapter.name} does {block.title} hold these lines; copy them word for word")


def _lines(content: bytes) -> tuple[str, ...]:
    return tuple(content.decode(errors="replace").splitlines())


def _text_lines(slide: Slide) -> Iterator[str]:
    """What has to be read on a slide besides its heading, its picture and its block."""
    for part in scan(list(slide.body)):
        if not isinstance(part, Fence) and part[1].strip() and not part[1].startswith(("#", "![")):
            yield part[1]
