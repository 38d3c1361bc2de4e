"""The installation: made, found made, repaired, and explained when it cannot be made."""

import ast
import base64
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import psutil
import pytest

from workshop.course.fences import ROOT
from workshop.programs import roads
from workshop.programs.program import JAEGER
from workshop.setup.cache import locked
from workshop.setup.commands import CommandFailed, Ticker, inherited_environment, run
from workshop.setup.environments import EnvironmentFailed, add_requirements, make_environment

UV = """
import json, os, pathlib, sys
with open(os.environ["FAKE_LOG"], "a") as log:
    print(json.dumps(sys.argv[1:]), file=log)
if os.environ.get("FAKE_SAYS") and sys.argv[1] != "venv":
    sys.exit(os.environ["FAKE_SAYS"])
if sys.argv[1] == "venv":
    folder = pathlib.Path(sys.argv[-1])
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    (folder / "bin" / "python").touch()
"""


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A repository whose path has spaces and letters beyond ASCII, where `uv` is a script that only takes notes."""
    tools, root = tmp_path / "bin", tmp_path / "my clone ü"
    tools.mkdir()
    root.mkdir()
    tool(tools, "uv", UV)
    (root / "requirements.txt").write_text("flask==3.1.3 \\\n    --hash=sha256:00\n", encoding="utf-8")
    (root / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    monkeypatch.setenv("PATH", os.pathsep.join([str(tools), os.defpath]))
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "uv.log"))
    monkeypatch.delenv("FAKE_SAYS", raising=False)
    return root


def tool(folder: Path, name: str, code: str) -> None:
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder / name}.py" "$@"\n', encoding="utf-8")
    (folder / name).chmod(0o755)


def commands() -> list[list[str]]:
    log = Path(os.environ["FAKE_LOG"])
    found = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    log.unlink(missing_ok=True)
    return found


def installed(root: Path, told: list | None = None) -> bool:
    note = (told if told is not None else []).append
    return make_environment(root / ".venv", root / "requirements.txt", note, editable=root)


def test_packages_come_with_hashes_and_the_workshop_as_it_lies_there(repository):
    told = []
    assert installed(repository, told)
    venv, python = str(repository / ".venv"), str(repository / ".venv" / "bin" / "python")
    make, fill, link = commands()
    assert make == ["venv", "--seed", "--python", sys.executable, "--clear", venv]
    assert fill[:4] == ["pip", "install", "--python", python]
    assert "--require-hashes" in fill and fill[-1] == str(repository / "requirements.txt")
    assert link[4:] == ["--no-deps", "--no-build-isolation", "-e", str(repository)]
    assert told == ["making .venv with uv", "installing 1 package with uv"]


def test_a_second_run_does_nothing(repository):
    installed(repository)
    commands()
    assert not installed(repository)
    assert commands() == []


@pytest.mark.parametrize("changed", ["requirements.txt", "pyproject.toml"])
def test_what_has_changed_is_installed_without_making_it_anew(repository, changed):
    installed(repository)
    commands()
    (repository / changed).write_text("flask==3.1.4\n", encoding="utf-8")
    assert installed(repository)
    assert [command[0] for command in commands()] == ["pip", "pip"]


def test_what_an_interrupted_run_left_is_made_anew(repository, monkeypatch):
    monkeypatch.setenv("FAKE_SAYS", "killed in the middle")
    with pytest.raises(EnvironmentFailed):
        installed(repository)
    monkeypatch.delenv("FAKE_SAYS")
    commands()
    assert installed(repository)
    assert [command[0] for command in commands()] == ["venv", "pip", "pip"]


def test_an_environment_that_was_moved_is_made_anew(repository):
    installed(repository)
    commands()
    moved = repository.rename(repository.with_name("elsewhere"))
    assert installed(moved)
    assert commands()[0][0] == "venv"


def test_an_environment_whose_python_is_gone_is_made_anew(repository):
    installed(repository)
    commands()
    (repository / ".venv" / "bin" / "python").unlink()
    assert installed(repository)
    assert commands()[0][0] == "venv"


def test_the_project_is_named_in_ascii_whatever_its_path(repository):
    packages = repository / ".venv" / "lib" / "python3" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "workshop.pth").write_text(f"{repository}\n", encoding="utf-8")
    (packages / "other.pth").write_text("elsewhere\n", encoding="utf-8")
    installed(repository)
    assert (packages / (packages / "workshop.pth").read_text(encoding="ascii").strip()).resolve() == repository
    assert (packages / "other.pth").read_text(encoding="utf-8") == "elsewhere\n"


def test_an_environment_that_the_learner_made_is_used_as_it_is(repository):
    (repository / ".venv" / "bin").mkdir(parents=True)
    (repository / ".venv" / "bin" / "python").touch()
    assert installed(repository)
    assert [command[0] for command in commands()] == ["pip", "pip"]


def test_the_tests_requirements_come_once(repository):
    installed(repository)
    commands()
    more = repository / "tests.txt"
    more.write_text("tool==1.0\n", encoding="utf-8")
    told = []
    add_requirements(repository / ".venv", more, told.append)
    add_requirements(repository / ".venv", more, told.append)
    [command] = commands()
    assert command[-1] == str(more) and "--no-deps" in command
    assert told == ["installing 1 package with uv"]
    assert not installed(repository)


@pytest.mark.parametrize(
    "says, cure",
    [
        ("error: Could not connect, are you offline?", "Is the network up"),
        ("error: Hash mismatch for `flask==3.1.3`", "A package is not the one that requirements.txt pins"),
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("/usr/bin/python3: No module named pip", "is a virtual environment without pip. Remove it"),
    ],
)
def test_a_failure_quotes_the_tool_and_says_what_to_do(repository, monkeypatch, says, cure):
    monkeypatch.setenv("FAKE_SAYS", says)
    with pytest.raises(EnvironmentFailed) as raised:
        installed(repository)
    assert ".venv could not be filled from requirements.txt:" in str(raised.value)
    assert says in str(raised.value) and cure in str(raised.value)


def test_a_python_without_its_venv_module_is_told_the_package(repository, monkeypatch):
    python = repository / "python3"
    python.write_text("#!/bin/sh\necho 'ensurepip is not available.' >&2; exit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PATH", str(repository))
    with pytest.raises(EnvironmentFailed) as raised:
        installed(repository)
    assert f"sudo apt install python{sys.version_info.major}.{sys.version_info.minor}-venv" in str(raised.value)


def test_without_uv_pip_installs_and_verifies(tmp_path, monkeypatch):
    root = tmp_path / "my clone ü"
    root.mkdir()
    package = wheel(tmp_path)
    requirements = root / "requirements.txt"
    requirements.write_text(f"tiny==1.0 --hash=sha256:{hashlib.sha256(package.read_bytes()).hexdigest()}\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", package.parent.as_uri())
    told = []
    assert make_environment(root / ".venv", requirements, told.append)
    assert told == ["making .venv with venv", "installing 1 package with pip"]
    python = root / ".venv" / "bin" / "python"
    assert subprocess.run([python, "-c", "import tiny; print(tiny.SIZE)"], capture_output=True).stdout == b"small\n"
    assert not make_environment(root / ".venv", requirements, told.append)
    subprocess.run([python, "-m", "pip", "uninstall", "--quiet", "--yes", "tiny"], check=True)
    assert make_environment(root / ".venv", requirements, told.append), "a package that is gone or another is put right"
    assert subprocess.run([python, "-c", "import tiny"]).returncode == 0
    requirements.write_text("tiny==1.0 --hash=sha256:" + "0" * 64 + "\n")
    subprocess.run([python, "-m", "pip", "uninstall", "--quiet", "--yes", "tiny"], check=True)
    with pytest.raises(EnvironmentFailed, match="A package is not the one that requirements.txt pins"):
        make_environment(root / ".venv", requirements, told.append)


def wheel(folder: Path) -> Path:
    """A package of one module, as small as the format allows."""
    files = {
        "tiny.py": b"SIZE = 'small'\n",
        "tiny-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "tiny-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for name, data in files.items()
    )
    files["tiny-1.0.dist-info/RECORD"] = f"{record}tiny-1.0.dist-info/RECORD,,\n".encode()
    path = folder / "wheels" / "tiny-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as written:
        for name, data in files.items():
            written.writestr(name, data)
    return path


# The whole command, in a copy of the repository


@pytest.fixture
def clone(repository, tmp_path, monkeypatch) -> Path:
    """As much of the workshop as the installation needs, with an empty cache and no way to the archive host."""
    shutil.copytree(ROOT / "workshop", repository / "workshop", ignore=shutil.ignore_patterns("__pycache__", "tests"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("WORKSHOP_ARCHIVES", "http://127.0.0.1:1")
    return repository


def started(clone: Path, *arguments: str) -> subprocess.Popen:
    env = inherited_environment()
    command = [sys.executable, "-m", "workshop.setup.install", *arguments]
    return subprocess.Popen(command, cwd=clone, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finished(clone: Path, *arguments: str) -> tuple[int, str]:
    with started(clone, *arguments) as process:
        said, _ = process.communicate(timeout=60)
    return process.returncode, said


def put_jaeger_into_the_cache() -> None:
    roads.kept(JAEGER).parent.mkdir(parents=True, exist_ok=True)
    roads.kept(JAEGER).write_text("#!/bin/sh\n")
    roads.kept(JAEGER).chmod(0o755)


def test_with_jaeger_in_the_cache_only_packages_are_installed_and_the_next_run_is_silent(clone):
    put_jaeger_into_the_cache()
    code, said = finished(clone)
    assert code == 0, said
    assert said.splitlines()[:2] == ["packages | making .venv with uv", "packages | installing 1 package with uv"]
    assert said.splitlines()[-1].startswith("Ready after ")
    assert finished(clone) == (0, "")


def test_without_a_road_to_jaeger_the_packages_are_installed_all_the_same(clone, tmp_path, monkeypatch):
    tool(tmp_path / "bin", "uv", UV.replace('sys.argv[1] != "venv"', '"go-requirements" in sys.argv[-1]'))
    monkeypatch.setenv("FAKE_SAYS", "no index")
    code, said = finished(clone)
    assert code == 0, said
    assert "jaeger   | Jaeger 2.13.0 could not be brought to this machine. Every road was tried:" in said
    assert "jaeger   | No Jaeger yet. The lessons before it work; `workshop up` tries again." in said
    assert "packages | installing 1 package with uv" in said
    assert finished(clone, "--only", "jaeger")[0] == 1
    assert finished(clone, "--only", "python") == (0, "")


def hang(tools: Path) -> None:
    """Let a Go be on PATH that hangs: its end is what the test looks for. Should nobody end it, it does so itself at last."""
    tool(tools, "go", "import time; time.sleep(600)")


def left_of(clone: Path) -> list[psutil.Process]:
    """The processes that have to do with a clone."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(str(clone.parent) in part for part in process.cmdline()):
                found.append(process)
    return found


def test_packages_that_cannot_be_had_end_it_all_and_leave_no_process(clone, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_SAYS", "no index")
    hang(tmp_path / "bin")
    code, said = finished(clone)
    assert code == 1
    assert ".venv could not be filled from requirements.txt:\nno index" in said
    assert left_of(clone) == []


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupted_installation_leaves_no_process(clone, tmp_path, number, code):
    hang(tmp_path / "bin")
    with started(clone) as process:
        next(line for line in process.stdout if line.startswith("jaeger   | archive: "))
        process.send_signal(number)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in said
    assert left_of(clone) == []


def test_an_old_python_is_told_what_it_needs_and_which_one_is_there(tmp_path, monkeypatch):
    tool(tmp_path, "python3.12", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    code = "import runpy, sys; sys.version_info = (3, 9, 1); runpy.run_module('workshop.setup.install', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"The workshop needs Python 3.10 or newer; {sys.executable} is 3.9.",
        "Run: make demo PYTHON=python3.12",
    ]


def test_an_old_python_can_read_the_file_that_tells_it():
    source = (ROOT / "workshop" / "setup" / "install.py").read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 6))
    first = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom, ast.If))][:2]
    assert first[0].names[0].name == "sys" and isinstance(first[1], ast.If)
    assert "from __future__" not in source and ":=" not in source


def test_make_lists_its_targets():
    done = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = [line.split()[1] for line in done.stdout.splitlines()]
    assert names[:3] == ["help", "demo", "install"] and {"test", "pins", "clean"} <= set(names)


# The tools below


def test_a_tool_is_run_and_its_answer_returned():
    lines = []
    assert run(["sh", "-c", "echo one; echo two >&2; printf three >&2"], on_line=lines.append) == "one\n"
    assert lines == ["two", "three"]


def test_a_tool_that_fails_is_quoted():
    with pytest.raises(CommandFailed, match="^no\nway$"):
        run(["sh", "-c", "echo no >&2; echo way >&2; exit 3"])
    with pytest.raises(CommandFailed, match="^false ended with 1 and said nothing$"):
        run(["false"])
    with pytest.raises(CommandFailed, match="^no-such-tool: No such file"):
        run(["no-such-tool"])


def test_a_tool_that_takes_too_long_is_ended_with_all_it_started(tmp_path):
    with pytest.raises(CommandFailed, match="took too long"):
        run(["sh", "-c", f"echo $$ > '{tmp_path}/one'; sleep 600 & echo $! > '{tmp_path}/two'; wait"], seconds=0.3)
    pids = [int((tmp_path / name).read_text()) for name in ("one", "two")]
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=5)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def test_a_tool_does_not_get_what_the_shell_exports_for_apps(monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("PIP_TIMEOUT", "7")
    assert run(["sh", "-c", 'echo "$OTEL_SERVICE_NAME$PYTHONPATH$PIP_TIMEOUT"']) == "7\n"


def test_progress_is_told_now_and_then_with_the_time():
    told = []
    slow, quick = Ticker(told.append, every=3600), Ticker(told.append, every=0)
    slow("never")
    quick("1 of 2")
    assert told == ["1 of 2, 0:00"]


def test_a_lock_lets_one_in_at_a_time(tmp_path):
    order, inside, waits = [], threading.Event(), threading.Event()

    def second() -> None:
        inside.wait(5)
        with locked(tmp_path / "deep" / "lock", waits.set):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with locked(tmp_path / "deep" / "lock"):
        inside.set()
        assert waits.wait(5)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
