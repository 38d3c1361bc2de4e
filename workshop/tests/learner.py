"""Somebody who takes the lessons, for tests that follow them in a clone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path

from workshop.checks.checkpoint import packages
from workshop.checks.process import environment
from workshop.course import lessons
from workshop.course.faults import faults
from workshop.course.fences import Block
from workshop.course.quiz import has_quiz
from workshop.course.replay import apply
from workshop.learner.quiz import Quiz
from workshop.scenarios.clinic import Clinic
from workshop.scenarios.incident import LESSON, Desk, Incident
from workshop.scenarios.simulator import Play

# It finds the clone by itself, for a lesson's check sets another PYTHONPATH.
COMMAND = """#!/usr/bin/env python
import sys
sys.path.insert(0, {clone!r})
from workshop.cli import main
main(prog_name="workshop")
"""


class Learner:
    """Somebody who reads a page and does what it says: types its blocks into `src/` and runs its `workshop` commands."""

    def __init__(self, clone: Path):
        self.clone = clone
        (clone / "bin").mkdir()
        command = clone / "bin" / "workshop"
        command.write_text(COMMAND.format(clone=str(clone)), encoding="utf-8")
        command.chmod(0o755)
        self._activate(Path(sys.prefix))

    def installs_what_is_needed_for(self, lesson: lessons.Lesson) -> None:
        """Have the packages of all lessons up to this one, as their pages say."""
        self._activate(packages(lesson))

    def _activate(self, prefix: Path) -> None:
        self.env = {**environment(prefix), "PYTHONPATH": str(self.clone)}
        self.env["PATH"] = os.pathsep.join([str(self.clone / "bin"), self.env["PATH"]])
        if prefix != Path(sys.prefix):
            self.env["PYTEST_PLUGINS"] = "workshop.plugin"  # an environment of lessons has all but the workshop itself

    def runs(self, command: str) -> str:
        done = subprocess.run(command, shell=True, cwd=self.clone, env=self.env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def types(self, blocks: Iterable[Block]) -> None:
        """Write each block where it belongs, into the files as they are on the disk."""
        for block in blocks:
            path = self.clone / block.title
            if block.title.startswith("src/"):
                there = {block.title[4:]: path.read_bytes()} if path.exists() else {}
                apply(block, there)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(there[block.title[4:]])

    def answers(self, lesson: lessons.Lesson, log: Path) -> None:
        """Answer the lesson's quiz, where it has one; a quiz about a trace is about the newest one in `log`."""
        if has_quiz(lesson):
            quiz = Quiz(lesson, self.clone.parent / "key")
            quiz.begin(log=log if quiz.about_a_trace else None)
            letters = self.clone.parent / "answers.txt"
            letters.write_text("".join(f"{question.key}\n" for question in quiz.questions), encoding="utf-8")
            about = f" --log {log}" if quiz.about_a_trace else ""
            self.runs(f"workshop quiz {lesson.name} --answers {letters}{about}")

    def heals(self, lesson: lessons.Lesson) -> None:
        """Be given a fault, where the lesson has faults; name its cause and cure it."""
        if faults(lesson):
            self.runs("workshop break --level easy --seed 1")
            clinic = Clinic(lesson, self.clone)
            self.runs(f"workshop break --name {clinic.fault.question.key}")
            self.types(clinic.fault.changes[0].blocks)

    def is_on_call(self, lesson: lessons.Lesson) -> None:
        """Solve an incident, where the lesson is about one; what it takes to find its answers is another test's."""
        if lesson.name == LESSON:
            desk = Desk(self.clone)
            desk.incidents.append(Incident(1, time.time_ns()))
            desk.answer(**right_answers(desk.current.play))


def right_answers(play: Play) -> dict[str, str]:
    """What is right to say of an incident."""
    whom = play.sick.instance[:8] if "one" in play.outage.whom else play.outage.whom[0]
    since = datetime.fromtimestamp(play.since_ns / 1e9, timezone.utc).strftime("%H:%M:%S")
    known = {"since": since, "whom": whom, "share": f"{play.share * 100:.0f}%"}
    return {**known, "where": play.outage.where, "trace": play.hit[0].trace_id, "change": play.outage.change}
