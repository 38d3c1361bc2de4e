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
    r"workshop-check/[0-9a-f]{16}|0x[0-9a-f]{16,32}|\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b[0-9a-f]{16,32}\b|\b\d{16,40}\b"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?Z?|\d\d/\w{3}/\d{4} \d\d:\d\d:\d\d|\w{3}, \d\d \w{3} \d{4} [\d:]+ GMT"
    r"|(?<=Werkzeug/)\S+|(?<=Python/)\S+|\d+\.\d+(?= ?m?s\b)|(?<=peer\.port\": )\d+"
)


def matches(shown: Iterable[str], printed: str, whole: bool) -> bool:
    """Whether the shown lines stand in what was printed, as all of it (`whole`) or as consecutive lines of it.

    A part of what was printed may stand further right there than it is shown, all of it by the same number of spaces."""
    indent, pattern = "" if whole else "(?P<indent> *)", ""
    for line in shown:
        if line.strip() == ANY:
            pattern += r"(?:.*\n)*?"
            continue
        pattern += indent + ".+".join(re.escape(part) for part in line.rstrip().split(ANY)) + r"\n"
        indent = indent.replace("(?P<indent> *)", "(?P=indent)")
    text = "\n".join(line.rstrip() for line in printed.splitlines()).strip("\n") + "\n"
    return bool(re.fullmatch(pattern, text) if whole else re.search("(?m)^" + pattern, text))


def console_matches(block: Block, console: Console) -> bool:
    """Whether a console block stands in a run: a `json` block inside one object, a `text` block anywhere."""
    if block.language == "json":
        return any(matches(block.lines, text, whole=False) for text, _ in console.objects)
    return matches(block.lines, console.text, whole=False)


def rewrite(block: Block, printed: str) -> list[str]:
    """The block's lines made anew from what a run printed: what is elided stays so, and what changes from run to run is `…`.

    A block of one line is a wish: it becomes all that was printed."""
    fresh = [VOLATILE.sub(ANY, line.rstrip()) for line in re.sub(r"\A\s*\n", "", printed).rstrip().splitlines()]
    wanted = [line for line in block.lines if line.strip() not in ("", ANY)]
    if len(wanted) < 2:
        return fresh
    keep, after = set(), 0
    for line in wanted:
        if near := difflib.get_close_matches(line, fresh[after:], 1, 0.5):
            after = fresh.index(near[0], after) + 1
            keep.add(after - 1)
    lines = []
    for kept, group in groupby(range(len(fresh)), key=lambda at: at in keep):
        lines += [fresh[at] for at in group] if kept else [ANY]
    return lines


def rewrite_console(block: Block, console: Console) -> list[str]:
    """As `rewrite`; a `json` block is made from the object that is most like it."""
    if block.language == "json" and console.objects:
        wanted = [line.strip() for line in block.lines if line.strip() != ANY]
        best = max(console.objects, key=lambda pair: sum(line in pair[0] for line in wanted))
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
