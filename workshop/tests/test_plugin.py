"""The pytest side: what counts as proved, in a repository in miniature where each lesson but the first has one defect."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from workshop.course.fences import ROOT

PAGE = """# Count

Write `src/count{n}.sh`:

```sh title="src/count{n}.sh"
echo three
```

```shell
sh count{n}.sh
```

```text title="output"
three
```
"""

TEST = """import pytest


@pytest.mark.before("not-three")
def test_it_says_three(checkpoint):
    said = checkpoint.run("sh count{n}.sh").output
    checkpoint.must("three" in said, "not-three", seen=said, expected="three", why="there are three")
"""

TURN = """## not-three: another number

```diff title="src/count{n}.sh"
-echo three
+echo four
```
"""
OTHER = """## by printf

```diff title="src/count{n}.sh"
-echo three
+printf 'three\\n'
```
"""
RUN = 'checkpoint.run("sh count{n}.sh").output'
UNUSED = ("test_it.py", RUN, '"three" if (checkpoint.folder / "count{n}.sh").exists() else ""')
DEFECTS = {
    "nothing": [],
    "a command that no test uses": [UNUSED],
    "an unused command that prints something else": [UNUSED, ("README.md", 'output"\nthree', 'output"\nthirty')],
    "a query that no test uses": [UNUSED, ("README.md", "```shell", "```promql\nup\n```\n\n```shell")],
    "an output that the run does not print": [("README.md", 'output"\nthree', 'output"\nthirty')],
    "a check that is green before": [("test_it.py", '"three" in said', "said")],
    "red before with something else": [("test_it.py", 'before("not-three")', 'before("no-spans")')],
    "a wrong turn that stays green": [("wrong-turns.md", "+echo four", "+echo thirty-three")],
    "a wrong turn with another diagnosis": [("wrong-turns.md", "## not-three", "## no-spans")],
    "another solution that is red": [("other-solutions.md", "+printf 'three\\n'", "+echo 3")],
}
NAMES = {what: f"100/{number:03}" for number, what in enumerate(DEFECTS, 1)}


@pytest.fixture
def run(bare):
    """`run(*options)` runs pytest on the miniature's lessons as its user would; gives its exit code and its words."""
    shutil.copytree(ROOT / "workshop", bare.root / "workshop", ignore=shutil.ignore_patterns("tests", "site", "__pycache__"))
    shutil.copy2(ROOT / "pyproject.toml", bare.root)
    shutil.copy2(ROOT / "requirements.txt", bare.root)
    for number, (what, changes) in enumerate(DEFECTS.items()):
        texts = {"README.md": PAGE, "test_it.py": TEST, "wrong-turns.md": TURN, "other-solutions.md": OTHER}
        for name, old, new in changes:
            assert old in texts[name]
            texts[name] = texts[name].replace(old, new)
        for name, text in texts.items():
            bare.write(f"{NAMES[what]}/{name}", text.replace("{n}", str(number)))

    def run_pytest(*options: str) -> tuple[int, str]:
        line = [sys.executable, "-m", "pytest", "-q", "-rN", *options, *([] if options[-1][0].isdigit() else ["100"])]
        env = {**os.environ, "PYTHONPATH": str(bare.root)}
        done = subprocess.run(line, cwd=bare.root, env=env, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout + done.stderr

    return run_pytest


@pytest.mark.parametrize("processes", [[], ["-n", "2", "--dist", "loadgroup"]])
def test_at_the_end_all_is_green_used_and_as_shown_and_every_wrong_turn_red(run, processes):
    code, said = run("--at", "end", *processes)
    assert code == 1
    assert "8 failed, 22 passed" in said
    assert f"{NAMES['a command that no test uses']}/README" not in said
    other, query = NAMES["an unused command that prints something else"], NAMES["a query that no test uses"]
    assert f"{other}/README.md:9: no test uses all that stands here, and run by itself it is red" in said
    assert re.findall(r"^(\S+): no test uses this (\w+) block", said, re.M) == [(f"{query}/README.md:9", "query")]
    shown = NAMES["an output that the run does not print"]
    assert f"{shown}/README.md:13: the run printed something else than this block shows; `workshop output {shown}`" in said
    for proves_nothing in ("a command that no test uses", "a check that is green before", "a wrong turn that stays green"):
        assert f"every check of {NAMES[proves_nothing]} is green on this wrong turn" in said
    assert "must be red with no-spans; is red with not-three" in said
    assert "this solution is right, and a check is red with not-three" in said
    assert "Traceback" not in said


def test_side_by_side_the_tests_of_one_lesson_stay_together_and_what_none_uses_is_found(run, bare):
    name = NAMES["an unused command that prints something else"]
    path = bare.root / name / "test_it.py"
    one = path.read_text().partition("\n\n\n")[2]
    path.write_text(path.read_text() + "".join("\n\n" + one.replace("says_three", f"says_it_in_{n}") for n in range(3)))
    code, said = run("--at", "end", "-n", "2", "--dist", "loadgroup", name)
    assert code == 1 and "1 failed, 5 passed" in said
    assert f"{name}/README.md:9: no test uses all that stands here" in said


def test_at_the_start_every_check_is_red_with_the_diagnosis_it_names(run):
    code, said = run("--at", "start")
    assert code == 1
    assert "2 failed, 8 passed" in said
    assert "This check is green before its lesson; it must be red with not-three." in said
    assert "Before its lesson this check must be red with no-spans; it is red with not-three" in said


def test_tests_of_a_lesson_share_what_they_ask_for(run, bare):
    shared = TEST.replace('checkpoint.run("sh count{n}.sh").output', "checkpoint.shared(count)").replace("{n}", "0")
    run_once = (
        "def count(checkpoint):\n    checkpoint.run('sh count0.sh')\n    return (checkpoint.folder / 'runs').read_text()\n"
    )
    again = (
        shared.split("\n\n\n")[1]
        .replace("test_it_says_three", "test_it_says_it_once")
        .replace('"three" in said', 'said == "three\\n"')
    )
    name = NAMES["nothing"]
    bare.write(f"{name}/README.md", PAGE.replace("{n}", "0").replace("echo three", "echo three | tee -a runs"))
    bare.write(f"{name}/test_it.py", f"{shared}\n\n{again}\n\n{run_once}")
    (bare.root / name / "wrong-turns.md").unlink()
    (bare.root / name / "other-solutions.md").unlink()
    assert "2 passed" in run("--at", "end", name)[1]
    code, said = run("--at", "start", name)
    assert code == 1 and "FileNotFoundError" in said


def test_on_the_learners_own_work_a_red_check_is_a_diagnosis_without_a_traceback(run, bare):
    bare.write("src/count0.sh", "echo four\n")
    code, said = run(NAMES["nothing"])
    assert code == 1
    assert re.search(r"^not-three\n +seen +four\n +expected +three\n", said, re.M)
    assert "Traceback" not in said and "test_it.py:" not in said
    bare.write("src/count0.sh", "echo three\n")
    assert run(NAMES["nothing"])[0] == 0


def test_a_check_that_names_no_state_before_its_lesson_is_an_error(run, bare):
    path = f"{NAMES['nothing']}/test_it.py"
    bare.write(path, TEST.replace("{n}", "0").replace('@pytest.mark.before("not-three")\n', ""))
    code, said = run("--at", "end", NAMES["nothing"])
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "mark it with @pytest.mark.before('...')" in said


def test_an_output_is_written_anew_from_the_run(run, bare):
    name = NAMES["an output that the run does not print"]
    assert run("--at", "end", "--write-output", name)[0] == 0
    assert 'title="output"\nthree\n' in (bare.root / name / "README.md").read_text()
    assert run("--at", "end", name)[0] == 0


@pytest.mark.parametrize(
    "how, done",
    [
        ([], True),
        (["-k", "three or again"], True),
        (["-k", "three"], False),
        (["-m", "not slow"], False),
        (["--deselect={folder}/test_it.py::test_it_says_it_again"], False),
        (["{folder}/test_it.py::test_it_says_three"], False),
        (["{folder}/test_it.py::test_it_says_three", "{folder}/test_it.py::test_it_says_it_again"], False),
        (["--collect-only"], False),
    ],
)
def test_a_lesson_is_done_only_when_every_test_of_it_ran_and_passed(run, bare, how: list[str], done: bool):
    name = NAMES["nothing"]
    again = TEST.split("\n\n\n")[1].replace("test_it_says_three", "test_it_says_it_again")
    bare.write(f"{name}/test_it.py", f"{TEST}\n\n@pytest.mark.slow\n{again}".replace("{n}", "0"))
    bare.workspace.start(bare.lesson(name))
    bare.write("src/count0.sh", "echo three\n")
    options = [option.replace("{folder}", name) for option in how]
    code, said = run(*options, *([] if options and options[-1].startswith(name) else [name]))
    assert code == 0, said
    assert (name in bare.workspace.progress()["done"]) is done


def test_a_pytest_that_does_not_know_the_workshop_says_what_to_do():
    line = [sys.executable, "-m", "pytest", "-p", "no:workshop", "300/300/100"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "`source .venv/bin/activate`" in done.stderr and "Traceback" not in done.stderr
