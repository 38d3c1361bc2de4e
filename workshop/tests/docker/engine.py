"""A real Docker engine for tests: `dockerd` of this machine in folders of its own, compose built by Go, images made here.

The images have the pinned names and hold the executables that `workshop up` uses without Docker, so nothing is pulled.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from workshop.programs import methods
from workshop.programs.program import Program, programs
from workshop.setup.commands import CommandFailed, run
from workshop.setup.go import GoModule

READY_SECONDS = 60
COMPOSE = Program(
    name="docker-compose",
    title="Docker Compose",
    version="2.40.3",
    ports={},
    health=("", ""),
    ask_version=("version",),
    go=GoModule(
        module="github.com/docker/compose/v2",
        version="v2.40.3",
        package="./cmd",
        needs=(1, 24, 3),
        stamp="github.com/docker/compose/v2/internal.Version",
    ),
)
# Where the official images have their program, which is also what they run.
ENTRYPOINTS = {
    "jaeger": "/cmd/jaeger/jaeger-linux",
    "collector": "/otelcol-contrib",
    "prometheus": "/bin/prometheus",
    "logs": "/victoria-logs-prod",
}


FORBIDDEN = re.compile("permission denied|operation not permitted", re.IGNORECASE)


class NoEngine(Exception):
    """The kernel of this machine forbids to run a Docker engine, and nothing that is installed changes that. The message is dockerd's."""


@contextmanager
def engine(progress: Callable[[str], None]) -> Iterator[dict[str, str]]:
    """An engine with the images of all programs: the variables that lead a `docker` to it. Raises NoEngine and RuntimeError."""
    for tool in ("dockerd", "docker"):
        if not shutil.which(tool):
            raise RuntimeError(f"{tool} is not installed")
    if os.geteuid() != 0:
        raise RuntimeError("only root may start a Docker engine")
    # A path of a Unix socket has at most 108 characters.
    folder = Path(tempfile.mkdtemp(prefix="workshop-docker-"))
    try:
        compose = methods.obtain(COMPOSE, progress)
        (folder / "cli-plugins").mkdir()
        shutil.copy2(compose, folder / "cli-plugins" / "docker-compose")
        env = {"DOCKER_HOST": f"unix://{folder}/docker.sock", "DOCKER_CONFIG": str(folder)}
        with running(folder, env):
            for program in programs().values():
                image(program, folder, {**os.environ, **env}, progress)
            yield env
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(folder: Path, env: dict[str, str]) -> Iterator[None]:
    """A `dockerd` that keeps all that it has in this folder, ready. Raises NoEngine, or RuntimeError for one that is broken."""
    own = [
        f"--data-root={folder}/data",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/pid",
        f"--host={env['DOCKER_HOST']}",
    ]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(["dockerd", *own, "--storage-driver=vfs"], stdout=log, stderr=log, start_new_session=True)
    try:
        deadline, pause = time.monotonic() + READY_SECONDS, threading.Event()
        while process.poll() is None and not _answers(env) and time.monotonic() < deadline:
            pause.wait(0.1)
        if not _answers(env):
            last = " ".join((folder / "log").read_text(errors="replace").strip().splitlines()[-1:])
            raise (NoEngine if FORBIDDEN.search(last) else RuntimeError)(f"dockerd does not start: {last}")
        yield
    finally:
        process.terminate()
        process.wait(60)


def _answers(env: dict[str, str]) -> bool:
    try:
        return bool(run(["docker", "version", "--format", "{{.Server.Version}}"], {**os.environ, **env}))
    except CommandFailed:
        return False


def image(program: Program, folder: Path, env: dict[str, str], progress: Callable[[str], None]) -> None:
    """Make the image of this program under its pinned name from the executable that runs without Docker."""
    executable = methods.obtain(program, progress)
    inside = ENTRYPOINTS[program.name]
    build = folder / program.name
    build.mkdir()
    shutil.copy2(executable, build / "program")
    (build / "tmp").mkdir(mode=0o1777)
    (build / "Dockerfile").write_text(f'FROM scratch\nCOPY program {inside}\nCOPY tmp /tmp\nENTRYPOINT ["{inside}"]\n')
    run(["docker", "build", "--quiet", "--tag", program.image_tag, build], env)
    shutil.rmtree(build)
