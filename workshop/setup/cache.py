"""The folder of this user in which the workshop keeps what all clones share, and locks that hold between processes."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


def cache_folder() -> Path:
    """Where programs and environments are kept for this user, over all clones of the workshop."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return (base if base.is_absolute() else Path("~/.cache").expanduser()) / "flask-opentelemetry-workshop"


@contextmanager
def locked(path: Path, on_wait: Callable[[], None] = lambda: None, quiet: float = 0) -> Iterator[None]:
    """Be the only process between here and the end of the block; `on_wait` is called once if another one is there for longer than
    `quiet` seconds.

    What `run` starts in the block holds the lock too, so that nothing begins beside the orphans of a killed process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as lock:
        os.set_inheritable(lock.fileno(), True)
        deadline = time.monotonic() + quiet
        while not _taken(lock):
            if time.monotonic() >= deadline:
                on_wait()
                fcntl.flock(lock, fcntl.LOCK_EX)
                break
            time.sleep(0.05)  # a lock tells nobody that it is free
        yield


def _taken(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
