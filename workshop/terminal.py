"""Text for a terminal of 80 columns, in which no word and no `command` is parted."""

from __future__ import annotations

import re
from textwrap import fill

COLUMNS = 80
COMMAND = re.compile(r"(?<!`)`[^`\n]+`(?!`)")
COLOR = re.compile(r"\x1b\[[\d;]*m")


def together(text: str) -> str:
    """The text with a no-break space for each blank within a `command`."""
    return COMMAND.sub(lambda command: command[0].replace(" ", "\N{NO-BREAK SPACE}"), text)


def wrapped(text: str, first: str = "", later: str = "") -> str:
    """The text in lines of at most 80 columns; each of its own lines begins a new one.

    `first` is put before the first line, `later` before the others. A line keeps its indentation where it goes on."""
    lines, head = [], first
    for line in text.split("\n"):
        if len(COLOR.sub("", head + line)) > COLUMNS:
            margin = later + line[: len(line) - len(line.lstrip())]
            line = fill(
                together(line.lstrip()),
                COLUMNS,
                initial_indent=head + margin[len(later) :],
                subsequent_indent=margin,
                break_long_words=False,
                break_on_hyphens=False,
            ).replace("\N{NO-BREAK SPACE}", " ")
        else:
            line = (head + line).rstrip()
        lines.append(line)
        head = later
    return "\n".join(lines)


def say(text: str = "", to_stderr: bool = False) -> None:
    """Print the text, its lines wrapped."""
    import click

    click.echo(wrapped(text), err=to_stderr)
