"""What several tests of the machinery share: a repository in miniature."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from workshop.course import lessons
from workshop.course.lessons import Lesson
from workshop.learner.workspace import Workspace
from workshop.programs.lifecycle import for_checks
from workshop.programs.methods import obtain
from workshop.programs.program import find
from workshop.tests.learner import Learner


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--thorough", action="store_true", help="only the tests that repeat for minutes; `make flakes` runs them")


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)  # under nohup: what tests start must still hear of a closed terminal
    config.addinivalue_line("markers", "thorough: repeats for minutes what another test proves once")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    thorough = config.getoption("--thorough")
    items[:] = [item for item in items if bool(item.get_closest_marker("thorough")) == thorough or not _ours(item)]


def _ours(item: pytest.Item) -> bool:
    return Path(__file__).parent in item.path.parents


class Toy:
    """A repository with a few lessons, for tests that must not touch the real one."""

    def __init__(self, root: Path):
        self.root = root
        root.mkdir()
        (root / "src").mkdir()
        (root / "docker-compose.yml").write_text("services:\n  jaeger:\n    mem_limit: 512m\n")

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.root)

    def page(self, name: str, text: str | bytes) -> Path:
        """Write the README of the numbered folder `name`."""
        return self.write(f"{name}/README.md", text)

    def lesson(self, name: str) -> Lesson:
        return lessons.find(name, self.root)

    def write(self, path: str, data: str | bytes) -> Path:
        """Write a file of the repository, its folders too; text as it is, without a change of line ends."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data.encode() if isinstance(data, str) else data)
        return target

    def fill(self, state: dict[str, str | bytes]) -> None:
        """Write files of `src/`."""
        for path, data in state.items():
            self.write(f"src/{path}", data)

    def src(self) -> dict[str, bytes]:
        """What is in `src/`; see `contents`."""
        return self.contents(self.root / "src")

    @staticmethod
    def contents(folder: Path) -> dict[str, bytes]:
        """Every file below a folder, a symbolic link as `-> ` and the name that it points to."""
        found = {}
        for path in folder.rglob("*"):
            name = path.relative_to(folder).as_posix()
            if path.is_symlink():
                found[name] = f"-> {path.readlink()}".encode()
            elif path.is_file():
                found[name] = path.read_bytes()
        return found


@pytest.fixture
def bare(tmp_path: Path) -> Toy:
    """A repository with one chapter and no lesson; its path has a space and a letter that is not ASCII."""
    toy = Toy(tmp_path / "Mein Übungsbuch")
    toy.page("100", "# One\n")
    return toy


@pytest.fixture
def toy(bare: Toy) -> Toy:
    """Two chapters, three lessons: files are created, changed, quoted and handed over."""
    bare.page(
        "100/100",
        "# Hello\n\nIn `src/app/views.py`:\n\n"
        '```python title="src/app/views.py"\nfirst\nsecond\nthird\n```\n\n'
        'And `src/run.sh`:\n\n```sh title="src/run.sh"\nflask run -p 5001\n```\n\n'
        "Run it:\n\n```shell\nsh run.sh\n```\n",
    )
    bare.page(
        "100/200",
        "# Change\n\nIn `src/app/views.py`:\n\n"
        '```diff title="src/app/views.py"\n first\n-second\n+2nd\n```\n\n'
        'A page, `src/app/seite für alle.html`:\n\n```html title="src/app/seite für alle.html"\n<h1>é</h1>\n```\n',
    )
    bare.write("100/200/src/static/style.css", "body { margin: 0 }\n")
    bare.write("100/200/src/static/dot.png", b"\x89PNG\r\n\x00\xff")
    bare.page("200", "# Two\n")
    bare.page("200/100", '# Last\n\nIn `src/last.py`:\n\n```python title="src/last.py"\nlast\n```\n')
    return bare


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The repository as it is now, without what a learner's use has left in it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=lessons.ROOT,
        capture_output=True,
        check=True,
    )
    target = tmp_path / "my clone, übung"
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (lessons.ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(lessons.ROOT / name, target / name)
    return target


@pytest.fixture
def learner(clone: Path) -> Learner:
    """Somebody who takes the lessons in that clone."""
    return Learner(clone)


@pytest.fixture(scope="session")
def brought():
    """Brings a program, and returns its executable."""
    return lambda name: obtain(find(name))


@pytest.fixture(scope="session")
def beside(brought):
    """Starts a program for the checks once, and returns what asks it."""
    started = {}

    def start(name: str):
        if name not in started:
            brought(name)
            started[name] = for_checks(find(name))
        return started[name]

    yield start
    for instance in started.values():
        instance.stop()
