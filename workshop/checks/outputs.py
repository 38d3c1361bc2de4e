"""What a lesson shows against what a run printed.

In a shown block `…` inside a line stands for one or more characters, and alone on a line for any number of lines; the
rest is exact and consecutive.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from workshop.course.fences import ROOT, Block
from workshop.telemetry.console import Console

ANY = "…"
# What changes from run to run: ids, moments, durations, sizes of a clock.
VOLATILE = re.compile(
    r"workshop-check/[0-9a-f]{16}|0x[0-9a-f]{16,32}|\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b[0-9a-f]{16,32}\b|\b\d{16,40}\b"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?Z?|\d\d/\w{3}/\d{4} \d\d:\d\d:\d\d"
    r"|\w{3}, \d\d \w{3} \d{4} [\d:]+ GMT"
    r"|(?:.{0,10}…)?  +\d+\.\d+ (?:ms|s|µs)(?: +\d+\.\d+ (?:ms|s|µs))*[ ━╸╺◂◆]*| +offset +duration(?: +0 .*)?$"  # the columns of a waterfall
    r"|(?<=Werkzeug/)\S+|(?<=Python/)\S+|\d+\.\d+(?= ?m?s\b)|(?<=peer\.port\": )\d+|(?<=client\.port\": )\d+"
    r"|(?<= @\[)\d+(?:\.\d+)?(?=\])"  # when promtool asked
)


def matches(shown: Iterable[str], printed: str, whole: bool) -> bool:
    """Whether the shown lines stand in what was printed, as all of it (`whole`) or as consecutive lines of it.

    A part of what was printed may stand further right there than it is shown, all of it by as many spaces."""
    chunks: list[list[re.Pattern]] = [[]]
    for line in shown:
        if line.strip() == ANY:
            chunks.append([])
        else:
            chunks[-1].append(re.compile(".+".join(re.escape(part) for part in line.rstrip().split(ANY))))
    lines = _lines(printed)
    if whole:
        return _stand(chunks, lines, 0)
    deepest = max((len(line) - len(line.lstrip(" ")) for line in lines), default=0)
    return any(_stand([[], *chunks, []], lines, indent) for indent in range(deepest + 1))


def _stand(chunks: list[list[re.Pattern]], lines: list[str], indent: int) -> bool:
    """Whether the chunks stand there in their order, the first one at the very beginning, the last one at the very end.

    The first place for a chunk is the best: it leaves most for the others. So a long console takes no long time."""
    *others, last = chunks
    end = 0
    for number, chunk in enumerate(others):
        starts = range(end, len(lines) - len(chunk) + 1) if number else [0]
        found = next((start for start in starts if _fits(chunk, lines, start, indent)), None)
        if found is None:
            return False
        end = found + len(chunk)
    start = len(lines) - len(last)
    return (start >= end if others else start == 0) and _fits(last, lines, start, indent)


def _fits(chunk: list[re.Pattern], lines: list[str], start: int, indent: int) -> bool:
    found = lines[start : start + len(chunk)]
    return len(found) == len(chunk) and all(
        wanted.fullmatch(line, indent) and not line[:indent].strip() if wanted.pattern else not line
        for wanted, line in zip(chunk, found)
    )


def console_matches(block: Block, console: Console) -> bool:
    """Whether a console block stands in a run: a `json` block inside one object, a `text` block anywhere."""
    if block.language == "json":
        return any(matches(block.lines, text, whole=False) for text, _ in console.objects)
    return matches(block.lines, console.text, whole=False)


def rewrite(block: Block, printed: str) -> list[str]:
    """The block's lines anew from what a run printed: what is elided stays so, what changes from run to run is `…`.

    A block of one line is a wish: it becomes all that was printed."""
    fresh = [VOLATILE.sub(_masked, line) for line in _lines(printed)]
    if sum(line.strip() not in ("", ANY) for line in block.lines) < 2:
        return fresh
    lines: list[str] = []
    after, elided, whole = 0, False, block.kind == "output"
    for line in block.lines:
        elided = elided or line.strip() == ANY
        near = difflib.get_close_matches(line, fresh[after:], 1, 0.5) if line.strip() not in ("", ANY) else ()
        if near:
            at = fresh.index(near[0], after)
            lines += _gap(fresh[after:at], elided, whole or lines) + [fresh[at]]
            after, elided = at + 1, False
    return lines + _gap(fresh[after:], elided, whole)


def _gap(lines: list[str], elided: bool, inside: object) -> list[str]:
    """What stands in a block for lines between two that it shows; what is outside of a part is not shown at all."""
    if elided:
        return [ANY] if lines else []
    return lines if inside else []


def rewrite_console(block: Block, console: Console) -> list[str]:
    """As `rewrite`; a `json` block is made from the object that is most like it."""
    if block.language == "json" and console.objects:
        wanted = [line.strip() for line in block.lines if line.strip() not in ("", ANY)]
        best = max(console.objects, key=lambda pair: sum(line in pair[0] for line in wanted))
        return rewrite(block, best[0])
    return rewrite(block, console.text)


def shape(svg: str) -> str:
    """What the description of a trace's picture says, without its ids and figures."""
    description = re.search(r"<desc>(.*?)</desc>", svg, re.DOTALL)
    return re.sub(r"[0-9a-f]{16,32}|\d+(\.\d+)?", ANY, description[1]) if description else ""


def write(rewrites: dict[str, dict[int, tuple[Block, list[str]]]]) -> None:
    """Put rewritten blocks into their READMEs. From the last block up, so that line numbers hold."""
    for blocks in rewrites.values():
        for line, (block, fresh) in sorted(blocks.items(), reverse=True):
            path = ROOT / block.where
            lines = path.read_text(encoding="utf-8").split("\n")
            lines[line : line + len(block.lines)] = fresh
            path.write_text("\n".join(lines), encoding="utf-8")


def _lines(printed: str) -> list[str]:
    """What was printed, without spaces at the ends of lines and without empty lines before and after."""
    return "\n".join(line.rstrip() for line in printed.splitlines()).strip("\n").splitlines()


def _masked(match: re.Match) -> str:
    return "  " + ANY if match[0].startswith("  ") else ANY
