"""A fault was put into `src/`; its cause is named, and telemetry is right again."""

import pytest

from workshop.checks.sandbox import MINE, START
from workshop.course.replay import apply
from workshop.learner.workspace import Workspace
from workshop.scenarios.clinic import FOLDER, Clinic


@pytest.mark.before("no-patient")
def test_a_fault_is_named_and_cured(checkpoint):
    if checkpoint.at == MINE and Workspace(checkpoint.lesson.root).progress()["current"]:
        clinic = Clinic(checkpoint.lesson)
    else:
        clinic = Clinic(checkpoint.lesson, checkpoint.folder.parent)
        if checkpoint.at != START:
            clinic = taken(checkpoint)
    clinic.grade(checkpoint)


def taken(checkpoint):
    """The way of the page: a fault comes, is looked at, named and cured."""
    there = {FOLDER: str(checkpoint.folder.parent)}
    broken = checkpoint.run("workshop break --level", **there)
    checkpoint.must(
        broken.exit_code == 0,
        "not-broken",
        seen=broken.output.strip(),
        expected="a fault in src/",
        why="only an app that is well can be broken",
    )
    assert checkpoint.run("workshop break --hint", **there).exit_code == 0
    assert checkpoint.run("workshop break --name", **there).exit_code == 1  # nobody answers
    clinic = Clinic(checkpoint.lesson, checkpoint.folder.parent)
    assert clinic.name(clinic.fault.question.key).right
    files = {path: (checkpoint.folder / path).read_bytes() for path in clinic.fault.put}
    for block in clinic.fault.changes[0].blocks:
        apply(block, files)
        (checkpoint.folder / block.title[4:]).write_bytes(files[block.title[4:]])
    return clinic
