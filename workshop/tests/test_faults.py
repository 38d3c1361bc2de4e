"""Each fault of the clinic is proved: its symptoms are there, two cures make telemetry right, and one that hides it does not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from workshop.checks import warm
from workshop.checks.beside import Beside
from workshop.checks.checkpoint import Checkpoint, Record
from workshop.checks.sandbox import END, Sandbox
from workshop.course import lessons
from workshop.course.faults import LEVELS, STAGES, Fault, faults
from workshop.course.fences import Block, LessonError
from workshop.course.replay import replay
from workshop.course.turns import Turn
from workshop.scenarios.clinic import LESSON
from workshop.scenarios.wards import WARDS, examine
from workshop.scenarios.wards.finding import Finding

CLINIC = lessons.find(LESSON)
FAULTS = faults(CLINIC)
CHANGES = [(fault, change) for fault in FAULTS for change in fault.changes]


@pytest.fixture(scope="module")
def program():
    """The programs of the checks, and starts that are warm."""
    beside = Beside(bring=True)
    yield beside.program
    beside.stop()
    warm.stop()


def examined(fault: Fault, more: tuple[Block, ...], folder: Path, program) -> Finding:
    """What is found of the finished app with a fault in it, and with more changed upon that."""
    blocks = (*fault.blocks, *more)
    if fault.packages:  # a warm start has its packages already
        checkpoint = Checkpoint(CLINIC, END, folder, program, Record())
        checkpoint.sandbox = Sandbox.of(CLINIC, END, folder, blocks)
    else:
        checkpoint = Checkpoint(CLINIC, END, folder, program, Record(), turn=Turn("", fault.name, blocks))
    return examine(checkpoint, fault.ward)


@pytest.mark.parametrize("ward", WARDS)
def test_the_finished_app_is_well(ward, program, tmp_path):
    found = examine(Checkpoint(CLINIC, END, tmp_path, program, Record(), turn=Turn("", "well", ())), ward)
    assert not found.red, found.red


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_what_is_broken_shows_its_symptoms(fault, program, tmp_path):
    found = examined(fault, (), tmp_path, program)
    assert found.red, "the telemetry is right with this fault in it"
    for where, words in fault.symptoms:
        if where == "check":
            rung, _, seen = words.partition(": ")
            assert (rung, found.red.rung) == (found.red.rung, rung), found.red
            assert seen in found.red.seen, found.red
        else:
            assert words in found.said[where], found.said[where][-3000:]


@pytest.mark.parametrize(("fault", "change"), CHANGES, ids=lambda one: getattr(one, "what", getattr(one, "name", "")))
def test_a_cure_makes_telemetry_right_and_what_hides_the_fault_is_refused(fault, change, program, tmp_path):
    found = examined(fault, change.blocks, tmp_path, program)
    if change.kind == "Cure":
        assert not found.red, f"{change.what}: {found.red}"
    else:
        assert found.red, f"{change.what}: it hides the fault, and nothing is found"


def test_there_are_enough_faults_of_each_level_and_some_of_each_stage():
    assert len(FAULTS) >= 30
    assert min(Counter(fault.level for fault in FAULTS)[level] for level in LEVELS) >= 8
    assert {fault.stage for fault in FAULTS} == set(STAGES)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_fits_the_finished_app_and_names_a_lesson_that_comes_before(fault):
    assert fault.fits(replay(CLINIC)) and not fault.fits({})
    assert lessons.find(fault.lesson).name < CLINIC.name
    assert fault.question.right.text == fault.cause
    assert not fault.packages or (lessons.ROOT / fault.packages).is_file()


WHOLE = (CLINIC.folder / "faults" / "n-plus-one.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("# The list", "The list", "begin it with `# `"),
        ("level: easy", "level: simple", "level is 'simple'; write one of easy, normal, hard"),
        ("ward: app", "", "ward is None"),
        ("## Symptoms", "## Signs", "'## Signs' is none of Symptoms"),
        ("- check: ", "- ", "is not in the format"),
        ("- No: The database lacks an index. |", "- No: The database lacks an index.", "is not in the format"),
        ("## Cure: all steps", "## Hides: all steps", "needs two sections `## Cure: …`"),
        ("- No: Too many spans slow the app down. | ", "\n- No: a | ", "needs four"),
    ],
)
def test_a_fault_that_is_not_in_the_format_is_named_with_file_and_line(old, new, words, toy):
    assert old in WHOLE
    text = WHOLE.replace(old, new, 1)
    if "needs four" in words:
        text = "\n".join(line for line in text.splitlines() if not line.startswith("- No: a"))
    path = toy.write("100/100/faults/bad.md", text)
    with pytest.raises(LessonError, match=r"^100/100/faults/bad\.md:\d+: ") as refused:
        faults(toy.lesson("100/100"))
    assert words in str(refused.value) and path.exists()
