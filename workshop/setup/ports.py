"""Ports of this machine: which are taken, by whom, and free ones that nobody else of the workshop takes meanwhile."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterable
from pathlib import Path

# Below the ports that systems hand out for outgoing connections (Linux from 32768, macOS from 49152).
RESERVABLE = range(20_000, 32_000)
_reserved: dict[int, object] = {}


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on, kept for this process until it ends or releases it.

    Other processes of the workshop leave it alone, so tests can run side by side, and a port that is meant to be closed stays so."""
    folder = Path(tempfile.gettempdir()) / f"flask-opentelemetry-workshop-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    while True:
        port = random.choice(RESERVABLE)
        lock = open(folder / str(port), "a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        _reserved[port] = lock
        return port


def release(ports: Iterable[int]) -> None:
    """Let others have these ports, of which each is kept by a file that is open."""
    for port in ports:
        if lock := _reserved.pop(port, None):
            lock.close()


def is_listening(port: int) -> bool:
    """Whether something accepts connections on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def port_owner(port: int) -> str:
    """The program that listens on a port, such as `python3 (process 4711)`; empty where the system does not tell."""
    import psutil

    try:
        for connection in psutil.net_connections("tcp"):
            if connection.pid and connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return ""
