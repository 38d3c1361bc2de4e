"""The `workshop` command as a learner has it: its words, its mistakes, and Ctrl-C."""

import json
import os
import re
import signal
import subprocess

import psutil
import pytest

from workshop.cli import main
from workshop.course import lessons
from workshop.tests.learner import Learner
from workshop.tests.test_terminal import parted

SPANS = "300/300/100"
NAMED = r"Your shell exports .*OTEL_SDK_DISABLED.*http_proxy: the check leaves that out"


def asked(learner: Learner, command: str, **more: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command, shell=True, cwd=learner.clone, env={**learner.env, **more}, capture_output=True, text=True, timeout=120
    )


def test_the_map_shows_every_lesson_what_is_done_and_the_next_step(learner):
    said = learner.runs("workshop")
    assert all(lesson.name in said and f"{lesson.minutes} min" in said for lesson in lessons.lessons())
    first, second = (lesson.name for lesson in lessons.lessons()[:2])
    assert f"Next: `workshop start {first}`" in said and "\x1b" not in said
    learner.runs(f"workshop start {second}")
    assert f"You are in {second}" in learner.runs("workshop")


def test_the_map_ends_when_every_lesson_is_done(learner):
    names = [lesson.name for lesson in lessons.lessons()]
    kept = learner.clone / ".saved" / "progress.json"
    for done, last in ((names[:-1], f"`workshop start {names[-1]}`"), (names, "Every lesson is done.")):
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(json.dumps({"current": None, "done": done}))
        said = learner.runs("workshop").rstrip().splitlines()
        assert last in said[-1] and f"{len(done)} of {len(names)} lessons done" in said[-2]
        assert sum(line.startswith("✓") for line in said) == len(done)


def test_every_command_has_a_help_with_an_example(learner):
    commands = re.findall(r"^  ([a-z]+)  +[A-Z]", learner.runs("workshop --help"), re.MULTILINE)
    assert set(commands) == set(main.commands)
    for command in commands:
        assert "Example" in learner.runs(f"workshop {command} --help"), command


@pytest.mark.parametrize(
    "command, words",
    [
        ("start 300/300/1000", ["no lesson '300/300/1000'", SPANS]),
        ("start 300/300", ["no lesson", "300/300/100"]),
        ("check", ["which lesson?", "workshop start"]),
        ("undo", ["nothing to undo"]),
        ("trace --log nothing.log", ["nothing.log", "does not exist"]),
        ("trace 123", ["'123' is no trace id", "32 digits"]),
        ("start", ["which lesson?", "Next: `workshop start 100/100`"]),
        ("trace ''", ["TRACE_ID is empty", "see what it prints"]),
        ("trace --log README.md", ["README.md has no trace", "ask the app"]),
        ("metrics --log README.md", ["README.md has no metric", "Ctrl-C"]),
        ("quiz 300/300/100", ["has no quiz"]),
        ("chek", ["No such command 'chek'"]),
    ],
)
def test_a_mistake_is_one_message_and_no_traceback(learner, command, words):
    done = asked(learner, f"workshop {command}")
    assert done.returncode in (1, 2)
    assert all(word in done.stderr for word in words) and "Traceback" not in done.stderr


def test_start_diff_solve_undo_and_undo_again(learner):
    learner.runs(f"workshop start {SPANS}")
    assert "+opentelemetry-instrument" in learner.runs("workshop diff")
    (learner.clone / "src" / "mine.txt").write_text("my notes", encoding="utf-8")
    assert ".saved/" in learner.runs("workshop solve")
    assert "Nothing" in learner.runs("workshop diff")
    learner.runs("workshop undo")
    assert (learner.clone / "src" / "mine.txt").read_text() == "my notes"
    learner.runs("workshop undo")
    assert "Nothing" in learner.runs(f"workshop diff {SPANS}") and not (learner.clone / "src" / "mine.txt").exists()


def test_who_jumps_to_a_lesson_hears_which_packages_the_ones_before_have_installed(learner):
    first, second = (lesson.name for lesson in lessons.lessons()[:2])
    (learner.clone / first / "requirements.txt").write_text("never-published==1\n", encoding="utf-8")
    cure = f"`pip install --require-hashes -r {first}/requirements.txt`"
    assert cure in learner.runs(f"workshop start {second}").replace("\n", " ")
    assert cure not in learner.runs(f"workshop start {first}").replace("\n", " ")


def test_a_green_check_is_recorded_once_a_lesson_was_started_and_a_red_one_is_not(learner):
    learner.runs(f"workshop start {SPANS}")
    red = asked(learner, "workshop check")
    assert red.returncode == 1 and "Traceback" not in red.stdout
    assert red.stdout.count("not-under-agent") == 1 and red.stdout.count(" (same)") == 3
    assert "\n0 of 4 green" in red.stdout and not parted(red.stdout)
    learner.runs("workshop solve")
    learner.runs(f"python -m pytest -q {SPANS}/test_first_span.py::test_a_request_that_carries_a_trace_continues_it")
    assert "0 of" in learner.runs("workshop"), "one test of several is not the lesson"
    green = learner.runs("workshop check")
    assert green.count("✓") == 4 and "\n4 of 4 green" in green and not parted(green)
    assert "1 of" in learner.runs("workshop")
    assert "Next: `workshop start 300/300/200`" in green


def test_who_reads_only_the_first_line_of_a_check_gets_no_word_of_python(learner):
    learner.runs(f"workshop start {SPANS}")
    done = asked(learner, "workshop check | head -n 1")
    assert (done.stdout, done.stderr) == (f"{SPANS} Your first span\n", "")


def test_pytest_says_the_same_as_the_check(learner):
    learner.runs(f"workshop start {SPANS}")
    red = asked(learner, f"python -m pytest {SPANS}")
    assert red.returncode == 1 and "opentelemetry-instrument" in red.stdout and "Error" not in red.stdout


def test_what_the_shell_exports_is_named_and_left_out(learner):
    learner.runs(f"workshop solve {SPANS}")
    done = asked(learner, f"python -m pytest -q {SPANS}", OTEL_SDK_DISABLED="true", http_proxy="http://127.0.0.1:9")
    assert done.returncode == 0 and re.search(NAMED, " ".join(done.stdout.split()))
    done = asked(learner, f"workshop check {SPANS}", OTEL_SDK_DISABLED="true", http_proxy="http://127.0.0.1:9")
    assert done.returncode == 0 and re.search(NAMED, " ".join(done.stdout.split()))


@pytest.mark.parametrize("count", [2, pytest.param(20, marks=pytest.mark.thorough)])
def test_checks_at_once_do_not_meet_and_end_right(learner, count: int):
    learner.runs(f"workshop solve {SPANS}")
    runs = [
        subprocess.Popen(["workshop", "check", SPANS], cwd=learner.clone, env=learner.env, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    said = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0] * count, said


def test_a_check_in_the_background_of_a_script_can_stop_its_app(learner):
    learner.runs(f"workshop solve {SPANS}")
    assert "✓" in learner.runs(f"trap '' INT; workshop check {SPANS}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM])
def test_ctrl_c_and_a_closed_terminal_end_a_check_and_leave_no_process_and_no_word_of_python(learner, number):
    learner.runs(f"workshop solve {SPANS}")
    run = subprocess.Popen(
        ["workshop", "check", SPANS],
        cwd=learner.clone,
        env=learner.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    check = psutil.Process(run.pid)
    children: list[psutil.Process] = []
    while not any("flask" in " ".join(child.cmdline()) for child in children):
        assert run.poll() is None
        children = [child for child in check.children(recursive=True) if child.status() != "zombie"]
    os.killpg(run.pid, number)
    said, _ = run.communicate(timeout=30)
    assert run.returncode != 0 and "Traceback" not in said
    assert not psutil.wait_procs(children, 10)[1]


def test_completion_offers_lessons(learner):
    offered = asked(
        learner, "workshop", _WORKSHOP_COMPLETE="bash_complete", COMP_WORDS="workshop start 300/300/", COMP_CWORD="2"
    ).stdout
    assert f"plain,{SPANS}" in offered
