"""The clinic around its faults: who gets which, what is kept, and that nothing stays broken that should not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from workshop.checks.checkpoint import packages
from workshop.checks.process import environment
from workshop.cli import main
from workshop.course import lessons
from workshop.course.replay import replay
from workshop.diagnosis.facts import Diagnosis
from workshop.learner.workspace import Workspace, WorkspaceError
from workshop.scenarios import clinic as module
from workshop.scenarios.clinic import CURED, FOLDER, GIVEN_UP, Clinic, ClinicError
from workshop.scenarios.wards.finding import Finding

APP = replay(lessons.find("400/100"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the finished app in its `src/`."""
    for name, data in APP.items():
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / name).write_bytes(data)
    return tmp_path


@pytest.fixture
def well(monkeypatch):
    """Whatever is examined is well, for tests that are about something else."""
    monkeypatch.setattr(Clinic, "examine", lambda self, ward: Finding(ward))


def src(folder: Path) -> dict[str, bytes]:
    return {path: mine for path, (mine, _) in Workspace(folder).differences({}).items()}


def at(folder: Path) -> Clinic:
    return Clinic(folder=folder)


def is_over(folder: Path, end: str = CURED) -> None:
    Workspace(folder).undo()
    at(folder).close(end)


# Who gets which


def test_a_seed_is_the_same_for_everybody_and_the_next_time_the_next_one(folder, well):
    order = [fault.name for fault in at(folder).order(7)]
    assert order != [fault.name for fault in at(folder).order(8)]
    for wanted in order[:3]:
        fault, left_out = at(folder).break_(7, None)
        assert (fault.name, left_out) == (wanted, 0)
        is_over(folder)
        if wanted == order[0]:
            at(folder).break_(None, None)  # practice between two rounds does not move the class
            is_over(folder)


@pytest.mark.parametrize("seed", [None, 7])
def test_no_fault_comes_twice_until_all_were_met(seed, folder):
    clinic = at(folder)
    names = []
    for _ in clinic.faults:
        names.append(clinic.order(seed)[0].name)
        clinic.cases.append(module.Case(names[-1], seed, "", end=CURED))
    assert sorted(names) == sorted(clinic.faults)
    assert clinic.order(seed)[0].name in names


@pytest.mark.parametrize("level", ["easy", "normal", "hard"])
def test_a_level_has_only_its_own(level, folder):
    for seed in (None, 3):
        assert {fault.level for fault in at(folder).order(seed, level)} == {level}


def test_what_does_not_fit_is_left_out_and_said(folder, well):
    first, second = at(folder).order(7)[:2]
    for name in first.put:
        (folder / "src" / name).unlink()
    fault, left_out = at(folder).break_(7, None)
    assert left_out >= 1 and fault.name != first.name and second


# What is done to src/


@pytest.mark.parametrize("own", [{}, {"own.py": b"x = 1\n", "serve.py": APP["serve.py"] + b"# mine\n"}], ids=["clean", "dirty"])
def test_what_was_there_is_kept_and_undo_gives_up(own, folder, well):
    for name, data in own.items():
        (folder / "src" / name).write_bytes(data)
    before = src(folder)
    fault, _ = at(folder).break_(7, None)
    assert src(folder) == {**before, **fault.put_into(before)} != before
    assert not at(folder).give_up()
    Workspace(folder).undo()
    assert src(folder) == before and at(folder).give_up() and not at(folder).open
    other, _ = at(folder).break_(None, None)
    assert [(case.fault, case.end) for case in at(folder).cases] == [(fault.name, GIVEN_UP), (other.name, "")]


def test_what_is_broken_is_not_broken_again(folder, well):
    at(folder).break_(7, None)
    broken = src(folder)
    with pytest.raises(ClinicError, match="a fault is in src/ already"):
        at(folder).break_(8, None)
    assert src(folder) == broken


def test_an_empty_src_is_answered_by_what_fills_it(tmp_path):
    (tmp_path / "src").mkdir()
    with pytest.raises(ClinicError, match="src/ is empty; `workshop solve 300/"):
        at(tmp_path).break_(7, None)
    assert not at(tmp_path).cases and not src(tmp_path)


def test_another_app_is_left_alone(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("app = 1\n")
    with pytest.raises(ClinicError, match="no fault fits"):
        at(tmp_path).break_(7, None)
    assert src(tmp_path) == {"app.py": b"app = 1\n"}


def test_what_is_red_is_not_broken_and_the_diagnosis_is_told(folder, monkeypatch):
    red = Diagnosis("no-span", "seen", "expected", "why", "do", "300/300/100")
    monkeypatch.setattr(Clinic, "examine", lambda self, ward: Finding(ward, red))
    before = src(folder)
    with pytest.raises(ClinicError, match="it is not well already") as refused:
        at(folder).break_(7, None)
    assert "expected" in str(refused.value) and "workshop solve" in str(refused.value)
    assert src(folder) == before and not at(folder).cases


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "full", "src/run.sh"), SystemExit])
def test_whoever_is_stopped_while_breaking_leaves_nothing_broken(error, folder, well, monkeypatch):
    before, write = src(folder), Workspace._write
    changes = []

    def stopped(self, source, kept, and_nothing_else=True):
        write(self, source, kept, and_nothing_else)
        changes.append(src(folder) != before)
        if len(changes) == 1:
            raise error

    monkeypatch.setattr(Workspace, "_write", stopped)
    with pytest.raises((KeyboardInterrupt, WorkspaceError, SystemExit, OSError)):
        at(folder).break_(7, None)
    assert changes == [True, False]
    assert src(folder) == before and not at(folder).cases


def test_a_kill_between_the_record_and_the_fault_is_a_case_that_was_given_up(folder, well, monkeypatch):
    monkeypatch.setattr(Workspace, "change", lambda *_: os._exit(9))
    child = os.fork()
    if not child:
        at(folder).break_(7, None)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    monkeypatch.undo()
    monkeypatch.setattr(Clinic, "examine", lambda self, ward: Finding(ward))
    assert at(folder).open
    at(folder).break_(8, None)
    assert [case.end for case in at(folder).cases] == [GIVEN_UP, ""]


def test_a_record_that_cannot_be_read_is_none(folder, well):
    (folder / ".saved").mkdir()
    (folder / ".saved" / "clinic.json").write_text("[{")
    assert at(folder).break_(7, None) and at(folder).open


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_the_first_look_leaves_no_process_and_nothing_broken(number, folder):
    import psutil

    before = src(folder)
    env = {**environment(packages(lessons.find("400/100"))), FOLDER: str(folder), "PYTHONUNBUFFERED": "1"}
    command = [Path(sys.prefix) / "bin" / "workshop", "break", "--seed", "7"]
    breaking = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert "Looking" in breaking.stdout.readline()
    of = psutil.Process(breaking.pid)
    started: list = []
    while not started and breaking.poll() is None:
        started = of.children(recursive=True)
    breaking.send_signal(number)
    breaking.communicate(timeout=60)
    assert breaking.returncode
    assert not psutil.wait_procs(started, timeout=10)[1]
    assert src(folder) == before and not at(folder).cases


# The way through the command


def say(folder: Path, *arguments: str, stdin: str = ""):
    env = {FOLDER: str(folder)}
    return CliRunner().invoke(main, ["break", *arguments], input=stdin, env=env, prog_name="workshop")


def test_a_complaint_is_told_and_neither_cause_nor_file(folder, well):
    done = say(folder, "--seed", "7")
    fault = at(folder).fault
    told = " ".join(done.output.split())
    assert done.exit_code == 0 and fault.complaint in told
    assert fault.cause not in told and not any(name in told for name in fault.put)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "seven"], "'seven' is not a valid integer"),
        (["--level", "mad"], "'mad' is not one of"),
        (["--hint"], "no fault is open; `workshop break` puts one into src/"),
        (["--name", "a"], "no fault is open"),
    ],
)
def test_what_cannot_be_done_is_said_without_a_traceback(arguments, words, folder):
    done = say(folder, *arguments)
    assert done.exit_code in (1, 2) and words in " ".join(done.output.split())
    assert "Traceback" not in done.output and src(folder) == APP


def test_hints_are_counted_and_end(folder, well):
    say(folder, "--seed", "7")
    fault = at(folder).fault
    said = [say(folder, "--hint") for _ in range(4)]
    assert fault.stage in said[0].output and fault.lesson in said[1].output and "A check would say" in said[2].output
    assert said[3].exit_code == 1 and "no further hint" in said[3].output
    assert at(folder).open.hints == 3


def test_a_cause_is_named_by_its_letter_and_each_try_is_counted(folder, well):
    say(folder, "--seed", "7")
    question = at(folder).fault.question
    wrong = next(letter for letter in question.letters if letter != question.key)
    assert say(folder, "--name", "z").exit_code == 1
    answered = say(folder, "--name", wrong)
    assert answered.exit_code == 1 and "No: " in answered.output and not at(folder).open.named
    assert say(folder, "--name").exit_code == 1  # nobody is there to answer: the choices are shown
    answered = say(folder, "--name", question.key.upper())
    assert answered.exit_code == 0 and "Right: " in answered.output
    assert (at(folder).open.tries, at(folder).open.named) == (2, True)


def test_the_list_is_for_instructors(folder):
    listed = " ".join(say(folder, "--list", "--level", "hard").output.split())
    hard = [fault for fault in at(folder).faults.values() if fault.level == "hard"]
    assert hard and all(fault.name in listed and fault.cause in listed for fault in hard)
    every = say(folder, "--list", "--seed", "7").output
    assert [line.split()[0] for line in every.splitlines() if line[:1].strip()] == [f.name for f in at(folder).order(7)]


# The grade


def graded(folder: Path, red: Diagnosis | None, monkeypatch) -> str:
    monkeypatch.setattr(module, "examine", lambda checkpoint, ward: Finding(ward, red, "it is wrong"))

    class Red(Exception):
        pass

    class Checkpoint:
        def must(self, held, rung, **_):
            if not held:
                raise Red(rung)

    try:
        at(folder).grade(Checkpoint())
    except Red as found:
        return str(found)
    return "green"


def test_a_red_grade_says_in_the_ward_s_own_words_what_is_wrong(folder, well, monkeypatch):
    seen = []

    class Checkpoint:
        def must(self, held, rung, **said):
            seen.append(said["seen"])

    at(folder).break_(7, None)
    monkeypatch.setattr(module, "examine", lambda checkpoint, ward: Finding(ward, Diagnosis(*"abcde"), "numbers are missing"))
    at(folder).grade(Checkpoint())
    assert seen[0] == "numbers are missing"


def test_both_are_wanted_the_cure_and_the_name(folder, well, monkeypatch):
    red = Diagnosis("no-span", "seen", "expected", "why", "do")
    assert graded(folder, None, monkeypatch) == "no-patient"
    clinic = at(folder)
    clinic.break_(7, None)
    assert graded(folder, red, monkeypatch) == "still-ill"
    assert graded(folder, None, monkeypatch) == "not-named"
    at(folder).name(clinic.fault.question.key)
    assert graded(folder, red, monkeypatch) == "still-ill"
    assert graded(folder, None, monkeypatch) == "green"
    assert at(folder).cases[0].end == CURED and not at(folder).open
    assert graded(folder, None, monkeypatch) == "green"  # it stays done
    kept = json.loads((folder / ".saved" / "clinic.json").read_text())
    assert [(case["fault"], case["tries"]) for case in kept] == [(clinic.cases[0].fault, 1)]
