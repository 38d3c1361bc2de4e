"""Ports of this machine: which are taken, by whom, and free ones that nobody else of the workshop takes meanwhile."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
import threading
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import IO

# Below the ports that systems hand out for outgoing connections (Linux from 32768, macOS from 49152).
RESERVABLE = range(20_000, 32_000)
_reserved: set[int] = set()
_reserving = threading.RLock()  # a sandbox that is collected meanwhile releases its ports


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on, kept for this process until it ends or releases it.

    Other processes of the workshop leave it alone, so tests can run side by side, and a port that is meant to be closed stays so."""
    while True:
        port = random.choice(RESERVABLE)
        with _reserving:
            if port in _reserved or not _locked(port):
                continue
            _reserved.add(port)
        try:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            release([port])
            continue
        return port


def release(ports: Iterable[int]) -> None:
    """Let others have these ports."""
    with _reserving:
        for port in _reserved.intersection(ports):
            _reserved.discard(port)
            fcntl.lockf(_locks(), fcntl.LOCK_UN, 1, port)


def _locked(port: int) -> bool:
    try:
        fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@cache
def _locks() -> IO[bytes]:
    """One file for all ports, each a byte of it: a file for each would be more than `select` can watch, after some 200 checks.

    It stays open, for the system gives up all of a process's locks on a file when the process closes it once."""
    return open(Path(tempfile.gettempdir()) / f"flask-opentelemetry-workshop-ports-{os.getuid()}.lock", "ab")


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
