"""Moving `src/` between lessons: nothing is lost, whatever lies there and whenever it is stopped."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from workshop.course import lessons
from workshop.course.replay import replay
from workshop.learner import workspace
from workshop.learner.workspace import Workspace, WorkspaceError

# What a learner may have lying in src/: own files, one changed, odd names, binary data, CRLF.
OWN = {
    "app/views.py": "first\r\nsecond, mine\r\n",
    "notes for me.txt": "äöü\n",
    "deep/er/and deeper/ünï.bin": bytes(range(256)),
    "empty.py": "",
    "last.py": "last\n",
}
# What a running app makes, and nobody may touch.
RUNTIME = {
    "instance/todo.db": b"the database",
    "app/instance/key": b"secret",
    "output.log": b"spans",
    "app/__pycache__/views.cpython-311.pyc": b"\x00",
    ".DS_Store": b"\x00",
}
OWN_BYTES = {path: data.encode() if isinstance(data, str) else data for path, data in OWN.items()}


def refusal(function, *given) -> str:
    with pytest.raises(WorkspaceError) as refused:
        function(*given)
    return str(refused.value)


def moved(toy) -> dict[str, bytes]:
    """`src/` without what a running app made."""
    return {path: data for path, data in toy.src().items() if path not in RUNTIME}


@pytest.fixture
def mine(toy):
    """The toy repository with a learner's work in it, and with what a running app left."""
    toy.fill(OWN)
    toy.fill(RUNTIME)
    return toy


# --- start, solve, undo ----------------------------------------------------------------------------------------------


def test_start_and_solve_make_src_what_the_lesson_says(mine):
    lesson = mine.lesson("100/200")
    assert mine.workspace.start(lesson) == mine.root / ".saved/001"
    assert moved(mine) == replay(lesson, end=False)
    assert mine.workspace.solve(lesson) == mine.root / ".saved/002"
    assert moved(mine) == replay(lesson)
    assert {path: data for path, data in mine.src().items() if path in RUNTIME} == RUNTIME
    assert mine.contents(mine.root / ".saved/001") == OWN_BYTES


def test_undo_brings_everything_back_and_a_second_undo_takes_that_back(mine):
    mine.workspace.solve(mine.lesson("200/100"))
    solved = moved(mine)
    assert mine.workspace.undo() == (mine.root / ".saved/001", mine.root / ".saved/002")
    assert moved(mine) == OWN_BYTES
    assert mine.workspace.undo() == (mine.root / ".saved/002", mine.root / ".saved/003")
    assert moved(mine) == solved
    mine.workspace.undo()
    assert moved(mine) == OWN_BYTES
    assert {path: data for path, data in mine.src().items() if path in RUNTIME} == RUNTIME


def test_nothing_is_kept_when_nothing_has_to_change(toy):
    lesson = toy.lesson("100/100")
    assert toy.workspace.solve(lesson)
    assert toy.workspace.solve(lesson) is None
    assert toy.workspace.start(toy.lesson("100/200"))
    assert [copy.name for copy in toy.workspace.copies()] == ["001", "002"]


def test_to_go_on_adds_what_a_lesson_hands_over_and_leaves_all_else_as_it_is(mine):
    (mine.root / "src/link.py").symlink_to("empty.py")
    mine.fill({"static/style.css": "of an earlier lesson"})
    before = moved(mine)
    assert mine.workspace.go_on(mine.lesson("100/200")) == mine.root / ".saved/001"
    given = mine.contents(mine.root / "100/200/src")
    assert moved(mine) == {**before, **given}
    assert mine.workspace.progress()["current"] == "100/200"
    assert mine.workspace.go_on(mine.lesson("200/100")) is None
    assert (moved(mine), mine.workspace.progress()["current"]) == ({**before, **given}, "200/100")
    mine.workspace.undo()
    assert moved(mine) == before


def test_undo_before_anything_was_changed_says_so(mine):
    assert refusal(mine.workspace.undo).startswith("nothing to undo")
    assert moved(mine) == OWN_BYTES


def test_what_the_learner_deleted_stays_deleted_after_an_undo(mine):
    mine.workspace.solve(mine.lesson("100/200"))
    (mine.root / "src/app/views.py").unlink()
    mine.workspace.solve(mine.lesson("100/200"))
    assert mine.src()["app/views.py"] == b"first\n2nd\nthird\n"
    mine.workspace.undo()
    assert "app/views.py" not in mine.src()


def test_a_src_that_is_gone_is_made_anew(toy):
    shutil.rmtree(toy.root / "src")
    toy.workspace.start(toy.lesson("100/200"))
    assert toy.src() == replay(toy.lesson("100/200"), end=False)


def test_src_itself_is_never_replaced(mine):
    before = (mine.root / "src").stat().st_ino
    mine.workspace.start(mine.lesson("100/100"))
    assert mine.src() == {path: data for path, data in RUNTIME.items()}
    mine.workspace.undo()
    assert (mine.root / "src").stat().st_ino == before


def test_folders_that_became_empty_are_gone_and_others_stay(mine):
    mine.workspace.start(mine.lesson("100/100"))
    assert sorted(path.name for path in (mine.root / "src").iterdir()) == [".DS_Store", "app", "instance", "output.log"]


def test_what_is_put_back_looks_new_to_a_reloader_and_keeps_its_mode(mine):
    run = mine.root / "src/empty.py"
    run.chmod(0o755)
    os.utime(run, (1_000_000_000, 1_000_000_000))
    mine.workspace.start(mine.lesson("100/100"))
    assert (mine.root / ".saved/001/empty.py").stat().st_mtime == 1_000_000_000
    mine.workspace.undo()
    assert run.stat().st_mode & 0o777 == 0o755
    assert run.stat().st_mtime > 1_000_000_000


def test_a_read_only_file_is_moved_like_any_other(mine):
    (mine.root / "src/app/views.py").chmod(0o444)
    mine.workspace.solve(mine.lesson("100/200"))
    assert moved(mine) == replay(mine.lesson("100/200"))
    mine.workspace.undo()
    assert moved(mine) == OWN_BYTES


def test_the_database_of_a_running_app_is_not_disturbed(toy):
    toy.fill({"instance/.keep": ""})
    database = toy.root / "src/instance/todo.db"
    app = sqlite3.connect(database)
    app.execute("create table task (title text)")
    app.execute("insert into task values ('before')")
    toy.workspace.solve(toy.lesson("100/200"))
    app.commit()
    toy.workspace.undo()
    app.close()
    assert sqlite3.connect(database).execute("select title from task").fetchall() == [("before",)]


@pytest.mark.parametrize("name", ["app/views.py", "run.sh", "static/style.css"])
def test_a_folder_stands_where_the_lesson_has_a_file(toy, name):
    toy.fill({f"{name}/inside.txt": "mine"})
    toy.workspace.solve(toy.lesson("100/200"))
    assert toy.src() == replay(toy.lesson("100/200"))
    toy.workspace.undo()
    assert toy.src() == {f"{name}/inside.txt": b"mine"}


def test_an_empty_folder_stands_where_the_lesson_has_a_file(toy):
    (toy.root / "src/app/views.py").mkdir(parents=True)
    toy.workspace.solve(toy.lesson("100/200"))
    assert toy.src() == replay(toy.lesson("100/200"))


def test_a_file_stands_where_the_lesson_has_a_folder(toy):
    toy.fill({"app": "mine"})
    toy.workspace.solve(toy.lesson("100/200"))
    assert toy.src() == replay(toy.lesson("100/200"))
    toy.workspace.undo()
    assert toy.src() == {"app": b"mine"}


def test_a_folder_that_cannot_go_leaves_no_half_written_file(toy):
    toy.fill({"run.sh/instance/todo.db": "rows"})
    message = refusal(toy.workspace.solve, toy.lesson("100/100"))
    assert "src/run.sh: a folder stands where the lesson has a file; move it out of src/" in message
    assert "All that you had is in .saved/001/" in message
    assert not list(toy.root.rglob("*partial*"))
    toy.workspace.undo()
    assert toy.src() == {"run.sh/instance/todo.db": b"rows"}


def test_symbolic_links_are_kept_as_links_and_never_followed(toy, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "views.py").write_text("precious")
    (toy.root / "src/app").symlink_to(outside)
    (toy.root / "src/run.sh").symlink_to(outside / "views.py")
    (toy.root / "src/gone").symlink_to("nowhere")
    (toy.root / "src/round").symlink_to(".")
    before = toy.src()
    toy.workspace.solve(toy.lesson("100/200"))
    assert toy.src() == replay(toy.lesson("100/200"))
    toy.workspace.undo()
    assert toy.src() == before
    assert toy.contents(outside) == {"views.py": b"precious"}


def test_a_loop_of_folders_ends(toy):
    toy.fill({"a/b/own.txt": "mine"})
    (toy.root / "src/a/b/up").symlink_to("../../a")
    toy.workspace.start(toy.lesson("100/100"))
    assert toy.src() == {}
    toy.workspace.undo()
    assert toy.src() == {"a/b/own.txt": b"mine", "a/b/up": b"-> ../../a"}


def test_a_learner_who_already_has_the_name_of_our_temporary_file_loses_nothing(toy, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    toy.fill({"app/views.py": "mine"})
    (toy.root / "src/app/.workshop-partial").symlink_to(precious)
    toy.workspace.solve(toy.lesson("100/100"))
    toy.workspace.undo()
    assert (toy.src()["app/views.py"], precious.read_text()) == (b"mine", "precious")


def test_names_that_are_no_text_at_all_are_moved_too(toy):
    name = os.fsdecode(b"caf\xe9.txt")
    try:
        toy.fill({name: "mine"})
    except OSError as error:  # a file system that takes only UTF-8, as on a Mac, has no such names
        assert error.errno == errno.EILSEQ
        return
    toy.workspace.start(toy.lesson("100/100"))
    toy.workspace.undo()
    assert toy.src() == {name: b"mine"}


@pytest.mark.parametrize("kind", ["pipe", "socket"])
@pytest.mark.parametrize("command", ["start", "undo"])
def test_what_is_no_file_is_refused_before_anything_changes(mine, kind, command, monkeypatch):
    if command == "undo":
        mine.workspace.solve(mine.lesson("100/200"))
    before = moved(mine)
    if kind == "pipe":
        os.mkfifo(mine.root / "src/app/odd")
    else:
        monkeypatch.chdir(mine.root / "src/app")
        socket.socket(socket.AF_UNIX).bind("odd")
    begin = mine.workspace.undo if command == "undo" else lambda: mine.workspace.start(mine.lesson("100/200"))
    assert refusal(begin) == "nothing was changed: src/app/odd is no ordinary file; move it out of src/"
    assert moved(mine) == before


# --- what the system refuses -----------------------------------------------------------------------------------------


def as_nobody(toy, *arguments: str) -> str:
    """What a `Workspace` command says when it is run by a user who is not root."""
    line = [sys.executable, __file__, "nobody", *arguments]
    done = subprocess.run(line, cwd=toy.root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def owned(toy, *paths: str, mode: int) -> None:
    """Give the repository to the user of `as_nobody`, and these paths a mode."""
    if os.geteuid() == 0:
        for path in [toy.root, *toy.root.rglob("*")]:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    for path in paths:
        (toy.root / path).chmod(mode)


@pytest.mark.parametrize(
    ("path", "mode", "culprit"),
    [("src/app/views.py", 0o000, "src/app/views.py"), ("src/deep", 0o000, "src/deep"), ("src/deep", 0o300, "src/deep")],
)
def test_what_cannot_be_read_is_named_and_nothing_changes(mine, path, mode, culprit):
    owned(mine, path, mode=mode)
    for command in ("start", "solve"):
        message = as_nobody(mine, command, "100/200")
        assert message.startswith(f"nothing was changed: {culprit}: you may not; `ls -ld {culprit}` shows whose it is")
    (mine.root / path).chmod(0o755)
    assert moved(mine) == OWN_BYTES
    assert mine.workspace.copies() == []


def test_a_folder_whose_files_cannot_be_looked_at_is_named(mine):
    owned(mine, "src/app", mode=0o400)
    assert as_nobody(mine, "start", "100/200").startswith("nothing was changed: src/app/")
    (mine.root / "src/app").chmod(0o755)
    assert moved(mine) == OWN_BYTES


def test_a_read_only_repository_is_named_and_nothing_changes(mine):
    owned(mine, ".", mode=0o555)
    message = as_nobody(mine, "start", "100/200")
    assert message.startswith("src/ was not changed: .saved: you may not; `ls -ld .` shows whose it is, `chmod u+rwX .`")
    assert moved(mine) == OWN_BYTES


def test_a_read_only_src_is_named_and_undo_makes_it_whole(mine):
    owned(mine, "src", mode=0o555)
    message = as_nobody(mine, "start", "100/200")
    assert message.startswith(("src/ was not changed: src/", "src/ is only partly changed: src/"))
    assert "All that you had is in .saved/001/. `workshop undo` makes src/ whole again." in message
    (mine.root / "src").chmod(0o755)
    assert as_nobody(mine, "undo") == "done"
    assert moved(mine) == OWN_BYTES


def test_a_read_only_folder_in_src_is_named_and_undo_makes_it_whole(mine):
    owned(mine, "src/app", mode=0o555)
    message = as_nobody(mine, "solve", "100/200")
    assert "src/app/" in message and "`ls -ld src/app`" in message and "undo" in message
    (mine.root / "src/app").chmod(0o755)
    assert as_nobody(mine, "undo") == "done"
    assert moved(mine) == OWN_BYTES


def test_a_file_in_the_place_of_saved_is_named(mine):
    mine.write(".saved", "mine")
    assert refusal(mine.workspace.start, mine.lesson("100/200")) == "src/ was not changed: .saved: File exists"
    assert moved(mine) == OWN_BYTES


def test_a_file_larger_than_the_system_allows_is_named_and_nothing_changes(mine):
    mine.fill({"large.bin": b"x" * 200_000})
    done = subprocess.run(
        [sys.executable, __file__, "small", "start", "100/200"],
        cwd=mine.root,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.startswith("src/ was not changed: src/large.bin: File too large"), done.stderr
    assert moved(mine) == {**OWN_BYTES, "large.bin": b"x" * 200_000}
    assert mine.workspace.copies() == []


def test_progress_that_cannot_be_written_is_named(toy):
    toy.workspace.start(toy.lesson("100/200"))
    (toy.root / f".saved/progress.json.{os.getpid()}.partial").symlink_to("/dev/full")
    message = refusal(toy.workspace.mark_done, toy.lesson("100/200"))
    assert message == ".saved/progress.json was not written: a file: the disk is full; free some space"


# --- stopped at any moment -------------------------------------------------------------------------------------------


def storm(mine, fault: str, command: str, lesson: str) -> Iterator[tuple[Path, str]]:
    """The repository after a fault at each step of a command, one copy for each, with what the command said."""
    cases = mine.root.parent / f"{fault} {command}"
    cases.mkdir()
    line = [sys.executable, __file__, "storm", fault, command, lesson, cases]
    done = subprocess.run(line, cwd=mine.root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert len(said) > 15, "the fault came at too few moments to prove anything"
    for number, words in enumerate(said, 1):
        yield cases / str(number), words
        shutil.rmtree(cases / str(number))


def lost(toy, root: Path, wanted: dict[str, bytes]) -> list[str]:
    """The files that are whole neither in `src/` nor in one complete copy."""
    places = [toy.contents(root / "src"), *(toy.contents(copy) for copy in Workspace(root).copies())]
    return [path for path, data in wanted.items() if all(place.get(path) != data for place in places)]


def torn(toy, root: Path, *versions: dict[str, bytes]) -> list[str]:
    """The files of `src/` that are nobody's: half written, or of no version at all."""
    whole = {(path, data) for version in (*versions, RUNTIME) for path, data in version.items()}
    files = toy.contents(root / "src").items()
    return [path for path, data in files if (path, data) not in whole and not path.endswith(".workshop-partial")]


def without_runtime(files: dict[str, bytes]) -> dict[str, bytes]:
    return {path: data for path, data in files.items() if path not in RUNTIME}


@pytest.fixture
def no_sync(monkeypatch):
    """Do not wait for the disk: what a kill leaves is what the kernel knows, whether that is on the disk or not."""
    monkeypatch.setattr(workspace, "_sync", lambda path: None)


@pytest.mark.parametrize("fault", ["kill", "full"])
@pytest.mark.parametrize(
    ("command", "before"), [("solve", "a start"), pytest.param("start", "nothing", marks=pytest.mark.thorough)]
)
@pytest.mark.usefixtures("no_sync")
def test_a_fault_at_any_step_of_a_move_loses_nothing(mine, fault, command, before):
    if before == "a start":
        mine.workspace.start(mine.lesson("100/100"))
        mine.fill(OWN)
    expected = replay(mine.lesson("100/200"), end=command == "solve")
    for root, said in storm(mine, fault, command, "100/200"):
        assert (lost(mine, root, OWN_BYTES), torn(mine, root, OWN_BYTES, expected)) == ([], []), root
        assert {path: data for path, data in mine.contents(root / "src").items() if path in RUNTIME} == RUNTIME, root
        now = without_runtime(mine.contents(root / "src"))
        if fault == "full":
            assert "the disk is full; free some space" in said, root
            assert not list((root / "src").rglob(".workshop-partial")), root
            assert ("src/ was not changed" in said) <= (now == OWN_BYTES), root
        if now != OWN_BYTES:
            Workspace(root).undo()
            assert without_runtime(mine.contents(root / "src")) == OWN_BYTES, root


@pytest.mark.thorough
@pytest.mark.parametrize("fault", ["kill", "full"])
@pytest.mark.usefixtures("no_sync")
def test_a_fault_at_any_step_of_an_undo_loses_nothing_and_undo_goes_on(mine, fault):
    mine.workspace.solve(mine.lesson("100/200"))
    mine.fill({"app/views.py": "first\n2nd, and more of mine\n", "new.py": "new\n"})
    later = moved(mine)
    for root, said in storm(mine, fault, "undo", ""):
        assert lost(mine, root, OWN_BYTES) == lost(mine, root, later) == torn(mine, root, OWN_BYTES, later) == [], root
        if fault == "full":
            assert "the disk is full; free some space" in said, root
        if without_runtime(mine.contents(root / "src")) != OWN_BYTES:
            Workspace(root).undo()
        assert without_runtime(mine.contents(root / "src")) == OWN_BYTES, root
        assert lost(mine, root, later) == [], root


@pytest.mark.thorough
def test_kill_at_many_times_loses_nothing(mine):
    many = {f"many/{number}.txt": f"mine {number}\n" * 50 for number in range(30)}
    mine.fill(many)
    wanted = {**OWN_BYTES, **{path: text.encode() for path, text in many.items()}}
    expected = replay(mine.lesson("100/200"))
    dice = random.Random(4317)

    def killed_after(command: str, seconds: float) -> float:
        line = [sys.executable, __file__, "run", command, "100/200"]
        with subprocess.Popen(line, cwd=mine.root, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            begun = time.monotonic()
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            process.kill()
        return time.monotonic() - begun

    whole = {command: killed_after(command, 60) for command in ("solve", "undo")}
    for command in ("solve", "undo") * 5:
        shutil.rmtree(mine.root / ".saved")
        if command == "undo":
            mine.workspace.solve(mine.lesson("100/200"))
        killed_after(command, dice.uniform(0, whole[command]))
        assert (lost(mine, mine.root, wanted), torn(mine, mine.root, wanted, expected)) == ([], [])
        if moved(mine) != wanted:
            mine.workspace.undo()
        assert moved(mine) == wanted


def test_ctrl_c_in_the_middle_says_where_everything_is(mine, monkeypatch):
    replace = os.replace

    def stopped(source, target):
        if Path(target).name == "style.css":
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", stopped)
    message = refusal(mine.workspace.solve, mine.lesson("100/200"))
    assert message.startswith("src/ is only partly changed: you stopped it\nAll that you had is in .saved/001/.")
    assert not list(mine.root.rglob("*partial*")) and not (mine.root / ".saved/next").exists()
    mine.workspace.undo()
    assert moved(mine) == OWN_BYTES


# --- two at once -----------------------------------------------------------------------------------------------------


def test_two_commands_at_once_both_succeed_one_after_the_other(mine):
    wanted = [replay(mine.lesson("100/200")), replay(mine.lesson("200/100"))]
    for _ in range(3):
        lines = [[sys.executable, __file__, "run", "solve", name] for name in ("100/200", "200/100", "100/200")]
        running = [subprocess.Popen(line, cwd=mine.root, stdout=subprocess.PIPE, text=True) for line in lines]
        assert [process.communicate(timeout=60)[0] for process in running] == ["begins\ndone\n"] * 3
        assert moved(mine) in wanted
    copies = [mine.contents(copy) for copy in mine.workspace.copies()]
    assert copies[0] == OWN_BYTES
    assert all(copy in wanted for copy in copies[1:])


def test_a_second_command_waits_for_the_first(mine):
    (mine.root / ".saved").mkdir()
    with open(mine.root / ".saved/lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        line = [sys.executable, __file__, "run", "start", "100/200"]
        second = subprocess.Popen(line, cwd=mine.root, stdout=subprocess.PIPE, text=True)
        assert second.stdout.readline() == "begins\n"
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(0.3)
        assert moved(mine) == OWN_BYTES
    assert second.communicate(timeout=60)[0] == "done\n"
    assert moved(mine) == replay(mine.lesson("100/200"), end=False)


def test_the_c_locale_changes_nothing(mine):
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))}
    for command in ("solve", "undo"):
        line = [sys.executable, __file__, "run", command, "100/200"]
        done = subprocess.run(line, cwd=mine.root, env={**env, "LC_ALL": "C"}, capture_output=True, text=True, timeout=60)
        assert done.stdout == "begins\ndone\n", done.stderr
    assert moved(mine) == OWN_BYTES
    assert mine.contents(mine.root / ".saved/002") == replay(mine.lesson("100/200"))


# --- copies, progress, differences -----------------------------------------------------------------------------------


@pytest.mark.parametrize("noted", [None, "", "777", b"\xff"])
def test_undo_takes_the_newest_copy_when_nothing_tells_which(mine, noted):
    mine.workspace.start(mine.lesson("100/100"))
    mine.workspace.solve(mine.lesson("100/200"))
    (mine.root / ".saved/undo").unlink()
    if noted is not None:
        mine.write(".saved/undo", noted)
    assert mine.workspace.undo()[0].name == "002"


def test_only_complete_copies_count_in_the_order_of_their_numbers(toy):
    for name in ("999", "1000", "partial", "next", "notes"):
        (toy.root / ".saved" / name).mkdir(parents=True)
    toy.write(".saved/1001", "a file")
    assert [copy.name for copy in toy.workspace.copies()] == ["999", "1000"]


def test_progress_counts_only_after_a_first_start(toy):
    toy.workspace.mark_done(toy.lesson("100/100"))
    assert toy.workspace.progress() == {"current": None, "done": []}
    assert not (toy.root / ".saved").exists()
    toy.workspace.start(toy.lesson("100/100"))
    for name in ("100/200", "100/100", "100/200"):
        toy.workspace.mark_done(toy.lesson(name))
    assert toy.workspace.progress() == {"current": "100/100", "done": ["100/200", "100/100"]}
    toy.workspace.solve(toy.lesson("100/200"))
    assert toy.workspace.progress() == {"current": "100/200", "done": ["100/200", "100/100"]}


@pytest.mark.parametrize("broken", ["", "{", "[]", "null", '{"done": 5}', b"\xff\xfe"])
def test_a_broken_progress_file_counts_as_none_and_is_mended(toy, broken):
    toy.write(".saved/progress.json", broken)
    assert toy.workspace.progress() == {"current": None, "done": []}
    toy.workspace.start(toy.lesson("100/100"))
    assert toy.workspace.progress() == {"current": "100/100", "done": []}


def test_differences_name_each_file_with_both_its_contents(mine):
    (mine.root / "src/link").symlink_to("app")
    found = mine.workspace.differences(replay(mine.lesson("200/100")))
    assert found["app/views.py"] == (OWN_BYTES["app/views.py"], b"first\n2nd\nthird\n")
    assert found["run.sh"] == (None, b"flask run -p 5001\n")
    assert found["link"] == (b"app", None)
    assert "last.py" not in found and not found.keys() & RUNTIME.keys()
    assert list(found) == sorted(found)


# --- what runs in processes of its own -------------------------------------------------------------------------------

NOBODY = 65534


def run(command: str, lesson: str = "") -> None:
    here = Workspace(Path("."))
    if command == "undo":
        here.undo()
    else:
        getattr(here, command)(lessons.find(lesson, here.root))


def say(command: str, lesson: str = "") -> str:
    try:
        run(command, lesson)
    except WorkspaceError as error:
        return str(error)
    return "done"


def nobody(*arguments: str) -> None:
    "".encode("utf-8-sig")  # loads the codec while Python's own files can be read for certain
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    print(say(*arguments))


def small(*arguments: str) -> None:
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    print(say(*arguments))


class Faults:
    """Lets the n-th change on the disk fail: the process is killed before it, or the disk is full from there on."""

    SPACE = ("os.mkdir", "os.symlink")
    STEPS = (*SPACE, "os.rename", "os.remove", "os.rmdir")

    def __init__(self, fault: str, number: int):
        self.fault, self.left = fault, number
        self.came = False
        for name in ("sendfile", "copy_file_range"):
            if hasattr(os, name):
                setattr(os, name, self._before_writing(getattr(os, name)))
        sys.addaudithook(self._seen)

    def _before_writing(self, original):
        def writing(*given):
            self._step("write", "")
            return original(*given)

        return writing

    def _seen(self, event: str, given: tuple) -> None:
        if event == "open" and isinstance(given[0], str):
            flags = given[2] if isinstance(given[2], int) else 0
            if flags & (os.O_WRONLY | os.O_RDWR):
                self._step("write", given[0])
        elif event in self.STEPS:
            self._step(event, given[0])

    def _step(self, event: str, path: object) -> None:
        if self.fault == "full" and event not in ("write", *self.SPACE):
            return
        self.left -= 1
        if self.left <= 0:
            self.came = True
            if self.fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path or None)


def faults(fault: str, command: str, lesson: str, cases: str) -> None:
    """Run a command once for each of its steps, with a fault there, each time in a fresh copy of this repository."""
    said, root = [], Path.cwd()
    workspace._sync = lambda path: None
    while True:
        case = Path(cases) / str(len(said) + 1)
        shutil.copytree(root, case, symlinks=True)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.chdir(case)
            injected = Faults(fault, len(said) + 1)
            words = say(command, lesson)
            os.write(writing, words.encode() if injected.came else b"no fault came")
            os._exit(0)
        os.close(writing)
        os.waitpid(child, 0)
        with open(reading, encoding="utf-8") as pipe:
            words = pipe.read()
        if words == "no fault came":
            shutil.rmtree(case)
            break
        said.append(words)
    print(json.dumps(said))


def announced(*arguments: str) -> None:
    print("begins", flush=True)
    print(say(*arguments))


if __name__ == "__main__":
    {"nobody": nobody, "small": small, "storm": faults, "run": announced}[sys.argv[1]](*sys.argv[2:])
