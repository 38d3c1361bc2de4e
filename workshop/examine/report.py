"""The report of an examination: one screen, JSON for a pipeline, or a page that needs no network."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from html import escape
from os.path import relpath
from pathlib import Path

from workshop.examine import rules
from workshop.examine.entries import FAILED, OPEN, PASSED, Entry
from workshop.examine.findings import Evidence
from workshop.telemetry.waterfall import svg
from workshop.terminal import wrapped

MARKS = {PASSED: "✓", FAILED: "✗", OPEN: "?"}
SPECIFICATION = "Instrumentation Score, 2026-04"
FINE, FOUND, NOT_EXAMINED = 0, 1, 3


@dataclass(frozen=True)
class Report:
    """What came of it. `least` is the score that is wanted, `strict` whether what the course taught must hold, too."""

    evidence: Evidence
    ladder: list[Entry]
    judged: list[Entry]
    findings: list[Entry]
    least: float = 0
    strict: bool = False

    @property
    def score(self) -> float | None:
        return rules.score(self.judged)

    @property
    def bounds(self) -> tuple[float, float]:
        """Where the score lies once all rules are decided: all the open ones broken, and all kept."""
        return rules.score(self.judged, FAILED) or 0, rules.score(self.judged, PASSED) or 0

    @property
    def decided(self) -> int:
        return sum(entry.state != OPEN for entry in self.judged)

    @property
    def exit_code(self) -> int:
        """0 where all that is wanted holds, 1 where not, 3 where there was nothing to examine."""
        if not self.evidence.run.listened or not any(asked.response.status for asked in self.evidence.run.asked):
            return NOT_EXAMINED
        wanted = [*self.ladder, *(self.findings if self.strict else ())]
        low = self.least and (self.score is None or self.score < self.least)
        return FOUND if low or any(entry.state == FAILED for entry in wanted) else FINE

    def verdict(self) -> str:
        """The score in one sentence, which says what it is made of."""
        if self.score is None:
            return f"none: nothing was told that one of the {len(self.judged)} rules could judge"
        low, high = self.bounds
        return (
            f"{self.score:.0f} of 100, {rules.category(self.score)}. Incomplete: {self.decided} of {len(self.judged)} rules were "
            f"decided; with the others it lies between {low:.0f} and {high:.0f}"
        )


def text(report: Report) -> str:
    """One screen of 80 columns: what is broken with its cure, the rest in short."""
    plan = report.evidence.plan
    where = relpath(plan.folder) if plan.folder.is_relative_to(Path.cwd()) else plan.folder
    lines = [wrapped(f"{plan.line}  in {where}{f', with {plan.venv}' if plan.venv else ''}", "", "  "), ""]
    lines += [_line(entry) for entry in report.ladder]
    lines += ["", wrapped(f"Score  {report.verdict()}", "", "       ")]
    if report.score is None:
        return "\n".join(lines)
    lines += _group(report.judged)
    lines += ["", "What else hides in it", *_group(report.findings)]
    return "\n".join(lines)


def _group(entries: list[Entry]) -> list[str]:
    """What is broken with all that is known of it, then the others by their ids."""
    lines = [_line(entry) for entry in entries if entry.state == FAILED]
    for state in (PASSED, OPEN):
        if names := [entry.id for entry in entries if entry.state == state]:
            lines.append(wrapped(", ".join(names), f"{MARKS[state]} ", "  "))
    return lines


def _line(entry: Entry) -> str:
    head = f"{MARKS[entry.state]} "
    about = f"{entry.id}  {entry.title}" if entry.impact else entry.title
    said = wrapped(f"{about}: {entry.seen}" if entry.seen else about, head, "  ")
    if entry.do:
        said += "\n" + wrapped(f"{entry.do}" + (f" ({entry.lesson})" if entry.lesson else ""), "  → ", "    ")
    return said


def as_json(report: Report) -> str:
    """All of it. What is not decided has the state "open", with the reason."""
    e = report.evidence
    return json.dumps(
        {
            "command": list(e.plan.command),
            "folder": str(e.plan.folder),
            "address": "{}:{}".format(*e.run.address) if e.run.listened else None,
            "seconds": {"start": round(e.run.start_seconds, 3), "stop": round(e.run.stop_seconds, 3)},
            "ladder": [_plain(entry) for entry in report.ladder],
            "score": {
                "specification": SPECIFICATION,
                "value": None if report.score is None else round(report.score, 2),
                "category": None if report.score is None else rules.category(report.score),
                "incomplete": report.decided < len(report.judged),
                "decided": report.decided,
                "rules": len(report.judged),
                "between": [round(bound, 2) for bound in report.bounds],
            },
            "rules": [{**_plain(entry), "impact": entry.impact} for entry in report.judged],
            "findings": [_plain(entry) for entry in report.findings],
            "exit_code": report.exit_code,
        },
        indent=2,
        ensure_ascii=False,
    )


def _plain(entry: Entry) -> dict:
    return {name: value for name, value in asdict(entry).items() if name != "impact"}


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Examination of {title}</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }} td, th {{ text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; }}
tr {{ border-top: 1px solid #8886; }} .failed td:first-child {{ font-weight: bold; }} td {{ overflow-wrap: anywhere; white-space: pre-line; }}
td:nth-child(-n+2) {{ width: 6rem; white-space: nowrap; }} td:nth-child(3) {{ width: 16rem; }}
.score {{ font-size: 2rem; }} figure {{ overflow-x: auto; margin: 1rem 0; }}
</style></head><body>
<h1>Examination of <code>{title}</code></h1><p>in <code>{folder}</code></p>
<p class="score">{score}</p><p>{verdict}.</p>
{tables}{picture}
</body></html>
"""


def html(report: Report) -> str:
    """A page of its own: no script, no font, no picture from elsewhere."""
    e = report.evidence
    parts = (("The ladder", report.ladder), (SPECIFICATION, report.judged), ("What the course taught", report.findings))
    servers = next((found for asked in reversed(e.run.asked) if (found := e.servers(asked))), [])
    trace = [span for span in e.told.spans if servers and span.trace_id == servers[0].trace_id]
    picture = f"<h2>One of its requests</h2><figure>{svg(trace)}</figure>" if trace else ""
    return PAGE.format(
        title=escape(e.plan.line),
        folder=escape(str(e.plan.folder)),
        score="no score" if report.score is None else f"{report.score:.0f} of 100",
        verdict=escape(report.verdict()),
        tables="".join(_table(title, entries) for title, entries in parts),
        picture=picture,
    )


def _table(title: str, entries: list[Entry]) -> str:
    rows = "".join(
        f'<tr class="{entry.state}"><td>{entry.state}</td><td>{escape(entry.id)}</td><td>{escape(entry.title)}</td>'
        f"<td>{escape(entry.seen)}{f'<br>→ {escape(entry.do)}' if entry.do else ''}{f' ({entry.lesson})' if entry.lesson else ''}</td></tr>"
        for entry in entries
    )
    return f"<h2>{escape(title)}</h2><table><tr><th>state</th><th>id</th><th>wanted</th><th>seen</th></tr>{rows}</table>"
