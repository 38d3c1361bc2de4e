"""Any program: what is defined in one file beside the others, and in docker-compose.yml, comes by each install method.

The program of these tests is a small server with a tool beside it. A copy of the repository gets its file and its service, and
nothing else of the copy is changed.
"""

import contextlib
import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import urllib.request
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

import workshop.programs
from workshop.checks.checkpoint import Checkpoint
from workshop.checks.sandbox import END, MINE, START
from workshop.course import lessons
from workshop.course.fences import ROOT
from workshop.diagnosis.facts import Broken
from workshop.plugin import Session
from workshop.programs.lifecycle import for_checks, free_ports, needed, port_settings
from workshop.programs.program import find, programs
from workshop.setup.cache import cache_folder
from workshop.setup.downloads import this_platform
from workshop.setup.go import find_go
from workshop.setup.ports import free_port, is_listening

FILE = '''
"""Echo answers whatever it is asked."""
import os
import shutil
from pathlib import Path
from workshop.programs.program import Archive, Port, Program
from workshop.setup.go import GoModule

ECHO = Program(
    name="echo",
    title="Echo",
    version="1.2.3",
    ports={"http": Port(27999, "its answers")},
    health=("http", "/ready"),
    ask_version=("version",),
    arguments=("serve", "--config={configuration}", "--data={data}"),
    configuration="src/otel/echo.yaml",
    tools=("echo-server", "echo-tool"),
    image="example/echo:{version}",
    archive=Archive(
        host=os.environ.get("TEST_ARCHIVES", "http://127.0.0.1:9"),
        folder="echo/releases/v{version}",
        name="echo-{version}-{os}-{arch}" + os.environ.get("TEST_SUFFIX", ".tar.gz"),
        member="echo-{version}/{tool}",
        sums="echo-{version}-sums.txt",
        platforms=("linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"),
    ),
    go=GoModule("example.org/echo", "v1.2.3", "./cmd/{tool}", needs=(1, 20), stamp="main.version"),
)


class FromManifest:
    """Built from a list that the repository keeps, by a build of its own."""

    needs, disk = (1, 20), 0
    edition = property(lambda self: "-".join(Path(__file__).with_name("manifest.txt").read_text().split()))

    def build(self, go, version, tools, folder, progress):
        words = Path(__file__).with_name("manifest.txt").read_text().split()
        source = folder / "source"
        source.mkdir()
        (source / "go.mod").write_text("module made\\ngo 1.20\\n")
        (source / "main.go").write_text(MAIN.replace("WORDS", " ".join(words)))
        go.build({".": folder / tools[0]}, source, progress, f"-X main.version={version}")
        shutil.rmtree(source)


MAIN = """package main
import "os"
var version string
func main() { os.Stdout.WriteString(version + " WORDS") }
"""
MADE = Program(
    name="made",
    title="Made",
    version="4.5.6",
    ports={"http": Port(27998, "its answers")},
    health=("http", "/"),
    ask_version=(),
    go=FromManifest(),
)
'''
SERVICE = """
  echo:
    image: example/echo:1.2.3
    ports: ["127.0.0.1:${ECHO_HTTP_PORT:-27999}:27999"]
"""
SERVER = """
import http.server, os, sys
if sys.argv[1:] == ["version"]:
    sys.exit(print("echo v1.2.3"))
if len(sys.argv) > 2 and "wrong" in open(sys.argv[2].removeprefix("--config=")).read():
    sys.exit(f"{sys.argv[2]}: wrong")
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["ECHO_HTTP_PORT"])), Answer).serve_forever()
"""
MAIN = """package main

import (
	"net"
	"os"
)

var version = "dev"

func main() {
	if os.Args[1] == "version" {
		os.Stdout.WriteString("echo " + version)
		return
	}
	listener, err := net.Listen("tcp", os.Getenv("ECHO_HOST")+":"+os.Getenv("ECHO_HTTP_PORT"))
	for err == nil {
		connection, _ := listener.Accept()
		connection.Read(make([]byte, 4096))
		connection.Write([]byte("HTTP/1.0 200 OK\\r\\n\\r\\n"))
		connection.Close()
	}
}
"""
# `docker`: a container is a process of the server, which a folder remembers by project and service.
DOCKER = """
import os, pathlib, signal, subprocess, sys
asked, here = sys.argv[1:], pathlib.Path(__file__).parent
with open(here / "docker.log", "a") as log:
    print(*asked, file=log)
if asked[0] == "compose" and "--project-name" in asked:
    project, service = asked[asked.index("--project-name") + 1], asked[-1]
    container = here / f"{project}.{service}"
    assert f"\\n  {service}:" in pathlib.Path(asked[asked.index("--file") + 1]).read_text()
    if "up" in asked:
        command = [here / "image" / "echo-server", "serve"]
        process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        container.write_text(str(process.pid))
    elif "rm" in asked and container.exists():
        os.kill(int(container.read_text()), signal.SIGTERM)
        container.unlink()
"""


def with_default(name: str) -> str:
    """Echo's file, with a configuration of the workshop's own."""
    return FILE.replace('configuration="', f'default="workshop/programs/{name}",\n    configuration="')


def script(path: Path, code: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".py").write_text(code, encoding="utf-8")
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{path.with_suffix(".py")}" "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def tools(folder: Path) -> dict[str, bytes]:
    """The server and its tool as scripts in `folder`, by name."""
    for name in ("echo-server", "echo-tool"):
        script(folder / name, SERVER)
    return {name: (folder / name).read_bytes() for name in ("echo-server", "echo-tool")}


class Clone:
    """A copy of the repository with the new program, on a machine with nothing but what a test puts on its PATH."""

    def __init__(self, root: Path, machine: Path):
        self.root, self.machine, self.bin = root, machine, machine / "bin"
        shutil.copytree(ROOT / "workshop", root / "workshop", ignore=shutil.ignore_patterns("tests", "site", "__pycache__"))
        (root / "workshop" / "programs" / "echo.py").write_text(FILE, encoding="utf-8")
        (root / "workshop" / "programs" / "manifest.txt").write_text("one\ntwo\n", encoding="utf-8")
        (root / "docker-compose.yml").write_text((ROOT / "docker-compose.yml").read_text(encoding="utf-8") + SERVICE)
        (root / "src" / "otel").mkdir(parents=True)
        (root / "src" / "otel" / "echo.yaml").touch()
        self.bin.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.env = {"PATH": str(self.bin), "HOME": os.environ["HOME"], "XDG_CACHE_HOME": str(machine / "cache")}
        self.env |= {"ECHO_HTTP_PORT": str(self.port), "PYTHONUTF8": "1"}
        for program in programs().values():  # the developer's own may run
            self.env |= port_settings(program, free_ports(program))

    def workshop(self, *arguments: str, module: str = "workshop.cli", code: int = 0) -> str:
        """What a command says, in one line: where it breaks depends on paths. It must end with this code."""
        command = [sys.executable, "-m", module, *arguments]
        how = {"cwd": self.root, "env": self.env, "stdin": subprocess.DEVNULL, "text": True}
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, **how)
        assert done.returncode == code, done.stdout
        return " ".join(done.stdout.split())


@pytest.fixture
def clone(tmp_path):
    made = Clone(tmp_path / "klon ü", tmp_path / "machine")
    (made.bin / "sh").symlink_to(shutil.which("sh"))
    yield made
    made.workshop("down", "echo")
    assert not is_listening(made.port)


@contextlib.contextmanager
def stranger(clone: Clone):
    """An Echo that somebody else started."""
    tools(clone.machine / "elsewhere")
    with subprocess.Popen(
        [clone.machine / "elsewhere" / "echo-server", "serve"], env=clone.env, stderr=subprocess.DEVNULL
    ) as process:
        wait_for(clone.port)
        yield
        process.kill()


def wait_for(port: int) -> None:
    deadline, pause = 200, threading.Event()
    while not is_listening(port) and deadline:
        deadline -= 1
        pause.wait(0.05)
    assert deadline, f"nothing came to listen on {port}"


@contextlib.contextmanager
def serving(folder: Path):
    """A web server of files. Yields its address."""
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    handler.log_message = lambda *_: None
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def publish(folder: Path, suffix: str) -> None:
    """A release with its sums, in `folder`."""
    release, name = folder / "echo" / "releases" / "v1.2.3", f"echo-1.2.3-{this_platform()}{suffix}"
    release.mkdir(parents=True)
    members, packed = tools(folder / "elsewhere"), io.BytesIO()
    if suffix == ".zip":
        with zipfile.ZipFile(packed, "w") as archive:
            for tool, data in members.items():
                archive.writestr(f"echo-1.2.3/{tool}", data)
    else:
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for tool, data in members.items():
                entry = tarfile.TarInfo(f"echo-1.2.3/{tool}")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    (release / name).write_bytes(packed.getvalue())
    (release / "echo-1.2.3-sums.txt").write_text(f"{hashlib.sha256(packed.getvalue()).hexdigest()}  {name}\n")


# What Go compiles of its own library is kept by it: tests that use it run one after the other.
uses_go = pytest.mark.xdist_group("go")


@pytest.fixture(scope="session")
def go() -> Path:
    """The Go of this machine, or the one of the pinned wheel."""
    return find_go((1, 20), print).command


def with_go(clone: Clone, go: Path) -> None:
    """Put Go on the machine, with a module proxy in a folder that has the program's module."""
    files = {"go.mod": "module example.org/echo\n\ngo 1.20\n", "cmd/echo-server/main.go": MAIN, "cmd/echo-tool/main.go": MAIN}
    versions = clone.machine / "proxy" / "example.org" / "echo" / "@v"
    versions.mkdir(parents=True)
    (versions / "v1.2.3.info").write_text(json.dumps({"Version": "v1.2.3"}))
    (versions / "v1.2.3.mod").write_text(files["go.mod"])
    with zipfile.ZipFile(versions / "v1.2.3.zip", "w") as module:
        for name, text in files.items():
            module.writestr(f"example.org/echo@v1.2.3/{name}", text)
    (clone.bin / "go").write_text(f'#!/bin/sh\nexec "{go}" "$@"\n')
    (clone.bin / "go").chmod(0o755)
    clone.env |= {"GOPROXY": (clone.machine / "proxy").as_uri(), "GOSUMDB": "off", "GOMODCACHE": str(clone.machine / "modules")}
    clone.env["GOCACHE"] = subprocess.run([go, "env", "GOCACHE"], capture_output=True, text=True, check=True).stdout.strip()


# Up by each method, described, and down


@contextlib.contextmanager
def machine_with(method: str, clone: Clone, request):
    """Make the machine such that this method is the first that works. Yields what `workshop up` says then."""
    kept = clone.machine / "cache" / cache_folder().name / f"echo-1.2.3-{this_platform()}"
    if method == "address":
        with stranger(clone):
            clone.env["ECHO_URL"] = f"http://127.0.0.1:{clone.port}/"
            yield "ECHO_URL names it"
    elif method == "answering":
        with stranger(clone):
            yield "somebody else started it"
    elif method == "Docker":
        tools(clone.bin / "image")
        script(clone.bin / "docker", DOCKER)
        yield "a container by docker compose"
    elif method == "PATH":
        tools(clone.bin)
        yield f"started from {clone.bin / 'echo-server'}"
    elif method == "cache":
        tools(kept)
        yield f"started from {kept / 'echo-server'}"
    elif method == "Go":
        with_go(clone, request.getfixturevalue("go"))
        yield f"started from {kept / 'echo-server'}"
    else:
        publish(clone.machine / "archives", method)
        with serving(clone.machine / "archives") as address:
            clone.env |= {"TEST_ARCHIVES": address, "TEST_SUFFIX": method}
            yield f"started from {kept / 'echo-server'}"


METHODS = ["address", "answering", "Docker", "PATH", "cache", ".tar.gz", ".zip", pytest.param("Go", marks=uses_go)]


@pytest.mark.parametrize("method", METHODS)
def test_it_comes_by_each_method_and_goes_with_down(clone, method, request):
    with machine_with(method, clone, request) as how:
        assert clone.workshop("up", "echo").endswith(f"Echo is up: {how} its answers http://127.0.0.1:{clone.port}")
        assert urllib.request.urlopen(f"http://127.0.0.1:{clone.port}/any", timeout=5).status == 200
        theirs = method in ("address", "answering")
        before = how if theirs else "`workshop up` started it before"
        rows = clone.workshop("status")
        assert f"Echo running: {before}" in rows and "Jaeger not running; `workshop up` starts it" in rows
        assert clone.workshop("up", "echo").startswith(f"Echo is up: {before} ")
        gone = clone.workshop("down")
        assert is_listening(clone.port) == theirs
    address = f"http://127.0.0.1:{clone.port}"
    expected = f"left alone: Echo at {address}, which `workshop up` did not start" if theirs else "stopped Echo"
    assert expected in gone


@uses_go
def test_what_is_brought_is_complete_and_is_not_brought_twice(clone, go):
    with_go(clone, go)
    said = clone.workshop("echo", module="workshop.programs")
    assert "Go: building " in said
    (folder,) = (clone.machine / "cache" / cache_folder().name).glob("echo-*[!k]")
    assert sorted(path.name for path in folder.iterdir()) == ["echo-server", "echo-tool"]
    assert subprocess.run([folder / "echo-tool", "version"], capture_output=True, text=True).stdout == "echo v1.2.3"
    assert clone.workshop("echo", module="workshop.programs") == ""
    (folder / "echo-tool").unlink()
    assert "echo-server" in clone.workshop("echo", module="workshop.programs")


@uses_go
def test_a_program_may_bring_a_build_of_its_own(clone, go):
    with_go(clone, go)
    executable = clone.workshop("made", module="workshop.programs").rpartition("Made 4.5.6 is at ")[2]
    assert subprocess.run([executable], capture_output=True, text=True).stdout == "4.5.6 one two"
    assert [path.name for path in Path(executable).parent.iterdir()] == ["made"]
    (clone.root / "workshop" / "programs" / "manifest.txt").write_text("three\n", encoding="utf-8")
    other = clone.workshop("made", module="workshop.programs").rpartition("Made 4.5.6 is at ")[2]
    assert subprocess.run([other], capture_output=True, text=True).stdout == "4.5.6 three" and Path(executable).exists()


def test_two_clones_side_by_side_leave_each_others_containers_alone(clone, tmp_path):
    other = Clone(tmp_path / "another" / clone.root.name, clone.machine)
    tools(clone.bin / "image")
    script(clone.bin / "docker", DOCKER)
    assert "a container by docker compose" in clone.workshop("up", "echo")
    assert "a container by docker compose" in other.workshop("up", "echo")
    try:
        assert clone.workshop("down") == "stopped Echo's container"
        assert not is_listening(clone.port) and is_listening(other.port)
        assert clone.workshop("down", "echo") == "no Echo of `workshop up` is running"
        assert is_listening(other.port)
    finally:
        assert other.workshop("down") == "stopped Echo's container"
    used = set(re.findall(r"--project-name (\S+)", (clone.bin / "docker.log").read_text()))
    assert len(used) == 2 and all(re.fullmatch("flask-opentelemetry-workshop-[0-9a-f]{8}", project) for project in used)


def test_when_nothing_brings_it_each_way_is_listed_and_another_program_is_not_touched(clone):
    script(clone.bin / "uv", "import sys; sys.exit(print('uv 0.9.0') if '--version' in sys.argv else 'error: no index')")
    said = clone.workshop("up", "echo", code=1)
    for line in ("Docker not installed", "PATH no program called echo-server", "archive http://127.0.0.1:9/echo/"):
        assert line in said
    assert "put echo-server and echo-tool, version 1.2.3, on PATH" in said
    assert "ECHO_URL=http://host:27999" in said
    assert clone.workshop("down") == "nothing that `workshop up` started is running"


def test_a_program_that_nobody_knows_and_a_file_that_is_not_there_yet_are_said(clone):
    assert "no program is called ecko; there are: jaeger, collector, echo, logs, made, prometheus" in clone.workshop(
        "up", "ecko", code=2
    )
    (clone.root / "src" / "otel" / "echo.yaml").unlink()
    assert "Echo reads src/otel/echo.yaml, and there is no such file." in clone.workshop("up", "echo", code=1)


@pytest.mark.parametrize("value", ["x", "0", "65536", "-1", "1e3"])
def test_a_port_that_is_none_is_named_with_its_setting(clone, value):
    clone.env["ECHO_HTTP_PORT"] = value
    for command in ("up", "down"):
        said = clone.workshop(command, "echo", code=1)
        assert said.startswith(f"Error: ECHO_HTTP_PORT is {value!r}, and a port is a number from 1 to 65535. ")
        assert "`unset ECHO_HTTP_PORT`: then it is 27999." in said
    assert f"ECHO_HTTP_PORT is {value!r}" in clone.workshop("status")
    clone.env["ECHO_HTTP_PORT"] = str(clone.port)


def process(clone: Clone) -> psutil.Process:
    """The Echo that `up` started."""
    return psutil.Process(json.loads((clone.root / ".saved" / "echo.json").read_text())["pid"])


def test_a_file_of_the_workshop_counts_until_a_lesson_writes_one_and_each_change_starts_it_anew(clone):
    tools(clone.bin)
    (clone.root / "workshop" / "programs" / "echo.py").write_text(with_default("echo.yaml"), encoding="utf-8")
    (clone.root / "workshop" / "programs" / "echo.yaml").touch()
    own = clone.root / "src" / "otel" / "echo.yaml"
    own.unlink()
    clone.workshop("up", "echo")
    assert process(clone).environ()["ECHO_SRC"] == str(clone.root / "workshop")
    assert "`workshop up` started it before" in clone.workshop("up", "echo")
    own.touch()
    anew = "Echo is started anew: its configuration has changed stopped Echo"
    assert clone.workshop("up", "echo").startswith(anew)
    assert process(clone).environ()["ECHO_SRC"] == str(clone.root / "src")
    rules = own.with_name("rules.yml")
    rules.touch()  # which nothing in echo.yaml names: another program's
    assert "`workshop up` started it before" in clone.workshop("up", "echo")
    for file, text in (own, "files: ['./*les.yml']"), (rules, "more"):
        before = process(clone).pid
        file.write_text(text, encoding="utf-8")
        assert clone.workshop("up", "echo").startswith(f"{anew} (process {before})")


def test_a_tool_of_a_program_is_run_by_its_name_and_brought_where_it_is_missing(clone):
    publish(clone.machine / "archives", ".tar.gz")
    with serving(clone.machine / "archives") as address:
        clone.env |= {"TEST_ARCHIVES": address}
        assert clone.workshop("tool", "echo-tool", "version").endswith("echo v1.2.3")
    assert clone.workshop("tool", "echo-tool", "version") == "echo v1.2.3"
    assert "no tool is called echo-tol; there are: jaeger, " in clone.workshop("tool", "echo-tol", "--help", code=1)


# Found, needed, started for checks


@pytest.fixture
def found(tmp_path, monkeypatch):
    """Echo among the programs of this process, and its tools on PATH."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "echo.py").write_text(with_default("jaeger.yaml"), encoding="utf-8")
    monkeypatch.setattr(workshop.programs, "__path__", [*workshop.programs.__path__, str(tmp_path / "more")])
    tools(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    yield find("echo")
    sys.modules.pop("workshop.programs.echo")
    del workshop.programs.echo


def test_a_lesson_needs_what_its_page_or_an_earlier_one_starts_by_name(found, toy):
    toy.page("100/100", "# One\n\n```shell\nworkshop up\n```\n")
    toy.page("100/200", "# Two\n\n```shell\nworkshop up jaeger echo\n```\n")

    def names(current: str | None) -> list[str]:
        return [program.name for program in needed(current, toy.root)]

    assert names(None) == names("100/100") == ["jaeger"]
    assert names("100/200") == names("200/100") == ["jaeger", "echo"]


def test_checks_have_one_of_their_own_whose_data_goes_with_it(found, tmp_path):
    (tmp_path / "echo.yaml").touch()
    with for_checks(found, configuration=tmp_path / "echo.yaml") as started:
        assert started.url != "http://127.0.0.1:27999" and started.ready()
        assert started.ask("/hello") == "/hello"
        data = Path(psutil.Process(started.process.pid).cmdline()[-1].removeprefix("--data="))
        assert data.is_dir()
    assert not data.parent.exists() and not started.ready()


@pytest.fixture
def session(found, toy):
    """A run of checks on a lesson that writes Echo's configuration."""
    toy.page("100/100", '# One\n\nIn `src/otel/echo.yaml`:\n\n```yaml title="src/otel/echo.yaml"\nport: 27999\n```\n')
    running = Session(END, False)
    yield running
    running.close()


def checkpoint_of(session: Session, toy, folder: Path, at: str = END) -> Checkpoint:
    return Checkpoint(lessons.lessons(toy.root)[0], at, folder, session.program)


def test_a_check_asks_one_program_of_the_whole_run_and_the_text_leads_to_it(session, toy, tmp_path):
    here = checkpoint_of(session, toy, tmp_path / "check")
    echo = here.program("echo")
    assert session.program("echo") is echo and echo.ask("/hello") == "/hello"
    assert (here.folder / "otel" / "echo.yaml").read_text() == f"port: {echo.port}\n"
    session.close()
    assert not echo.ready()


def test_a_check_starts_one_of_its_own_on_what_the_learner_wrote(session, toy, tmp_path):
    here = checkpoint_of(session, toy, tmp_path / "check")
    with here.start("echo") as echo:
        assert echo.ask("/hello") == "/hello" and session.program("echo") is not echo
        assert (here.folder / "otel" / "echo.yaml").read_text() == f"port: {echo.port}\n"
        environment = psutil.Process(echo.process.pid).environ()
        assert environment["ECHO_SRC"] == str(here.folder) and Path(environment["ECHO_DATA"]) == echo.data
    assert not echo.ready()


def test_a_program_knows_where_those_are_that_were_asked_for_before(session, toy, tmp_path):
    jaeger = session.program("jaeger")
    with checkpoint_of(session, toy, tmp_path / "check").start("echo") as echo:
        assert psutil.Process(echo.process.pid).environ()["JAEGER_GRPC_PORT"] == str(jaeger.grpc_port)


def test_without_its_file_or_with_a_wrong_one_the_check_is_red(session, toy, tmp_path):
    with pytest.raises(Broken) as missing:
        checkpoint_of(session, toy, tmp_path / "start", START).start("echo")
    assert (missing.value.diagnosis.rung, missing.value.diagnosis.seen) == ("echo-unconfigured", "no src/otel/echo.yaml")
    here = checkpoint_of(session, toy, tmp_path / "check")
    (here.folder / "otel" / "echo.yaml").write_text("wrong")
    with pytest.raises(Broken) as refused:
        here.start("echo")
    assert refused.value.diagnosis.rung == "echo-does-not-start"
    assert refused.value.diagnosis.seen == "Echo ended; it said last:\n--config=src/otel/echo.yaml: wrong"


def test_at_the_learners_own_src_nothing_is_brought_for_a_check(found, monkeypatch):
    monkeypatch.setenv("PATH", os.defpath)
    with pytest.raises(Broken) as broken:
        Session(MINE, False).program("echo")
    assert broken.value.diagnosis.rung == "echo-not-up"
    assert broken.value.diagnosis.do == "run `workshop up echo`, then check again"


@pytest.mark.parametrize(
    "system, machine, name",
    [
        ("Linux", "x86_64", "linux-amd64"),
        ("Linux", "aarch64", "linux-arm64"),
        ("Darwin", "arm64", "darwin-arm64"),
        ("Darwin", "x86_64", "darwin-amd64"),
        ("Linux", "riscv64", "linux-riscv64"),
    ],
)
def test_platforms_have_the_names_of_the_archives(monkeypatch, system, machine, name):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert this_platform() == name


def test_what_runs_before_the_installation_needs_nothing_but_python():
    # -S leaves out the packages of this environment, -I the folders that the shell names.
    imports = "import workshop.programs.__main__, workshop.setup.install; from workshop.programs.program import programs"
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {imports}; programs(); print(*sys.modules)"
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    done = subprocess.run([base, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not re.search(r"\b(click|psutil|rich|flask|requests)\b", done.stdout)
