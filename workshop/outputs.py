"""What a lesson shows against what a run printed.

In a shown block `…` inside a line stands for one or more characters, and alone on a line for any number of lines; the rest is
exact and consecutive.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from itertools import groupby

from workshop.lessons import ROOT, Block
from workshop.spans import Console

ANY = "…"
# What changes from run to run: ids, moments, durations, sizes of a clock.
VOLATILE = re.compile(
    r"0x[0-9a-f]{16,32}|\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b[0-9a-f]{16,32}\b"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?Z?|\d\d/\w{3}/\d{4} \d\d:\d\d:\d\d|\w{3}, \d\d \w{3} \d{4} [\d:]+ GMT"
    r"|(?<=Werkzeug/)\S+|(?<=Python/)\S+|\d+\.\d+(?= ?m?s\b)"
)


def matches(shown: Iterable[str], printed: str, whole: bool) -> bool:
    """Whether the shown lines stand in what was printed, as all of it (`whole`) or as consecutive lines of it."""
    pattern = "".join(r"(?:.*\n)*?" if line.strip() == ANY else _line(line) + r"\n" for line in shown)
    text = "\n".join(line.rstrip() for line in printed.splitlines()) + "\n"
    if whole:
        return re.fullmatch(pattern, text.lstrip("\n").rstrip() + "\n") is not None
    return re.search(r"(?m)^" + pattern, text) is not None


def console_matches(block: Block, console: Console) -> bool:
    """Whether a console block stands in a run: a `json` block inside one object, a `text` block anywhere."""
    if block.language == "json":
        return any(matches(block.lines, text, whole=False) for text, _ in console.objects)
    return matches(block.lines, console.text, whole=False)


def rewrite(block: Block, printed: str) -> list[str]:
    """The block's lines made anew from what a run printed: what is elided stays so, and what changes from run to run is `…`."""
    fresh = [VOLATILE.sub(ANY, line.rstrip()) for line in printed.strip("\n").splitlines()]
    if all(line.strip() in ("", ANY) for line in block.lines):
        return fresh
    wanted = [line for line in block.lines if line.strip() != ANY]
    keep = set()
    for line in wanted:
        near = difflib.get_close_matches(line, fresh, 1, 0.5)
        keep |= {fresh.index(near[0])} if near else set()
    lines = []
    for kept, group in groupby(range(len(fresh)), key=lambda at: at in keep):
        lines += [fresh[at] for at in group] if kept else [ANY]
    return lines


def rewrite_console(block: Block, console: Console) -> list[str]:
    """As `rewrite`; a `json` block is made from the object that is most like it."""
    if block.language == "json" and console.objects:
        words = set(block.lines)
        best = max(console.objects, key=lambda pair: len(words & set(pair[0].splitlines())))
        return rewrite(block, best[0])
    return rewrite(block, console.text)


def write(rewrites: dict[str, dict[int, tuple[Block, list[str]]]]) -> None:
    """Put rewritten blocks into their READMEs. From the last block up, so that line numbers hold."""
    for blocks in rewrites.values():
        for line, (block, fresh) in sorted(blocks.items(), reverse=True):
            path = ROOT / block.where
            lines = path.read_text(encoding="utf-8").splitlines()
            lines[line : line + len(block.lines)] = fresh
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _line(line: str) -> str:
    return ".+".join(re.escape(part) for part in line.rstrip().split(ANY))
