"""What the app makes once, when it starts for the first time."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_at_a_time(folder: str) -> Iterator[None]:
    """Workers that start at the same moment wait here for each other."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "start.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def session_key(folder: str) -> bytes:
    """The key that signs cookies: made once, then kept in a file that only its owner can read."""
    handle = os.open(os.path.join(folder, "session.key"), os.O_RDWR | os.O_CREAT, 0o600)
    with open(handle, "r+b") as file:
        key = file.read()
        if not key:
            key = secrets.token_bytes(32)
            file.write(key)
        return key
