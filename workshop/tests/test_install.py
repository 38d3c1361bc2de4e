"""The installation: made, found made, repaired, and explained when it cannot be made."""

import ast
import base64
import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import psutil
import pytest

from workshop.course.fences import ROOT
from workshop.programs.jaeger import JAEGER
from workshop.programs.methods import kept
from workshop.setup import uv
from workshop.setup.cache import locked
from workshop.setup.commands import CommandFailed, Ticker, inherited_environment, run
from workshop.setup.environments import EnvironmentFailed, environment_of, make_environment
from workshop.setup.uv import find_uv


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder whose path has spaces and letters beyond ASCII, with the pins of one small package; uv is on PATH.

    The package comes from a folder, so nothing here asks the network."""
    tools, root = tmp_path / "bin", tmp_path / "my clone ü"
    tools.mkdir()
    root.mkdir()
    (tools / "uv").symlink_to(find_uv().path)
    package = wheel(tmp_path / "wheels", "tiny", "1.0", {"tiny.py": b"SIZE = 'small'\n"})
    (root / "requirements.txt").write_text(pin(package), encoding="utf-8")
    monkeypatch.setenv("PATH", os.pathsep.join([str(tools), os.defpath]))
    for installer in ("UV", "PIP"):
        monkeypatch.setenv(f"{installer}_NO_INDEX", "1")
        monkeypatch.setenv(f"{installer}_FIND_LINKS", str(package.parent))
    return root


def tool(folder: Path, name: str, code: str) -> None:
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder / name}.py" "$@"\n', encoding="utf-8")
    (folder / name).chmod(0o755)


def wheel(folder: Path, name: str, version: str, files: dict[str, bytes]) -> Path:
    """A package as small as the format allows."""
    about = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for path, data in files.items()
    )
    files[f"{about}/RECORD"] = f"{record}{about}/RECORD,,\n".encode()
    path = folder / f"{name}-{version}-py3-none-any.whl"
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as written:
        for inside, data in files.items():
            entry = zipfile.ZipInfo(inside)
            entry.external_attr = (0o100755 if "/scripts/" in inside else 0o100644) << 16
            written.writestr(entry, data)
    return path


def pin(package: Path) -> str:
    name, version = package.name.split("-")[:2]
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(package.read_bytes()).hexdigest()}\n"


def made(root: Path, told: list | None = None, *more: Path) -> bool:
    note = (told if told is not None else []).append
    return make_environment(root / ".venv", root / "requirements.txt", *more, progress=note)


def python(root: Path, code: str) -> str:
    done = subprocess.run([root / ".venv" / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_what_is_pinned_is_installed_once(place):
    told = []
    assert made(place, told)
    assert told == ["making .venv with uv", "installing 1 package with uv"]
    assert python(place, "import tiny; print(tiny.SIZE)") == "small"
    assert not made(place, told)
    assert len(told) == 2, "with nothing to do nothing is told"


def test_what_is_gone_or_another_is_put_right_and_what_else_is_there_stays(place):
    made(place)
    own = wheel(place.parent / "own", "own", "3", {"own.py": b""})
    newer = wheel(
        place.parent / "own",
        "tiny",
        "2.0",
        {"tiny.py": b"SIZE = 'large'  # of another length: Python compares that with what it has compiled\n"},
    )
    find_uv()("pip", "install", "--python", place / ".venv" / "bin" / "python", own, newer)
    assert python(place, "import tiny; print(tiny.SIZE)") == "large"
    assert made(place)
    assert python(place, "import tiny, own; print(tiny.SIZE)") == "small"
    find_uv()("pip", "uninstall", "--python", place / ".venv" / "bin" / "python", "tiny")
    assert made(place)
    assert python(place, "import tiny, own; print(tiny.SIZE)") == "small"


def test_more_files_are_added_and_later_left_alone(place):
    more = place / "more.txt"
    more.write_text(pin(wheel(place.parent / "wheels", "more", "1.0", {"more.py": b""})))
    assert made(place)
    assert made(place, [], more)
    assert not made(place)
    assert python(place, "import tiny, more; print('both')") == "both"


def test_a_package_that_is_not_the_pinned_one_is_refused(place):
    (place / "requirements.txt").write_text("tiny==1.0 --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(EnvironmentFailed, match="A package is not the one that is pinned"):
        made(place)
    (place / "requirements.txt").write_text("tiny==1.0\n")
    with pytest.raises(EnvironmentFailed, match="--require-hashes"):
        made(place)


def moved(root: Path) -> Path:
    return root.rename(root.with_name("elsewhere"))


def without_python(root: Path) -> Path:
    (root / ".venv" / "bin" / "python").unlink()
    return root


def of_an_old_python(root: Path) -> Path:
    """A Python before 3.10, as far as it tells."""
    (root / ".venv" / "bin" / "python").unlink()
    script = f"#!/bin/sh\nexec '{sys.executable}' -c 'import sys; sys.version_info = (3, 9); exec(sys.argv[1])' \"$3\" \"$4\"\n"
    (root / ".venv" / "bin" / "python").write_text(script)
    (root / ".venv" / "bin" / "python").chmod(0o755)
    return root


def half_made(root: Path) -> Path:
    (root / ".venv" / "pyvenv.cfg").unlink()
    return root


def without_activate(root: Path) -> Path:
    (root / ".venv" / "bin" / "activate").unlink()
    return root


@pytest.mark.parametrize("spoil", [moved, without_python, of_an_old_python, half_made, without_activate])
def test_an_environment_that_does_not_work_is_made_anew(place, spoil):
    made(place)
    root, told = spoil(place), []
    assert made(root, told)
    assert told[0] == ".venv does not work here, so it is made anew"
    assert python(root, "import os, sys, tiny; print(sys.prefix)") == str(root / ".venv")
    assert not made(root)


def test_an_environment_that_the_learner_made_is_used_as_it_is(place):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / ".venv"], check=True)
    (place / ".venv" / "mine").touch()
    told = []
    assert made(place, told)
    assert told == ["installing 1 package with uv"]
    assert (place / ".venv" / "mine").exists()


def test_what_an_interrupted_run_left_in_part_is_installed_whole(place):
    made(place)
    next((place / ".venv").glob("lib/*/site-packages/tiny.py")).unlink()
    assert not made(place), "its metadata is there, so uv believes it"
    (place / ".venv" / "workshop-unfinished").touch()
    assert made(place)
    assert python(place, "import tiny; print(tiny.SIZE)") == "small"


# A uv that fails. It makes environments, and says what the test wants when it is to fill one.

FAILING = """
import os, sys
if sys.argv[-1] == "--version":
    print("uv 0.13.9")
elif "venv" in sys.argv:
    os.execv(os.environ["REAL_UV"], sys.argv)
elif "install" in sys.argv:
    print("Resolved 1 package in 1ms", file=sys.stderr)
    sys.exit(os.environ["UV_SAYS"])
"""


@pytest.fixture
def failing(tmp_path, monkeypatch) -> Path:
    """The folder of that uv, which is first on PATH."""
    monkeypatch.setenv("REAL_UV", str(find_uv().path))
    tools = tmp_path / "failing"
    tools.mkdir()
    tool(tools, "uv", FAILING)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tools), os.defpath]))
    return tools


@pytest.mark.parametrize(
    "says, cure",
    [
        ("error: Could not connect, are you offline?", "Is the network up"),
        ("error: Hash mismatch for `flask==3.1.3`", "A package is not the one that is pinned"),
        ("error: failed to write: No space left on device (os error 28)", "The disk is full"),
    ],
)
def test_a_failure_quotes_the_tool_and_says_what_to_do(place, failing, monkeypatch, says, cure):
    monkeypatch.setenv("UV_SAYS", says)
    with pytest.raises(EnvironmentFailed) as raised:
        made(place)
    assert re.match(r"\.venv could not be filled from .*requirements\.txt:\n", str(raised.value))
    assert says in str(raised.value) and cure in str(raised.value)


def test_a_full_disk_leaves_no_lesson_environment_that_looks_finished(place, failing, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_SAYS", "error: No space left on device (os error 28)")
    for _ in range(2):
        with pytest.raises(EnvironmentFailed, match="The disk is full"):
            environment_of(place / "requirements.txt", progress=print)
    (failing / "uv").unlink()
    (failing / "uv").symlink_to(os.environ["REAL_UV"])
    folder = environment_of(place / "requirements.txt", progress=print)
    assert subprocess.run([folder / "bin" / "python", "-c", "import tiny"]).returncode == 0
    assert not (folder / "workshop-unfinished").exists()


def test_two_lesson_environments_share_their_files(place, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_LINK_MODE", "hardlink")  # where it can, uv takes a copy on write, which shares as well
    more = place / "more.txt"
    more.write_text(pin(wheel(tmp_path / "wheels", "more", "1.0", {"more.py": b""})))
    one, two = (environment_of(place / "requirements.txt", *files, progress=print) for files in ([], [more]))
    assert one != two
    first, second = (next(folder.glob("lib/*/site-packages/tiny.py")) for folder in (one, two))
    assert first.samefile(second)


# Without uv on PATH


@pytest.fixture
def without_uv(place, tmp_path, monkeypatch) -> Path:
    """`place` without uv on PATH; pip finds one in a folder: a wheel whose `uv` is the real one."""
    real = find_uv().path.resolve()
    (tmp_path / "bin" / "uv").unlink()
    script = f'#!/bin/sh\nexec "{real}" "$@"\n'.encode()
    package = wheel(tmp_path / "wheels", "uv", "0.13.9", {"uv-0.13.9.data/scripts/uv": script})
    requirements = tmp_path / "uv-requirements.txt"
    requirements.write_text(pin(package))
    monkeypatch.setattr(uv, "REQUIREMENTS", requirements)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return place


def test_pip_brings_uv_once(without_uv):
    told = []
    assert made(without_uv, told)
    assert told[0] == "pip brings uv-0.13.9, which installs the rest"
    assert told[1:] == ["making .venv with uv", "installing 1 package with uv"]
    assert find_uv().brought
    shutil.rmtree(without_uv / ".venv")
    assert made(without_uv, told)
    assert told[3:] == told[1:3]


def test_a_uv_that_is_too_old_or_does_not_run_is_not_used(without_uv, tmp_path):
    for says in ("print('uv 0.4.30')", "raise SystemExit(127)"):
        tool(tmp_path / "bin", "uv", says)
        assert find_uv() is None
    tool(tmp_path / "bin", "uv", "print('uv 0.5.0 (abc 2024-11-07)')")
    assert find_uv() == uv.Uv(tmp_path / "bin" / "uv", brought=False)


def test_settings_of_pip_that_forbid_a_folder_of_its_own_do_not_matter(without_uv, monkeypatch):
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "1")
    assert made(without_uv)


def test_a_uv_that_pip_brought_asks_the_index_that_pip_asks(without_uv, monkeypatch, tmp_path):
    for name in ("UV_NO_INDEX", "UV_FIND_LINKS", "PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name)
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://global.example/simple\ntimeout = 3\n"
        "extra-index-url =\n    https://one.example/simple\n    https://two.example/simple\n"
        "[install]\nindex-url = https://install.example/simple\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_FIND_LINKS", f"/no/such/folder {tmp_path / 'wheels'} https://links.example")
    found = uv._settings_of_pip()
    assert found["UV_DEFAULT_INDEX"] == "https://install.example/simple"
    assert found["UV_INDEX"] == "https://one.example/simple https://two.example/simple"
    assert found["UV_FIND_LINKS"] == f"{tmp_path / 'wheels'},https://links.example"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", f"/no/such/folder {tmp_path / 'wheels'}")
    assert not {"UV_DEFAULT_INDEX", "UV_INDEX"} & set(uv._settings_of_pip())
    assert made(without_uv), "uv finds what pip finds, although no variable of its own says where"


def test_what_an_interrupted_bringing_left_is_not_used(without_uv, tmp_path):
    kept = uv._kept()
    partial = kept.parent.parent.with_name(f"{kept.parent.parent.name}.partial")
    (partial / "bin").mkdir(parents=True)
    (partial / "bin" / "uv").write_text("half")
    assert find_uv() is None
    assert made(without_uv)
    assert not partial.exists()


def test_a_python_without_pip_and_venv_is_told_the_package(without_uv, tmp_path, monkeypatch):
    tool(tmp_path, "python3", "raise SystemExit('ensurepip is not available.')")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
    monkeypatch.setattr(uv.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentFailed) as raised:
        made(without_uv)
    assert f"sudo apt install python{sys.version_info.major}.{sys.version_info.minor}-venv" in str(raised.value)


def test_a_python_without_pip_takes_that_of_its_venv_module(without_uv, monkeypatch):
    monkeypatch.setattr(uv.importlib.util, "find_spec", lambda name: None)
    assert made(without_uv)


# The whole command, in a copy of the repository


@pytest.fixture
def clone(tmp_path, monkeypatch) -> Path:
    """As much of the workshop as the installation needs, with an empty cache and no way to the archive host.

    The packages are the real ones; uv takes them from its own cache, where `make install` has put them."""
    root = tmp_path / "my clone ü"
    shutil.copytree(ROOT / "workshop", root / "workshop", ignore=shutil.ignore_patterns("__pycache__", "tests"))
    for name in ("requirements.txt", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, root)
    monkeypatch.setenv("UV_CACHE_DIR", find_uv()("cache", "dir").strip())
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "uv").symlink_to(find_uv().path)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "bin"), os.defpath]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("GOPROXY", "off")
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)  # with it everything is compiled, which takes seconds
    return root


def started(clone: Path, *arguments: str) -> subprocess.Popen:
    env = inherited_environment()
    command = [sys.executable, "-m", "workshop.setup.install", *arguments]
    return subprocess.Popen(command, cwd=clone, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finished(clone: Path, *arguments: str) -> tuple[int, str]:
    with started(clone, *arguments) as process:
        said, _ = process.communicate(timeout=60)
    return process.returncode, said


def put_jaeger_into_the_cache() -> None:
    kept(JAEGER).parent.mkdir(parents=True, exist_ok=True)
    kept(JAEGER).write_text("#!/bin/sh\n")
    kept(JAEGER).chmod(0o755)


def test_with_jaeger_in_the_cache_only_packages_are_installed_and_the_next_run_is_silent(clone):
    put_jaeger_into_the_cache()
    code, said = finished(clone)
    assert code == 0, said
    making, installing, linking, ready = [line for line in said.splitlines() if "| still" not in line]
    assert making == "packages | making .venv with uv"
    assert re.fullmatch(r"packages \| installing \d\d packages with uv", installing)
    assert linking == "packages | installing 1 package with uv" and ready.startswith("Ready after ")
    assert finished(clone) == (0, "")
    (clone / "pyproject.toml").touch()
    assert "installing 1 package" in finished(clone)[1], "its commands may have changed"
    assert finished(clone) == (0, "")


def test_the_workshop_is_installed_as_it_lies_there_and_named_in_ascii(clone):
    assert finished(clone, "--only", "python")[0] == 0
    [pointer] = (p for p in clone.glob(".venv/lib/python*/site-packages/*.pth") if b"_virtualenv" not in p.read_bytes())
    assert (pointer.parent / pointer.read_text(encoding="ascii").strip()).resolve() == clone
    help = subprocess.run([clone / ".venv" / "bin" / "workshop", "--help"], env={"LC_ALL": "C"}, capture_output=True, text=True)
    assert help.returncode == 0 and "workshop" in help.stdout, help.stderr
    pip = subprocess.run([clone / ".venv" / "bin" / "pip", "--version"], capture_output=True, text=True)
    assert str(clone) in pip.stdout, "lessons type `pip install`"


def test_without_a_way_to_jaeger_the_packages_are_installed_all_the_same(clone, tmp_path):
    tool(tmp_path / "bin", "go", "raise SystemExit('no such module')")
    code, said = finished(clone)
    assert code == 0, said
    assert "programs | Jaeger 2.13.0 could not be brought to this machine. Every way was tried:" in said
    assert "programs | No Jaeger yet. The lessons before it work; `workshop up` tries again." in said
    assert "packages | making .venv with uv" in said
    assert finished(clone, "--only", "programs")[0] == 1
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


def test_packages_that_cannot_be_had_end_it_all_and_leave_no_process(clone, tmp_path, failing, monkeypatch):
    monkeypatch.setenv("UV_SAYS", "no index")
    hang(failing)
    code, said = finished(clone)
    assert code == 1
    assert ".venv could not be filled from requirements.txt:\nno index" in re.sub("(?m)^Resolved.*\n", "", said)
    assert left_of(clone) == []


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupted_installation_leaves_no_process(clone, tmp_path, number, code):
    hang(tmp_path / "bin")
    with started(clone) as process:
        next(line for line in process.stdout if line.startswith("programs | archive: "))
        process.send_signal(number)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in said
    assert left_of(clone) == []


def held(clone: Path, pattern: str) -> int:
    return len(list(clone.parent.glob(pattern)))


PACKAGES = "my clone*/.venv/lib/*/site-packages"
MOMENTS = {
    "at once": lambda clone: True,
    "its lock": lambda clone: held(clone, "my clone*/.saved/install.lock"),
    "the folder": lambda clone: held(clone, "my clone*/.venv"),
    "a Python": lambda clone: held(clone, "my clone*/.venv/bin/python"),
    "made": lambda clone: held(clone, PACKAGES),
    "begun": lambda clone: held(clone, "my clone*/.venv/workshop-unfinished"),
    "the first package": lambda clone: held(clone, f"{PACKAGES}/*.dist-info"),
    "half of them": lambda clone: held(clone, f"{PACKAGES}/*.dist-info") > 20,
    "most of them": lambda clone: held(clone, f"{PACKAGES}/*.dist-info") > 40,
    "the workshop": lambda clone: held(clone, f"{PACKAGES}/flask_opentelemetry*"),
}
WITHOUT_UV = {
    "a folder for uv": lambda clone: held(clone, "cache/*/uv-*.partial"),
    "uv in part": lambda clone: held(clone, "cache/*/uv-*.partial/bin/uv"),
    "uv": lambda clone: held(clone, "cache/*/uv-*/bin/uv"),
    "the first package": MOMENTS["the first package"],
}
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
INTERRUPTED = [(name, SIGNALS[number % 3], moment, True) for number, (name, moment) in enumerate(MOMENTS.items())]
INTERRUPTED += [(name, SIGNALS[number % 3], moment, False) for number, (name, moment) in enumerate(WITHOUT_UV.items())]


def whole(clone: Path) -> bool:
    """Whether every file that a package's own list names is there."""
    packages = next(clone.glob(".venv/lib/python*/site-packages"))
    listed = [line.split(",")[0] for record in packages.glob("*.dist-info/RECORD") for line in record.read_text().splitlines()]
    return len(listed) > 1000 and all((packages / name).exists() for name in listed)


@pytest.mark.parametrize(
    "number, moment, on_path",
    [
        pytest.param(
            *rest,
            id=f"{name}-{'with' if rest[2] else 'without'} uv",
            marks=() if name in ("its lock", "the first package", "uv in part") else pytest.mark.thorough,
        )
        for name, *rest in INTERRUPTED
    ],
)
def test_an_installation_that_is_interrupted_at_any_moment_is_finished_by_the_next(
    clone, tmp_path, monkeypatch, number, moment, on_path
):
    if not on_path:
        real = (tmp_path / "bin" / "uv").resolve()
        (tmp_path / "bin" / "uv").unlink()
        script = f'#!/bin/sh\nexec "{real}" "$@"\n'.encode()
        package = wheel(tmp_path / "wheels", "uv", "0.13.9", {"uv-0.13.9.data/scripts/uv": script})
        (clone / "workshop" / "setup" / "uv-requirements.txt").write_text(pin(package))
        monkeypatch.setenv("PIP_FIND_LINKS", str(package.parent))
        monkeypatch.setenv("PIP_NO_INDEX", "1")
    deadline = time.monotonic() + 60
    with started(clone, "--only", "python") as process:
        while not moment(clone) and process.poll() is None:
            assert time.monotonic() < deadline, "this moment did not come"
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    assert "Traceback" not in said
    code, said = finished(clone, "--only", "python")
    assert code == 0, said
    assert whole(clone)
    assert finished(clone, "--only", "python") == (0, "")


def test_two_installations_at_once_wait_for_each_other(clone):
    both = [started(clone, "--only", "python") for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted(text.count("making .venv") for text in said) == [0, 1]
    assert whole(clone)


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
