"""Lets the app under check reach this machine and no other, and notes which others it has asked for.

Only a check that asks for it has this folder on PYTHONPATH. The agent makes what exports before it calls its instrumentations;
so this comes as a distro, of which it looks at all until one is one.
"""

import os
import random
import sys

FILE = os.environ.get("WORKSHOP_ASKED", "")
HERE = {"", "localhost", "127.0.0.1", "::1"}
raised = []


def raise_fence() -> None:
    """Refuse every other address from here on, and have those who wait a random while before they first ask, ask at once."""
    if FILE and not raised:
        raised.append(True)
        random.uniform = lambda low, high: 0.0
        sys.addaudithook(_look)


def _look(event: str, arguments: tuple) -> None:
    if event not in ("socket.connect", "socket.getaddrinfo"):
        return
    address = arguments[1] if event == "socket.connect" else arguments
    host = (address[0] or "") if isinstance(address, tuple) else ""  # a socket of this machine has a path
    host = host.decode() if isinstance(host, bytes) else host
    if host in HERE:
        return
    with open(FILE, "a", encoding="utf-8") as file:
        file.write(f"{host}\n")
    raise ConnectionRefusedError(f"the check lets nothing leave this machine, and {host} was asked for")
