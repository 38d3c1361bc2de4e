"""What a learner has proved, as a picture and as a page to print. Nobody supervised it, and both say so."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from html import escape
from pathlib import Path

from workshop.course import lessons
from workshop.course.lessons import Lesson
from workshop.errors import UserError
from workshop.learner.workspace import Proof, Workspace

WIDTH, MARGIN, TOP, ROW = 880, 40, 172, 20
LETTER = 0.62  # of a font's size: at least as wide as the usual letter
TITLE = "Flask OpenTelemetry workshop"
UNSUPERVISED = "Each lesson was green when its owner ran the checks on a machine of their own. Nobody supervised it."
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1f2328;background:#fff}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.2rem .6rem .2rem 0;border-bottom:1px solid #d0d7de}"
    "code{font-size:.8rem;overflow-wrap:anywhere}tr{break-inside:avoid}@media print{body{margin:0;font-size:11px}}"
)


@dataclass(frozen=True)
class Certificate:
    """`name` is whose it is, or empty. `proved` are the lessons with their proofs, `total` is how many there are in all.
    `commit` is that of the workshop, empty where it is not known."""

    name: str
    proved: tuple[tuple[Lesson, Proof], ...]
    total: int
    commit: str

    @property
    def summary(self) -> str:
        """How much of the workshop is proved, in one line."""
        at = f", at commit {self.commit}" if self.commit else ""
        return f"{len(self.proved)} of {self.total} lessons proved{at}"


def of(workspace: Workspace, name: str = "") -> Certificate:
    """What the learner's record says. Raises UserError while no lesson is proved."""
    proofs, every = workspace.proofs(), lessons.lessons(workspace.root)
    proved = tuple((lesson, proofs[lesson.name]) for lesson in every if lesson.name in proofs)
    if not proved:
        raise UserError("no lesson is proved yet: `workshop start` begins one, and a green `workshop check` proves it")
    return Certificate(" ".join(name.split()), proved, len(every), _commit(workspace.root))


def lines(certificate: Certificate) -> list[str]:
    """The certificate for a terminal, a line for each lesson: its number, its title, the day, the trace."""
    widest = max(len(lesson.title) for lesson, _ in certificate.proved)
    return [
        f"{lesson.name:<12}{lesson.title:<{widest}}  {proof.at[:10]:<10}  {proof.trace}".rstrip()
        for lesson, proof in certificate.proved
    ]


def svg(certificate: Certificate) -> str:
    """The certificate as a self-contained picture, 880 wide."""
    height = TOP + ROW * len(certificate.proved) + 56
    name_size = min(30, (WIDTH - 2 * MARGIN) / max(1, len(certificate.name)) / LETTER)
    room = int((WIDTH - 2 * MARGIN - 100 - 250) / 13 / LETTER * 1.1)

    def words(x: int, y: float, size: float, text: str, more: str = "") -> str:
        return f'<text x="{x}" y="{y:.0f}" font-size="{size:.1f}"{more}>{escape(text)}</text>'

    drawn = [
        words(MARGIN, 56, 22, TITLE, ' font-weight="bold"'),
        words(MARGIN, 100, name_size, certificate.name or "A learner"),
        words(MARGIN, 132, 16, certificate.summary),
    ]
    for number, (lesson, proof) in enumerate(certificate.proved):
        y = TOP + ROW * number
        title = lesson.title if len(lesson.title) <= room else f"{lesson.title[: room - 1]}…"
        drawn += [
            words(MARGIN, y, 13, lesson.name),
            words(MARGIN + 100, y, 13, title),
            words(WIDTH - MARGIN, y, 11, f"{proof.at[:10]}  {proof.trace[:16]}", ' text-anchor="end" font-family="monospace"'),
        ]
    drawn.append(words(MARGIN, height - 24, 12, UNSUPERVISED))
    said = f"{TITLE}: {certificate.name or 'a learner'}, {certificate.summary}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img"'
        f' font-family="system-ui, sans-serif" fill="#1f2328"><title>{escape(said)}</title>'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
        f'<rect x="12" y="12" width="{WIDTH - 24}" height="{height - 24}" fill="none" stroke="#0b5cad" stroke-width="2"/>'
        f"{''.join(drawn)}</svg>\n"
    )


def page(certificate: Certificate) -> str:
    """The certificate as a page to print, with whole trace ids, in one file."""
    rows = "".join(
        f"<tr><td>{lesson.name}</td><td>{escape(lesson.title)}</td><td>{escape(proof.at[:10])}</td>"
        f"<td><code>{escape(proof.trace)}</code></td></tr>"
        for lesson, proof in certificate.proved
    )
    name = escape(certificate.name or "A learner")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{TITLE}: {name}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n'
        f"<body><main><h1>{TITLE}</h1><p><strong>{name}</strong><br>{escape(certificate.summary)}</p>\n"
        f"<table><thead><tr><th>Lesson<th>What it is about<th>Proved<th>By the trace</tr></thead><tbody>{rows}</tbody></table>\n"
        f"<p>{UNSUPERVISED}</p></main></body></html>\n"
    )


def _commit(root: Path) -> str:
    git = shutil.which("git")
    asked = git and subprocess.run([git, "-C", root, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
    return asked.stdout.strip() if asked and asked.returncode == 0 else ""
