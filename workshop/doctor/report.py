"""The findings as a person reads them."""

from __future__ import annotations

import re
from collections.abc import Callable

from workshop.doctor.findings import FIX, NOTE, OK, Finding, examine
from workshop.doctor.machine import gather
from workshop.terminal import wrapped

COLORS = {OK: "green", NOTE: "yellow", FIX: "red"}


def report(findings: list[Finding], paint: Callable[[str, str], str] = lambda text, color: text) -> str:
    """The findings as text for a terminal of 80 columns; `paint` colors the words of the levels."""
    lines = []
    for finding in findings:
        level = paint(finding.level, COLORS[finding.level]) + " " * (6 - len(finding.level))
        lines.append(level + _wrapped(finding.name, finding.seen)[6:])
        if finding.level != OK:
            lines += [_wrapped("  expected", finding.expected), _wrapped("  do", finding.do)]
    count = [sum(finding.level == level for finding in findings) for level in (FIX, NOTE)]
    if count[0]:
        end = paint(f"Not ready: {count[0]} to fix.", COLORS[FIX])
        end += " Begin with the first; one cause can have many effects."
    elif count[1]:
        end = paint("Ready.", COLORS[OK]) + f" {count[1]} to note; no lesson stops there."
    else:
        end = paint("Ready.", COLORS[OK])
    return "\n".join([*lines, "", end])


def _wrapped(name: str, text: str) -> str:
    secret = re.sub(r"://[^/@\s]+@", "://***@", text)
    head = f"{'':<6}{name:<14}"
    return wrapped(secret, head, " " * len(head))


def main(paint: Callable[[str, str], str] = lambda text, color: text, say: Callable[[str], object] = print) -> int:
    """Look, report, and return the exit status: 0 when there is nothing to fix."""
    findings = examine(gather())
    say(report(findings, paint))
    return int(any(finding.level == FIX for finding in findings))
