"""The copy on which a check works: whole, with ports of its own, and told in the learner's own words."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from workshop.checks.sandbox import APP, END, MINE, OTLP_HTTP, START, Sandbox
from workshop.course import lessons
from workshop.course.lessons import LessonError
from workshop.diagnosis.facts import Broken
from workshop.programs.program import find
from workshop.setup.ports import free_port, is_listening, release

LESSON = "300/300/100"


class Mine:
    """A lesson whose repository is somewhere else, so that a test can fill its `src/`."""

    def __init__(self, root: Path):
        self.root = root
        (root / "src").mkdir()

    def put(self, name: str, data: bytes) -> None:
        path = self.root / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.fixture
def mine(tmp_path: Path) -> Mine:
    (tmp_path / "home").mkdir()
    return Mine(tmp_path / "home")


def copied(mine: Mine, tmp_path: Path) -> Sandbox:
    return Sandbox.of(mine, MINE, tmp_path / "copy")


def test_start_and_end_are_the_replay(tmp_path: Path):
    lesson = lessons.find(LESSON)
    start, end = (Sandbox.of(lesson, at, tmp_path / at).folder / "run.sh" for at in (START, END))
    assert "opentelemetry-instrument" not in start.read_text() and "opentelemetry-instrument" in end.read_text()


def test_mine_is_a_copy_without_what_a_running_app_makes(mine: Mine, tmp_path: Path):
    for name in (
        "run.sh",
        "todo/views.py",
        "notes with spaces ü.txt",
        "instance/todo.db",
        "output.log",
        "todo/__pycache__/x.pyc",
    ):
        mine.put(name, b"5001\n")
    folder = copied(mine, tmp_path).folder
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == {"run.sh", "todo/views.py", "notes with spaces ü.txt"}


def test_ports_are_swapped_where_they_stand_alone_and_back(mine: Mine, tmp_path: Path):
    mine.put("run.sh", b"flask run -p 5001  # not 15001, 5001.5 or 50011\n")
    mine.put("picture.png", b"\x89PNG\x00 5001 \xff")
    sandbox = copied(mine, tmp_path)
    sandbox.use_ports()
    text = (sandbox.folder / "run.sh").read_text()
    assert f"-p {sandbox.ports[APP]}  # not 15001, 5001.5 or 50011" in text
    assert sandbox.unswap(text) == "flask run -p 5001  # not 15001, 5001.5 or 50011\n"
    assert (sandbox.folder / "picture.png").read_bytes() == b"\x89PNG\x00 5001 \xff"
    assert (mine.root / "src" / "run.sh").read_text().startswith("flask run -p 5001")


def test_the_copy_is_byte_for_byte_but_for_ports(mine: Mine, tmp_path: Path):
    for name, data in {"run.sh": b"run -p 5001\r\n# \xe4\r\n", "bom.py": b"\xef\xbb\xbfport = 5001", "none": b"5001"}.items():
        mine.put(name, data)
    (mine.root / "src" / "run.sh").chmod(0o744)
    sandbox = copied(mine, tmp_path)
    sandbox.use_ports()
    here = str(sandbox.ports[APP]).encode()
    for name in ("run.sh", "bom.py", "none"):
        was = mine.root / "src" / name
        assert (sandbox.folder / name).read_bytes() == was.read_bytes().replace(b"5001", here)
        assert (sandbox.folder / name).stat().st_mode == was.stat().st_mode
    sandbox.use_ports({APP: 7})
    assert (sandbox.folder / "none").read_bytes() == b"7"


def test_what_a_file_is_run_as_stays_through_all_ports_and_is_not_told(mine: Mine, tmp_path: Path):
    own = "evaluation_interval: 2s\nscrape: localhost:5001\n"
    mine.put("otel/prometheus.yml", own.encode())
    sandbox = copied(mine, tmp_path)
    file = sandbox.folder / "otel" / "prometheus.yml"
    sandbox.run_as("otel/prometheus.yml", lambda text: text.replace("2s", "200ms"))
    for _ in range(2):
        sandbox.renew_port(APP)
        assert file.read_text() == own.replace("2s", "200ms").replace("5001", str(sandbox.ports[APP]))
        assert sandbox.files() == {"otel/prometheus.yml": own}
    sandbox.run_as("otel/prometheus.yml", None)
    assert file.read_text() == own.replace("5001", str(sandbox.ports[APP]))


def test_paths_of_the_copy_are_told_as_the_learners(mine: Mine, tmp_path: Path):
    sandbox = copied(mine, tmp_path)
    said = f'File "{sandbox.folder}/todo/views.py", line 7; {sandbox.folder.parent}/check.db'
    assert sandbox.unswap(said) == 'File "src/todo/views.py", line 7; /…/src/instance/todo.db'


@pytest.mark.parametrize(
    "name, shadows",
    [("flask.py", True), ("json.py", True), ("views.py", False), ("flask/notes.txt", False), ("rich/__init__.py", True)],
)
def test_files_that_hide_a_package_are_found(mine: Mine, tmp_path: Path, name: str, shadows: bool):
    mine.put(name, b"")
    assert copied(mine, tmp_path).shadows() == ((f"src/{name.split('/')[0]}",) if shadows else ())


def test_a_file_that_cannot_be_copied_is_named(mine: Mine, tmp_path: Path):
    os.symlink("nowhere", mine.root / "src" / "broken")
    with pytest.raises(Broken) as caught:
        copied(mine, tmp_path)
    assert caught.value.diagnosis.rung == "unreadable" and "src/broken" in caught.value.diagnosis.seen


def test_ports_do_not_change_under_an_app_that_runs(mine: Mine, tmp_path: Path):
    sandbox = copied(mine, tmp_path)
    sandbox.use_ports()
    sandbox.running = 1
    sandbox.use_ports()
    with pytest.raises(LessonError, match="serve both with the same options"):
        sandbox.use_ports({APP: 7})


def test_a_port_that_a_neighbor_took_is_given_up_for_another(mine: Mine, tmp_path: Path):
    mine.put("run.sh", b"flask run -p 5001")
    sandbox = copied(mine, tmp_path)
    sandbox.use_ports()
    taken = sandbox.ports[APP]
    with socket.create_server(("127.0.0.1", taken)):
        sandbox.renew_port(APP)
    assert sandbox.ports[APP] != taken
    assert (sandbox.folder / "run.sh").read_text() == f"flask run -p {sandbox.ports[APP]}"


def test_the_learners_own_programs_are_out_of_reach_until_the_check_leads_to_one(mine, tmp_path):
    mine.put("otel/collector.yaml", b"http://127.0.0.1:9090 127.0.0.1:9428 127.0.0.1:5318")
    sandbox = copied(mine, tmp_path)
    sandbox.use_ports()
    there = [int(port) for port in re.findall(r":(\d+)", (sandbox.folder / "otel/collector.yaml").read_text())]
    assert len(there) == 3 and not {9090, 9428, 5318} & set(there)
    assert not any(map(is_listening, there))
    sandbox.lead_to(find("prometheus"), {"http": 40001})
    text = (sandbox.folder / "otel/collector.yaml").read_text()
    assert text == f"http://127.0.0.1:40001 127.0.0.1:{there[1]} 127.0.0.1:{there[2]}"
    assert sandbox.files()["otel/collector.yaml"] == "http://127.0.0.1:9090 127.0.0.1:9428 127.0.0.1:5318"


def test_what_is_sent_to_a_collector_that_the_check_has_not_goes_where_it_went_without_one(mine: Mine, tmp_path: Path):
    mine.put("run.sh", b"localhost:5318")
    mine.put("direct.py", b"localhost:4318")
    sandbox = copied(mine, tmp_path)

    def leads_to(name: str) -> str:
        return (sandbox.folder / name).read_text().removeprefix("localhost:")

    for jaeger in (40001, 40002):
        sandbox.lead_to(find("jaeger"), {**find("jaeger").numbers, "http": jaeger})
        assert leads_to("run.sh") == leads_to("direct.py") == str(jaeger)
        assert sandbox.files() == {"run.sh": "localhost:5318", "direct.py": "localhost:4318"}
    sandbox.use_ports({OTLP_HTTP: 40003})
    assert leads_to("run.sh") == "40003"
    sandbox.lead_to(find("collector"), {**find("collector").numbers, "http": 40004})
    assert (leads_to("run.sh"), leads_to("direct.py")) == ("40004", "40002")


def test_where_nothing_is_sent_to_a_collector_a_port_is_told_as_the_text_has_it(mine: Mine, tmp_path: Path):
    mine.put("run.sh", b"localhost:4318")
    sandbox = copied(mine, tmp_path)
    sandbox.use_ports({OTLP_HTTP: 40001})
    assert sandbox.unswap("refused by localhost:40001") == "refused by localhost:4318"


def test_ports_are_kept_from_other_processes_by_one_open_file():
    held = free_port()
    before = psutil.Process().num_fds()
    mine = {held, *(free_port() for _ in range(50))}
    assert psutil.Process().num_fds() <= before  # `select` takes none above 1023
    release([held])  # the one of all these that others may have
    ask = f"from workshop.setup import ports; ports.RESERVABLE = {sorted(mine)}; print(ports.free_port())"
    assert int(subprocess.check_output([sys.executable, "-c", ask], text=True, timeout=60)) == held
