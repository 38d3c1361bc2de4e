"""Is the command line one that the shell and the agent understand? What they said about it decides."""

from __future__ import annotations

import re

from workshop.diagnosis import settings
from workshop.diagnosis.facts import Diagnosis, Facts, search

COMMANDS = frozenset({"flask", "gunicorn", "opentelemetry-instrument", "tee", "python", "sh", "export"})
MARKED = re.compile(r"^(\+|@@|-\s)")  # a line may begin with an option, so a - in front of a word is none for sure


def said(f: Facts, what: str) -> re.Match | None:
    """What the shell said about a line of the script: group 1 is the line, more groups are those of `what`."""
    return search(rf"^(?:\S*/)?{re.escape(f.script)}: (?:line )?(\d+): {what}", f.output)


def line_of(f: Facts, number: int) -> str:
    """A line of the script, counted from 1; empty beyond its ends."""
    lines = f.run_sh.split("\n")
    return lines[number - 1] if 0 < number <= len(lines) else ""


def windows_line_ends(f: Facts) -> Diagnosis | None:
    lines = f.run_sh.split("\n")
    number = next((n for n, line in enumerate(lines, 1) if line.endswith("\r") and not line.startswith("#")), 0)
    if not number:
        return None
    return Diagnosis(
        "windows-line-ends",
        f"src/{f.script}:{number} ends as Windows ends its lines, with \\r before the end",
        "lines that end with \\n alone",
        f"src/{f.script} ends its lines as Windows does; a shell takes the \\r for a part of the last word, such as a port or a name",
        f"in your editor choose LF instead of CRLF; or in src/: tr -d '\\r' < {f.script} > new.sh && mv new.sh {f.script}",
        "300/100",
    )


def byte_order_mark(f: Facts) -> Diagnosis | None:
    if not f.run_sh.startswith("\ufeff"):
        return None
    return Diagnosis(
        "byte-order-mark",
        f"src/{f.script} begins with a byte order mark, three bytes that no editor shows",
        "a file that begins with its first command",
        "a shell takes the mark for a part of the first word, and knows no such command",
        f"save src/{f.script} as `UTF-8`, not as `UTF-8 with BOM`; or in src/: tail -c +4 {f.script} > new.sh && mv new.sh {f.script}",
        "300/100",
    )


def marks_in_script(f: Facts) -> Diagnosis | None:
    number = next((n for n, line in enumerate(f.run_sh.split("\n"), 1) if MARKED.match(line)), 0)
    if not number and (found := said(f, r"-([\w-]+): (?:command )?not found")) and found[2] in COMMANDS:
        number = int(found[1]) if line_of(f, int(found[1])).startswith("-") else 0
    if not number:
        return None
    return marked(f.script, number, line_of(f, number), f.lesson)


def marked(path: str, number: int, line: str, lesson: str) -> Diagnosis:
    """The diagnosis for a line that still has its mark of a diff."""
    mark = "@@" if line.startswith("@@") else line[:1]
    do = {
        "+": f"take the + out of src/{path}:{number} and of the lines like it",
        "-": f"take the line src/{path}:{number} out: it is what was there before",
        "@@": f"take the line src/{path}:{number} out: between its parts the file goes on as it was",
    }[mark]
    return Diagnosis(
        "diff-marks",
        f"src/{path}:{number} begins with the mark {mark}\n{line.strip()}",
        "the lines of a change without the marks in front of them",
        "in a change on the page, + stands before a line that comes, - before one that goes; the marks are no part of the file",
        do,
        lesson,
    )


def not_continued(f: Facts) -> Diagnosis | None:
    number = 0
    if found := said(f, r"(-[\w-]*): (?:command )?not found"):
        number = int(found[1]) - 1
    elif re.search(r"opentelemetry-instrument: error: the following arguments are required: command", f.output):
        place = settings.started(f.run_sh)
        number = int(place[2].rpartition(":")[2]) if place else 0
    if not number:
        return None
    line = line_of(f, number)
    blank = re.search(r"\\\s+$", line)
    return Diagnosis(
        "line-not-continued",
        f"src/{f.script}:{number} " + ("has a blank after its \\" if blank else "does not end with \\") + f"\n{line.strip()}",
        "a \\ as the very last character of each line that goes on",
        f"the command ended there, and the shell took line {number + 1} for a command of its own",
        f"take the blank away in src/{f.script}:{number}"
        if blank
        else f"write a blank and a \\ at the end of src/{f.script}:{number}",
        "300/300/100",
    )


def shell_syntax(f: Facts) -> Diagnosis | None:
    found = said(f, r"([Ss]yntax error.*|unexpected EOF.*)")
    if not found:
        return None
    number, words = int(found[1]), found[2]
    quote = "quote" in words.lower() or "matching" in words
    branch = '";;"' in words or words.endswith("token `)'")
    return Diagnosis(
        "shell-syntax",
        f"src/{f.script}:{number}: {words}\n{line_of(f, number).strip()}".rstrip(),
        "a line that the shell can read" if not quote else "a quote that is closed, too",
        "the characters ( ) ; & | < > * ? and blanks mean something to a shell, unless they stand between quotes"
        if not quote
        else "everything after the opening quote belongs to it, to the end of the file",
        f"look for the quote without a partner in src/{f.script}"
        if quote
        else f"end the branch of `case` that stands before src/{f.script}:{number} with `;;`"
        if branch
        else f"put the value between single quotes in src/{f.script}:{number}: NAME='value'",
        "300/300/200",
    )


def blank_around_equals(f: Facts) -> Diagnosis | None:
    number = 0
    if found := said(f, r"(?:export: .*(?:bad variable name|not a valid identifier)|[A-Z_]\w*: (?:command )?not found)"):
        number = int(found[1])
    elif f.missing:
        lines = f.run_sh.split("\n")
        number = next((n for n, line in enumerate(lines, 1) if re.match(r"\s*export OTEL_\w+= +\w", line)), 0)
    line = line_of(f, number)
    if not re.search(r"\w+(\s+=|=\s+\w)", line):
        return None
    right = re.sub(r"(\w+)\s*=\s*", r"\1=", line.strip(), count=1)
    return Diagnosis(
        "blank-around-equals",
        f"src/{f.script}:{number}: {line.strip()}",
        right,
        "a shell takes what stands between blanks for words of their own, so name, = and value must be one word",
        f"take the blanks around = away in src/{f.script}:{number}",
        "300/300/200",
    )


def unknown_flag(f: Facts) -> Diagnosis | None:
    found = re.search(r"opentelemetry-instrument: error: (?:unrecognized arguments|ambiguous option): (--[\w-]+)", f.output)
    if not found:
        return None
    flag = found[1]
    lines = f.run_sh.split("\n")
    number = next((n for n, line in enumerate(lines, 1) if re.search(rf"{flag}\b", line)), 0)
    where = f"src/{f.script}:{number}" if number else f"src/{f.script}"
    right = settings.nearest(flag, settings.flags())
    return Diagnosis(
        "unknown-flag",
        f"{where}: {flag}",
        right or "a flag that the agent knows",
        "the agent makes its flags of the names of its variables, and has none of this name; so it starts nothing",
        f"write {right} in {where}" if right else "see all flags: opentelemetry-instrument --help",
        "300/300/100",
    )


def agent_starts_nothing(f: Facts) -> Diagnosis | None:
    if f.listened or not re.search(r"TypeError: execv: path should be|auto_instrumentation.*\n.*execl\(", f.output):
        return None
    place = settings.started(f.run_sh)
    if not place:
        return None
    before, word, where = place
    if word.startswith("\\"):
        return Diagnosis(
            "line-not-continued",
            f"{where} has a blank after its \\",
            "a \\ as the very last character of each line that goes on",
            "the \\ makes a word of the blank, and the agent is told to start a program of that name",
            f"take the blank away at the end of {where}",
            "300/300/100",
        )
    if before.endswith(","):
        return Diagnosis(
            "blank-in-list",
            f"{where}: {before} {word}",
            before + word,
            f"at the blank the value ends, and the agent takes `{word}` for the program that it shall start",
            f"write {before}{word} in {where}, without the blank",
            "300/300/100",
        )
    right = settings.nearest(word, COMMANDS)
    return Diagnosis(
        "agent-starts-nothing",
        f"{where}: `opentelemetry-instrument` is told to start `{word}`, and there is no such command",
        f"`{right or 'flask'}`",
        "what follows the agent's flags is the command line that it starts",
        f"write `{right}` in {where}" if right else f"put `flask run -p {f.port}` behind the agent's flags in src/{f.script}",
        "300/300/100",
    )


SCRIPT = (
    windows_line_ends,
    byte_order_mark,
    marks_in_script,
    not_continued,
    shell_syntax,
    blank_around_equals,
    unknown_flag,
    agent_starts_nothing,
)
