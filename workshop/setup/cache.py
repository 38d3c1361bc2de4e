"""The folder of this user in which the workshop keeps what all clones share, and what keeps processes out of each other's way."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """Where programs and environments are kept for this user, over all clones of the workshop."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return (base if base.is_absolute() else Path("~/.cache").expanduser()) / "flask-opentelemetry-workshop"


@contextmanager
def locked(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Be the only process between here and the end of the block; `on_wait` is called once if another one is there now.

    What `run` starts in the block holds the lock too, so that nothing begins beside the orphans of a killed process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as lock:
        os.set_inheritable(lock.fileno(), True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_whole(path: Path, text: str) -> None:
    """Write a text file as a whole or not at all. Raises OSError."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
