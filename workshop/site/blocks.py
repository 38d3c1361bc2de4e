"""How a page's blocks look: a Python-Markdown extension, so that whatever reads mkdocs.yml draws them alike.

A block shows its file's name. A diff is colored in the language of the file, its added and removed lines are marked as
such. The sources stay plain: `<details>` gets the attribute that lets Markdown go on inside only here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from html import escape

from markdown import Extension, Markdown
from markdown.preprocessors import Preprocessor
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.util import ClassNotFound

from workshop.course.fences import INFO, Fence, scan

# By the block's title, else by its language.
KINDS = {"console": "shown", "output": "shown", "diff": "change", "shell": "command"}
LABELS = {"console": "The app prints", "output": "Output", "shell": "Terminal", "promql": "PromQL", "logsql": "LogsQL"}

FORMATTER = HtmlFormatter(nowrap=True)


class Blocks(Preprocessor):
    """Replaces fenced blocks by their HTML, before anything else reads the page."""

    def run(self, lines: list[str]) -> list[str]:
        page = []
        for part in scan(lines):
            if isinstance(part, Fence):
                page += ["", self.md.htmlStash.store(draw(part.info, part.lines)), ""]
            else:
                page.append(re.sub(r"^<details(?=[ >])", '<details markdown="1"', part[1]))
        return page


class BlocksExtension(Extension):
    def extendMarkdown(self, md: Markdown) -> None:
        md.preprocessors.register(Blocks(md), "workshop-blocks", 27)  # normalized lines first (30), raw HTML later (20)


def makeExtension(**_) -> BlocksExtension:
    """What MkDocs calls to get the extension."""
    return BlocksExtension()


def draw(info: str, lines: Sequence[str]) -> str:
    """One block as HTML. `info` is what stands behind the opening fence."""
    match = INFO.match(info)
    language, title = (match["language"], match["title"] or "") if match else ("text", "")
    kind = KINDS.get(title) or KINDS.get(language, "file")
    label = LABELS.get(title or language, title)
    if kind == "shown":
        label = label[:1].upper() + label[1:]
    name = f'<span class="filename">{escape(label)}</span>' if label else ""
    rows = _changes(lines, _lexer("text", title)) if kind == "change" else _colored(lines, _lexer(language, title))
    search = " data-search-exclude" if kind == "shown" else ""
    return f'<div class="highlight {kind}"{search}>{name}<pre><code>{"".join(rows)}</code></pre></div>'


def _changes(lines: Sequence[str], lexer: Lexer) -> Iterator[str]:
    new = _colored([line[1:] for line in lines if line[:1] in ("", " ", "+")], lexer)
    old = _colored([line[1:] for line in lines if line[:1] in ("", " ", "-")], lexer)
    for line in lines:
        sign = f'<span class="sign">{line[:1] or " "}</span>'
        if line.rstrip() == "@@":
            yield '<span class="gap">⋯\n</span>'
        elif line.startswith("+"):
            yield f"<ins>{sign}{next(new)}</ins>"
        elif line.startswith("-"):
            yield f"<del>{sign}{next(old)}</del>"
        else:
            next(old)
            yield f"<span>{sign}{next(new)}</span>"


def _colored(lines: Sequence[str], lexer: Lexer) -> Iterator[str]:
    """The lines as HTML, each with its end of line; no element goes beyond its line."""
    return (f"{line}\n" for line in highlight("\n".join(lines) + "\n", lexer, FORMATTER).split("\n")[:-1])


@cache
def _lexer(language: str, title: str) -> Lexer:
    try:
        if "." in title:
            return get_lexer_for_filename(title, stripnl=False)
        return get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        return get_lexer_by_name("text", stripnl=False)
