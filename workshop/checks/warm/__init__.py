"""Starts without most of their imports, for the hundreds that differ in a learner's few lines only: wrong turns, other solutions.

`server.py` has the packages of an environment loaded and forks for each start. On PATH stand `flask`, `gunicorn` and
`opentelemetry-instrument` as links to `stand_in.py`, which hands its arguments, folder, variables and streams over to it, passes
signals on, and ends as the fork ends. A lesson's own checks, and a learner's, start whole.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from workshop.checks.warm.server import COMMANDS

HERE = Path(__file__).parent
_folders: dict[Path, tuple[Path, subprocess.Popen]] = {}


def environment(env: dict[str, str], prefix: Path, folder: Path) -> dict[str, str]:
    """`env` with the stand-ins of the virtual environment at `prefix` first on PATH, for a command that runs in `folder`.

    It is `env` itself where a file of that folder has the name of a module that is loaded already, for it comes first."""
    stand_ins, loaded = _stand_ins(prefix)
    if any(file.stem in loaded for file in folder.iterdir() if file.suffix == ".py" or file.is_dir()):
        return env
    return {**env, "PATH": os.pathsep.join([str(stand_ins), env["PATH"]])}


def forks(of: list[int]) -> list[int]:
    """The processes that stand-ins with these process numbers stand for."""
    noted = [folder / str(number) for folder, _ in _folders.values() for number in of]
    return [int(file.read_text()) for file in noted if file.exists()]


def stop() -> None:
    """End the servers of this process."""
    for folder, server in _folders.values():
        server.communicate()
        shutil.rmtree(folder, ignore_errors=True)
    _folders.clear()
    _stand_ins.cache_clear()


@cache
def _stand_ins(prefix: Path) -> tuple[Path, set[str]]:
    """The folder of an environment's stand-ins, and the names of the modules and packages that they have loaded."""
    folder = Path(tempfile.mkdtemp(prefix="workshop-"))
    for name in COMMANDS:
        (folder / name).symlink_to(HERE / "stand_in.py")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OTEL_", "FLASK_"))}
    server = subprocess.Popen(
        [prefix / "bin" / "python", HERE / "server.py", folder],
        env={**clean, "PYTHONUTF8": "1"},
        stdin=subprocess.PIPE,  # its end, however this process ends, is the server's
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    loaded = set(server.stdout.readline().decode().split())
    _folders[prefix] = folder, server
    return folder, loaded
